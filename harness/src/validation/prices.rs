//! What virtual time charges a run: prices by exact shape and layout, and charges, from tours or from a run's own tasks.
//!
//! Invariant: a price that nobody sampled is none, or that of whoever was named to stand in.

use crate::profile::ChargesSpec;
use crate::profile::measure::{TaskSample, price};
use flexdit_core::cost::{CostModel, Price, Provenance};
use flexdit_core::{Nanos, Parallelism, Shape, Stage};
use flexdit_sim::{Charges, GroupSetup, MigrationCharge, Occupies};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is priced: a shape without its number of steps, a stage, a layout.
pub(super) type Key = (Shape, Stage, Parallelism);

/// The key of a task of this shape.
pub(super) fn key(shape: &Shape, stage: Stage, layout: Parallelism) -> Key {
    // Text encoding has one price, whatever ranks repeat it.
    let layout = if stage == Stage::TextEncode { Parallelism::SINGLE } else { layout };
    (Shape { steps: 0, ..*shape }, stage, layout)
}

/// Pieces of work in a task: its steps, or one.
pub(super) fn units(task: &TaskSample) -> u32 {
    task.steps.max(1)
}

/// Prices by key, each of one step or of a whole other stage.
#[derive(Default)]
pub(super) struct TaskPrices {
    known: BTreeMap<Key, Nanos>,
    fewest: usize,
    otherwise: Option<Arc<dyn CostModel>>,
}

impl TaskPrices {
    /// Prices of tours, each with the shapes of its requests and its tasks: the same mean as in a profile.
    pub fn of_tours<'a>(tours: impl Iterator<Item = (&'a [Shape], &'a [TaskSample])>) -> Self {
        let mut samples: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
        for (shapes, tasks) in tours {
            for task in tasks {
                let key = key(&shapes[task.request.index()], task.stage, task.layout);
                let time = task.time.0 as f64 / f64::from(units(task));
                samples.entry(key).or_default().push(time);
            }
        }
        let fewest = samples.values().map(Vec::len).min().unwrap_or(0);
        let priced = samples.iter().filter_map(|(key, samples)| {
            let mean = price::price(samples)?;
            Some((*key, Nanos(mean.round() as u64)))
        });
        Self { known: priced.collect(), fewest, ..Self::default() }
    }

    /// The fewest samples that a price of tours rests on.
    pub const fn fewest(&self) -> usize {
        self.fewest
    }

    /// Means of a run's own tasks, none left out; `otherwise` prices what the run had no task of.
    pub fn of_run(tasks: &[TaskSample], shapes: &[Shape], otherwise: Arc<dyn CostModel>) -> Self {
        let mut sums: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
        for task in tasks {
            let key = key(&shapes[task.request.index()], task.stage, task.layout);
            let sum = sums.entry(key).or_default();
            *sum = (sum.0 + task.time.0, sum.1 + u64::from(units(task)));
        }
        let known = sums.into_iter().map(|(key, (time, units))| (key, Nanos(time / units)));
        Self { known: known.collect(), otherwise: Some(otherwise), ..Self::default() }
    }

    fn price(
        &self,
        key: Key,
        otherwise: impl FnOnce(&dyn CostModel) -> Option<Price>,
    ) -> Option<Price> {
        if let Some(&time) = self.known.get(&key) {
            return Some(Price { time, provenance: Provenance::Measured, extrapolated: false });
        }
        otherwise(&**self.otherwise.as_ref()?)
    }
}

impl CostModel for TaskPrices {
    fn encode(&self, shape: &Shape) -> Option<Price> {
        let key = key(shape, Stage::TextEncode, Parallelism::SINGLE);
        self.price(key, |other| other.encode(shape))
    }

    fn step(&self, shape: &Shape, layout: Parallelism) -> Option<Price> {
        self.price(key(shape, Stage::Denoise, layout), |other| other.step(shape, layout))
    }

    fn decode(&self, shape: &Shape, patch: u8) -> Option<Price> {
        let key = key(shape, Stage::VaeDecode, Parallelism::patch(patch));
        self.price(key, |other| other.decode(shape, patch))
    }
}

