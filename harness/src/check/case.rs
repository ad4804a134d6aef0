//! Everything that one seed draws.

use super::chaos::Chaos;
use super::dice::Dice;
use super::prices;
use flexdit_baselines::{FixedPipeline, Layout, Options, Routing};
use flexdit_core::cost::{CostBook, TableEstimator, t_single};
use flexdit_core::policy::{POLICIES, ParamKind, Params, Value, registry};
use flexdit_core::scheduler::{Policy, Scheduler, SchedulerConfig};
use flexdit_core::{
    ClassId, Command, Event, ModelId, Nanos, Rank, Request, RequestId, Shape, System,
};
use flexdit_sim::{Charges, FaultModel, Observer, SimError, Simulation, Workload};
use std::sync::Arc;

/// The system under test.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A fixed pipeline of this degree.
    Pipeline(u16, Options),
    /// The scheduler with a registered policy.
    Elastic(&'static str, Params, SchedulerConfig),
    /// The scheduler with a policy that does anything.
    Chaos(SchedulerConfig),
}

/// One whole run, drawn from a seed.
#[derive(Clone)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// Ranks.
    pub world: u16,
    /// The system.
    pub kind: Kind,
    /// What stages cost.
    pub book: Arc<CostBook>,
    /// What else is charged.
    pub charges: Charges,
    /// Ranks that fail.
    pub faults: FaultModel,
    /// Requests, and clients that give up.
    pub workload: Workload,
    /// Factor on everything the system believes.
    pub bias: f64,
}

impl Case {
    /// Draws the case of `seed`.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let world = match dice.range(0, 19) {
            0 => 64,
            1 => 1024,
            _ => dice.range(1, 16) as u16,
        };
        let book = Arc::new(prices::book(&mut dice));
        let charges = prices::charges(&mut dice, world);
        let workload = workload(&mut dice, world, &book);
        let kind = kind(&mut dice, world);
        let bias = if dice.chance(0.3) { dice.pick(&[0.3, 3.0]) } else { 1.0 };
        let faults = FaultModel::default();
        let mut case = Self { seed, world, kind, book, charges, faults, workload, bias };
        case.disturb();
        case
    }

    /// Whether no rank fails.
    pub fn quiet(&self) -> bool {
        self.faults == FaultModel::default()
    }

    /// A new system, as before its first event.
    pub fn system(&self) -> Box<dyn System> {
        let mut estimator =
            TableEstimator::new((*self.book).clone(), self.world).with_bias(self.bias);
        let mut dice = Dice::new(self.seed, 1);
        if dice.chance(0.3) {
            estimator = estimator.with_patches(vec![1]);
        }
        if matches!(self.kind, Kind::Chaos(_)) {
            estimator = estimator.with_degrees((1..=self.world.min(24)).collect());
        }
        let scheduler = |config, policy: Box<dyn Policy>| -> Box<dyn System> {
            Box::new(Scheduler::new(config, policy, Box::new(estimator.clone())))
        };
        match &self.kind {
            Kind::Pipeline(degree, options) => {
                let layout = Layout::uniform(self.world, *degree).expect("a divisor");
                Box::new(FixedPipeline::new(layout, *options, Arc::new(estimator)))
            }
            Kind::Elastic(name, params, config) => {
                let policy = registry::build(name, params, self.world);
                scheduler(*config, policy.expect("drawn within the declared ranges"))
            }
            Kind::Chaos(config) => scheduler(*config, Box::new(Chaos::new(self.seed))),
        }
    }

    /// Runs the case on a new system; `observer` sees every step.
    ///
    /// # Errors
    /// As [`Simulation::run`].
    pub fn run(&self, observer: &mut dyn Observer) -> Result<flexdit_sim::Outcome, SimError> {
        let mut system = self.system();
        let (workload, faults) = (self.workload.clone(), self.faults.clone());
        let (cost, charges) = (self.book.clone(), self.charges.clone());
        let run =
            Simulation::new(&mut *system, self.world, workload, cost, charges, faults, self.seed);
        run.run(observer)
    }

    /// Places faults and cancellations at and around the instants of a quiet run.
    fn disturb(&mut self) {
        let mut dice = Dice::new(self.seed, 2);
        let (faults, cancels) = (dice.chance(0.6), dice.chance(0.5));
        if !faults && !cancels {
            return;
        }
        let mut instants = Instants(Vec::new());
        if self.run(&mut instants).is_err() || instants.0.is_empty() {
            return;
        }
        let mut moment = |dice: &mut Dice| {
            let at = dice.pick(&instants.0);
            match dice.range(0, 3) {
                0 => at,
                1 => at + Nanos(1),
                2 => at.saturating_sub(Nanos(1)),
                _ => at + dice.time(Nanos::from_millis(50)),
            }
        };
        if cancels {
            let most = self.workload.requests.len() as u64;
            for _ in 0..dice.range(1, most.div_ceil(3)) {
                let id = RequestId(dice.range(0, most - 1) as u32);
                self.workload.cancellations.push((moment(&mut dice), id));
            }
            self.workload.cancellations.sort_unstable();
        }
        if faults {
            self.faults = outages(&mut dice, self.world, &mut moment);
        }
    }
}

