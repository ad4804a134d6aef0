//! The two ways to take messages in: copying each to its place, and adding them up in group order.

use crate::dtype::DType;
use crate::error::CommError;
use crate::exchange::{Intake, Read};
use crate::lane::{Call, LaneOf};
use crate::membership::{Membership, bit};
use crate::memory::Memory;
use crate::message::Message;
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
    /// What this member sends itself.
    own: Option<(&'a [u8], &'a mut [u8])>,
}

impl<'a> Copies<'a> {
    /// Expects a message that fills `into`.
    pub(crate) fn expect(&mut self, from: Rank, into: &'a mut [u8]) {
        self.missing |= bit(from);
        self.ins.push(In { from, into, at: 0, done: false });
    }

    /// Copies the own share, once the peers have been sent theirs.
    pub(crate) fn copy_own(&mut self, from: &'a [u8], into: &'a mut [u8]) {
        self.own = Some((from, into));
    }
}

impl Intake for Copies<'_> {
    const ALL_AT_ONCE: bool = false;

    fn pull<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<bool, CommError> {
        let mut progress = false;
        if let Some((from, into)) = self.own.take() {
            into.copy_from_slice(from);
        }
        for message in self.ins.iter_mut().filter(|message| !message.done) {
            let tag = lane.tag(call, message.into.len() as u64);
            while !message.done {
                let Some(piece) = lane.expect(call, message.from, tag, message.at)? else { break };
                let (from, length) = (message.from, piece.length as usize);
                let into = &mut message.into[message.at..message.at + length];
                lane.read(call, from, &piece, (0, length), |bytes| into.copy_from_slice(bytes))?;
                lane.acknowledge(from, &piece, read);
                message.at += length;
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

/// The sum of one message from every member, in group order, block by block.
#[derive(Debug)]
pub(crate) struct Sum<'a> {
    member: &'a Membership,
    dtype: DType,
    /// This member's addend; `None` if it lies in `into`.
    own: Option<&'a [u8]>,
    into: &'a mut [u8],
    /// Bytes that are added up.
    at: usize,
    missing: u64,
    /// The peers' pieces that were found last, in group order.
    pieces: SmallVec<[Message; 8]>,
}

/// Bytes added up at a time: sums and addends stay in the first-level cache.
const BLOCK: usize = 4096;

impl<'a> Sum<'a> {
    pub(crate) fn new(
        member: &'a Membership,
        dtype: DType,
        own: Option<&'a [u8]>,
        into: &'a mut [u8],
    ) -> Self {
        let missing = member.mask() & !bit(member.rank_at(member.index()));
        Self { member, dtype, own, into, at: 0, missing, pieces: SmallVec::new() }
    }

    /// Looks for the pieces that are missing; returns how far all of them reach.
    fn look<M: Memory, R: Rules>(
        &mut self,
        lane: &LaneOf<M, R>,
        call: Call<'_>,
    ) -> Result<usize, CommError> {
        let tag = lane.tag(call, self.into.len() as u64);
        let mut end = self.into.len();
        self.pieces.clear();
        for peer in self.member.group().iter().filter(|peer| **peer != lane.me) {
            if let Some(piece) = lane.expect(call, *peer, tag, self.at)? {
                self.missing &= !bit(*peer);
                end = end.min(piece.begin as usize + piece.length as usize);
                self.pieces.push(piece);
            }
        }
        Ok(end)
    }

    /// Adds up everything before `end`, of which all have sent pieces, and acknowledges those that end there.
    fn add<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        end: usize,
        read: &mut Read,
    ) -> Result<(), CommError> {
        let mut sums = std::mem::take(&mut lane.sums);
        while self.at < end {
            let length = BLOCK.min(end - self.at);
            self.add_block(lane, call, length, &mut sums)?;
            self.at += length;
        }
        lane.sums = sums;
        let me = lane.me;
        let peers = self.member.group().iter().filter(|peer| **peer != me);
        for (peer, piece) in peers.zip(&self.pieces) {
            if piece.begin as usize + piece.length as usize == end {
                lane.acknowledge(*peer, piece, read);
                self.missing |= bit(*peer);
            }
        }
        Ok(())
    }

    fn add_block<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        length: usize,
        sums: &mut Vec<f32>,
    ) -> Result<(), CommError> {
        let dtype = self.dtype;
        let range = self.at..self.at + length;
        sums.clear();
        // The identity of addition: 0 + (-0) would be 0.
        sums.resize(length / dtype.size(), -0.0);
        let mut pieces = self.pieces.iter();
        for (index, peer) in self.member.group().iter().enumerate() {
            if index == self.member.index() {
                let own = self.own.map_or(&self.into[range.clone()], |own| &own[range.clone()]);
                reduce::accumulate(dtype, sums, own);
                continue;
            }
            let piece = pieces.next().expect("a piece of every peer");
            let part = (self.at - piece.begin as usize, length);
            lane.read(call, *peer, piece, part, |addend| {
                reduce::accumulate(dtype, sums, addend);
            })?;
        }
        reduce::round(dtype, sums, &mut self.into[range]);
        Ok(())
    }
}

impl Intake for Sum<'_> {
    const ALL_AT_ONCE: bool = true;

    fn pull<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<bool, CommError> {
        let mut progress = false;
        while self.missing != 0 {
            let end = self.look(lane, call)?;
            if self.missing != 0 {
                break;
            }
            self.add(lane, call, end, read)?;
            progress = true;
            if self.at == self.into.len() {
                self.missing = 0;
            }
        }
        Ok(progress)
    }

    fn missing(&self) -> u64 {
        self.missing
    }
}
