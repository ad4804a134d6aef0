//! From samples to prices: the mean, since latencies add up from means.
//!
//! Runs are disturbed as tours are, and ranks that outnumber cores wait for each other in both, so what disturbs belongs to
//! the price. Invariant: every sample counts, as every task of a real run does.

use super::pass::Passed;
use super::plan::Plan;
use super::sample::TaskSample;
use crate::experiment::CollectiveKind;
use crate::metrics::summary::nearest_rank;
use crate::profile::{ChargesSpec, CopySpec, SetupSpec, SpreadSpec};
use crate::quantity::{Bandwidth, Duration};
use flexdit_core::model::ModelSpec;
use flexdit_core::{Nanos, Parallelism, Shape, Stage};
use std::collections::BTreeMap;

/// Samples beyond this multiple of their median are counted for whoever reads the file.
pub const FAR: f64 = 5.0;

/// Samples of one stage at one layout by size, in nanoseconds.
pub type Group = BTreeMap<u64, Vec<f64>>;

/// Everything that was sampled, by what a profile prices.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Text encoding with preparation, by latent tokens.
    pub encode: Group,
    /// One denoising step, by layout and latent tokens.
    pub steps: BTreeMap<Parallelism, Group>,
    /// VAE decode, by layout and voxels.
    pub decodes: BTreeMap<Parallelism, Group>,
}

impl Prices {
    /// Sorts the samples of all tours, by round.
    ///
    /// # Panics
    /// If the plan was not [checked](Plan::check).
    pub fn of(plan: &Plan, model: &ModelSpec, done: &BTreeMap<u32, Passed>) -> Self {
        let mut prices = Self::default();
        for (round, passed) in done {
            let shapes = plan.tour(model, *round).shapes();
            for task in &passed.samples.tasks {
                let Shape { height, width, frames, .. } = shapes[task.request.index()];
                let tokens = model.latent_tokens(height, width, frames);
                let tokens = tokens.expect("checked with the plan");
                let voxels = model.voxels(height, width, frames);
                let (group, size) = match task.stage {
                    Stage::TextEncode => (&mut prices.encode, tokens),
                    Stage::Denoise => (prices.steps.entry(task.layout).or_default(), tokens),
                    Stage::VaeDecode => (prices.decodes.entry(task.layout).or_default(), voxels),
                };
                let time = task.time.0 as f64 / f64::from(task.steps.max(1));
                group.entry(size).or_default().push(time);
            }
        }
        prices
    }
}

