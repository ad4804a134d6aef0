//! The window in which one lane stages payloads: a ring of bytes, reused when their readers have acknowledged.
//!
//! Invariant: room that is handed out overlaps no bytes that a reader has yet to acknowledge.

use crate::edge::Edge;
use crate::layout::LINE;
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;
use flexdit_core::Rank;
use std::collections::VecDeque;

/// One reader of one staged piece.
#[derive(Clone, Copy, Debug)]
struct Reader {
    peer: Rank,
    count: u64,
    /// The ring is free up to here once this and all earlier readers have acknowledged.
    end: u64,
}

/// A lane's window. Positions grow for ever; the offset is the position modulo the size.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: u64,
    /// Everything before is free.
    tail: u64,
    /// Everything from here on is free.
    head: u64,
    readers: VecDeque<Reader>,
    /// Ranks that have left the world, as bits: they read no more.
    gone: u64,
}

/// Readers for whom there is memory from the start, at most.
const READERS: usize = 4096;

impl Window {
    /// A window of `bytes` bytes that `ranks` ranks may read.
    pub(crate) fn new(bytes: usize, ranks: usize) -> Self {
        // As many as can be: every line a piece that all read.
        let readers = VecDeque::with_capacity((bytes / LINE * ranks).min(READERS));
        Self { bytes: bytes as u64, tail: 0, head: 0, readers, gone: 0 }
    }

    /// The offset of `length` free bytes in a row, if there are. They stay free until [`hold`](Self::hold).
    pub(crate) fn room<M: Memory, R: Rules>(
        &mut self,
        memory: &M,
        edges: &mut [Edge<R>],
        length: usize,
    ) -> Option<u64> {
        self.collect(memory, edges);
        if self.readers.is_empty() {
            // The same lines again: they are in this core's cache.
            (self.tail, self.head) = (0, 0);
        }
        let length = (length.max(1) as u64).next_multiple_of(LINE as u64);
        let at = self.head % self.bytes;
        let skip = if at + length > self.bytes { self.bytes - at } else { 0 };
        if R::ROOM && self.head + skip + length - self.tail > self.bytes {
            return None;
        }
        self.head += skip;
        Some(self.head % self.bytes)
    }

    /// Takes the room just given.
    pub(crate) fn take(&mut self, length: usize) {
        self.head += (length.max(1) as u64).next_multiple_of(LINE as u64);
    }

    /// Keeps the room taken last until `peer` has acknowledged message `count`.
    pub(crate) fn hold(&mut self, peer: Rank, count: u64) {
        self.readers.push_back(Reader { peer, count, end: self.head });
    }

    fn collect<M: Memory, R: Rules>(&mut self, memory: &M, edges: &mut [Edge<R>]) {
        while let Some(first) = self.readers.front() {
            let is_gone = self.gone & bit(first.peer) != 0;
            if !is_gone && !edges[first.peer.index()].is_acknowledged(memory, first.count) {
                break;
            }
            let end = first.end;
            self.readers.pop_front();
            if self.readers.front().is_none_or(|next| next.end != end) {
                self.tail = end;
            }
        }
    }

    /// Ranks that have yet to acknowledge something, as bits.
    pub(crate) fn waiting_for<M: Memory, R: Rules>(
        &mut self,
        memory: &M,
        edges: &mut [Edge<R>],
    ) -> u64 {
        self.collect(memory, edges);
        self.readers.iter().fold(0, |mask, reader| mask | bit(reader.peer))
    }

    /// Frees what only ranks of `gone` (bits) could read, and returns the rank that room waits for.
    pub(crate) fn blocker<M: Memory, R: Rules>(
        &mut self,
        memory: &M,
        edges: &mut [Edge<R>],
        gone: u64,
    ) -> Option<Rank> {
        self.gone |= gone;
        self.collect(memory, edges);
        self.readers.front().map(|reader| reader.peer)
    }

    /// Frees everything. Only when nobody can read any more.
    pub(crate) fn clear(&mut self) {
        self.readers.clear();
        (self.tail, self.head) = (0, 0);
    }
}
