//! The times of a real run's own tasks, for its simulation in hindsight.
//!
//! Invariant: a step that both runs do at one layout takes the same time in both; any other one takes the real run's mean for
//! its shape and layout, and its task is counted.

use super::prices::{TaskPrices, key, price_of, units};
use crate::profile::measure::TaskSample;
use flexdit_core::cost::CostModel;
use flexdit_core::{Nanos, Parallelism, RequestId, Shape, Stage, Task};
use flexdit_sim::TaskTimes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every step, and every other stage, of a run took.
pub(super) struct OwnTimes {
    known: BTreeMap<(RequestId, Stage, u32), (Parallelism, Nanos)>,
    means: TaskPrices,
    /// By request.
    shapes: Vec<Shape>,
    elsewhere: AtomicUsize,
}

impl OwnTimes {
    /// The times of these tasks; `otherwise` prices layouts that the run never used for a shape.
    pub fn new(tasks: &[TaskSample], shapes: Vec<Shape>, otherwise: Arc<dyn CostModel>) -> Self {
        let mut known = BTreeMap::new();
        for task in tasks {
            let of_one = Nanos(task.time.0 / u64::from(units(task)));
            for step in task.first_step..task.first_step + units(task) {
                known.insert((task.request, task.stage, step), (task.layout, of_one));
            }
        }
        let means = TaskPrices::of_run(tasks, &shapes, otherwise);
        Self { known, means, shapes, elsewhere: AtomicUsize::new(0) }
    }

    /// Tasks so far with a step that the run did not do at their layout.
    pub fn elsewhere(&self) -> usize {
        self.elsewhere.load(Ordering::Relaxed)
    }
}

impl TaskTimes for OwnTimes {
    fn time(&self, task: &Task) -> Option<Nanos> {
        let (mut sum, mut elsewhere) = (Nanos::ZERO, false);
        for step in task.first_step..task.first_step + task.steps.max(1) {
            let own = self.known.get(&(task.request, task.stage, step));
            sum += match own.filter(|(layout, _)| *layout == task.parallelism) {
                Some((_, time)) => *time,
                None => {
                    elsewhere = true;
                    let shape = &self.shapes[task.request.index()];
                    price_of(&self.means, &key(shape, task.stage, task.parallelism))?
                }
            };
        }
        self.elsewhere.fetch_add(usize::from(elsewhere), Ordering::Relaxed);
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::KEPT;
    use super::*;
    use crate::campaign::{Builder, Charged, RunKey, Setting, prepare, simulate};
    use crate::experiment::Loaded;
    use crate::profile::measure::Sampler;
    use crate::record::RunRecord;
    use crate::workload::Workload;
    use flexdit_core::{ArtifactId, Group, Rank, TaskId};
    use flexdit_sim::Charges;
    use std::path::Path;

    fn sample(
        request: u32,
        layout: Parallelism,
        first_step: u32,
        steps: u32,
        time: u64,
    ) -> TaskSample {
        TaskSample {
            request: RequestId(request),
            stage: Stage::Denoise,
            layout,
            first_step,
            steps,
            time: Nanos(time),
            launch: Nanos::ZERO,
            setup: Nanos::ZERO,
            control: None,
        }
    }

    fn task(request: u32, parallelism: Parallelism, first_step: u32, steps: u32) -> Task {
        Task {
            id: TaskId(0),
            request: RequestId(request),
            stage: Stage::Denoise,
            first_step,
            steps,
            parallelism,
            group: Group::single(Rank(0)),
            input: 0,
            output: ArtifactId::default(),
        }
    }

    #[test]
    fn a_step_takes_what_it_took_and_the_runs_mean_at_another_layout() {
        let (single, pair) = (Parallelism::SINGLE, Parallelism::ulysses(2));
        let tasks =
            [sample(0, single, 0, 2, 20), sample(0, pair, 2, 1, 7), sample(1, pair, 0, 1, 9)];
        let none = Arc::new(TaskPrices::of_tours(std::iter::empty()));
        let own = OwnTimes::new(&tasks, vec![Shape::default(); 2], none);
        assert_eq!(own.time(&task(0, single, 0, 2)), Some(Nanos(20)));
        assert_eq!(own.time(&task(0, single, 1, 1)), Some(Nanos(10)));
        assert_eq!(own.elsewhere(), 0);
        // Steps 2 of request 0 and 0 of request 1 were on pairs: single ranks took 10 in the mean, pairs 8.
        assert_eq!(own.time(&task(0, single, 1, 2)), Some(Nanos(20)));
        assert_eq!(own.time(&task(1, pair, 0, 2)), Some(Nanos(17)));
        assert_eq!(own.elsewhere(), 2);
        assert_eq!(own.time(&task(1, Parallelism::ulysses(4), 0, 1)), None);
    }
    /// A run of a system in virtual time, with its tasks.
    fn run(
        of: (&Setting, &[Workload]),
        system: usize,
        charges: &Charges,
        times: Option<Arc<OwnTimes>>,
    ) -> (RunRecord, Vec<TaskSample>) {
        let (setting, workloads) = of;
        let spec = &setting.experiment.systems[system];
        let built = Builder::new(setting, workloads, system).kind(&spec.kind).expect("builds");
        let (prices, times) =
            (setting.book.clone(), times.map(|times| times as Arc<dyn TaskTimes>));
        let charged = Charged { prices, from_book: times.is_none(), times, charges };
        let key = RunKey { point: 0, system: &spec.name, seed: 1, layout: None };
        let mut sampler = Sampler::of_run();
        let record = simulate(setting, &workloads[0], built, &key, &charged, KEPT, &mut sampler)
            .expect("ends");
        (record, sampler.into_samples().tasks)
    }

    #[test]
    fn hindsight_reproduces_a_static_systems_run_from_its_log() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/cpu/two-ranks.yaml");
        let loaded = Loaded::read(Path::new(path), &[]).unwrap_or_else(|error| panic!("{error}"));
        let (settings, workloads) = prepare(&loaded).unwrap_or_else(|error| panic!("{error}"));
        let of = (&settings[0], &workloads[0][..]);
        let quiet = settings[0].charges.clone();
        // What stands for reality: every step takes a fifth more or less than its price.
        let restless = Charges { jitter: 0.2, ..quiet.clone() };
        let latencies = |record: &RunRecord| -> Vec<i128> {
            let all = record.requests.iter().map(|request| request.latency().expect("completes"));
            all.map(|latency| i128::from(latency.0)).collect()
        };
        let apart = |a: &RunRecord, b: &RunRecord| {
            let pairs = latencies(a).into_iter().zip(latencies(b));
            pairs.map(|(a, b)| (a - b).abs()).max().expect("requests")
        };
        for system in 0..2 {
            assert!(settings[0].experiment.systems[system].name.starts_with("fixed-sp"));
            let (real, tasks) = run(of, system, &restless, None);
            let shapes = workloads[0][0].requests.iter().map(|request| request.shape).collect();
            let own = Arc::new(OwnTimes::new(&tasks, shapes, settings[0].book.clone()));
            let (hindsight, _) = run(of, system, &quiet, Some(own.clone()));
            assert_eq!(own.elsewhere(), 0, "a static system does every step where it did it");
            // A task's time is kept by steps, so a nanosecond of each may be lost, and queues add them up.
            assert!(apart(&real, &hindsight) < 1_000, "{}", apart(&real, &hindsight));
            let (predicted, _) = run(of, system, &quiet, None);
            assert!(apart(&real, &predicted) > 1_000_000, "prices alone do not know the times");
        }
    }
}