/// The mean of all samples; `None` without samples.
pub fn price(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// How many of ascending samples lie beyond [`FAR`] times their (lower) median, where that is above 0.
fn far(sorted: &[f64]) -> usize {
    let median = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    if median > 0.0 { sorted.iter().filter(|sample| **sample > FAR * median).count() } else { 0 }
}

/// How samples of this size are spread, in milliseconds; `None` without samples.
pub fn spread(size: u64, samples: &[f64]) -> Option<SpreadSpec> {
    let mut sorted: Vec<f64> = samples.iter().map(|nanos| nanos / 1e6).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(SpreadSpec {
        size: size as f64,
        n: sorted.len(),
        mean: round(price(&sorted)?),
        p10: round(nearest_rank(&sorted, 0.1)?),
        p50: round(nearest_rank(&sorted, 0.5)?),
        p90: round(nearest_rank(&sorted, 0.9)?),
        far: far(&sorted),
        left_out: 0,
    })
}

/// Milliseconds to the nanosecond.
pub fn round(ms: f64) -> f64 {
    (ms * 1e6).round() / 1e6
}

/// What tasks cost beside their stages; `None` without a task that a decision waited for. Groups are priced where they are
/// formed anew at every use: communicators are made before what counts.
pub fn charges(done: &[&Passed], collectives: CollectiveKind) -> Option<ChargesSpec> {
    let tasks = || done.iter().flat_map(|passed| &passed.samples.tasks);
    let over = |value: &dyn Fn(&TaskSample) -> Option<Nanos>| {
        let samples: Vec<f64> = tasks().filter_map(|task| Some(value(task)?.0 as f64)).collect();
        price(&samples).map(duration)
    };
    let formed = |_: &&TaskSample| collectives == CollectiveKind::GroupFree;
    let mut degrees: Vec<u16> = tasks().filter(formed).map(|task| task.layout.degree()).collect();
    degrees.sort_unstable();
    degrees.dedup();
    let setup = |ranks: u16| {
        let of = move |task: &TaskSample| {
            (task.stage == Stage::Denoise && task.layout.degree() == ranks).then_some(task.setup)
        };
        Some(SetupSpec { ranks, time: over(&of)? })
    };
    Some(ChargesSpec {
        launch: over(&|task| Some(task.launch))?,
        control_plane: over(&|task| task.control)?,
        migration: copies(done),
        group_setup: degrees.into_iter().filter(|degree| *degree > 1).filter_map(setup).collect(),
    })
}

fn duration(nanos: f64) -> Duration {
    Duration(Nanos(nanos.round() as u64))
}

/// Bandwidth while copying, and what copies took beyond it. `None` if nothing was copied.
fn copies(done: &[&Passed]) -> Option<CopySpec> {
    let pulled: u64 = done.iter().map(|passed| passed.pulled).sum();
    let copying: u64 = done.iter().map(|passed| passed.copying.0).sum();
    if pulled == 0 || copying == 0 {
        return None;
    }
    let rate = pulled as f64 / copying as f64;
    let copies = done.iter().flat_map(|passed| &passed.samples.copies);
    let beyond: Vec<f64> =
        copies.map(|copy| copy.time.0 as f64 - copy.bytes as f64 / rate).collect();
    let latency = duration(price(&beyond)?.max(0.0));
    // Three digits are more than it is worth.
    let bandwidth = Bandwidth((rate * 1e9 / 1e6).round() * 1e6);
    Some(CopySpec { latency, bandwidth })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{CopySample, Samples};
    use super::*;
    use flexdit_core::RequestId;

    #[test]
    fn a_price_is_the_mean_of_all_samples() {
        assert_eq!(price(&[]), None);
        assert_eq!(price(&[4.0, 2.0]), Some(3.0));
        // Eight ranks take turns on one core: one slice in eight is one's own, and the price is that of all.
        let turns = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 57.0];
        assert_eq!(price(&turns), Some(8.0));
        let spread = spread(5, &[1e6, 2e6, 3e6, 30e6]).expect("samples");
        assert_eq!((spread.n, spread.mean, spread.p10, spread.p90), (4, 9.0, 1.0, 30.0));
        assert_eq!((spread.far, spread.left_out), (1, 0), "told, and counted like the others");
        assert_eq!(far(&[-3.0, 0.0, 9.0]), 0, "a median of 0 says nothing");
    }

    #[test]
    fn charges_are_what_tasks_and_copies_took_beside_their_work() {
        let task = |layout, setup, control| TaskSample {
            request: RequestId(0),
            stage: Stage::Denoise,
            layout,
            first_step: 0,
            steps: 1,
            time: Nanos(1),
            launch: Nanos(30),
            setup: Nanos(setup),
            control,
        };
        let samples = Samples {
            tasks: vec![
                task(Parallelism::SINGLE, 0, Some(Nanos(500))),
                task(Parallelism::ulysses(2), 80, None),
                task(Parallelism::ulysses(2), 120, Some(Nanos(700))),
            ],
            copies: vec![CopySample { bytes: 1_000, time: Nanos(900) }],
        };
        let passed = Passed { samples, pulled: 2_000, copying: Nanos(1_000), ..Passed::default() };
        let on_communicators = charges(&[&passed], CollectiveKind::Communicators);
        assert_eq!(on_communicators.expect("measured").group_setup, []);
        let charges = charges(&[&passed], CollectiveKind::GroupFree).expect("measured");
        assert_eq!((charges.launch.0, charges.control_plane.0), (Nanos(30), Nanos(600)));
        assert_eq!(charges.group_setup, [SetupSpec { ranks: 2, time: Duration(Nanos(100)) }]);
        let copy = charges.migration.expect("state moved");
        assert_eq!((copy.latency.0, copy.bandwidth), (Nanos(400), Bandwidth(2e9)));
    }
}
