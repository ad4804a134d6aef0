//! Which ranks hold something of which request, from the stream alone.

use flexdit_core::{
    Command, Event, Group, Rank, RequestId, Stage, Task, TaskId, Transfer, TransferId,
};
use std::collections::{BTreeMap, BTreeSet};

/// Holders of every request's state.
#[derive(Default)]
pub(super) struct Artifacts {
    held: BTreeMap<RequestId, BTreeSet<Rank>>,
    /// Holders that were told to free something since they last got anything; they may hold other parts.
    freed: BTreeMap<RequestId, BTreeSet<Rank>>,
    tasks: BTreeMap<TaskId, Task>,
    transfers: BTreeMap<TransferId, Transfer>,
    down: BTreeSet<Rank>,
}

impl Artifacts {
    fn gains(&mut self, request: RequestId, ranks: impl Iterator<Item = Rank>) {
        for rank in ranks {
            self.held.entry(request).or_default().insert(rank);
            self.freed.entry(request).or_default().remove(&rank);
        }
    }

    /// Ranks that hold something of `request`.
    fn of(&mut self, request: RequestId) -> &mut BTreeSet<Rank> {
        self.held.entry(request).or_default()
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::RankDown(rank) => {
                self.down.insert(*rank);
                self.held.values_mut().for_each(|held| {
                    held.remove(rank);
                });
            }
            Event::RankUp(rank) => {
                self.down.remove(rank);
            }
            Event::Finished { task, rank, .. } => {
                let Some(task) = self.tasks.get(task) else { return };
                if task.active().contains(rank) {
                    let request = task.request;
                    self.gains(request, std::iter::once(*rank));
                }
            }
            Event::Migrated { transfer, .. } => {
                let Some(transfer) = self.transfers.remove(transfer) else { return };
                let ranks = transfer.edges.iter().map(|edge| edge.dst);
                self.gains(transfer.artifact.request, ranks);
            }
            _ => {}
        }
    }

    /// A command; what is wrong with it, if anything.
    pub(super) fn command(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Launch(task) => {
                self.tasks.insert(task.id, task.clone());
                self.inputs(task)
            }
            Command::Migrate(transfer) => {
                let result = self.sources(transfer);
                self.transfers.insert(transfer.id, transfer.clone());
                result
            }
            Command::Release { artifact, ranks } => self.release(artifact.request, ranks),
            _ => Ok(()),
        }
    }

    /// Ranks that will hold something once the tasks in flight and transfers of `request` are done.
    fn coming(&self, request: RequestId, before: u64) -> BTreeSet<Rank> {
        let tasks = self.tasks.values().filter(|t| t.request == request && t.id.0 < before);
        let moves = self.transfers.values();
        let moves = moves.filter(|t| t.artifact.request == request && t.id.0 < before);
        let moved = moves.flat_map(|transfer| transfer.edges.iter().map(|edge| edge.dst));
        tasks.flat_map(|task| task.active().to_vec()).chain(moved).collect()
    }

    /// Every computing rank has, or will have, its inputs.
    fn inputs(&mut self, task: &Task) -> Result<(), String> {
        if task.stage == Stage::TextEncode {
            return Ok(());
        }
        let coming = self.coming(task.request, task.id.0);
        let held = self.of(task.request);
        let missing = |rank: &&Rank| !held.contains(rank) && !coming.contains(rank);
        match task.active().iter().find(missing) {
            Some(rank) => Err(format!("{} is launched on {rank} without its inputs", task.id)),
            None => Ok(()),
        }
    }

    fn sources(&mut self, transfer: &Transfer) -> Result<(), String> {
        let request = transfer.artifact.request;
        let coming = self.coming(request, transfer.id.0);
        let held = self.of(request);
        let missing = |rank: &Rank| !held.contains(rank) && !coming.contains(rank);
        match transfer.edges.iter().map(|edge| edge.src).find(missing) {
            Some(rank) => Err(format!("{} pulls from {rank}, which holds nothing", transfer.id)),
            None => Ok(()),
        }
    }

    /// A released rank must hold something; it may be released again later for what else it holds.
    fn release(&mut self, request: RequestId, ranks: &Group) -> Result<(), String> {
        let (down, held) = (self.down.clone(), self.of(request));
        match ranks.iter().find(|rank| !held.contains(rank) || down.contains(rank)) {
            Some(rank) => Err(format!("{request} releases on {rank}, which holds nothing")),
            None => {
                self.freed.entry(request).or_default().extend(ranks.iter().copied());
                Ok(())
            }
        }
    }

    /// A task ended on all its ranks, or failed.
    pub(super) fn ended(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    /// Transfers of a request that failed are void.
    pub(super) fn failed(&mut self, request: RequestId) {
        self.transfers.retain(|_, transfer| transfer.artifact.request != request);
    }

    /// The request ended: nothing may be left that was never freed.
    pub(super) fn gone(&mut self, request: RequestId) -> Result<(), String> {
        let held = self.held.remove(&request).unwrap_or_default();
        let freed = self.freed.remove(&request).unwrap_or_default();
        match held.difference(&freed).next() {
            Some(rank) => Err(format!("{request} ended and left something on {rank}")),
            None => Ok(()),
        }
    }
}
