//! Requests that their clients gave up: their tasks end at the next step boundary, those behind them do not begin.
//!
//! Invariant: as on real ranks, a step that has begun is finished; and a task that stops within its chunk leaves no version, so nothing
//! that needs one moves any more.

use super::Simulation;
use crate::inbox::{Item, Work};
use flexdit_core::{Event, FailReason, Nanos, RequestId, Task};
use std::cmp::Reverse;

impl Simulation<'_> {
    /// Stops what is in flight for requests that were cancelled in this instant. The system has heard of it.
    pub(super) fn stop_cancelled(&mut self, now: Nanos) {
        let cancelled = |event: &Event| match event {
            Event::Cancelled(request) => Some(*request),
            _ => None,
        };
        let requests: Vec<RequestId> = self.events.iter().filter_map(cancelled).collect();
        if requests.is_empty() {
            return;
        }
        for slot in self.inboxes.slots() {
            let work = self.inboxes.get_mut(slot);
            work.stops |= matches!(work.item, Item::Task(_)) && requests.contains(&work.request);
        }
        let mut ends = std::mem::take(&mut self.queue).into_vec();
        for Reverse((end, sequence, slot)) in &mut ends {
            if !self.killed.contains(&(*sequence, *slot)) {
                let work = self.inboxes.get_mut(*slot);
                if let Some(earlier) = boundary(work, now, *end) {
                    (*end, work.fails) = (earlier, true);
                }
            }
        }
        self.queue = ends.into();
    }

    /// An item of a cancelled request ended without a result: what was to move it does not.
    pub(super) fn stopped(&mut self, work: &Work) {
        let Item::Task(Task { id, group, .. }) = &work.item else { return };
        for slot in self.inboxes.slots() {
            let behind = self.inboxes.get_mut(slot);
            behind.stops |= behind.request == work.request;
        }
        let why = FailReason::Cancelled;
        self.events.extend(group.iter().map(|rank| Event::Failed { task: *id, rank: *rank, why }));
    }
}

/// When a task that is to stop does: before it begins, or at the end of the step that runs now; `None` if that is its own end.
fn boundary(work: &Work, now: Nanos, end: Nanos) -> Option<Nanos> {
    let Item::Task(task) = &work.item else { return None };
    if !work.stops || work.fails {
        return None;
    }
    if now < work.span.started {
        return Some(work.span.started);
    }
    let steps = u64::from(task.steps);
    let begin = work.span.started + work.span.setup + work.span.launch;
    let computing = end.saturating_sub(begin).0;
    if steps < 2 || computing == 0 {
        return None;
    }
    // A task that was taken up runs its first step.
    let gone = u128::from(now.saturating_sub(begin).0) * u128::from(steps);
    let step = u64::try_from(gone.div_ceil(u128::from(computing))).ok()?.max(1);
    let time = u128::from(computing) * u128::from(step) / u128::from(steps);
    (step < steps).then(|| begin + Nanos(time as u64))
}
