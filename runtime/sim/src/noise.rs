//! Seeded noise on task times, drawn per (request, stage, step): every system meets the same noise.

use crate::charges::Stragglers;
use flexdit_core::{Stage, Task};
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

    /// The factor on the task's computing time; exactly 1 when all noise is off.
    pub fn factor(&self, task: &Task) -> f64 {
        if self.quiet {
            return 1.0;
        }
        let slowest = task
            .active()
            .iter()
            .filter_map(|rank| self.stragglers.slow_ranks.iter().find(|slow| slow.0 == rank.0))
            .fold(1.0, |worst: f64, slow| worst.max(slow.1));
        if self.jitter == 0.0 && self.stragglers.probability == 0.0 {
            return slowest;
        }
        let mut rng = self.stream(task);
        let (u, v, w): (f64, f64, f64) = (rng.random(), rng.random(), rng.random());
        let slow = if w < self.stragglers.probability { self.stragglers.factor } else { 1.0 };
        slowest * slow * self.log_normal(u, v)
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

    fn stream(&self, task: &Task) -> Pcg64 {
        let stage = Stage::ALL.iter().position(|&stage| stage == task.stage).unwrap_or(0) as u128;
        let key = u128::from(task.request.0) << 64 | u128::from(task.first_step) << 8 | stage;
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
            output: ArtifactId::default(),
        }
    }

    #[test]
    fn noise_depends_on_the_work_and_not_on_the_schedule() {
        let noise = Noise::new(1, 0.1, Stragglers::default());
        assert_eq!(noise.factor(&task(7, 1)), noise.factor(&task(7, 900)));
        assert_ne!(noise.factor(&task(7, 1)), noise.factor(&task(8, 1)));
    }

    #[test]
    fn jitter_has_mean_one_and_the_asked_deviation() {
        let noise = Noise::new(5, 0.2, Stragglers::default());
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|i| noise.factor(&task(i, 0))).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((libm::sqrt(variance) - 0.2).abs() < 0.01, "{variance}");
    }

    #[test]
    fn a_slow_rank_sets_the_pace_of_its_group() {
        let stragglers = Stragglers { slow_ranks: vec![(0, 1.5)], ..Stragglers::default() };
        assert_eq!(Noise::new(1, 0.0, stragglers).factor(&task(0, 0)), 1.5);
    }
}
