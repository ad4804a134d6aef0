//! The engine of every operation: messages out, messages in, all at once, in pieces, never blocking on one peer while
//! another could go on.
//!
//! Payloads are staged in the window, and acknowledged whenever their readers get there; or they are lent where they lie, and
//! then the operation ends when they were read.

use crate::error::{Cause, CommError};
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::{Location, Memory};
use crate::message::Message;
use crate::rules::Rules;
use crate::tag::Tag;
use crate::wait::{wake, wake_without_fence};
use flexdit_core::Rank;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Acknowledgements of pieces of at least so many bytes wake their sender for sure.
const LARGE: u32 = 4096;

/// The longest piece of a message that is lent: nothing is staged, so larger is better, and the length fits its word.
const LENT_PIECE: usize = 1 << 30;

/// One message, to one peer or the same to several.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    /// Receivers, as bits.
    to: u64,
    data: &'a [u8],
    /// Bytes published.
    at: usize,
    done: bool,
    lent: Option<Location>,
}

impl<'a> Out<'a> {
    pub(crate) fn new(to: u64, data: &'a [u8]) -> Self {
        Self { to, data, at: 0, done: to == 0, lent: None }
    }
}

/// What takes in the messages of an operation.
pub(crate) trait Intake {
    /// Takes nothing from one peer before all have sent: messages must then go out one after the other, in group order.
    /// Else windows could fill up with pieces for ranks that wait for each other's.
    const ALL_AT_ONCE: bool;

    /// Takes what is there; whether there was anything.
    fn pull<M: Memory, R: Rules>(
        &mut self,
        lane: &mut LaneOf<M, R>,
        call: Call<'_>,
        read: &mut Read,
    ) -> Result<bool, CommError>;

    /// Peers whose messages are missing, as bits; 0 when all is there.
    fn missing(&self) -> u64;
}

/// Peers to whom acknowledgements went, as bits.
#[derive(Debug, Default)]
pub(crate) struct Read {
    small: u64,
    large: u64,
}

