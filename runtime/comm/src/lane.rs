//! A rank's side of one lane: edges to every peer, the window, the place in the global order, and what failed.
//!
//! Invariant: after a failure nothing more is sent or received on the lane until it is reset.

use crate::config::WorldConfig;
use crate::dtype::DType;
use crate::edge::Edge;
use crate::error::{Cause, CommError, Place};
use crate::graph;
use crate::membership::{Membership, bit};
use crate::memory::{Memory, RankState, Signal, Word};
use crate::rules::Rules;
use crate::tag::{Op, Tag};
use crate::wait::{Pause, Waiter};
use crate::window::Window;
use flexdit_core::Rank;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An operation as one member runs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub member: &'a Membership,
    pub op: Op,
    pub dtype: DType,
    pub index: u32,
}

/// What a rank is in a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// No broadcast is under way.
    None,
    /// Its root.
    Root,
    /// It waits for the root, in the broadcast of this name.
    ForRoot(u64),
}

/// The lane over any memory and rules; [`Lane`](crate::Lane) is the one that callers see.
#[derive(Debug)]
pub(crate) struct LaneOf<M, R> {
    pub(crate) memory: Arc<M>,
    pub(crate) me: Rank,
    pub(crate) lane: usize,
    pub(crate) config: Arc<WorldConfig>,
    pub(crate) edges: Vec<Edge<R>>,
    pub(crate) window: Window,
    /// The task's sequence number.
    pub(crate) sequence: u64,
    /// The last operation failed; peers of it, as bits.
    pub(crate) dirty: u64,
    poisoned: bool,
    /// Resets that this rank has begun.
    pub(crate) attempts: u64,
    /// Sums of a reduction under way; kept for its memory.
    pub(crate) sums: Vec<f32>,
    /// This rank's part of a sum that replaces it; kept for its memory.
    pub(crate) addend: Vec<u8>,
    /// This rank's part in the broadcast that is under way.
    pub(crate) part: Part,
}

impl<M: Memory, R: Rules> LaneOf<M, R> {
    /// The lane of a rank that joins. Counters begin after `base`.
    pub(crate) fn new(
        memory: Arc<M>,
        me: Rank,
        lane: usize,
        config: Arc<WorldConfig>,
        base: u64,
    ) -> Self {
        let edge = |peer| Edge::new(me, Rank(peer as u16), lane, config.depth, base);
        let edges = (0..config.ranks).map(edge).collect();
        let window = Window::new(config.window_bytes, config.ranks);
        Self {
            memory,
            me,
            lane,
            config,
            edges,
            window,
            sequence: 0,
            dirty: 0,
            poisoned: false,
            attempts: 0,
            sums: Vec::new(),
            addend: Vec::new(),
            part: Part::None,
        }
    }

