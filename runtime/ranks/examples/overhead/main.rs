//! What the real driver costs on this machine: gaps between tasks, overhead against the bare loop, migration against memcpy.
//! Prints measured figures; run it in release on a quiet machine. `overhead migration` prints the last part alone.

mod migration;

use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::model;
use flexdit_core::scheduler::{Plan, Policy, Scheduler, SchedulerConfig, View};
use flexdit_core::{
    ClassId, ModelId, Nanos, Parallelism, Rank, Request, RequestId, Shape, Stage, Workload,
};
use flexdit_ranks::synthetic::Synthetic;
use flexdit_ranks::{
    Clock, Compute, Driver, GroupFree, Histogram, Options, Outcome, bare, pin_to_core,
};
use std::sync::Arc;

/// Everything on `degree` ranks; a request that moves goes to the ranks after its own.
struct Plain {
    degree: u8,
    ahead: bool,
    moves: bool,
}

impl Policy for Plain {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let split = |stage: Option<Stage>| match stage {
            Some(Stage::Denoise) => Parallelism::ulysses(self.degree),
            _ => Parallelism::SINGLE,
        };
        for request in view.requests() {
            let layout = split(request.next_stage());
            if request.is_ready() {
                let next = request.located().map_or(0, |at| (at.active[0].0 + 1) % view.world());
                let prefer = [Rank(if self.moves { next } else { 0 })];
                if let Some(grant) = plan.take(u16::from(self.degree), &prefer) {
                    plan.run(request.id(), grant, layout);
                    if self.ahead {
                        // The next task is queued as soon as this one is launched.
                        plan.wake_at(view.now() + Nanos(1));
                    }
                }
            } else if self.ahead && plan.credit(request.id()) {
                plan.run_ahead(request.id(), layout);
            }
        }
    }
}

struct Beliefs;

impl Estimator for Beliefs {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let spec = model("qwen-image").expect("listed");
        let state = StateSpec::of(spec, shape).expect("a shape of the model");
        let cost = |degree| {
            let parallelism = Parallelism::ulysses(degree as u8);
            DegreeCost { degree, parallelism, time: Nanos::from_millis(1) }
        };
        let decodes = vec![DegreeCost { parallelism: Parallelism::SINGLE, ..cost(1) }];
        ShapeCosts { encode: Some(Nanos(1)), steps: vec![cost(1), cost(2)], decodes, state }
    }
}

fn request(side: u32, steps: u32, id: u32) -> Request {
    let shape = Shape {
        model: ModelId(0),
        height: side,
        width: side,
        frames: 1,
        text_tokens: 16,
        steps,
        ..Shape::default()
    };
    Request {
        id: RequestId(id),
        class: ClassId(0),
        shape,
        chunk_steps: 1,
        priority: 0,
        preemptible: true,
        arrival: Nanos::ZERO,
        deadline: None,
        t_single: None,
    }
}

fn run(policy: Plain, world: u16, compute: Arc<dyn Compute>, requests: Vec<Request>) -> Outcome {
    let config = SchedulerConfig::new(world);
    let mut system = Scheduler::new(config, Box::new(policy), Box::new(Beliefs));
    let fabric = GroupFree::default();
    let driver = Driver::new(Options::new(world), compute, &fabric);
    let workload = Workload { requests, ..Workload::default() };
    driver.run(&mut system, workload, &mut (), &mut ()).expect("a run")
}

fn show(name: &str, histogram: &Histogram) {
    let at = |percent| histogram.percentile(percent).map_or("-".into(), |time| time.to_string());
    println!("  {name:<34} n {:>6}  p50 {:>10}  p99 {:>10}", histogram.count(), at(50.0), at(99.0));
}

/// What comes between tasks of so many requests, all there from the beginning.
fn gaps(name: &str, policy: Plain, world: u16, requests: u32) {
    let rounds = calibrate(Nanos::from_millis(1));
    let compute = Arc::new(Synthetic::new(vec![model("qwen-image").expect("listed")], rounds));
    let outcome =
        run(policy, world, compute, (0..requests).map(|id| request(256, 2_000, id)).collect());
    let measured = &outcome.measured;
    println!("{name}");
    show("gap to a queued task", &measured.gap_queued);
    show("gap with the system's decision", &measured.gap_decided);
    show("launch", &measured.launch);
    show("setup of a group", &measured.setup);
    show("publish", &measured.publish);
    show("planning", &outcome.planning);
    let overhead = measured.overhead().map_or("-".into(), |part| format!("{:.3} %", part * 100.0));
    println!("  overhead beside compute            {overhead}");
}

