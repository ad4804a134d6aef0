//! A synthetic load for timing the scheduler and the simulator: shared by the benchmark and the example.

use flexdit_core::cost::{
    CostBook, CostEntry, CostModel, CostStage, CostTable, Curve, Mode, Provenance, Quadratic,
    TableEstimator,
};
use flexdit_core::model::{gpu, model};
use flexdit_core::policy::{Params, registry};
use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
use flexdit_core::{ClassId, Command, Event, Nanos, Parallelism, Request, RequestId, Shape};
use flexdit_sim::{Charges, FaultModel, Observer, Simulation, Workload};
use std::sync::Arc;

/// The published Qwen-Image step times on H20 as quadratics in tokens, ms.
///
/// # Source
/// GF-DiT README, per-step table; coefficients derived through its three points.
const STEPS: [(u8, f64, f64, f64); 4] = [
    (1, 4.816055297851562e-6, 0.121826171875, 25.2),
    (2, 5.125999450683594e-6, 0.0352783203125, 119.5),
    (4, 4.736582438151042e-6, -0.012858072916666671, 180.2),
    (8, 4.736582438151042e-6, -0.02, 230.0),
];

fn table() -> CostTable {
    let spec = model("qwen-image").expect("listed");
    let mut table = CostTable::new(spec, gpu("h20").expect("listed"), Mode::Eager);
    let entry = |curve| CostEntry {
        curve,
        provenance: Provenance::Derived,
        source: "benchmark".to_owned(),
    };
    for (degree, a, b, c) in STEPS {
        let curve = Curve::quadratic(Quadratic { a, b, c }, Some((1024.0, 9216.0)));
        let stage = CostStage::Step { guidance: false };
        table.insert(stage, Parallelism::ulysses(degree), entry(curve));
    }
    for (stage, ms) in [
        (CostStage::TextEncode, 55.0),
        (CostStage::DitPrepare, 50.0),
        (CostStage::TimestepPrepare, 2.0),
        (CostStage::VaeDecode, 100.0),
        (CostStage::Finalize, 0.5),
    ] {
        table.insert(stage, Parallelism::SINGLE, entry(Curve::constant(ms)));
    }
    table
}

/// Requests of mixed sizes that keep `world` ranks at `load`, by degree-1 time.
fn requests(count: u32, world: u16, load: f64) -> Vec<Request> {
    let sides = [512, 512, 512, 1024, 1536];
    let mean_ms = 25_000.0;
    let gap = Nanos::from_millis_f64(mean_ms / f64::from(world) / load);
    (0..count)
        .map(|i| {
            let side = sides[(i as usize * 7 + i as usize / 5) % sides.len()];
            let arrival = gap * u64::from(i);
            let shape = Shape {
                height: side,
                width: side,
                frames: 1,
                text_tokens: 512,
                steps: 50,
                ..Shape::default()
            };
            let budget = Nanos::from_millis(u64::from(side) * u64::from(side) / 20);
            Request {
                id: RequestId(i),
                class: ClassId(0),
                shape,
                chunk_steps: 1,
                priority: 0,
                preemptible: false,
                arrival,
                deadline: Some(arrival + budget),
                t_single: None,
            }
        })
        .collect()
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// At this offered load, by time on one rank.
    Open(f64),
    /// So many in the system at any time.
    Closed(u32),
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Tasks launched.
    pub tasks: u64,
    /// Most live requests.
    pub live_peak: i64,
    /// Times the policy was asked.
    pub decisions: u64,
    live: i64,
}

impl Observer for Count {
    fn step(&mut self, _: Nanos, events: &[Event], commands: &[Command]) {
        self.live +=
            events.iter().filter(|event| matches!(event, Event::Arrived(_))).count() as i64;
        for command in commands {
            match command {
                Command::Launch(_) => self.tasks += 1,
                Command::Complete(_) | Command::Reject { .. } => self.live -= 1,
                _ => {}
            }
        }
        self.live_peak = self.live_peak.max(self.live);
    }
}

/// Runs `policy` on `world` ranks over `count` requests.
pub fn run(policy: &str, world: u16, count: u32, arrivals: Arrivals) -> Count {
    let (load, concurrency) = match arrivals {
        Arrivals::Open(load) => (load, None),
        Arrivals::Closed(concurrency) => (1.0, Some(concurrency)),
    };
    let book = CostBook::new(vec![table()]);
    let estimator = Box::new(TableEstimator::new(book.clone(), world));
    let policy = registry::build(policy, &Params::new(), world).expect("a policy");
    let mut config = SchedulerConfig::new(world);
    config.admission = u64::MAX;
    let mut system = Scheduler::new(config, policy, estimator);
    let requests = requests(count, world, load);
    let workload = Workload { requests, concurrency, ..Workload::default() };
    let cost: Arc<dyn CostModel> = Arc::new(book);
    let (charges, faults) = (Charges::default(), FaultModel::default());
    let mut counts = Count::default();
    let simulation = Simulation::new(&mut system, world, workload, cost, charges, faults, 1);
    let outcome = simulation.run(&mut counts).expect("the run ends");
    counts.decisions = outcome.counters.decisions;
    counts
}