    /// Enters the task with the given sequence number.
    pub(crate) fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        let (rank, lane, last) = (self.me, self.lane, self.sequence);
        if sequence <= last {
            return Err(CommError::OutOfOrder { rank, lane, sequence, last });
        }
        self.sequence = sequence;
        Ok(())
    }

    /// Refuses work in a world that has ended.
    #[inline]
    pub(crate) fn check_world(&self) -> Result<(), CommError> {
        if self.memory.is_over() {
            return Err(CommError::LauncherLost { rank: self.me });
        }
        Ok(())
    }

    /// Refuses work on a failed lane.
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<(), CommError> {
        self.check_world()?;
        if self.poisoned && R::POISON {
            return Err(CommError::Poisoned { rank: self.me, lane: self.lane });
        }
        Ok(())
    }

    pub(crate) fn waiter(&self) -> Waiter<R> {
        Waiter::new(self.me, self.lane, self.config.patience, self.config.timeout)
    }

    /// The tag of a message of `bytes` bytes.
    #[inline]
    pub(crate) fn tag(&self, call: Call<'_>, bytes: u64) -> Tag {
        let Call { member, op, dtype, index } = call;
        Tag { sequence: self.sequence, index, op, dtype, bytes, key: member.key() }
    }

    fn place(&self, call: Call<'_>) -> Box<Place> {
        Box::new(Place {
            rank: self.me,
            lane: self.lane,
            op: call.op,
            sequence: self.sequence,
            index: call.index,
            group: call.member.group().clone(),
        })
    }

    /// Passes time after a poll that found nothing; `missing` tells the peers waited for, as bits. Whether the wait has
    /// become long, so that what is missing was published.
    ///
    /// `last_look` is the error that waiting has come to, and the peers for whose sake, as bits: what they sent before they
    /// failed must be looked for once more.
    #[inline]
    pub(crate) fn pause(
        &mut self,
        call: Call<'_>,
        waiter: &mut Waiter<R>,
        missing: impl FnOnce(&mut Self) -> u64,
        last_look: &mut Option<(u64, CommError)>,
    ) -> Result<bool, CommError> {
        if let Some((peers, error)) = last_look.take() {
            return if missing(self) & peers == 0 { Ok(true) } else { Err(error) };
        }
        match waiter.pause(&*self.memory) {
            Pause::Short => Ok(false),
            pause => {
                let missing = missing(self);
                self.long_wait(call, waiter, missing, pause, last_look)?;
                Ok(true)
            }
        }
    }

    #[cold]
    fn long_wait(
        &mut self,
        call: Call<'_>,
        waiter: &Waiter<R>,
        missing: u64,
        pause: Pause,
        last_look: &mut Option<(u64, CommError)>,
    ) -> Result<(), CommError> {
        let Call { op, index, .. } = call;
        let for_root = if let Part::ForRoot(broadcast) = self.part { broadcast } else { 0 };
        let wait = graph::Wait { sequence: self.sequence, op, index, missing, for_root };
        graph::publish(&*self.memory, self.me, self.lane, wait);
        if pause == Pause::Expired {
            let (peers, missing) = (missing, graph::ranks(missing));
            let graph = graph::render(&*self.memory, self.config.ranks, self.lane);
            let waited = waiter.waited(&*self.memory);
            // One more poll before this error, too: the time may have passed while this thread did not run.
            let error = CommError::Timeout { place: self.place(call), missing, waited, graph };
            *last_look = Some((peers, error));
            return Ok(());
        }
        // What a peer sent before it failed is there by now: one more poll, then this error.
        *last_look = self.given_up(call, missing).or_else(|| self.other_root(call, missing));
        Ok(())
    }

    /// The error for giving up because `by` did.
    pub(crate) fn aborted(&self, call: Call<'_>, by: Rank, cause: Cause) -> CommError {
        CommError::Aborted { place: self.place(call), by, cause }
    }

    /// Why waiting for `missing` is in vain, if it is, and for whose sake.
    fn given_up(&self, call: Call<'_>, missing: u64) -> Option<(u64, CommError)> {
        let word = |at, signal| self.memory.signal(at, self.lane, signal).load(Ordering::Acquire);
        let resets = call.op == Op::Reset;
        if let Err(over) = self.check_world() {
            return Some((u64::MAX, over));
        }
        if word(self.me, Signal::Asked) != 0 && !resets {
            return Some((u64::MAX, self.aborted(call, self.me, Cause::Asked)));
        }
        graph::ranks(missing).iter().find_map(|peer| {
            // The poison after the record: who has ended its reset has cleared it.
            let counts = !resets && !self.is_resetting(*peer);
            if let Some(cause) = cause(word(*peer, Signal::Poison)).filter(|_| counts) {
                return Some((bit(*peer), self.aborted(call, *peer, cause)));
            }
            let gone = matches!(self.memory.state(*peer), RankState::Closed | RankState::Lost);
            let lost = || CommError::PeerLost { place: self.place(call), peer: *peer };
            gone.then(|| (bit(*peer), lost()))
        })
    }

    /// The error for a broadcast in which waiting for `missing` is in vain, because a member names another root.
    fn other_root(&self, call: Call<'_>, missing: u64) -> Option<(u64, CommError)> {
        let peer = match self.part {
            Part::None => None,
            Part::Root => self.rival(call),
            Part::ForRoot(broadcast) => {
                let waits = |peer| graph::waits_for_root(&*self.memory, peer, self.lane, broadcast);
                graph::ranks(missing).iter().copied().find(|peer| waits(*peer))
            }
        }?;
        Some((bit(peer), self.another_root(call, peer)))
    }

    /// A member that sent as the root of the broadcast whose root this rank is.
    pub(crate) fn rival(&self, call: Call<'_>) -> Option<Rank> {
        let same = |tag: Tag| {
            let mine = (call.op, self.sequence, call.index, call.member.key());
            (tag.op, tag.sequence, tag.index, tag.key) == mine
        };
        let mut others = call.member.group().iter().copied().filter(|peer| *peer != self.me);
        let rival = others.find(|peer| {
            let message = self.edges[peer.index()].poll(&*self.memory);
            message.is_some_and(|message| same(message.tag))
        });
        rival.filter(|_| call.op == Op::Broadcast)
    }

    /// The error for a peer that names another root.
    #[cold]
    pub(crate) fn another_root(&self, call: Call<'_>, peer: Rank) -> CommError {
        CommError::Roots { place: self.place(call), peer }
    }

    /// Gives up for good, because the thread that used the lane panicked: whoever waits for this rank here gets an error soon.
    pub(crate) fn abandon(&mut self) {
        self.poisoned = true;
        graph::withdraw(&*self.memory, self.me, self.lane);
        let poison = self.memory.signal(self.me, self.lane, Signal::Poison);
        poison.store(Cause::Asked as u64, Ordering::Release);
        self.memory.fence();
        for rank in 0..self.config.ranks {
            self.memory.ring(Rank(rank as u16), self.lane);
        }
    }

    /// The error for a message that is not the one expected.
    #[cold]
    pub(crate) fn mismatch(&self, call: Call<'_>, peer: Rank, mine: Tag, theirs: Tag) -> CommError {
        CommError::Mismatch { place: self.place(call), peer, mine, theirs }
    }

    /// Poisons the lane after a failed operation, tells everybody who may wait for this rank, and waits until no peer reads
    /// memory that was lent for it.
    #[cold]
    pub(crate) fn fail(&mut self, call: Call<'_>, error: &CommError) {
        let cause = match error {
            CommError::Mismatch { .. } | CommError::Roots { .. } => Cause::Mismatch,
            CommError::Timeout { .. } => Cause::Timeout,
            CommError::PeerLost { .. } => Cause::PeerLost,
            CommError::Aborted { cause, .. } => *cause,
            CommError::LauncherLost { .. } => Cause::LauncherLost,
            _ => Cause::Asked,
        };
        self.poisoned = true;
        self.dirty |= call.member.mask() & !bit(self.me);
        graph::withdraw(&*self.memory, self.me, self.lane);
        let poison = self.memory.signal(self.me, self.lane, Signal::Poison);
        poison.store(cause as u64, Ordering::Release);
        self.memory.fence();
        if R::REVOKE {
            self.await_readers();
        }
        for rank in 0..self.config.ranks {
            self.memory.ring(Rank(rank as u16), self.lane);
        }
    }

    /// See [`Lane::give_up`](crate::Lane::give_up).
    pub(crate) fn give_up(&mut self, member: &Membership) {
        let call = Call { member, op: Op::Barrier, dtype: DType::Bytes, index: 0 };
        if self.poisoned {
            self.dirty |= member.mask() & !bit(self.me);
        } else {
            let by_choice = self.aborted(call, self.me, Cause::Asked);
            self.fail(call, &by_choice);
        }
    }

    /// Waits until no living peer reads memory that this rank lent: as long as copying one piece takes, unless the peer is
    /// stopped, or dead and nobody is left to say so. Where a reader looks again after reading, that has a bound.
    fn await_readers(&self) {
        let mut begun = None;
        for edge in &self.edges {
            while edge.is_read(&*self.memory) && self.memory.state(edge.peer()) == RankState::Alive
            {
                if self.memory.outlasts_lender() {
                    let now = self.memory.now();
                    let waited = now.saturating_sub(*begun.get_or_insert(now));
                    if self.memory.is_over() || waited >= self.config.timeout {
                        return;
                    }
                }
                self.memory.give_way();
            }
        }
    }

    /// Why the rank that lent memory has withdrawn it, if it has.
    pub(crate) fn withdrawn(&self, peer: Rank) -> Option<Cause> {
        let poison = self.memory.signal(peer, self.lane, Signal::Poison);
        cause(poison.load(Ordering::Relaxed)).filter(|_| R::REVOKE)
    }

    /// Makes a failed lane usable again; the caller has agreed new counts with the peers.
    pub(crate) fn heal(&mut self, clean: u64) {
        self.dirty &= !clean;
        self.poisoned = false;
        let word = |signal| self.memory.signal(self.me, self.lane, signal);
        word(Signal::Asked).store(0, Ordering::Relaxed);
        word(Signal::Poison).store(0, Ordering::Release);
    }

    /// Whether the lane failed and was not reset since.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

/// The cause that a poison word stands for.
fn cause(word: u64) -> Option<Cause> {
    match word {
        0 => None,
        1 => Some(Cause::Asked),
        2 => Some(Cause::Mismatch),
        3 => Some(Cause::Timeout),
        4 => Some(Cause::PeerLost),
        _ => Some(Cause::LauncherLost),
    }
}
