//! What a benchmark's run is beside its plans and rows: launches, what was checked, whether ranks were pinned, how long.
//!
//! Owns the provenance of a run under way. Knows no benchmark.

use super::clock::{Moment, now};
use super::launch::{BenchError, Contestant, Launch, Setting};
use super::plan::Plan;
use super::provenance::Provenance;
use super::samples::{Checked, TurnResult, join};

/// One benchmark under way.
pub(super) struct Session<'a> {
    setting: &'a Setting,
    launch: &'a Launch<'a>,
    progress: &'a dyn Fn(),
    begun: Moment,
    checked: Checked,
    pinned: bool,
}

impl<'a> Session<'a> {
    /// Begins now. `progress` is called after each world.
    pub(super) fn begin(
        setting: &'a Setting,
        launch: &'a Launch<'a>,
        progress: &'a dyn Fn(),
    ) -> Self {
        let (checked, pinned) = (Checked::default(), setting.pin);
        Self { setting, launch, progress, begun: now(), checked, pinned }
    }

    /// Runs a plan on a fresh world of a contestant and hands its turns to `keep`.
    ///
    /// # Errors
    /// If the world does not start or a rank fails.
    pub(super) fn world(
        &mut self,
        contestant: Contestant,
        plan: &Plan,
        keep: impl FnOnce(&[TurnResult]),
    ) -> Result<(), BenchError> {
        let ranks = (self.launch)(contestant, plan, self.setting)?;
        let turns = join(plan, &ranks);
        self.pinned &= ranks.iter().all(|rank| rank.pinned);
        self.checked.add(&turns);
        keep(&turns);
        (self.progress)();
        Ok(())
    }

    /// What the run was, and what was checked in it.
    pub(super) fn end(self, contestants: &[Contestant], seed: u64) -> (Provenance, Checked) {
        let mut provenance = Provenance::here(self.setting, contestants, seed);
        provenance.pinned = self.pinned;
        provenance.wall_s = now().since(self.begun) as f64 / 1e9;
        (provenance, self.checked)
    }
}