/// The price of a key.
pub(super) fn price_of(prices: &dyn CostModel, key: &Key) -> Option<Nanos> {
    let (shape, stage, layout) = key;
    let price = match stage {
        Stage::TextEncode => prices.encode(shape),
        Stage::Denoise => prices.step(shape, *layout),
        Stage::VaeDecode => prices.decode(shape, layout.patch),
    };
    price.map(|price| price.time)
}

/// Where a charge comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The tours around the run.
    Tours,
    /// The experiment gives it.
    Experiment,
    /// The measured profile that the experiment names in `costs.measured`.
    Profile,
    /// Nobody gave or measured it.
    #[default]
    Default,
}

impl Origin {
    /// What a table calls it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Tours => "tours",
            Self::Experiment => "experiment",
            Self::Profile => "profile",
            Self::Default => "default",
        }
    }
}

/// Where each charge of a run comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    /// Launch.
    pub launch: Origin,
    /// Control plane.
    pub control_plane: Origin,
    /// Group set-up, or what a communicator costs.
    pub group_setup: Origin,
    /// The fixed part of a migration.
    pub latency: Origin,
    /// Its bandwidth.
    pub bandwidth: Origin,
}

impl Origins {
    /// Those of the experiment's own charges; `given` tells whether it gives a key, `profile` whether it names measured ones.
    pub(super) fn of_experiment(given: &dyn Fn(&str) -> bool, profile: bool) -> Self {
        let of = |key: &str| match (given(key), profile) {
            (true, _) => Origin::Experiment,
            (false, true) => Origin::Profile,
            (false, false) => Origin::Default,
        };
        Self {
            launch: of("launch"),
            control_plane: of("control_plane"),
            group_setup: of("group_setup"),
            latency: of("migration.latency"),
            bandwidth: of("migration.bandwidth"),
        }
    }
}

