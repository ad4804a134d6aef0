//! Where every task of a request ran: an observer of the run collects it.

use flexdit_core::{Command, Event, Nanos, Observer, Rank, RequestId, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One task, and where it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// `text-encode`, `denoise` or `vae-decode`.
    pub stage: String,
    /// First denoising step; 0 in other stages.
    pub first_step: u32,
    /// Denoising steps; 0 in other stages.
    pub steps: u32,
    /// Ranks that computed.
    pub degree: u16,
    /// How they split the work: `u2`, `cfg2`, `patch2`, `1`.
    pub layout: String,
    /// The ranks that computed, in order.
    pub ranks: Vec<u16>,
    /// Ranks that were held beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<u16>,
    /// Whether it failed, or was cancelled: its steps were done again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Placement {
    /// Whether its ranks passed keys and values around a ring, which keeps results within rounding and not to the bit.
    pub fn is_ring(&self) -> bool {
        self.layout.contains('r')
    }

    fn of(task: &Task) -> Self {
        let ranks = |ranks: &[Rank]| ranks.iter().map(|rank| rank.0).collect();
        let active = task.active();
        Self {
            stage: task.stage.name().into(),
            first_step: task.first_step,
            steps: task.steps,
            degree: task.parallelism.degree(),
            layout: task.parallelism.to_string(),
            ranks: ranks(active),
            held: ranks(&task.group[active.len()..]),
            failed: false,
        }
    }
}

/// The placements of every request that has not ended, and of those that are complete.
#[derive(Debug, Default)]
pub struct Placements {
    live: BTreeMap<RequestId, BTreeMap<TaskId, Placement>>,
    owner: BTreeMap<TaskId, (RequestId, usize)>,
    complete: BTreeMap<RequestId, Vec<Placement>>,
}

impl Placements {
    /// The tasks of a complete request, in the order in which they were launched.
    pub fn of(&self, request: RequestId) -> &[Placement] {
        self.complete.get(&request).map_or(&[], Vec::as_slice)
    }

    fn report(&mut self, task: TaskId, failed: bool) {
        let Some((request, left)) = self.owner.get_mut(&task) else { return };
        let request = *request;
        *left -= 1;
        if *left == 0 {
            self.owner.remove(&task);
        }
        let placement = self.live.get_mut(&request).and_then(|tasks| tasks.get_mut(&task));
        if let Some(placement) = placement {
            placement.failed |= failed;
        }
    }
}

impl Observer for Placements {
    fn step(&mut self, _: Nanos, events: &[Event], commands: &[Command]) {
        for event in events {
            match event {
                Event::Finished { task, .. } => self.report(*task, false),
                Event::Failed { task, .. } => self.report(*task, true),
                _ => {}
            }
        }
        for command in commands {
            match command {
                Command::Launch(task) => {
                    self.owner.insert(task.id, (task.request, task.group.len()));
                    let tasks = self.live.entry(task.request).or_default();
                    tasks.insert(task.id, Placement::of(task));
                }
                Command::Complete(request) => {
                    let tasks = self.live.remove(request).unwrap_or_default();
                    self.complete.insert(*request, tasks.into_values().collect());
                }
                Command::Reject { request, .. } => {
                    self.live.remove(request);
                }
                Command::Migrate(_) | Command::Release { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::{ArtifactId, FailReason, Group, Parallelism, Span, Stage};

    fn launch(id: u64, request: u32, degree: u8, ranks: usize) -> Command {
        let request = RequestId(request);
        Command::Launch(Task {
            id: TaskId(id),
            request,
            stage: Stage::Denoise,
            first_step: 0,
            steps: 2,
            parallelism: Parallelism::ulysses(degree),
            group: Group::consecutive(Rank(1), ranks),
            input: 1,
            output: ArtifactId { request, version: 2 },
        })
    }

    #[test]
    fn a_complete_request_has_its_tasks_and_the_failed_ones_are_marked() {
        let mut placements = Placements::default();
        let finished = |task, rank| Event::Finished {
            task: TaskId(task),
            rank: Rank(rank),
            span: Span::default(),
        };
        let why = FailReason::Kernel;
        let failed = Event::Failed { task: TaskId(1), rank: Rank(2), why };
        placements.step(Nanos(1), &[], &[launch(1, 0, 2, 2), launch(2, 1, 1, 1)]);
        placements.step(Nanos(2), &[finished(1, 1), failed], &[launch(3, 0, 2, 3)]);
        let done = [finished(3, 1), finished(3, 2), finished(3, 3), finished(2, 1)];
        let reject =
            Command::Reject { request: RequestId(1), why: flexdit_core::RejectReason::Shed };
        placements.step(Nanos(3), &done, &[Command::Complete(RequestId(0)), reject]);
        let tasks = placements.of(RequestId(0));
        assert_eq!(tasks.len(), 2);
        assert_eq!(
            (tasks[0].failed, tasks[0].held.len(), tasks[0].layout.as_str()),
            (true, 0, "u2")
        );
        assert_eq!(
            (tasks[1].failed, &tasks[1].ranks, &tasks[1].held),
            (false, &vec![1, 2], &vec![3])
        );
        assert!(placements.of(RequestId(1)).is_empty() && placements.owner.is_empty());
    }
}
