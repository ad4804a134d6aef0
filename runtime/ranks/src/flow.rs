//! One live request as the ranks share it: every copy of every version of its state, and whether its tasks can go on.
//!
//! Copies belong to ranks and count in their memory; they lie here, by request, because a copy's life is the request's:
//! published by the rank that made it, read by ranks that pull, retired when a newer version is acknowledged, released
//! when the system says so, gone when the request ends. A reader holds what it reads.
//!
//! Invariant: what is published does not change; the last acknowledged version is kept until the next one is.

use crate::artifact::{Shard, State};
use crate::gate::Gate;
use crate::memory::Buffer;
use crate::tokens::Tokens;
use flexdit_core::{FailReason, Rank, Request, Task};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// A task that was launched, shared by its ranks.
#[derive(Debug)]
pub(crate) struct LiveTask {
    pub task: Task,
    pub flow: Arc<Flow>,
    pub gate: Gate,
    /// Why it failed, by whoever failed first.
    pub failure: OnceLock<FailReason>,
}

impl LiveTask {
    pub(crate) fn new(task: Task, flow: Arc<Flow>) -> Self {
        Self { task, flow, gate: Gate::new(), failure: OnceLock::new() }
    }
}

/// A request and its state on all ranks.
#[derive(Debug)]
pub(crate) struct Flow {
    pub request: Request,
    pub state: State,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Copy {
    rank: Rank,
    version: u32,
    shard: Arc<Shard>,
}

#[derive(Debug, Default)]
struct Inner {
    copies: Vec<Copy>,
    /// Replicated tensors.
    whole: Vec<(Rank, Arc<[Buffer]>)>,
    /// The newest version that all its ranks have made.
    acknowledged: u32,
    /// Why tasks and transfers in flight cannot go on.
    broken: Option<FailReason>,
    /// Ranks that are gone.
    lost: Vec<Rank>,
    /// Versions that text encoding left: their rows are noise.
    encoded: Vec<u32>,
    /// Computing ranks that have ended their part of a task in flight, by sequence number.
    ended: Vec<(u64, u16)>,
    /// The run is over: nobody waits any more.
    dismissed: bool,
}

/// Why a copy does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Something before it failed, or its rank is gone.
    Failed(FailReason),
    /// Its version is complete, and it is not there.
    Never,
}

