//! One group's queue and its running request.

use flexdit_core::{ArtifactId, FailReason, Group, Nanos, RequestId, TaskId};
use std::collections::VecDeque;

/// The tasks in flight of a request that just began, and what is left to free when they end.
pub(super) struct InFlight {
    /// Reports still to come, per task.
    pub tasks: Vec<(TaskId, u32)>,
    /// Copies that no task replaces.
    pub releases: Vec<(ArtifactId, Group)>,
}

struct Running {
    request: RequestId,
    /// When it should end; estimates err, so this may pass.
    ends: Nanos,
    in_flight: InFlight,
    failed: Option<FailReason>,
}

/// A request whose last report is in.
pub(super) struct Ended {
    pub request: RequestId,
    /// Why it failed; `None` if it completed.
    pub failed: Option<FailReason>,
    pub releases: Vec<(ArtifactId, Group)>,
}

/// A group: lost while any of its ranks is down.
pub(super) struct GroupState {
    pub ranks: Group,
    down: usize,
    queue: VecDeque<RequestId>,
    /// Sum of the estimates of the queued requests that still live.
    queued: Nanos,
    running: Option<Running>,
}

impl GroupState {
    pub fn new(ranks: Group) -> Self {
        Self { ranks, down: 0, queue: VecDeque::new(), queued: Nanos::ZERO, running: None }
    }

    /// Estimated time until everything bound to the group is done; `None` while it is lost.
    pub fn unfinished(&self, now: Nanos) -> Option<Nanos> {
        let ends = self.running.as_ref().map_or(Nanos::ZERO, |running| running.ends);
        (self.down == 0).then(|| self.queued + ends.saturating_sub(now))
    }

    pub fn push(&mut self, id: RequestId, estimate: Nanos) {
        self.queue.push_back(id);
        self.queued += estimate;
    }

    /// A queued request was cancelled; its place in the queue is skipped when its turn comes.
    pub fn forget(&mut self, estimate: Nanos) {
        self.queued -= estimate;
    }

    pub fn runs(&self, id: RequestId) -> bool {
        self.running.as_ref().is_some_and(|running| running.request == id)
    }

    /// The next request that still lives, if the group is up and free.
    pub fn pop(&mut self, lives: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        if self.down > 0 || self.running.is_some() {
            return None;
        }
        std::iter::from_fn(|| self.queue.pop_front()).find(|&id| lives(id))
    }

    pub fn begin(&mut self, request: RequestId, ends: Nanos, estimate: Nanos, tasks: InFlight) {
        self.queued -= estimate;
        self.running = Some(Running { request, ends, in_flight: tasks, failed: None });
    }

    /// Counts one report of a task; returns the request with its last one.
    pub fn report(&mut self, task: TaskId, failed: Option<FailReason>) -> Option<Ended> {
        let running = self.running.as_mut()?;
        let tasks = &mut running.in_flight.tasks;
        let at = tasks.iter().position(|(id, _)| *id == task)?;
        running.failed = running.failed.or(failed);
        tasks[at].1 -= 1;
        if tasks[at].1 == 0 {
            tasks.remove(at);
        }
        if !tasks.is_empty() {
            return None;
        }
        self.running.take().map(|Running { request, in_flight, failed, .. }| Ended {
            request,
            failed,
            releases: in_flight.releases,
        })
    }

    /// One more rank is down; returns the queue, to be bound elsewhere.
    pub fn lose_rank(&mut self) -> VecDeque<RequestId> {
        self.down += 1;
        self.queued = Nanos::ZERO;
        std::mem::take(&mut self.queue)
    }

    /// One rank is back; true if the group is whole again.
    pub fn regain_rank(&mut self) -> bool {
        self.down -= 1;
        self.down == 0
    }

    /// Ranks claimed by tasks in flight, counted with multiplicity.
    pub fn claims(&self) -> u64 {
        let tasks = self.running.iter().map(|running| running.in_flight.tasks.len()).sum::<usize>();
        (tasks * self.ranks.len()) as u64
    }
}
