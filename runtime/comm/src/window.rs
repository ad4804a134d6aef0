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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WorldConfig;
    use crate::mapped::Mapped;
    use crate::memory::Signal;
    use crate::rules::Sound;
    use crate::transport::thread;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::sync::atomic::Ordering;

    const RANKS: usize = 4;
    const LINES: u64 = 6;

    /// What happens to a window.
    #[derive(Clone, Debug)]
    enum Step {
        /// A piece of so many bytes for some readers (bits).
        Stage(usize, u64),
        /// A reader acknowledges its oldest message.
        Read(usize),
        /// A reader leaves the world.
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let stage =
            (0_usize..200, 1_u64..1 << RANKS).prop_map(|(bytes, to)| Step::Stage(bytes, to));
        let read = (0..RANKS).prop_map(Step::Read);
        let leave = (0..RANKS).prop_map(Step::Leave);
        prop::collection::vec(prop_oneof![6 => stage, 8 => read, 1 => leave], 0..120)
    }

    /// The window, its edges, and beside them what is known of every piece that somebody has yet to read.
    struct Model {
        memory: Mapped,
        edges: Vec<Edge<Sound>>,
        window: Window,
        sent: [u64; RANKS],
        read: [u64; RANKS],
        gone: u64,
        pieces: Vec<Piece>,
    }

    struct Piece {
        at: u64,
        length: u64,
        /// Readers, and the count that each must acknowledge.
        readers: Vec<(usize, u64)>,
    }

    impl Model {
        fn new() -> Self {
            let memory = thread::memory(&WorldConfig::new(RANKS)).expect("a world");
            let edge = |peer| Edge::new(Rank(0), Rank(peer), 0, 4, 0);
            Self {
                memory,
                edges: (0..RANKS as u16).map(edge).collect(),
                window: Window::new(LINES as usize * LINE, RANKS),
                sent: [0; RANKS],
                read: [0; RANKS],
                gone: 0,
                pieces: Vec::new(),
            }
        }

        fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
            match *step {
                Step::Stage(bytes, to) => self.stage(bytes, to)?,
                Step::Read(peer) if self.read[peer] < self.sent[peer] => {
                    self.read[peer] += 1;
                    let head = Signal::Head { destination: Rank(peer as u16) };
                    let word = self.memory.signal(Rank(0), 0, head);
                    word.store(self.read[peer], Ordering::Release);
                }
                Step::Read(_) => {}
                Step::Leave(peer) => self.gone |= 1 << peer,
            }
            let (read, gone) = (self.read, self.gone);
            self.pieces.retain(|Piece { readers, .. }| {
                readers.iter().any(|(peer, count)| gone >> peer & 1 == 0 && read[*peer] < *count)
            });
            Ok(())
        }

        fn stage(&mut self, bytes: usize, to: u64) -> Result<(), TestCaseError> {
            self.window.blocker(&self.memory, &mut self.edges, self.gone);
            let Some(at) = self.window.room::<_, Sound>(&self.memory, &mut self.edges, bytes)
            else {
                prop_assert!(!self.pieces.is_empty(), "no room in an empty window");
                return Ok(());
            };
            self.window.take(bytes);
            let length = bytes.max(1) as u64;
            prop_assert!(at + length <= LINES * LINE as u64 && at.is_multiple_of(LINE as u64));
            for other in &self.pieces {
                let apart = at + length <= other.at || other.at + other.length <= at;
                prop_assert!(apart, "{at} is still read");
            }
            let mut readers = Vec::new();
            for peer in (0..RANKS).filter(|peer| to >> peer & 1 != 0) {
                self.sent[peer] += 1;
                self.window.hold(Rank(peer as u16), self.sent[peer]);
                readers.push((peer, self.sent[peer]));
            }
            self.pieces.push(Piece { at, length, readers });
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::with_cases(400)
        })]
        #[test]
        fn room_that_is_given_is_read_by_nobody_and_all_of_it_comes_back(steps in steps()) {
            let mut model = Model::new();
            for step in &steps {
                model.run(step)?;
            }
            for peer in 0..RANKS {
                while model.read[peer] < model.sent[peer] {
                    model.run(&Step::Read(peer))?;
                }
            }
            prop_assert_eq!(model.window.waiting_for(&model.memory, &mut model.edges), 0);
            model.stage(LINES as usize * LINE, 1)?;
            prop_assert_eq!(model.pieces.len(), 1, "the whole window is free");
        }
    }
}