/// Rounds of arithmetic that make a step of the synthetic model take so long here.
fn calibrate(step: Nanos) -> u32 {
    const TRIAL: (u32, u32) = (100, 50);
    let compute = Synthetic::new(vec![model("qwen-image").expect("listed")], TRIAL.0);
    let trial = |_| bare(&compute, &request(256, TRIAL.1, 0)).expect("it fits").1.0;
    let best = (0..5).map(trial).min().expect("five trials");
    let rounds = u64::from(TRIAL.0 * TRIAL.1) * step.0 / best;
    u32::try_from(rounds).expect("a step of milliseconds").max(1)
}

/// Pairs of runs that are compared.
const PAIRS: usize = 15;

/// Time of the bare loop, on the core that a driver's first rank keeps to.
fn pinned_bare(compute: &Synthetic, request: &Request) -> Nanos {
    let run = || {
        if let Err(why) = pin_to_core(0) {
            println!("  the bare loop is not pinned: {why}");
        }
        bare(compute, request).expect("it fits").1
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

/// Time of whole requests in the bare loop and through the driver, one chunk a step, in turns, each first in half of the
/// pairs: the median of the ratios.
fn against_bare(step: Nanos, ahead: bool) {
    let steps = (Nanos::from_millis(400).0 / step.0) as u32;
    let compute = Synthetic::new(vec![model("qwen-image").expect("listed")], calibrate(step));
    let request = request(256, steps, 0);
    let alone = || pinned_bare(&compute, &request);
    let driven = || {
        let policy = Plain { degree: 1, ahead, moves: false };
        run(policy, 1, Arc::new(compute.clone()), vec![request]).end
    };
    let (mut ratios, mut bares) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let (bare, driven) = if pair % 2 == 0 {
            let bare = alone();
            (bare, driven())
        } else {
            let driven = driven();
            (alone(), driven)
        };
        // The first pair warms up.
        if pair > 0 {
            ratios.push(driven.0 as f64 / bare.0 as f64);
            bares.push(bare.0 / u64::from(steps));
        }
    }
    ratios.sort_by(f64::total_cmp);
    bares.sort_unstable();
    let over = |part: f64| (ratios[(part * (PAIRS - 1) as f64) as usize] - 1.0) * 100.0;
    let (low, median, high) = (over(0.25), over(0.5), over(0.75));
    let task = Nanos(bares[PAIRS / 2]);
    let how = if ahead { "queued ahead" } else { "each decided" };
    println!(
        "  tasks of {task:>11}, {how}  median {median:>6.3} %  (quarters {low:.3}, {high:.3})"
    );
}

/// How long a sleeping thread takes to hear of a message: what a rank that waits for a decision cannot do without.
fn wakes() {
    const TIMES: usize = 500;
    let (to, messages) = crossbeam_channel::bounded::<Nanos>(1);
    let clock = Clock::start();
    let mut heard = Histogram::default();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..TIMES {
                std::thread::park_timeout(std::time::Duration::from_millis(2));
                to.send(clock.now()).expect("somebody listens");
            }
        });
        for sent in messages {
            heard.add(clock.now() - sent);
        }
    });
    println!("a thread that sleeps");
    show("hears of a message after", &heard);
}

/// How late arrivals are, with ranks that are mostly idle.
fn arrivals() {
    let requests = (0..300)
        .map(|id| Request { arrival: Nanos(u64::from(id) * 3_456_789), ..request(64, 1, id) });
    let compute = Arc::new(Synthetic::new(vec![model("qwen-image").expect("listed")], 1));
    let policy = Plain { degree: 1, ahead: false, moves: false };
    let outcome = run(policy, 1, compute, requests.collect());
    println!("arrivals in real time");
    show("lateness", &outcome.lateness);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("measured, {} cores", std::thread::available_parallelism().map_or(1, usize::from));
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            control();
            migration::report();
        }
        ["migration"] => migration::report(),
        _ => {
            eprintln!("usage: overhead [migration]");
            std::process::exit(2);
        }
    }
}

/// What the driver costs beside computing.
fn control() {
    wakes();
    println!("tasks of 1 ms of one rank's arithmetic");
    gaps("one rank, queued ahead", Plain { degree: 1, ahead: true, moves: false }, 1, 1);
    gaps("one rank, each chunk decided", Plain { degree: 1, ahead: false, moves: false }, 1, 1);
    gaps("two ranks, queued ahead", Plain { degree: 2, ahead: true, moves: false }, 2, 1);
    gaps("two ranks, each chunk decided", Plain { degree: 2, ahead: false, moves: false }, 2, 1);
    let alone = Plain { degree: 1, ahead: false, moves: false };
    gaps("two ranks, a request each, each chunk decided", alone, 2, 2);
    arrivals();
    println!("one rank against the bare loop, whole requests, {PAIRS} pairs each");
    for step in [1, 5, 20] {
        against_bare(Nanos::from_millis(step), true);
        against_bare(Nanos::from_millis(step), false);
    }
}
