//! What the kernels foretell of a rank's memory, against what the process takes; and what ranks keep between tasks.
//!
//! One test alone in its process: the allocator counts.

#![allow(unsafe_code, reason = "an allocator that counts")]

use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::model;
use flexdit_core::scheduler::{Plan, Policy, Scheduler, SchedulerConfig, View};
use flexdit_core::{
    ClassId, ModelId, Nanos, Parallelism, Rank, Request, RequestId, Shape, Stage, Workload,
};
use flexdit_ranks::dit::{Dit, Source, kept};
use flexdit_ranks::{
    Buffer, Compute, ComputeError, Driver, GroupFree, Job, Options, Outcome, Output, Peers,
    RankMemory, State, Tokens,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator; counting touches two atomics and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = CURRENT.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CURRENT.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the same, and `alloc` got the memory there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAMES: [&str; 2] = ["tiny-image", "tiny-video"];

/// One request at a time, on all ranks.
struct Whole;

impl Policy for Whole {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let Some(request) = view.requests().next().filter(|request| request.is_ready()) else {
            return;
        };
        let degree = view.world() as u8;
        let layout = match request.next_stage() {
            Some(Stage::Denoise) => Parallelism::ulysses(degree),
            Some(Stage::VaeDecode) => Parallelism::patch(degree),
            _ => Parallelism::SINGLE,
        };
        if let Some(grant) = plan.take(layout.degree(), &[Rank(0)]) {
            plan.run(request.id(), grant, layout);
        }
    }
}

/// Prices of one degree.
struct Beliefs(u8);

impl Estimator for Beliefs {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let spec = model(NAMES[shape.model.index()]).expect("listed");
        let cost = |parallelism: Parallelism| {
            let degree = parallelism.degree();
            DegreeCost { degree, parallelism, time: Nanos::from_millis(1) }
        };
        ShapeCosts {
            encode: Some(Nanos(1)),
            steps: vec![cost(Parallelism::ulysses(self.0))],
            decodes: vec![cost(Parallelism::patch(self.0))],
            state: StateSpec::of(spec, shape).expect("a shape"),
        }
    }
}

fn shape(model: u8, side: u32, frames: u32, guidance: bool) -> Shape {
    let (model, text_tokens) = (ModelId(model), 20);
    Shape { model, guidance, height: side, width: side, frames, text_tokens, steps: 2 }
}

fn dit() -> Arc<Dit> {
    let sources = NAMES.map(|name| Source::seeded(name, 5).expect("a preset"));
    Arc::new(Dit::load(&sources, 11).expect("seeded"))
}

/// Ranks that begin cold: what tasks take is seen as it is.
struct Cold(Arc<Dit>);

impl Compute for Cold {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        self.0.state(shape)
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        self.0.run(job, peers)
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        self.0.initial(request, tokens, memory)
    }
}

/// The most bytes beyond those before the run, and what the run says.
fn run(dit: &Arc<Dit>, world: u16, shapes: &[Shape]) -> (u64, Outcome) {
    let request = |(id, shape): (usize, &Shape)| Request {
        id: RequestId(id as u32),
        class: ClassId(0),
        shape: *shape,
        chunk_steps: 1,
        priority: 0,
        preemptible: false,
        arrival: Nanos(id as u64),
        deadline: None,
        t_single: None,
    };
    let requests: Vec<Request> = shapes.iter().enumerate().map(request).collect();
    let workload = Workload { requests, concurrency: Some(1), ..Workload::default() };
    let beliefs = Box::new(Beliefs(world as u8));
    let mut system = Scheduler::new(SchedulerConfig::new(world), Box::new(Whole), beliefs);
    let options = Options { pin: false, ..Options::new(world) };
    let fabric = GroupFree::default();
    let before = CURRENT.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let driver = Driver::new(options, Arc::new(Cold(Arc::clone(dit))), &fabric);
    let outcome = driver.run(&mut system, workload, &mut (), &mut ()).expect("a run");
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert!(outcome.ranks.iter().all(|rank| rank.held.0 == 0));
    (peak as u64, outcome)
}

#[test]
fn a_run_takes_the_memory_that_was_foretold() {
    for world in [1, 2] {
        let parallelism = Parallelism { patch: world as u8, ..Parallelism::ulysses(world as u8) };
        // What driver and world take whatever is computed.
        let (least, _) = run(&dit(), world, &[shape(0, 32, 1, false)]);
        for shape in [
            shape(0, 384, 1, false),
            shape(0, 384, 1, true),
            shape(1, 160, 9, false),
            shape(1, 160, 9, true),
        ] {
            let dit = dit();
            let (peak, outcome) = run(&dit, world, &[shape]);
            let memory = dit.memory(&shape, parallelism).expect("a shape");
            let artifacts: u64 = outcome.ranks.iter().map(|rank| rank.peak.0).sum();
            let foretold = memory.rank * u64::from(world) + artifacts;
            let taken = peak.saturating_sub(least);
            let what = format!("{taken} of {foretold}, {shape:?} on {world}");
            println!("{what}; artifacts {artifacts}");
            assert!(taken <= foretold && foretold * 2 < taken * 3, "{what}");
            for rank in 0..world {
                let kept = dit.scratch_bytes(Rank(rank)).0;
                assert!(kept <= memory.rank, "{kept} kept of {}, {shape:?}", memory.rank);
            }
        }
    }
    mixed();
    warm();
}

/// A rank that warmed up has the buffers of the hungriest shape, and takes no more than was foretold of it on one rank.
fn warm() {
    let (dit, small, large) = (dit(), shape(0, 64, 1, false), shape(0, 384, 1, true));
    let peak = |shapes: &[Shape]| {
        let before = CURRENT.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        dit.warm_up(Rank(0), shapes).expect("shapes of the model");
        (PEAK.load(Ordering::Relaxed) - before) as u64
    };
    let foretold = dit.memory(&large, Parallelism::SINGLE).expect("a shape").rank;
    let first = peak(&[small, large, small]);
    let kept = dit.scratch_bytes(Rank(0)).0;
    println!("{first} of {foretold} taken, {kept} kept");
    assert!(first <= foretold && foretold * 2 < first * 3);
    // What is left of a second time is the picture and what is not kept.
    let again = peak(&[large]);
    assert!(kept > foretold / 2 && again < first - kept / 2, "{again} taken again");
    assert_eq!(dit.scratch_bytes(Rank(1)).0, 0);
}

/// Many shapes in turn keep no more than the hungriest needs, and what a rank may keep beside.
fn mixed() {
    let mut shapes = Vec::new();
    for at in 0..24_u32 {
        let model = (at * 7 % 5 % 2) as u8;
        let side = 32 * (1 + at * 5 % 7);
        shapes.push(shape(model, side, if model == 1 { 1 + 4 * (at % 3) } else { 1 }, at % 3 == 0));
    }
    let dit = dit();
    let (_, outcome) = run(&dit, 2, &shapes);
    assert_eq!(outcome.failed_tasks, 0, "{:?}", outcome.failures);
    let split = Parallelism { patch: 2, ..Parallelism::ulysses(2) };
    let needs = |shape: &Shape| dit.memory(shape, split).expect("a shape").rank;
    let most = kept(shapes.iter().map(needs).max().expect("shapes"));
    for rank in 0..2 {
        let kept = dit.scratch_bytes(Rank(rank)).0;
        println!("rank {rank} keeps {kept}, may keep {most}");
        assert!(kept <= most, "rank {rank} keeps {kept}, may keep {most}");
    }
}
