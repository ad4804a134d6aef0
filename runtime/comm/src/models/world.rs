//! A small world for models: its settings, and ranks that run the real operations over model memory.

use super::kit::Kit;
use super::memory::{ModelMemory, PIECE, Scope};
use crate::config::{Patience, WorldConfig};
use crate::dtype::DType;
use crate::error::CommError;
use crate::lane::{Call, LaneOf};
use crate::membership::Membership;
use crate::ops;
use crate::rules::Rules;
use crate::tag::Op;
use flexdit_core::Rank;
use std::sync::Arc;
use std::time::Duration;

/// How ranks of a model wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// They poll, and look at nothing else.
    Poll,
    /// They sleep until they are woken.
    Sleep,
    /// As `Sleep`, but an acknowledgement always wakes.
    Nap,
}

/// What a model is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub ranks: usize,
    /// Messages that an edge holds.
    pub depth: usize,
    /// Lines of a piece.
    pub lines: usize,
    /// Pieces that the window holds; of more than one line, it holds a line more, and pieces lie across its end.
    pub pieces: usize,
    pub wait: Wait,
    pub failures: bool,
    pub resets: bool,
    pub lend: bool,
    pub loans: bool,
    pub outlasts: bool,
    pub no_fences: bool,
    /// Ranks that nobody may touch, as bits.
    pub forbidden: u64,
    /// Counts begin after this.
    pub base: u64,
}

impl Setting {
    /// Two ranks that poll; everything of size 1.
    pub(super) const TINY: Self = Self {
        ranks: 2,
        depth: 1,
        lines: 1,
        pieces: 1,
        wait: Wait::Poll,
        failures: false,
        resets: false,
        lend: false,
        loans: false,
        outlasts: false,
        no_fences: false,
        forbidden: 0,
        base: 0,
    };

    fn config(&self) -> WorldConfig {
        let patience = match self.wait {
            Wait::Poll => Patience { spins: u32::MAX, yields: 0 },
            Wait::Sleep | Wait::Nap => Patience { spins: 0, yields: 0 },
        };
        WorldConfig {
            ranks: self.ranks,
            lanes: 1,
            depth: self.depth,
            window_bytes: (self.pieces * self.lines + usize::from(self.lines > 1)) * PIECE,
            piece_bytes: self.lines * PIECE,
            arena_bytes: 0,
            lend_bytes: if self.lend || self.loans { 1 } else { usize::MAX },
            timeout: Duration::from_secs(1),
            patience,
            nonce: 0,
        }
    }

    /// The ranks of such a world.
    pub(super) fn actors<K: Kit, R: Rules>(&self) -> Vec<Actor<K, R>> {
        let config = Arc::new(self.config());
        let scope = Scope {
            failures: self.failures || self.resets,
            resets: self.resets,
            sleep: matches!(self.wait, Wait::Sleep | Wait::Nap),
            naps: self.wait == Wait::Nap,
            lend: self.lend,
            loans: self.loans,
            outlasts: self.outlasts,
            no_fences: self.no_fences,
            forbidden: self.forbidden,
        };
        let actor = |(rank, memory): (usize, Arc<ModelMemory<K>>)| {
            let me = Rank(rank as u16);
            let lane = LaneOf::new(Arc::clone(&memory), me, 0, Arc::clone(&config), self.base);
            Actor { memory, lane, me, index: 0 }
        };
        let memories = ModelMemory::of_all(&config, scope, self.base);
        memories.into_iter().enumerate().map(actor).collect()
    }

    /// Runs `body` on every rank at once.
    pub(super) fn run<K: Kit, R: Rules + Send + 'static>(
        &self,
        body: impl Fn(Actor<K, R>) + Clone + Send + 'static,
    ) {
        let bodies = self.actors().into_iter().map(|actor| {
            let body = body.clone();
            Box::new(move || body(actor)) as Box<dyn FnOnce() + Send>
        });
        K::together(bodies.collect());
    }
}

/// One rank.
pub(super) struct Actor<K: Kit, R> {
    pub memory: Arc<ModelMemory<K>>,
    pub lane: LaneOf<ModelMemory<K>, R>,
    pub me: Rank,
    index: u32,
}

