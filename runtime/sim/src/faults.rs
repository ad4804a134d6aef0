//! When ranks go down and come back: given times, or a seeded failure process.

use flexdit_core::{Nanos, Rank};
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How ranks fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultModel {
    /// Mean time between the failures of one rank (exponential); `None` switches random failures off.
    pub mean_time_between: Option<Nanos>,
    /// Mean time until a failed rank is back (exponential).
    pub mean_time_to_repair: Nanos,
    /// Given outages: `(rank, down at, up at)`.
    pub outages: Vec<(Rank, Nanos, Nanos)>,
}

/// The faults of one run, in order of time.
#[derive(Debug)]
pub struct FaultPlan {
    /// `(instant, comes up, rank)`: at one instant ranks go down before others come up, so that two outages
    /// that touch are one, and an outage without length is still one.
    queue: BinaryHeap<Reverse<(Nanos, bool, Rank)>>,
    streams: Vec<Pcg64>,
    model: FaultModel,
    /// Outages in force, per rank; given and random ones can overlap.
    depth: Vec<u16>,
}

impl FaultPlan {
    /// The plan of a run; ranks fail independently, each from its own stream.
    pub fn new(model: FaultModel, world: u16, seed: u64) -> Self {
        let stream = |rank| Pcg64::new(u128::from(seed) << 64 | 0x0066_6175_6c74, u128::from(rank));
        let mut plan = Self {
            queue: BinaryHeap::new(),
            streams: (0..world).map(stream).collect(),
            depth: vec![0; usize::from(world)],
            model,
        };
        for &(rank, down, up) in &plan.model.outages {
            plan.queue.push(Reverse((down, false, rank)));
            plan.queue.push(Reverse((up.max(down), true, rank)));
        }
        if let Some(mean) = plan.model.mean_time_between {
            for rank in (0..world).map(Rank) {
                let down = plan.draw(rank, mean);
                let up = down + plan.draw(rank, plan.model.mean_time_to_repair);
                plan.queue.push(Reverse((down, false, rank)));
                plan.queue.push(Reverse((up, true, rank)));
            }
        }
        plan
    }

    /// When the next change comes.
    pub fn next_at(&self) -> Option<Nanos> {
        self.queue.peek().map(|Reverse((at, _, _))| *at)
    }

    /// The changes of instant `now`: `(rank, goes down)`.
    pub fn pop(&mut self, now: Nanos) -> Vec<(Rank, bool)> {
        let mut changes = Vec::new();
        while let Some(&Reverse((at, up, rank))) = self.queue.peek() {
            if at > now {
                break;
            }
            self.queue.pop();
            let depth = &mut self.depth[rank.index()];
            let was_down = *depth > 0;
            *depth = if up { *depth - 1 } else { *depth + 1 };
            if was_down != (*depth > 0) {
                changes.push((rank, !up));
            }
            if up {
                self.schedule_next(rank, at);
            }
        }
        changes
    }

    fn schedule_next(&mut self, rank: Rank, now: Nanos) {
        let Some(mean) = self.model.mean_time_between else { return };
        let pending = self.queue.iter().any(|Reverse((_, up, other))| !*up && *other == rank);
        if pending {
            return;
        }
        let down = now + self.draw(rank, mean);
        let up = down + self.draw(rank, self.model.mean_time_to_repair);
        self.queue.push(Reverse((down, false, rank)));
        self.queue.push(Reverse((up, true, rank)));
    }

    /// Exponential by inverse transform, at least 1 ns.
    fn draw(&mut self, rank: Rank, mean: Nanos) -> Nanos {
        let uniform: f64 = self.streams[rank.index()].random();
        Nanos(mean.scale(-libm::log(1.0 - uniform)).0.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_outages_bring_a_rank_down_once() {
        let outages = vec![(Rank(0), Nanos(10), Nanos(50)), (Rank(0), Nanos(20), Nanos(30))];
        let mut plan = FaultPlan::new(FaultModel { outages, ..FaultModel::default() }, 1, 0);
        let mut seen = Vec::new();
        while let Some(at) = plan.next_at() {
            seen.extend(plan.pop(at).into_iter().map(|(rank, down)| (at.0, rank.0, down)));
        }
        assert_eq!(seen, [(10, 0, true), (50, 0, false)]);
    }

    #[test]
    fn outages_that_touch_are_one_and_an_outage_without_length_is_one() {
        let outages = vec![
            (Rank(0), Nanos(10), Nanos(20)),
            (Rank(0), Nanos(20), Nanos(30)),
            (Rank(1), Nanos(15), Nanos(15)),
        ];
        let mut plan = FaultPlan::new(FaultModel { outages, ..FaultModel::default() }, 2, 0);
        let mut seen = Vec::new();
        while let Some(at) = plan.next_at() {
            seen.extend(plan.pop(at).into_iter().map(|(rank, down)| (at.0, rank.0, down)));
        }
        let blip = [(15, 1, true), (15, 1, false)];
        assert_eq!(seen, [&[(10, 0, true)][..], &blip, &[(30, 0, false)]].concat());
    }

    #[test]
    fn random_failures_repeat_for_a_seed_and_alternate() {
        let model = FaultModel {
            mean_time_between: Some(Nanos::from_secs(100)),
            mean_time_to_repair: Nanos::from_secs(10),
            outages: Vec::new(),
        };
        let run = |seed| {
            let mut plan = FaultPlan::new(model.clone(), 2, seed);
            let mut seen = Vec::new();
            while seen.len() < 40 {
                let at = plan.next_at().expect("failures go on");
                seen.extend(plan.pop(at).into_iter().map(|change| (at, change)));
            }
            seen
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        for rank in [Rank(0), Rank(1)] {
            let downs: Vec<bool> =
                run(3).iter().filter(|(_, c)| c.0 == rank).map(|(_, c)| c.1).collect();
            assert!(downs.chunks(2).all(|pair| pair[0] && pair.get(1).is_none_or(|up| !up)));
        }
    }
}
