//! How commands are carried out: into inboxes, onto copies, to the sink.

use super::dispatch::{Dispatcher, InFlight, Live};
use super::{Completed, RunError};
use crate::flow::LiveTask;
use crate::message::{Item, LiveTransfer};
use flexdit_core::migration::{Piece, StateSpec, layout_of, pulls};
use flexdit_core::{
    ArtifactId, Bytes, Command, Group, Nanos, Rank, RequestId, Stage, Task, Transfer,
};
use std::sync::Arc;

impl Dispatcher<'_> {
    /// Carries commands out in order. Results are taken first: a release beside a completion may name what is the result.
    pub(super) fn execute(&mut self, commands: &[Command]) -> Result<(), RunError> {
        for command in commands {
            if let Command::Complete(request) = command {
                self.deliver(*request);
            }
        }
        let mut over = Vec::new();
        for command in commands {
            match command {
                Command::Launch(task) => self.launch(task)?,
                Command::Migrate(transfer) => self.migrate(transfer)?,
                Command::Release { artifact, ranks } => self.release(*artifact, ranks),
                Command::Complete(id) | Command::Reject { request: id, .. } => over.push(*id),
            }
        }
        for id in over {
            self.end_request(id);
        }
        Ok(())
    }

    /// The live request that a command names.
    ///
    /// # Panics
    /// If it is not live: a broken system.
    fn live_of(&mut self, id: RequestId) -> &mut Live {
        self.live.get_mut(&id).unwrap_or_else(|| panic!("a command for {id}, which is not live"))
    }

    /// Notes something in flight, and makes the request go on if it had failed before.
    fn issue(&mut self, request: RequestId, sequence: u64) {
        let live = self.live_of(request);
        if live.in_flight.is_empty() && live.repairs == 0 {
            live.flow.mend();
            live.failed_from = None;
        }
        live.in_flight.insert(sequence);
    }

    fn enqueue(&mut self, rank: Rank, sequence: u64, item: Item) -> Result<(), RunError> {
        let queued = self.fleet.get(rank).queue.len();
        if queued >= self.inbox || !self.fleet.push(rank, item) {
            return Err(RunError::InboxFull { rank, items: queued });
        }
        self.fleet.get(rank).queue.push_back(sequence);
        Ok(())
    }

    fn launch(&mut self, task: &Task) -> Result<(), RunError> {
        let sequence = task.id.0;
        self.issue(task.request, sequence);
        let flow = Arc::clone(&self.live_of(task.request).flow);
        self.layouts.insert((flow.request.shape, task.stage, task.parallelism));
        let live = Arc::new(LiveTask::new(task.clone(), flow));
        let left = task.group.len();
        let entry = InFlight::Task { live: Arc::clone(&live), left, failed: false, lost: false };
        self.in_flight.insert(sequence, entry);
        let queued = self.clock.now();
        for rank in task.group.iter() {
            self.enqueue(*rank, sequence, Item::Task(Arc::clone(&live), queued))?;
        }
        Ok(())
    }

    fn migrate(&mut self, transfer: &Transfer) -> Result<(), RunError> {
        let sequence = transfer.id.0;
        self.issue(transfer.artifact.request, sequence);
        let flow = Arc::clone(&self.live_of(transfer.artifact.request).flow);
        let live = plan(transfer, flow)?;
        let destinations = destinations(transfer);
        let live = Arc::new(live);
        let entry = InFlight::Transfer {
            live: Arc::clone(&live),
            left: destinations.len(),
            failed: false,
            started: Nanos::MAX,
        };
        self.in_flight.insert(sequence, entry);
        let queued = self.clock.now();
        for rank in destinations.iter() {
            self.enqueue(*rank, sequence, Item::Pull(Arc::clone(&live), queued))?;
        }
        Ok(())
    }

    /// The system frees copies only when nothing in flight reads them, so this need not wait for the ranks.
    fn release(&mut self, artifact: ArtifactId, ranks: &Group) {
        if let Some(live) = self.live.get(&artifact.request) {
            live.flow.release(artifact.version, ranks);
        }
    }

    /// Gives a request's result to the sink.
    fn deliver(&mut self, id: RequestId) {
        let live = self.live_of(id);
        let parts = layout_of(Stage::VaeDecode, live.parallelism).parts() as usize;
        let copy = |rank: &Rank| live.flow.copies(*rank, live.version).pop();
        let parts: Vec<_> = live.holders.iter().take(parts).filter_map(copy).collect();
        let (request, parallelism) = (live.flow.request, live.parallelism);
        self.sink.completed(Completed { request, parallelism, parts });
    }

    fn end_request(&mut self, id: RequestId) {
        assert!(!self.ended[id.index()], "{id} ended twice");
        self.ended[id.index()] = true;
        self.unfinished -= 1;
        self.arrivals.ended();
        if let Some(live) = self.live.remove(&id) {
            assert!(live.in_flight.is_empty(), "{id} ended with something in flight");
            live.flow.clear();
        }
    }
}

/// Which part of the state each copy is, checked against the edges that the system gave.
fn plan(transfer: &Transfer, flow: Arc<crate::flow::Flow>) -> Result<LiveTransfer, RunError> {
    // Bytes are the system's business; which tokens go where follows from the grid alone.
    let spec = StateSpec { grid: flow.state.grid, bytes_per_token: 1, embedding: Bytes(1) };
    let (from, to) = (&transfer.route.from, &transfer.route.to);
    let mut pulls = pulls(&spec, from, to.stage, to.parallelism, &to.active);
    pulls.retain(|pull| match pull.piece {
        Piece::Latents { start, end, .. } => end > start,
        Piece::Embeddings => !flow.state.whole.is_empty(),
    });
    let refused = |why| Err(RunError::State { transfer: transfer.id, why });
    let has_edge =
        |src: Rank, dst: Rank| transfer.edges.iter().any(|edge| edge.src == src && edge.dst == dst);
    if let Some(pull) = pulls.iter().find(|pull| !has_edge(pull.src, pull.dst)) {
        return refused(format!("it has no copy from {} to {}", pull.src, pull.dst));
    }
    let in_vain = transfer.edges.iter().find(|edge| !to.active.contains(&edge.dst));
    if let Some(edge) = in_vain {
        return refused(format!("it copies to {}, which does not compute", edge.dst));
    }
    Ok(LiveTransfer { transfer: transfer.clone(), flow, pulls })
}

/// The ranks that pull, ascending.
pub(super) fn destinations(transfer: &Transfer) -> Group {
    let mut ranks: Vec<Rank> = transfer.edges.iter().map(|edge| edge.dst).collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks.into_iter().collect()
}
