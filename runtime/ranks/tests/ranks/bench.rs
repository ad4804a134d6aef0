//! What every test of a run needs: beliefs about costs, workloads from a seed, a run with its results and its log.

use flexdit_comm::{Collectives, CommError};
use flexdit_core::cost::{DegreeCost, Estimator, ShapeCosts};
use flexdit_core::migration::StateSpec;
use flexdit_core::model::{ModelSpec, model};
use flexdit_core::policy::{Params, Value, registry};
use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
use flexdit_core::{
    ClassId, Command, Event, Group, ModelId, Nanos, Observer, Parallelism, Request, RequestId,
    Shape, System, Workload,
};
use flexdit_ranks::synthetic::Synthetic;
use flexdit_ranks::{
    Completed, Compute, Driver, Fabric, GroupFree, Groups, Options, Outcome, RunError,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Draws from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.range(1, 100) <= percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len() as u64 - 1) as usize]
    }
}

/// An image and a video model: one frame of tokens, and several.
pub fn models() -> Vec<&'static ModelSpec> {
    ["qwen-image", "wan2.2-ti2v-5b"].map(|name| model(name).expect("listed")).to_vec()
}

/// Beliefs that make every kind of split attractive to somebody. Drawn from a seed, the same for every shape's sake.
#[derive(Clone, Debug)]
pub struct Beliefs {
    pub world: u16,
    pub seed: u64,
}

impl Estimator for Beliefs {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let spec = models()[shape.model.index()];
        let Ok(state) = StateSpec::of(spec, shape) else { return ShapeCosts::default() };
        let mut dice =
            Dice::new(self.seed ^ u64::from(shape.height) << 20 ^ u64::from(shape.steps));
        let tokens = state.tokens();
        let mut steps = Vec::new();
        for degree in 1..=self.world.min(8) {
            let layout = layout(&mut dice, shape.guidance, degree as u8);
            if u64::from(layout.sequence()) > tokens {
                continue;
            }
            let ideal = 200_000 * tokens / u64::from(degree);
            let time = Nanos(ideal + ideal * dice.range(0, 40) / 100);
            steps.push(DegreeCost { degree, parallelism: layout, time });
        }
        let decodes = [1_u8, 2, 3]
            .into_iter()
            .filter(|patch| u16::from(*patch) <= self.world && u32::from(*patch) <= state.grid[1])
            .map(|patch| DegreeCost {
                degree: u16::from(patch),
                parallelism: Parallelism::patch(patch),
                time: Nanos(100_000 * tokens / u64::from(patch)),
            })
            .collect();
        ShapeCosts { encode: Some(Nanos(500_000)), steps, decodes, state }
    }
}

/// Any split of `degree` ranks.
fn layout(dice: &mut Dice, guidance: bool, degree: u8) -> Parallelism {
    let cfg = if guidance && degree.is_multiple_of(2) && dice.chance(50) { 2 } else { 1 };
    let sequence = degree / cfg;
    let divisors: Vec<u8> = (1..=sequence).filter(|d| sequence.is_multiple_of(*d)).collect();
    let ring = dice.pick(&divisors);
    Parallelism { ulysses: sequence / ring, ring, cfg, patch: 1 }
}

/// Shapes of a few to a few hundred tokens.
pub fn shape(dice: &mut Dice) -> Shape {
    let video = dice.chance(40);
    Shape {
        model: ModelId(u8::from(video)),
        guidance: dice.chance(40),
        height: dice.range(2, 9) as u32 * if video { 32 } else { 16 },
        width: dice.range(1, 7) as u32 * if video { 32 } else { 16 },
        frames: if video { dice.range(1, 5) as u32 * 4 } else { 1 },
        text_tokens: 16,
        steps: dice.range(1, 9) as u32,
    }
}

/// Requests of some shapes, `gap` apart on average.
pub fn requests(dice: &mut Dice, count: u32, gap: Nanos) -> Vec<Request> {
    let shapes: Vec<Shape> = (0..4).map(|_| shape(dice)).collect();
    let mut at = Nanos::ZERO;
    (0..count)
        .map(|id| {
            at += Nanos(dice.range(0, 2 * gap.0));
            let class = dice.range(0, 3) as u16;
            Request {
                id: RequestId(id),
                class: ClassId(class),
                shape: shapes[usize::from(class)],
                chunk_steps: dice.range(1, 4) as u32,
                priority: dice.range(0, 2) as i32,
                preemptible: dice.chance(50),
                arrival: at,
                deadline: dice.chance(80).then_some(at + Nanos(dice.range(1_000_000, 80_000_000))),
                t_single: Some(Nanos(5_000_000)),
            }
        })
        .collect()
}

