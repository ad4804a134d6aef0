//! What a second rank is worth on this machine: denoising steps and VAE decodes of `small-image` on one rank and on two, in turn.
//! Prints measured figures; run it in release on a quiet machine with two cores.
//!
//! `degrees [rounds] [side ..]`: pairs of runs (9 by default), sides of the picture in pixels (512 and 1024).

use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::model;
use flexdit_core::scheduler::{Plan, Policy, Scheduler, SchedulerConfig, View};
use flexdit_core::{
    ClassId, Command, Event, ModelId, Nanos, Observer, Parallelism, Rank, Request, RequestId,
    Shape, Stage, TaskId, Workload,
};
use flexdit_ranks::dit::{Dit, Source};
use flexdit_ranks::{
    Buffer, Compute, ComputeError, Driver, GroupFree, Job, Options, Output, Peers, RankMemory,
    State, Tokens,
};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const MODEL: &str = "small-image";
/// Steps of a task; its time is theirs.
const STEPS: u32 = 3;

/// A request's class is its degree.
struct ByClass;

impl Policy for ByClass {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let Some(request) = view.requests().next().filter(|request| request.is_ready()) else {
            return;
        };
        let degree = request.request().class.0 as u8;
        let layout = match request.next_stage() {
            Some(Stage::Denoise) => Parallelism::ulysses(degree),
            Some(Stage::VaeDecode) => Parallelism::patch(degree),
            _ => Parallelism::SINGLE,
        };
        if let Some(grant) = plan.take(layout.degree(), &[Rank(0), Rank(1)]) {
            plan.run(request.id(), grant, layout);
        }
    }
}

struct Beliefs;

impl Estimator for Beliefs {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let state = StateSpec::of(model(MODEL).expect("listed"), shape).expect("a shape");
        let cost = |parallelism: Parallelism| {
            let degree = parallelism.degree();
            DegreeCost { degree, parallelism, time: Nanos::from_millis(1) }
        };
        ShapeCosts {
            encode: Some(Nanos(1)),
            steps: [1, 2].map(|degree| cost(Parallelism::ulysses(degree))).to_vec(),
            decodes: [1, 2].map(|degree| cost(Parallelism::patch(degree))).to_vec(),
            state,
        }
    }
}

/// The models, and the processor time that each task took on its busiest rank, in nanoseconds: what is left of a second rank's
/// worth when nobody else wants the cores.
struct Watched {
    dit: Dit,
    work: Mutex<BTreeMap<TaskId, u64>>,
}

fn processor() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Compute for Watched {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        self.dit.state(shape)
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        let before = processor();
        let output = self.dit.run(job, peers);
        let spent = processor() - before;
        let mut work = self.work.lock().expect("no panic");
        let most = work.entry(job.task.id).or_default();
        *most = (*most).max(spent);
        output
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        self.dit.initial(request, tokens, memory)
    }
}

/// Nanoseconds of every task by (stage, degree): from its first rank's begin to its last rank's end.
#[derive(Default)]
struct Spans {
    tasks: BTreeMap<TaskId, (Stage, u16, Nanos, Nanos)>,
}

impl Observer for Spans {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        for command in commands {
            if let Command::Launch(task) = command {
                let degree = task.parallelism.degree();
                self.tasks.insert(task.id, (task.stage, degree, Nanos(u64::MAX), Nanos::ZERO));
            }
        }
        for event in events {
            if let Event::Finished { task, span, .. } = event
                && let Some((_, _, begin, end)) = self.tasks.get_mut(task)
            {
                *begin = (*begin).min(span.started);
                *end = (*end).max(span.ended.unwrap_or(now));
            }
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(dit: &Arc<Watched>, side: u32, rounds: u32) -> Spans {
    let shape = Shape {
        model: ModelId(0),
        height: side,
        width: side,
        frames: 1,
        text_tokens: 32,
        steps: STEPS,
        guidance: false,
    };
    let request = |id: u32| Request {
        id: RequestId(id),
        class: ClassId(1 + (id % 2) as u16),
        shape,
        chunk_steps: STEPS,
        priority: 0,
        preemptible: false,
        arrival: Nanos(u64::from(id)),
        deadline: None,
        t_single: None,
    };
    // The first pair warms up.
    let requests = (0..2 * (rounds + 1)).map(request).collect();
    let workload = Workload { requests, concurrency: Some(1), ..Workload::default() };
    let (fabric, mut spans) = (GroupFree::default(), Spans::default());
    let config = SchedulerConfig::new(2);
    let mut system = Scheduler::new(config, Box::new(ByClass), Box::new(Beliefs));
    let driver = Driver::new(Options::new(2), dit.clone(), &fabric);
    let outcome = driver.run(&mut system, workload, &mut spans, &mut ()).expect("a run");
    for rank in &outcome.ranks {
        if let Err(why) = &rank.pinned {
            println!("{} is not pinned: {why}", rank.rank);
        }
    }
    spans
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|word| word.parse::<u32>().ok());
    let rounds = arguments.next().unwrap_or(9);
    let sides: Vec<u32> = arguments.collect();
    let sides = if sides.is_empty() { vec![512, 1024] } else { sides };
    let source = Source::seeded(MODEL, 1).expect("a preset");
    let dit = Dit::load(&[source], 1).expect("seeded");
    let dit = Arc::new(Watched { dit, work: Mutex::default() });
    println!(
        "{MODEL}, measured, ms: medians of {rounds} pairs; processor time is the busiest rank's"
    );
    println!(
        "tokens  what      one rank  two ranks  ratio  least's  processor one      two  ratio"
    );
    for side in sides {
        let spans = measure(&dit, side, rounds);
        let work = std::mem::take(&mut *dit.work.lock().expect("no panic"));
        for (stage, what, per) in [(Stage::Denoise, "step", STEPS), (Stage::VaeDecode, "decode", 1)]
        {
            let times = |degree: u16| -> (Vec<f64>, Vec<f64>) {
                let tasks = spans.tasks.iter().filter(|(_, t)| (t.0, t.1) == (stage, degree));
                let ms = |nanos: u64| nanos as f64 / 1e6 / f64::from(per);
                tasks.skip(1).map(|(id, t)| (ms((t.3 - t.2).0), ms(work[id]))).unzip()
            };
            let ((one, work_one), (two, work_two)) = (times(1), times(2));
            let ratio = median(one.iter().zip(&two).map(|(one, two)| one / two).collect());
            let least = |of: &[f64]| of.iter().copied().fold(f64::INFINITY, f64::min);
            let leasts = least(&one) / least(&two);
            let (work_one, work_two) = (median(work_one), median(work_two));
            println!(
                "{:>6}  {what:<8} {:>9.2} {:>10.2} {ratio:>6.2} {leasts:>8.2} {work_one:>14.2} \
                 {work_two:>8.2} {:>6.2}",
                (side / 16) * (side / 16),
                median(one),
                median(two),
                work_one / work_two
            );
        }
    }
}