impl<K: Kit, R: Rules> Actor<K, R> {
    pub(super) fn member(&self, ranks: &[u16]) -> Membership {
        let group = ranks.iter().map(|rank| Rank(*rank)).collect();
        Membership::new(&group, self.me, self.lane.config.ranks).expect("a good group")
    }

    /// Enters a task, in whatever order. Operations of one task count up.
    pub(super) fn task(&mut self, sequence: u64) {
        self.lane.sequence = sequence;
        self.index = 0;
    }

    /// Asserts that a failed lane refuses every operation and sends nothing.
    pub(super) fn assert_poisoned(&mut self, ranks: &[u16]) {
        let result = self.barrier(ranks);
        assert!(matches!(result, Err(CommError::Poisoned { .. })), "refused: {result:?}");
    }

    fn call<'a>(&mut self, member: &'a Membership, op: Op) -> Call<'a> {
        self.index += 1;
        Call { member, op, dtype: DType::Bytes, index: self.index }
    }

    pub(super) fn barrier(&mut self, ranks: &[u16]) -> Result<(), CommError> {
        let member = self.member(ranks);
        let call = self.call(&member, Op::Barrier);
        ops::barrier::run(&mut self.lane, call)
    }

    /// Sends to rank `to`.
    pub(super) fn put(&mut self, to: u16, data: &[u8]) -> Result<(), CommError> {
        let member = self.member(&[self.me.0, to]);
        // The tag names the pair in the order (sender, receiver).
        let call = Call { member: &member, op: Op::PutGet, dtype: DType::Bytes, index: 0 };
        ops::put_get::put(&mut self.lane, call, 1, data)
    }

    /// Receives `length` bytes from rank `from`.
    pub(super) fn get(&mut self, from: u16, length: usize) -> Result<Vec<u8>, CommError> {
        let member = self.member(&[from, self.me.0]);
        let call = Call { member: &member, op: Op::PutGet, dtype: DType::Bytes, index: 0 };
        let mut data = vec![0; length];
        ops::put_get::get(&mut self.lane, call, 0, &mut data)?;
        Ok(data)
    }

    pub(super) fn broadcast(
        &mut self,
        ranks: &[u16],
        root: usize,
        data: &mut [u8],
    ) -> Result<(), CommError> {
        let member = self.member(ranks);
        let call = self.call(&member, Op::Broadcast);
        ops::broadcast::run(&mut self.lane, call, root, data)
    }

    /// Everybody's share, which is as long as `mine`.
    pub(super) fn all_gather(&mut self, ranks: &[u16], mine: &[u8]) -> Result<Vec<u8>, CommError> {
        let member = self.member(ranks);
        let call = self.call(&member, Op::AllGather);
        let counts = vec![mine.len(); ranks.len()];
        let mut all = vec![0; mine.len() * ranks.len()];
        ops::all_gather::run(&mut self.lane, call, mine, &counts, &mut all)?;
        Ok(all)
    }

    pub(super) fn all_to_all(&mut self, ranks: &[u16], send: &[u8]) -> Result<Vec<u8>, CommError> {
        let member = self.member(ranks);
        let call = self.call(&member, Op::AllToAll);
        let counts = vec![send.len() / ranks.len(); ranks.len()];
        let mut receive = vec![0; send.len()];
        let shares = ops::all_to_all::Shares {
            send,
            send_counts: &counts,
            receive: &mut receive,
            receive_counts: &counts,
        };
        ops::all_to_all::run(&mut self.lane, call, shares)?;
        Ok(receive)
    }

    /// This rank's share of the sum.
    pub(super) fn reduce_scatter(
        &mut self,
        ranks: &[u16],
        send: &[f32],
    ) -> Result<Vec<f32>, CommError> {
        let member = self.member(ranks);
        let call = Call { dtype: DType::F32, ..self.call(&member, Op::ReduceScatter) };
        let mut receive = vec![0.0; send.len() / ranks.len()];
        let into = bytemuck::cast_slice_mut(&mut receive);
        ops::reduce_scatter::run(&mut self.lane, call, bytemuck::cast_slice(send), into)?;
        Ok(receive)
    }

    pub(super) fn reset(&mut self, ranks: &[u16]) -> Result<(), CommError> {
        let member = self.member(ranks);
        self.lane.reset(&member)
    }
}