fn outages(dice: &mut Dice, world: u16, moment: &mut impl FnMut(&mut Dice) -> Nanos) -> FaultModel {
    let mut faults = FaultModel::default();
    if dice.chance(0.3) {
        faults.mean_time_between = Some(Nanos::from_secs(dice.range(2, 20)));
        faults.mean_time_to_repair = Nanos::from_millis(dice.range(1, 2000));
    }
    for _ in 0..dice.range(1, 6) {
        let down = moment(dice);
        let up = match dice.range(0, 3) {
            0 => down,
            1 => down + Nanos(1),
            2 => down.max(moment(dice)),
            _ => down + dice.time(Nanos::from_secs(2)),
        };
        // One rank, several at one instant, or all of them; sometimes down again when just up.
        let hit = match dice.range(0, 4) {
            0 => u64::from(world),
            1 | 2 => dice.range(1, 4),
            _ => 1,
        };
        for i in 0..hit {
            let all = hit == u64::from(world);
            let rank = if all { i } else { dice.range(0, u64::from(world) - 1) };
            faults.outages.push((Rank(rank as u16), down, up));
            if dice.chance(0.2) {
                faults.outages.push((Rank(rank as u16), up, up + Nanos::from_millis(5)));
            }
        }
    }
    faults
}

/// Collects the instants of a run.
struct Instants(Vec<Nanos>);

impl Observer for Instants {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        if self.0.len() < 100_000 && (!events.is_empty() || !commands.is_empty()) {
            self.0.push(now);
        }
    }
}

fn shape(dice: &mut Dice, book: &CostBook) -> Shape {
    let model = dice.range(0, book.tables().len() as u64 - 1) as u8;
    let spec = book.tables()[usize::from(model)].model;
    let video = spec.vae_down[0] > 1;
    let side = |dice: &mut Dice| dice.pick(&[256, 512, 768, 1024]);
    Shape {
        model: ModelId(model),
        guidance: dice.chance(0.4),
        height: side(dice),
        width: side(dice),
        frames: if video { dice.pick(&[1, 5, 17, 49]) } else { 1 },
        text_tokens: dice.pick(&[64, 512]),
        steps: dice.range(1, 12) as u32,
    }
}

fn workload(dice: &mut Dice, world: u16, book: &CostBook) -> Workload {
    let classes: Vec<Shape> = (0..dice.range(1, 4)).map(|_| shape(dice, book)).collect();
    let most = if world > 16 { 120 } else { 30 };
    let count = dice.range(1, most) as u32;
    let mean = dice.time(Nanos::from_millis(400));
    let style = dice.range(0, 3);
    let mut at = Nanos::ZERO;
    let mut requests = Vec::new();
    for id in 0..count {
        at += match style {
            0 => Nanos::ZERO,
            1 => dice.time(mean),
            2 if dice.chance(0.8) => Nanos::ZERO,
            _ => dice.time(mean) * 8,
        };
        let class = dice.range(0, classes.len() as u64 - 1) as usize;
        let shape = classes[class];
        let single = t_single(book, &shape);
        let budget = Nanos::from_millis(dice.range(1, 3000));
        requests.push(Request {
            id: RequestId(id),
            class: ClassId(class as u16),
            shape,
            chunk_steps: dice.pick(&[1, 1, 2, 3, 50]),
            priority: dice.range(0, 2) as i32,
            preemptible: dice.chance(0.5),
            arrival: at,
            deadline: dice.chance(0.7).then_some(at + budget),
            t_single: single,
        });
    }
    let closed = dice.chance(0.15);
    if closed {
        for request in &mut requests {
            request.deadline = request.deadline.map(|due| due.saturating_sub(request.arrival));
            request.arrival = Nanos::ZERO;
        }
    }
    let concurrency = closed.then(|| dice.range(1, 8) as u32);
    Workload { requests, concurrency, cancellations: Vec::new() }
}

fn divisor(dice: &mut Dice, world: u16) -> u16 {
    let fits: Vec<u16> =
        [1, 2, 3, 4, 5, 6, 8].into_iter().filter(|&d| world.is_multiple_of(d)).collect();
    dice.pick(&fits)
}

fn kind(dice: &mut Dice, world: u16) -> Kind {
    let mut config = SchedulerConfig::new(world);
    if dice.chance(0.2) {
        config.admission = dice.range(1, 10);
    }
    config.credits = dice.range(0, 3) as u8;
    config.retries = dice.range(0, 4) as u8;
    match dice.range(0, 9) {
        0 | 1 => {
            let options = Options {
                routing: dice.pick(&Routing::ALL),
                replicated: dice.chance(0.3),
                max_retries: dice.range(0, 3) as u32,
                max_live: if dice.chance(0.2) { dice.range(1, 8) as usize } else { 1 << 20 },
            };
            Kind::Pipeline(divisor(dice, world), options)
        }
        2..=4 => Kind::Chaos(config),
        _ => {
            let info = dice.pick(POLICIES);
            let params = params(dice, info.params, world);
            Kind::Elastic(info.name, params, config)
        }
    }
}

fn params(dice: &mut Dice, declared: &[flexdit_core::policy::ParamInfo], world: u16) -> Params {
    let mut params = Params::new();
    for info in declared {
        if dice.chance(0.3) && info.name != "degree" {
            continue;
        }
        let value = match info.kind {
            ParamKind::Integer { .. } if info.name == "degree" => {
                Value::Integer(u64::from(divisor(dice, world)))
            }
            ParamKind::Integer { min, max, .. } => {
                Value::Integer(dice.range(min, max.min(min + 9)))
            }
            ParamKind::Flag { .. } => Value::Flag(dice.chance(0.5)),
            ParamKind::Duration { min, max, .. } => {
                Value::Duration((min + dice.time(Nanos::from_secs(2))).min(max))
            }
        };
        params = params.with(info.name, value);
    }
    params
}
