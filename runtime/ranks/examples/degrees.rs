//! What a second rank is worth on this machine: denoising steps and VAE decodes of `small-image` on one rank, on two together, and
//! on two that work apart, in turn. Two that work apart share caches, memory and power but no work: what they do more than one
//! alone is the limit of any degree 2. Prints measured figures; run it in release on a quiet machine with two cores.
//!
//! `degrees [rounds] [side ..]`: rounds (9 by default), sides of the picture in pixels (512 and 1024).

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
        for request in view.requests().filter(|request| request.is_ready()) {
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

/// Every task's stage, with the begin of its first rank and the end of its last.
#[derive(Default)]
struct Spans {
    tasks: BTreeMap<TaskId, (Stage, Nanos, Nanos)>,
}

impl Observer for Spans {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        for command in commands {
            if let Command::Launch(task) = command {
                self.tasks.insert(task.id, (task.stage, Nanos(u64::MAX), Nanos::ZERO));
            }
        }
        for event in events {
            if let Event::Finished { task, span, .. } = event
                && let Some((_, begin, end)) = self.tasks.get_mut(task)
            {
                *begin = (*begin).min(span.started);
                *end = (*end).max(span.ended.unwrap_or(now));
            }
        }
    }
}

/// How a round runs the same request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// On one rank, the other idle.
    Alone,
    /// On two ranks together.
    Together,
    /// Two requests at once, on one rank each.
    Apart,
}

const ALL: [How; 3] = [How::Alone, How::Together, How::Apart];

/// Milliseconds of a step or a decode, one entry a round: by the clock, and of processor time on the busiest rank.
#[derive(Default)]
struct Times {
    clock: Vec<f64>,
    work: Vec<f64>,
}

/// Times of one round, by stage.
fn round(dit: &Arc<Watched>, side: u32, how: How) -> BTreeMap<Stage, (f64, f64)> {
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
        class: ClassId(if how == How::Together { 2 } else { 1 }),
        shape,
        chunk_steps: STEPS,
        priority: 0,
        preemptible: false,
        arrival: Nanos::ZERO,
        deadline: None,
        t_single: None,
    };
    let count = if how == How::Apart { 2 } else { 1 };
    let workload = Workload { requests: (0..count).map(request).collect(), ..Workload::default() };
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
    let work = std::mem::take(&mut *dit.work.lock().expect("no panic"));
    let mut times = BTreeMap::new();
    for (id, (stage, begin, end)) in &spans.tasks {
        let per = f64::from(if *stage == Stage::Denoise { STEPS } else { 1 }) * f64::from(count);
        let ms = |nanos: u64| nanos as f64 / 1e6 / per;
        let (clock, spent) = times.entry(*stage).or_insert((0.0, 0.0));
        *clock += ms((*end - *begin).0);
        *spent += ms(work[id]);
    }
    times
}

/// Rounds of all three, in turn; the first warms up.
fn measure(dit: &Arc<Watched>, side: u32, rounds: u32) -> BTreeMap<(Stage, How), Times> {
    let mut all: BTreeMap<_, Times> = BTreeMap::new();
    for at in 0..=rounds {
        for how in ALL {
            for (stage, (clock, work)) in round(dit, side, how) {
                let times = all.entry((stage, how)).or_default();
                if at > 0 {
                    times.clock.push(clock);
                    times.work.push(work);
                }
            }
        }
    }
    all
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|word| word.parse::<u32>().ok());
    let rounds = arguments.next().unwrap_or(9).max(1);
    let sides: Vec<u32> = arguments.collect();
    let sides = if sides.is_empty() { vec![512, 1024] } else { sides };
    let source = Source::seeded(MODEL, 1).expect("a preset");
    let dit = Dit::load(&[source], 1).expect("seeded");
    let dit = Arc::new(Watched { dit, work: Mutex::default() });
    println!(
        "{MODEL}, measured, ms: medians of {rounds} rounds of one rank, two together, two apart; ratios are of a round\n\
         limit: what two ranks apart do of what one alone does; worth: how much faster two together are than one\n\
         tokens  what      one rank  together    apart  worth  limit  worth/limit  by processor time"
    );
    for side in sides {
        let all = measure(&dit, side, rounds);
        for (stage, what) in [(Stage::Denoise, "step"), (Stage::VaeDecode, "decode")] {
            let [one, two, apart] = ALL.map(|how| &all[&(stage, how)]);
            let ratio = |over: &[f64], under: &[f64], times: f64| {
                median(over.iter().zip(under).map(|(a, b)| times * a / b).collect())
            };
            let worth = ratio(&one.clock, &two.clock, 1.0);
            let limit = ratio(&one.clock, &apart.clock, 2.0);
            let of_limit = ratio(&apart.clock, &two.clock, 0.5);
            println!(
                "{:>6}  {what:<8} {:>9.2} {:>9.2} {:>8.2} {worth:>6.2} {limit:>6.2} {of_limit:>12.2} {:>18.2}",
                (side / 16) * (side / 16),
                median(one.clock.clone()),
                median(two.clock.clone()),
                median(apart.clock.clone()),
                ratio(&one.work, &two.work, 1.0),
            );
        }
    }
}
