//! What a worker measures beside its reports.

use crate::histogram::Histogram;
use flexdit_core::{Bytes, Nanos};

/// What ranks measured, all together.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From the end of a task to the start of the next on the same rank, where that was in the inbox by then: what the
    /// control plane costs when the system queues ahead.
    pub gap_queued: Histogram,
    /// From when a task was put into the inbox of a waiting rank until it started there.
    pub wake: Histogram,
    /// From the end of a task to the start of the next, where the rank had to wait for the system's decision: from the
    /// decision's cause to its effect, if there was work.
    pub gap_decided: Histogram,
    /// Overhead of a task before its compute, but for the forming of groups.
    pub launch: Histogram,
    /// Time a task spent on forming groups, where several ranks compute.
    pub setup: Histogram,
    /// Time from the end of the compute to the report being sent.
    pub publish: Histogram,
    /// Time inside the compute, forming of groups excluded.
    pub compute: Nanos,
    /// Time of tasks from start to end on ranks that compute.
    pub occupied: Nanos,
    /// Time of pulls from start to end.
    pub pull: Histogram,
    /// Bytes that were pulled from other ranks.
    pub pulled: Bytes,
    /// Time of each pull spent on copying, waiting for its sources excluded.
    pub copy: Histogram,
}

impl Measured {
    /// Adds what other ranks, or another run, measured.
    pub fn merge(&mut self, other: &Self) {
        self.gap_queued.merge(&other.gap_queued);
        self.wake.merge(&other.wake);
        self.gap_decided.merge(&other.gap_decided);
        self.launch.merge(&other.launch);
        self.setup.merge(&other.setup);
        self.publish.merge(&other.publish);
        self.compute += other.compute;
        self.occupied += other.occupied;
        self.pull.merge(&other.pull);
        self.pulled += other.pulled;
        self.copy.merge(&other.copy);
    }

    /// What tasks cost beside their compute, relative to it: overhead on computing ranks and gaps between queued tasks.
    /// `None` before anything was computed.
    pub fn overhead(&self) -> Option<f64> {
        let beside = self.occupied.saturating_sub(self.compute) + self.gap_queued.sum();
        (self.compute > Nanos::ZERO).then(|| beside.0 as f64 / self.compute.0 as f64)
    }

    /// Bytes a second while copying; `None` before anything was pulled.
    pub fn pull_bandwidth(&self) -> Option<f64> {
        (self.copy.sum() > Nanos::ZERO)
            .then(|| self.pulled.0 as f64 / self.copy.sum().as_secs_f64())
    }
}