impl<M: Memory, R: Rules> LaneOf<M, R> {
    /// Runs one operation: publishes all of `outs` and fills `intake`.
    pub(crate) fn exchange(
        &mut self,
        call: Call<'_>,
        outs: &mut [Out<'_>],
        intake: &mut impl Intake,
    ) -> Result<(), CommError> {
        self.check_usable()?;
        if self.dirty & call.member.mask() != 0 {
            return Err(CommError::Poisoned { rank: self.me, lane: self.lane });
        }
        for out in outs.iter_mut().filter(|out| out.data.len() >= self.config.lend_bytes) {
            out.lent = self.memory.lendable(self.me, out.data);
        }
        let run = || self.run(call, outs, intake);
        let result = catch_unwind(AssertUnwindSafe(run));
        match &result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(call, error),
            // Unwinding frees buffers that peers may be reading.
            Err(_) => self.fail(call, &self.aborted(call, self.me, Cause::Asked)),
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn run<I: Intake>(
        &mut self,
        call: Call<'_>,
        outs: &mut [Out<'_>],
        intake: &mut I,
    ) -> Result<(), CommError> {
        let mut waiter = self.waiter();
        let (mut last_look, mut waited) = (None, false);
        loop {
            let mut progress = false;
            let mut told = 0;
            let mut sent = true;
            for out in outs.iter_mut() {
                progress |= self.push(call, out, &mut told);
                sent &= out.done;
                if I::ALL_AT_ONCE && !sent {
                    break;
                }
            }
            if told != 0 {
                wake::<M, R>(&self.memory, self.lane, told);
            }
            let mut read = Read::default();
            let pulled = intake.pull(self, call, &mut read);
            if read.large != 0 {
                wake::<M, R>(&self.memory, self.lane, read.large);
            }
            wake_without_fence(&*self.memory, self.lane, read.small & !read.large);
            progress |= pulled?;
            if sent && intake.missing() == 0 && self.unread(outs) == 0 {
                break;
            }
            if progress {
                waiter.progressed(&*self.memory);
                last_look = None;
            } else {
                let missing = |lane: &mut Self| {
                    intake.missing() | lane.unread(outs) | lane.unsent(outs, I::ALL_AT_ONCE)
                };
                waited |= self.pause(call, &mut waiter, missing, &mut last_look)?;
            }
        }
        waiter.progressed(&*self.memory);
        if waited {
            crate::graph::withdraw(&*self.memory, self.me, self.lane);
        }
        Ok(())
    }

    /// Publishes as much of a message as there is credit and room for; whether there was anything.
    fn push(&mut self, call: Call<'_>, out: &mut Out<'_>, told: &mut u64) -> bool {
        let mut progress = false;
        let tag = self.tag(call, out.data.len() as u64);
        while !out.done {
            let most = if out.lent.is_some() { LENT_PIECE } else { self.config.piece_bytes };
            let length = most.min(out.data.len() - out.at);
            let mut peers = out.to;
            while peers != 0 {
                let peer = peers.trailing_zeros() as usize;
                peers &= peers - 1;
                if !self.edges[peer].has_credit(&*self.memory) {
                    return progress;
                }
            }
            let Some(location) = self.place_piece(out, length) else { return progress };
            let (begin, lent) = (out.at as u64, out.lent.is_some());
            let message = Message { tag, location, length: length as u32, begin, lent };
            self.publish(out.to, &message);
            *told |= out.to;
            out.at += length;
            out.done = out.at == out.data.len();
            progress = true;
        }
        progress
    }

    /// Where the next piece of a message can be read, once it lies there; `None` while the window is full.
    fn place_piece(&mut self, out: &Out<'_>, length: usize) -> Option<Location> {
        match out.lent {
            Some(lent) => return Some(lent.after(out.at)),
            None if length == 0 => return Some(Location::Heap(0)),
            None => {}
        }
        let offset = self.window.room(&*self.memory, &mut self.edges, length)?;
        self.window.take(length);
        let piece = &out.data[out.at..out.at + length];
        // SAFETY: the lane is ours, and `room` gives only room inside the window whose readers have all acknowledged.
        Some(unsafe { self.memory.stage(self.me, self.lane, offset, piece) })
    }

    fn publish(&mut self, mut to: u64, message: &Message) {
        while to != 0 {
            let peer = to.trailing_zeros() as usize;
            to &= to - 1;
            let count = self.edges[peer].publish(&*self.memory, message);
            if !message.lent && message.length > 0 {
                self.window.hold(Rank(peer as u16), count);
            }
        }
    }

    /// Peers that have yet to read what was lent to them, as bits.
    fn unread(&mut self, outs: &[Out<'_>]) -> u64 {
        let mut unread = 0;
        for out in outs.iter().filter(|out| out.lent.is_some()) {
            for peer in crate::graph::ranks(out.to & !unread).iter() {
                let edge = &mut self.edges[peer.index()];
                if !edge.is_acknowledged(&*self.memory, edge.sent()) {
                    unread |= bit(*peer);
                }
            }
        }
        unread
    }

    /// Peers whose acknowledgement the next pieces wait for, as bits: the receivers' for want of credit, else that of whoever
    /// keeps the window full.
    fn unsent(&mut self, outs: &[Out<'_>], all_at_once: bool) -> u64 {
        let mut mask = 0;
        let most = if all_at_once { 1 } else { outs.len() };
        for out in outs.iter().filter(|out| !out.done).take(most) {
            let mut without_credit = 0;
            for peer in crate::graph::ranks(out.to).iter() {
                if !self.edges[peer.index()].has_credit(&*self.memory) {
                    without_credit |= bit(*peer);
                }
            }
            mask |= without_credit;
            if without_credit == 0 {
                let gone = self.gone();
                let blocker = self.window.blocker(&*self.memory, &mut self.edges, gone);
                mask |= blocker.map_or(0, bit);
            }
        }
        mask
    }

    /// The next piece from `peer` if it is there; it must be part of the message `mine`, and byte `at` in it.
    pub(crate) fn expect(
        &self,
        call: Call<'_>,
        peer: Rank,
        mine: Tag,
        at: usize,
    ) -> Result<Option<Message>, CommError> {
        let Some(message) = self.edges[peer.index()].poll(&*self.memory) else { return Ok(None) };
        let (at, end) = (at as u64, message.begin + u64::from(message.length));
        let fits = message.begin <= at && (at < end || at == mine.bytes) && end <= mine.bytes;
        if R::TAGS && !(message.tag == mine && fits) {
            return Err(self.mismatch(call, peer, mine, message.tag));
        }
        Ok(Some(message))
    }

    /// Shows `length` bytes of a piece, from byte `from` of it on, to `reader`.
    pub(crate) fn read(
        &mut self,
        call: Call<'_>,
        peer: Rank,
        message: &Message,
        (from, length): (usize, usize),
        reader: impl FnMut(&[u8]),
    ) -> Result<(), CommError> {
        debug_assert!(from + length <= message.length as usize);
        let edge = &self.edges[peer.index()];
        if message.lent {
            edge.set_reading(&*self.memory, true);
            self.memory.fence();
            if let Some(cause) = self.withdrawn(peer) {
                edge.set_reading(&*self.memory, false);
                return Err(self.aborted(call, peer, cause));
            }
        }
        let location = message.location.after(from);
        // SAFETY: the piece was published and is not yet acknowledged, so its bytes stay as they are; if they were lent, the
        // lender waits for the end of this reading even when it gives up, or they can be read all the same.
        unsafe { self.memory.read(peer, location, length, reader) };
        if message.lent {
            edge.set_reading(&*self.memory, false);
            // If it was not withdrawn until after the reading, the bytes were as they were lent.
            if self.memory.outlasts_lender()
                && let Some(cause) = self.withdrawn(peer)
            {
                return Err(self.aborted(call, peer, cause));
            }
        }
        Ok(())
    }

    /// Acknowledges a piece after its last reading: its slot and bytes are the sender's again.
    pub(crate) fn acknowledge(&mut self, peer: Rank, message: &Message, read: &mut Read) {
        self.edges[peer.index()].acknowledge(&*self.memory);
        if message.lent || message.length >= LARGE {
            read.large |= bit(peer);
        } else {
            read.small |= bit(peer);
        }
    }
}
