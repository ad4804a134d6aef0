//! The two ways to take messages in: copying each to its place, and adding them up in group order.

use crate::dtype::DType;
use crate::error::CommError;
use crate::exchange::{Intake, Read};
use crate::lane::{Call, LaneOf};
use crate::membership::{Membership, bit};
use crate::memory::Memory;
use crate::reduce;
use crate::rules::Rules;
use flexdit_core::Rank;
use smallvec::SmallVec;

/// One message that is copied to its place.
#[derive(Debug)]
pub(crate) struct In<'a> {
    from: Rank,
    into: &'a mut [u8],
    /// Bytes that are there.
    at: usize,
    done: bool,
}

/// Messages from different peers, in any order.
#[derive(Debug, Default)]
pub(crate) struct Copies<'a> {
    ins: SmallVec<[In<'a>; 8]>,
    missing: u64,
}

impl<'a> Copies<'a> {
    /// Expects a message that fills `into`.
    pub(crate) fn expect(&mut self, from: Rank, into: &'a mut [u8]) {
        self.missing |= bit(from);
        self.ins.push(In { from, into, at: 0, done: false });
    }
}

impl Intake for Copies<'_> {
    fn pull<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<bool, CommError> {
        let mut progress = false;
        for message in self.ins.iter_mut().filter(|message| !message.done) {
            let tag = lane.tag(call, message.into.len() as u64);
            while !message.done {
                let Some(piece) = lane.expect(call, message.from, tag, message.at)? else { break };
                let into = &mut message.into[message.at..];
                lane.consume(call, message.from, &piece, read, |bytes| {
                    let length = bytes.len().min(into.len());
                    into[..length].copy_from_slice(&bytes[..length]);
                })?;
                message.at += piece.length as usize;
                message.done = message.at >= message.into.len();
                progress = true;
            }
            if message.done {
                self.missing &= !bit(message.from);
            }
        }
        Ok(progress)
    }

    fn missing(&self) -> u64 {
        self.missing
    }
}

/// The sum of one message from every member, in group order, piece by piece.
#[derive(Debug)]
pub(crate) struct Sum<'a> {
    member: &'a Membership,
    dtype: DType,
    /// This member's addend; `None` if it lies in `into`.
    own: Option<&'a [u8]>,
    into: &'a mut [u8],
    at: usize,
    missing: u64,
}

impl<'a> Sum<'a> {
    pub(crate) fn new(
        member: &'a Membership,
        dtype: DType,
        own: Option<&'a [u8]>,
        into: &'a mut [u8],
    ) -> Self {
        let missing = member.mask() & !bit(member.rank_at(member.index()));
        Self { member, dtype, own, into, at: 0, missing }
    }

    /// Which of the next pieces are missing, as bits.
    fn look<M: Memory, R: Rules>(
        &mut self,
        lane: &LaneOf<M, R>,
        call: Call<'_>,
    ) -> Result<(), CommError> {
        let tag = lane.tag(call, self.into.len() as u64);
        let mut missing = self.missing;
        while missing != 0 {
            let peer = Rank(missing.trailing_zeros() as u16);
            missing &= missing - 1;
            if lane.expect(call, peer, tag, self.at)?.is_some() {
                self.missing &= !bit(peer);
            }
        }
        Ok(())
    }

    /// Adds the next piece of every member.
    fn add<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<(), CommError> {
        let tag = lane.tag(call, self.into.len() as u64);
        let length = lane.config.piece_bytes.min(self.into.len() - self.at);
        let range = self.at..self.at + length;
        let mut sums = std::mem::take(&mut lane.sums);
        sums.clear();
        // The identity of addition: 0 + (-0) would be 0.
        sums.resize(length / self.dtype.size(), -0.0);
        for (index, peer) in self.member.group().iter().enumerate() {
            if index == self.member.index() {
                let own = self.own.map_or(&self.into[range.clone()], |own| &own[range.clone()]);
                reduce::accumulate(self.dtype, &mut sums, own);
            } else {
                let piece = lane.expect(call, *peer, tag, self.at)?.expect("looked for before");
                lane.consume(call, *peer, &piece, read, |bytes| {
                    reduce::accumulate(self.dtype, &mut sums, bytes);
                })?;
            }
        }
        reduce::round(self.dtype, &sums, &mut self.into[range]);
        lane.sums = sums;
        self.at += length;
        Ok(())
    }
}

impl Intake for Sum<'_> {
    fn pull<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<bool, CommError> {
        let mut progress = false;
        while self.missing != 0 {
            self.look(lane, call)?;
            if self.missing != 0 {
                break;
            }
            self.add(lane, call, read)?;
            progress = true;
            if self.at < self.into.len() {
                self.missing = self.member.mask() & !bit(lane.me);
            }
        }
        Ok(progress)
    }

    fn missing(&self) -> u64 {
        self.missing
    }
}
