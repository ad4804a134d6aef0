//! One run in virtual time, recorded.

use super::setting::Setting;
use super::systems::BoxedSystem;
use crate::metrics::bounds::book_bounds;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use crate::record::RunRecord;
use crate::workload::Workload;
use flexdit_core::cost::CostModel;
use flexdit_core::migration::StateSpec;
use flexdit_core::{Bytes, Command, Event, Nanos, Parallelism, Shape, Stage};
use flexdit_sim::{Charges, Observer, SimError, Simulation, TaskTimes};
use std::sync::Arc;

/// Which run this is.
#[derive(Clone, Debug)]
pub struct RunKey<'a> {
    /// Index of the sweep point.
    pub point: usize,
    /// The system's name.
    pub system: &'a str,
    /// The seed.
    pub seed: u64,
    /// Name of the static layout, where the system is the winner of a search.
    pub layout: Option<String>,
}

/// Feeds the recorder and, if there is one, a second observer (a log).
struct Tee<'a> {
    recorder: Recorder,
    also: &'a mut dyn Observer,
}

impl Observer for Tee<'_> {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        self.recorder.record(now, events, commands);
        self.also.step(now, events, commands);
    }
}

/// What a run in virtual time is charged.
pub struct Charged<'a> {
    /// Prices of stages.
    pub prices: Arc<dyn CostModel>,
    /// Whether they are those of the setting's book, on which lower bounds rest.
    pub from_book: bool,
    /// What single tasks take instead, where that is known.
    pub times: Option<Arc<dyn TaskTimes>>,
    /// What comes on top.
    pub charges: &'a Charges,
}

/// Runs `system` over `workload` at these prices and charges and records it; `also` sees every step.
///
/// # Errors
/// As [`Simulation::run`].
pub fn simulate(
    setting: &Setting,
    workload: &Workload,
    mut system: BoxedSystem,
    key: &RunKey<'_>,
    charged: &Charged<'_>,
    options: RecorderOptions,
    also: &mut dyn Observer,
) -> Result<RunRecord, SimError> {
    let bounds = book_bounds(&setting.book, setting.world(), &shapes(workload));
    let recorder = Recorder::new(setting.world(), options).with_bounds(bounds);
    let mut tee = Tee { recorder, also };
    let input = flexdit_sim::Workload {
        requests: workload.requests.clone(),
        concurrency: workload.closed_loop,
        cancellations: workload.cancellations.clone(),
    };
    let run = Simulation::new(
        &mut *system,
        setting.world(),
        input,
        Arc::clone(&charged.prices),
        charged.charges.clone(),
        setting.faults.clone(),
        key.seed,
    );
    let run = match &charged.times {
        Some(times) => run.with_times(Arc::clone(times)),
        None => run,
    };
    let outcome = run.run(&mut tee)?;
    Ok(tee.recorder.finish(RunInfo {
        system: key.system.to_owned(),
        seed: key.seed,
        point: key.point,
        counters: outcome.counters,
        peak_rank_memory: peak_memory(setting, &outcome.layouts),
        extrapolated: outcome.extrapolated,
        offered_load_realised: workload.offered_load_realised,
        closed_loop: workload.closed_loop.is_some(),
        // Bounds are no proofs for prices that they were not made of.
        jittered: charged.charges.jitter > 0.0 || !charged.from_book,
    }))
}

/// The distinct shapes of a workload, ascending.
pub fn shapes(workload: &Workload) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = workload.requests.iter().map(|request| request.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    shapes
}

/// Most memory that any task that ran needed on a rank, beside the weights of all models; 0 when memory
/// is not charged.
pub fn peak_memory(setting: &Setting, layouts: &[(Shape, Stage, Parallelism)]) -> Bytes {
    if setting.memory.is_none() {
        return Bytes::ZERO;
    }
    let weights: Bytes = setting.models.iter().map(|model| model.weights()).sum();
    let need = |(shape, stage, layout): &(Shape, Stage, Parallelism)| {
        let model = setting.models[shape.model.index()];
        let state = StateSpec::of(model, shape).ok()?.per_rank(*stage, *layout);
        Some(model.working_set(shape, *stage, layout).ok()? + state)
    };
    weights + layouts.iter().filter_map(need).max().unwrap_or_default()
}
