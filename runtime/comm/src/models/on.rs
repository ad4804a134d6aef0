//! The seam over model memory, so that the same trials run on it as on real worlds.

use super::kit::Kit;
use super::memory::ModelMemory;
use crate::collectives::Collectives;
use crate::dtype::DType;
use crate::error::CommError;
use crate::lane::{Call, LaneOf};
use crate::membership::Membership;
use crate::ops;
use crate::rules::Rules;
use crate::tag::Op;

/// As [`GroupFree`](crate::GroupFree), over any memory and rules.
pub(super) struct On<'a, K: Kit, R> {
    pub lane: &'a mut LaneOf<ModelMemory<K>, R>,
    pub member: &'a Membership,
}

impl<'a, K: Kit, R> On<'a, K, R> {
    fn call(&self, op: Op, dtype: DType) -> Call<'a> {
        Call { member: self.member, op, dtype, index: 0 }
    }
}

impl<K: Kit, R: Rules> Collectives for On<'_, K, R> {
    fn index(&self) -> usize {
        self.member.index()
    }

    fn degree(&self) -> usize {
        self.member.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        ops::barrier::run(self.lane, self.call(Op::Barrier, DType::Bytes))
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        ops::broadcast::run(self.lane, self.call(Op::Broadcast, DType::Bytes), root, data)
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        let call = self.call(Op::AllGather, DType::Bytes);
        ops::all_gather::run(self.lane, call, mine, counts, all)
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        let shares = ops::all_to_all::Shares { send, send_counts, receive, receive_counts };
        ops::all_to_all::run(self.lane, self.call(Op::AllToAll, DType::Bytes), shares)
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let call = self.call(Op::RingShift, DType::Bytes);
        ops::ring_shift::run(self.lane, call, by, send, receive)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        ops::reduce_scatter::run(self.lane, self.call(Op::ReduceScatter, dtype), send, receive)
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        ops::all_reduce::run(self.lane, self.call(Op::AllReduce, dtype), data)
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        ops::put_get::put(self.lane, self.call(Op::PutGet, DType::Bytes), to, data)
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        ops::put_get::get(self.lane, self.call(Op::PutGet, DType::Bytes), from, data)
    }
}