/// `base` with measured charges in place where the experiment gives none, and where each comes from; `given` tells whether it
/// gives a key, as in `migration.latency`, and `origins` is where those of `base` come from.
pub(super) fn charged(
    base: &Charges,
    given: &dyn Fn(&str) -> bool,
    measured: &ChargesSpec,
    mut origins: Origins,
) -> (Charges, Origins) {
    let mut charges = base.clone();
    if !given("launch") {
        (charges.launch, origins.launch) = (measured.launch.0, Origin::Tours);
    }
    if !given("control_plane") {
        (charges.control_plane, origins.control_plane) = (measured.control_plane.0, Origin::Tours);
    }
    if let Some(copy) = &measured.migration {
        let migration = &mut charges.migration;
        if !given("migration.latency") {
            (migration.latency, origins.latency) = (copy.latency.0, Origin::Tours);
        }
        if !given("migration.bandwidth") {
            migration.bytes_per_second = copy.bandwidth.0.round().max(1.0) as u64;
            origins.bandwidth = Origin::Tours;
        }
        if !given("migration.occupy") {
            // Real ranks pull: the source goes on computing.
            *migration = MigrationCharge { occupies: Occupies::Destination, ..*migration };
        }
    }
    let communicators = matches!(base.group_setup, GroupSetup::FirstUse { .. });
    if communicators {
        // Tours never make one: the price is the experiment's.
        origins.group_setup = Origin::Experiment;
    } else if let Some(first) = measured.group_setup.first()
        && !given("group_setup")
    {
        charges.group_setup = GroupSetup::PerUse(first.time.0);
        let by_degree = measured.group_setup.iter().map(|setup| (setup.ranks, setup.time.0));
        charges.group_setup_by_degree = by_degree.collect();
        origins.group_setup = Origin::Tours;
    }
    (charges, origins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{CopySpec, SetupSpec};
    use crate::quantity::{Bandwidth, Duration};
    use flexdit_core::RequestId;

    fn shape(height: u32, steps: u32) -> Shape {
        Shape { height, steps, ..Shape::default() }
    }

    fn task(stage: Stage, layout: Parallelism, steps: u32, time: u64) -> TaskSample {
        TaskSample {
            request: RequestId(0),
            stage,
            layout,
            first_step: 0,
            steps,
            time: Nanos(time),
            launch: Nanos::ZERO,
            setup: Nanos::ZERO,
            control: None,
        }
    }

    #[test]
    fn tours_price_by_shape_and_a_run_by_its_own_tasks() {
        let pair = Parallelism::ulysses(2);
        let tasks = [
            task(Stage::TextEncode, Parallelism::SINGLE, 0, 7),
            task(Stage::Denoise, pair, 2, 20),
            task(Stage::Denoise, pair, 1, 16),
            task(Stage::VaeDecode, Parallelism::patch(2), 0, 5),
        ];
        // Requests of one tour have shapes of their own.
        let other = TaskSample { request: RequestId(1), ..tasks[0] };
        let of_other = [TaskSample { time: Nanos(11), ..other }];
        let shapes = [shape(8, 3), shape(24, 3)];
        let tours =
            TaskPrices::of_tours([(&shapes[..], &tasks[..]), (&shapes, &of_other)].into_iter());
        let time = |price: Option<Price>| price.map(|price| price.time.0);
        assert_eq!((time(tours.encode(&shape(8, 9))), tours.fewest()), (Some(7), 1));
        assert_eq!(time(tours.encode(&shape(24, 9))), Some(11));
        assert_eq!(time(tours.step(&shape(8, 9), pair)), Some(13));
        assert_eq!(time(tours.decode(&shape(8, 9), 2)), Some(5));
        assert_eq!(time(tours.decode(&shape(8, 9), 1)), None);
        assert_eq!(time(tours.encode(&shape(16, 9))), None);
        // A mean of steps, not of tasks; and tours for what it never did.
        let own = TaskPrices::of_run(&tasks[1..3], &[shape(8, 3)], Arc::new(tours));
        assert_eq!(time(own.step(&shape(8, 3), pair)), Some(12));
        assert_eq!(time(own.encode(&shape(8, 3))), Some(7));
        assert_eq!(time(own.decode(&shape(8, 3), 1)), None);
    }

    #[test]
    fn charges_of_tours_stand_where_the_experiment_gives_none() {
        let measured = ChargesSpec {
            launch: Duration(Nanos(3)),
            control_plane: Duration(Nanos(80)),
            migration: Some(CopySpec { latency: Duration(Nanos(9)), bandwidth: Bandwidth(5e9) }),
            group_setup: vec![SetupSpec { ranks: 2, time: Duration(Nanos(4)) }],
        };
        let base = Charges::default();
        let given = |key: &str| key == "launch";
        let own = Origins::of_experiment(&given, false);
        let (found, origins) = charged(&base, &given, &measured, own);
        assert_eq!((found.launch, found.control_plane), (base.launch, Nanos(80)));
        assert_eq!(found.migration.bytes_per_second, 5_000_000_000);
        assert_eq!(found.migration.occupies, Occupies::Destination);
        assert_eq!(found.group_setup_by_degree, [(2, Nanos(4))]);
        let (tours, launch) = (Origin::Tours, Origin::Experiment);
        let all = Origins {
            launch,
            control_plane: tours,
            group_setup: tours,
            latency: tours,
            bandwidth: tours,
        };
        assert_eq!(origins, all);
        // Tours that moved nothing and formed no group leave what was there, and say so.
        let less = ChargesSpec { migration: None, group_setup: Vec::new(), ..measured.clone() };
        let own = Origins::of_experiment(&given, true);
        let (_, origins) = charged(&base, &given, &less, own);
        let profile = Origin::Profile;
        let (group_setup, latency, bandwidth) = (profile, profile, profile);
        assert_eq!(origins, Origins { group_setup, latency, bandwidth, ..all });
        let cost = Nanos(700);
        let made = GroupSetup::FirstUse { cost, capacity: 0 };
        let base = Charges { group_setup: made, ..base };
        let (found, origins) = charged(&base, &|_| false, &measured, Origins::default());
        assert_eq!((found.group_setup, origins.group_setup), (made, Origin::Experiment));
    }
}
