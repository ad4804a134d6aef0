//! Group-free collectives behind the seam: a lane and a place in a group, borrowed for as long as the calls last.

use crate::collectives::Collectives;
use crate::dtype::DType;
use crate::error::CommError;
use crate::lane::{Call, LaneOf};
use crate::mapped::Mapped;
use crate::membership::Membership;
use crate::ops::{
    all_gather, all_reduce, all_to_all, barrier, broadcast, put_get, reduce_scatter, ring_shift,
};
use crate::rules::Sound;
use crate::tag::Op;

/// The collectives of one group over one lane. Made by [`Lane::on`](crate::Lane::on); making it costs nothing.
#[derive(Debug)]
pub struct GroupFree<'a> {
    lane: &'a mut LaneOf<Mapped, Sound>,
    member: &'a Membership,
    /// Ordinal of the next operation.
    index: u32,
}

impl<'a> GroupFree<'a> {
    pub(crate) fn new(lane: &'a mut LaneOf<Mapped, Sound>, member: &'a Membership) -> Self {
        Self { lane, member, index: 0 }
    }

    /// The next operation of the whole group.
    fn next(&self, op: Op, dtype: DType) -> Call<'a> {
        Call { member: self.member, op, dtype, index: self.index }
    }

    /// Counts an operation, unless it was refused before anything was sent.
    fn count(&mut self, result: Result<(), CommError>) -> Result<(), CommError> {
        if !matches!(result, Err(CommError::BadArgument { .. })) {
            self.index += 1;
        }
        result
    }

    /// An operation of two members; the others do not count it.
    fn pair(&self) -> Call<'a> {
        Call { member: self.member, op: Op::PutGet, dtype: DType::Bytes, index: 0 }
    }
}

impl Collectives for GroupFree<'_> {
    fn index(&self) -> usize {
        self.member.index()
    }

    fn degree(&self) -> usize {
        self.member.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        let call = self.next(Op::Barrier, DType::Bytes);
        let result = barrier::run(self.lane, call);
        self.count(result)
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        let call = self.next(Op::Broadcast, DType::Bytes);
        let result = broadcast::run(self.lane, call, root, data);
        self.count(result)
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        let call = self.next(Op::AllGather, DType::Bytes);
        let result = all_gather::run(self.lane, call, mine, counts, all);
        self.count(result)
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        let call = self.next(Op::AllToAll, DType::Bytes);
        let shares = all_to_all::Shares { send, send_counts, receive, receive_counts };
        let result = all_to_all::run(self.lane, call, shares);
        self.count(result)
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let call = self.next(Op::RingShift, DType::Bytes);
        let result = ring_shift::run(self.lane, call, by, send, receive);
        self.count(result)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        let call = self.next(Op::ReduceScatter, dtype);
        let result = reduce_scatter::run(self.lane, call, send, receive);
        self.count(result)
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        let call = self.next(Op::AllReduce, dtype);
        let result = all_reduce::run(self.lane, call, data);
        self.count(result)
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        put_get::put(self.lane, self.pair(), to, data)
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        put_get::get(self.lane, self.pair(), from, data)
    }
}