/// The elastic system with a registered policy.
pub fn elastic(policy: &str, world: u16, seed: u64) -> Scheduler {
    let policy = registry::build(policy, &Params::new(), world).expect("a registered policy");
    let config = SchedulerConfig { retries: 50, ..SchedulerConfig::new(world) };
    Scheduler::new(config, policy, Box::new(Beliefs { world, seed }))
}

/// Static lanes of so many ranks.
pub fn lanes(policy: &str, degree: u64, world: u16) -> Scheduler {
    let params = Params::new().with("degree", Value::Integer(degree));
    let policy = registry::build(policy, &params, world).expect("a registered policy");
    let beliefs = Beliefs { world, seed: 1 };
    Scheduler::new(SchedulerConfig::new(world), policy, Box::new(beliefs))
}

/// Steps of a run.
#[derive(Default)]
pub struct Log(pub Vec<(Nanos, Vec<Event>, Vec<Command>)>);

impl Observer for Log {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        self.0.push((now, events.to_vec(), commands.to_vec()));
    }
}

/// A run and all it left.
pub struct Ran {
    pub outcome: Outcome,
    pub log: Log,
    /// Results by ordinal.
    pub images: BTreeMap<u32, Vec<u8>>,
}

/// The compute that tests trust.
pub fn synthetic() -> Synthetic {
    Synthetic::new(models(), 4)
}

/// Unpinned: tests share cores with others.
pub fn options(world: u16) -> Options {
    Options { pin: false, ..Options::new(world) }
}

/// Group-free ranks that insist on being told of a task before it is given up.
struct Strict;

impl Fabric for Strict {
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError> {
        Ok(GroupFree::default().ranks(world)?.into_iter().map(strict).collect())
    }
}

/// A rank's groups that insist on being told of a task before it is given up: only so can peers be told which one it is.
pub fn strict(groups: Box<dyn Groups>) -> Box<dyn Groups> {
    Box::new(StrictGroups { groups, begun: false })
}

struct StrictGroups {
    groups: Box<dyn Groups>,
    begun: bool,
}

impl Groups for StrictGroups {
    fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.begun = true;
        self.groups.begin(sequence)
    }

    fn on<'a>(&'a mut self, group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError> {
        self.groups.on(group)
    }

    fn give_up(&mut self, group: &Group) {
        assert!(std::mem::take(&mut self.begun), "gives up a task that it was not told of");
        self.groups.give_up(group);
    }

    fn can_reset(&mut self, group: &Group) -> bool {
        self.groups.can_reset(group)
    }

    fn reset(&mut self, group: &Group) -> Result<(), CommError> {
        self.groups.reset(group)
    }
}

/// Runs a workload.
pub fn run(
    system: &mut dyn System,
    options: Options,
    compute: Arc<dyn Compute>,
    workload: Workload,
) -> Result<Ran, RunError> {
    let driver = Driver::new(options, compute, &Strict);
    let (mut log, mut images) = (Log::default(), BTreeMap::new());
    let assemble = synthetic();
    let mut sink = |completed: Completed| {
        images.insert(completed.request.id.0, assemble.assemble(&completed));
    };
    let outcome = driver.run(system, workload, &mut log, &mut sink)?;
    Ok(Ran { outcome, log, images })
}

impl Ran {
    /// Everything that holds after any run: results are the serial ones, books are empty, the log replays.
    pub fn check(&self, requests: &[Request], fresh: &mut dyn System) {
        self.results(requests);
        let counters = &self.outcome.counters;
        assert_eq!((counters.live, counters.claims), (0, 0), "{counters:?}");
        assert_eq!(counters.fallback, None);
        for rank in &self.outcome.ranks {
            assert_eq!(rank.held.0, 0, "{} holds artifacts", rank.rank);
        }
        self.replay(fresh);
    }

    /// Results are the serial ones.
    pub fn results(&self, requests: &[Request]) {
        let serial = synthetic();
        for (id, image) in &self.images {
            let expected = serial.serial(&requests[*id as usize]);
            assert!(*image == expected, "request {id} has another result");
        }
    }

    /// Tasks launched.
    pub fn tasks(&self) -> u64 {
        let commands = self.log.0.iter().flat_map(|(_, _, commands)| commands);
        commands.filter(|command| matches!(command, Command::Launch(_))).count() as u64
    }

    /// The recorded events give the recorded commands.
    pub fn replay(&self, fresh: &mut dyn System) {
        let mut out = Vec::new();
        for (step, (now, events, commands)) in self.log.0.iter().enumerate() {
            out.clear();
            fresh.step(*now, events, &mut out);
            assert_eq!(out, *commands, "step {step} at {now}");
        }
    }
}