impl Flow {
    pub(crate) fn new(request: Request, state: State) -> Self {
        Self { request, state, inner: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a rank's part of a version readable by all.
    pub(crate) fn publish(&self, rank: Rank, version: u32, shard: Shard) {
        self.lock().copies.push(Copy { rank, version, shard: Arc::new(shard) });
        self.changed.notify_all();
    }

    /// Makes a rank's replicated tensors readable by all; they replace what it had.
    pub(crate) fn publish_whole(&self, rank: Rank, tensors: Vec<Buffer>) {
        let mut inner = self.lock();
        inner.whole.retain(|(holder, _)| *holder != rank);
        inner.whole.push((rank, tensors.into()));
        drop(inner);
        self.changed.notify_all();
    }

    /// Notes that text encoding makes a version.
    pub(crate) fn encode(&self, version: u32) {
        self.lock().encoded.push(version);
    }

    /// Whether a version's rows are noise, which the request alone tells: they need not be kept anywhere.
    pub(crate) fn is_noise(&self, version: u32) -> bool {
        self.lock().encoded.contains(&version)
    }

    /// A rank's copy of a version that holds all of `tokens`.
    pub(crate) fn find(&self, rank: Rank, version: u32, tokens: &Tokens) -> Option<Arc<Shard>> {
        self.lock().find(rank, version, tokens)
    }

    /// All of a rank's copies of a version.
    pub(crate) fn copies(&self, rank: Rank, version: u32) -> Vec<Arc<Shard>> {
        let inner = self.lock();
        let own = inner.copies.iter().filter(|copy| copy.rank == rank && copy.version == version);
        own.map(|copy| Arc::clone(&copy.shard)).collect()
    }

    /// A rank's replicated tensors.
    pub(crate) fn whole(&self, rank: Rank) -> Option<Arc<[Buffer]>> {
        self.lock().whole(rank)
    }

    /// As [`Flow::find`], waiting for the rank to publish it.
    pub(crate) fn await_rows(
        &self,
        rank: Rank,
        version: u32,
        tokens: &Tokens,
    ) -> Result<Arc<Shard>, Absent> {
        self.await_from(rank, version, |inner| inner.find(rank, version, tokens))
    }

    /// As [`Flow::whole`], waiting for the rank to publish them.
    pub(crate) fn await_whole(&self, rank: Rank, version: u32) -> Result<Arc<[Buffer]>, Absent> {
        self.await_from(rank, version, |inner| inner.whole(rank))
    }

    fn await_from<T>(
        &self,
        rank: Rank,
        version: u32,
        find: impl Fn(&Inner) -> Option<T>,
    ) -> Result<T, Absent> {
        let mut inner = self.lock();
        loop {
            if inner.lost.contains(&rank) {
                return Err(Absent::Failed(FailReason::RankDown));
            }
            if let Some(found) = find(&inner) {
                return Ok(found);
            }
            if inner.broken.is_some() {
                return Err(Absent::Failed(FailReason::Input));
            }
            if version <= inner.acknowledged {
                return Err(Absent::Never);
            }
            inner = self.wait(inner);
        }
    }

    /// A version is complete on all its ranks: older ones are of no use any more.
    pub(crate) fn acknowledge(&self, version: u32) {
        let mut inner = self.lock();
        inner.acknowledged = version;
        let (kept, old) = inner.copies.drain(..).partition(|copy| copy.version >= version);
        inner.copies = kept;
        drop(inner);
        // Freed outside the lock.
        drop::<Vec<Copy>>(old);
    }

    /// Frees the rows of a version on some ranks. Replicated tensors stay until the request ends: they are sources still.
    pub(crate) fn release(&self, version: u32, ranks: &[Rank]) {
        let goes = |copy: &mut Copy| copy.version == version && ranks.contains(&copy.rank);
        let gone: Vec<Copy> = self.lock().copies.extract_if(.., goes).collect();
        drop(gone);
    }

    /// A rank is gone with all it held.
    pub(crate) fn lose(&self, rank: Rank) {
        let mut inner = self.lock();
        inner.lost.push(rank);
        inner.copies.retain(|copy| copy.rank != rank);
        inner.whole.retain(|(holder, _)| *holder != rank);
        drop(inner);
        self.changed.notify_all();
    }

    /// Tasks and transfers in flight cannot go on; the first reason stays.
    pub(crate) fn break_with(&self, why: FailReason) {
        self.lock().broken.get_or_insert(why);
        self.changed.notify_all();
    }

    /// Why what is in flight cannot go on, if it cannot.
    pub(crate) fn broken(&self) -> Option<FailReason> {
        self.lock().broken
    }

    /// Nothing is in flight any more: what comes next begins from the last complete version.
    pub(crate) fn mend(&self) {
        let mut inner = self.lock();
        let complete = inner.acknowledged;
        inner.broken = None;
        inner.ended.clear();
        inner.copies.retain(|copy| copy.version <= complete);
    }

    /// A computing rank has ended its part of a task.
    pub(crate) fn end_part(&self, sequence: u64) {
        let mut inner = self.lock();
        match inner.ended.iter_mut().find(|(task, _)| *task == sequence) {
            Some((_, ended)) => *ended += 1,
            None => inner.ended.push((sequence, 1)),
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Waits until all `degree` computing ranks have ended their part of a task, or the run is over.
    pub(crate) fn await_parts(&self, sequence: u64, degree: u16) {
        let mut inner = self.lock();
        let is_over = |&(task, ended): &(u64, u16)| task == sequence && ended >= degree;
        while !inner.dismissed && !inner.ended.iter().any(is_over) {
            inner = self.wait(inner);
        }
    }

    /// The run is over: nothing goes on, and nobody waits for parts of ranks that are gone untold.
    pub(crate) fn dismiss(&self) {
        let mut inner = self.lock();
        inner.broken.get_or_insert(FailReason::Cancelled);
        inner.dismissed = true;
        drop(inner);
        self.changed.notify_all();
    }

    /// All ranks have reported a task: nobody waits for its parts.
    pub(crate) fn forget_parts(&self, sequence: u64) {
        self.lock().ended.retain(|(task, _)| *task != sequence);
    }

    /// Frees everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        let copies = std::mem::take(&mut inner.copies);
        let whole = std::mem::take(&mut inner.whole);
        drop(inner);
        drop((copies, whole));
    }
}

impl Inner {
    fn find(&self, rank: Rank, version: u32, tokens: &Tokens) -> Option<Arc<Shard>> {
        let holds = |copy: &&Copy| {
            copy.rank == rank && copy.version == version && copy.shard.tokens.contains(tokens)
        };
        self.copies.iter().find(holds).map(|copy| Arc::clone(&copy.shard))
    }

    fn whole(&self, rank: Rank) -> Option<Arc<[Buffer]>> {
        self.whole.iter().find(|(holder, _)| *holder == rank).map(|(_, all)| Arc::clone(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::RankMemory;
    use flexdit_core::{Bytes, ClassId, Nanos, RequestId, Shape};

    fn flow() -> Flow {
        let request = Request {
            id: RequestId(0),
            class: ClassId(0),
            shape: Shape::default(),
            chunk_steps: 1,
            priority: 0,
            preemptible: true,
            arrival: Nanos::ZERO,
            deadline: None,
            t_single: None,
        };
        Flow::new(request, State { grid: [1, 1, 4], ..State::default() })
    }

    fn shard(memory: &Arc<RankMemory>, start: u64, end: u64) -> Shard {
        let tokens = Tokens::all([1, 1, 4]).slice(start, end);
        Shard { tensors: vec![memory.zeroed(8).expect("no limit")], tokens }
    }

    #[test]
    fn versions_are_kept_until_the_next_is_acknowledged() {
        let (flow, memory) = (flow(), RankMemory::new(Rank(0), None));
        let all = Tokens::all([1, 1, 4]);
        flow.publish(Rank(0), 1, shard(&memory, 0, 4));
        flow.publish(Rank(0), 2, shard(&memory, 0, 4));
        assert!(flow.find(Rank(0), 1, &all).is_some());
        flow.acknowledge(2);
        assert!(flow.find(Rank(0), 1, &all).is_none() && flow.find(Rank(0), 2, &all).is_some());
        flow.release(2, &[Rank(0)]);
        assert_eq!(memory.current(), Bytes(0));
    }

    #[test]
    fn a_retry_finds_nothing_of_what_failed() {
        let (flow, memory) = (flow(), RankMemory::new(Rank(0), None));
        flow.publish(Rank(0), 1, shard(&memory, 0, 4));
        flow.acknowledge(1);
        flow.publish(Rank(0), 2, shard(&memory, 0, 2));
        flow.break_with(FailReason::Kernel);
        flow.break_with(FailReason::RankDown);
        assert_eq!(flow.broken(), Some(FailReason::Kernel));
        flow.mend();
        assert_eq!((flow.broken(), memory.current()), (None, Bytes(8)));
    }

    #[test]
    fn a_rank_that_holds_goes_when_all_parts_are_over_or_the_run_is() {
        let flow = flow();
        flow.end_part(7);
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| flow.await_parts(7, 2));
            flow.end_part(7);
            holder.join().expect("no panic");
            // Rank 1 is gone, and nobody is left to say so.
            let holder = scope.spawn(|| flow.await_parts(8, 1));
            flow.dismiss();
            holder.join().expect("no panic");
        });
    }

    #[test]
    fn a_reader_waits_for_what_comes_and_not_for_what_does_not() {
        let (flow, memory) = (flow(), RankMemory::new(Rank(3), None));
        let part = Tokens::all([1, 1, 4]).slice(1, 2);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| flow.await_rows(Rank(3), 1, &part).map(|_| ()));
            flow.publish(Rank(2), 1, shard(&memory, 0, 4));
            flow.publish(Rank(3), 1, shard(&memory, 2, 4));
            flow.publish(Rank(3), 1, shard(&memory, 0, 2));
            assert_eq!(reader.join().expect("no panic"), Ok(()));
            let reader = scope.spawn(|| flow.await_rows(Rank(3), 2, &part).map(|_| ()));
            flow.break_with(FailReason::Kernel);
            let broken = Err(Absent::Failed(FailReason::Input));
            assert_eq!(reader.join().expect("no panic"), broken);
        });
        flow.acknowledge(2);
        assert_eq!(
            flow.await_rows(Rank(3), 2, &part).map(|_| ()),
            Err(Absent::Failed(FailReason::Input))
        );
        flow.mend();
        assert_eq!(flow.await_rows(Rank(3), 2, &part).map(|_| ()), Err(Absent::Never));
        flow.lose(Rank(3));
        let lost = Err(Absent::Failed(FailReason::RankDown));
        assert_eq!(flow.await_whole(Rank(3), 1).map(|_| ()), lost);
    }
}
