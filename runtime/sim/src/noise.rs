//! Seeded noise on computing times, drawn per (request, stage, step): every system meets the same noise,
//! however it cuts the steps into tasks.

use crate::charges::Stragglers;
use flexdit_core::{Nanos, Stage, Task};
use rand::RngExt;
use rand_pcg::Pcg64;

/// The noise of one run.
#[derive(Clone, Debug)]
pub struct Noise {
    seed: u64,
    jitter: f64,
    stragglers: Stragglers,
    /// Whether every factor is 1.
    quiet: bool,
}

impl Noise {
    /// Noise with relative standard deviation `jitter` and the given stragglers.
    pub fn new(seed: u64, jitter: f64, stragglers: Stragglers) -> Self {
        let quiet =
            jitter == 0.0 && stragglers.probability == 0.0 && stragglers.slow_ranks.is_empty();
        Self { seed, jitter, stragglers, quiet }
    }

    /// The computing time of a task whose step, or whole stage, takes `unit`: every step has its own factor,
    /// so that chunks of any length add up to the same time.
    pub fn time(&self, task: &Task, unit: Nanos) -> Nanos {
        let steps = task.steps.max(1);
        if self.quiet {
            return unit * u64::from(steps);
        }
        let slowest = task
            .active()
            .iter()
            .filter_map(|rank| self.stragglers.slow_ranks.iter().find(|slow| slow.0 == rank.0))
            .fold(1.0, |worst: f64, slow| worst.max(slow.1));
        (0..steps).map(|i| unit.scale(slowest * self.factor(task, task.first_step + i))).sum()
    }

    /// The factor on one step (or stage).
    fn factor(&self, task: &Task, step: u32) -> f64 {
        if self.jitter == 0.0 && self.stragglers.probability == 0.0 {
            return 1.0;
        }
        let mut rng = self.stream(task, step);
        let (u, v, w): (f64, f64, f64) = (rng.random(), rng.random(), rng.random());
        let slow = if w < self.stragglers.probability { self.stragglers.factor } else { 1.0 };
        slow * self.log_normal(u, v)
    }

    /// Log-normal with mean 1 from two uniforms (Box-Muller).
    fn log_normal(&self, u: f64, v: f64) -> f64 {
        if self.jitter == 0.0 {
            return 1.0;
        }
        let normal = libm::sqrt(-2.0 * libm::log(1.0 - u)) * libm::cos(core::f64::consts::TAU * v);
        let variance = libm::log1p(self.jitter * self.jitter);
        libm::exp(libm::sqrt(variance) * normal - variance / 2.0)
    }

    fn stream(&self, task: &Task, step: u32) -> Pcg64 {
        let stage = Stage::ALL.iter().position(|&stage| stage == task.stage).unwrap_or(0) as u128;
        let key = u128::from(task.request.0) << 64 | u128::from(step) << 8 | stage;
        Pcg64::new(u128::from(self.seed) << 64 | 0x6a69_7474_6572, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::{ArtifactId, Group, Parallelism, Rank, RequestId, TaskId};

    fn task(request: u32, id: u64) -> Task {
        Task {
            id: TaskId(id),
            request: RequestId(request),
            stage: Stage::Denoise,
            first_step: 3,
            steps: 1,
            parallelism: Parallelism::SINGLE,
            group: Group::single(Rank(0)),
            input: 0,
            output: ArtifactId::default(),
        }
    }

    const UNIT: Nanos = Nanos::from_secs(1);

    #[test]
    fn noise_depends_on_the_work_and_not_on_the_schedule() {
        let stragglers = Stragglers { probability: 0.2, factor: 5.0, ..Stragglers::default() };
        let noise = Noise::new(1, 0.1, stragglers);
        assert_eq!(noise.time(&task(7, 1), UNIT), noise.time(&task(7, 900), UNIT));
        assert_ne!(noise.time(&task(7, 1), UNIT), noise.time(&task(8, 1), UNIT));
        let whole = Task { first_step: 0, steps: 50, ..task(7, 1) };
        let step = |i| noise.time(&Task { first_step: i, ..task(7, 1) }, UNIT);
        assert_eq!(noise.time(&whole, UNIT), (0..50).map(step).sum());
    }

    #[test]
    fn jitter_has_mean_one_and_the_asked_deviation() {
        let noise = Noise::new(5, 0.2, Stragglers::default());
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|i| noise.factor(&task(i, 0), 3)).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((libm::sqrt(variance) - 0.2).abs() < 0.01, "{variance}");
    }

    #[test]
    fn a_slow_rank_sets_the_pace_of_its_group() {
        let stragglers = Stragglers { slow_ranks: vec![(0, 1.5)], ..Stragglers::default() };
        let noise = Noise::new(1, 0.0, stragglers);
        assert_eq!(noise.time(&task(0, 0), UNIT), Nanos::from_millis(1500));
    }
}
