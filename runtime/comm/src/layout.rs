//! Where everything lies in a rank's heap: header, signals, windows, arena. The same on every rank, from the settings alone.

use crate::config::WorldConfig;
use crate::memory::{SLOT_WORDS, Signal};

/// Changes whenever the layout does; ranks with another version are refused.
pub(crate) const VERSION: u64 = 2;

/// The first word of every heap: `FLEXHEAP`.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"FLEXHEAP");

/// Bytes of a cache line. Words with different writers never share one.
pub(crate) const LINE: usize = 64;

const PAGE: usize = 4096;

/// Words of the header, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    Magic = 0,
    Version = 1,
    Nonce = 2,
    Config = 3,
    Process = 4,
    /// On a line of its own: others than the owner write it when the owner is lost.
    State = 8,
}

/// Offsets of a heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeapLayout {
    ranks: usize,
    depth: usize,
    lane_bytes: usize,
    window_bytes: usize,
    windows: usize,
    arena: usize,
    arena_bytes: usize,
    total: usize,
}

/// Lines of a lane before its edges: what the owner says, what it is asked, whether it sleeps, its bell.
const LANE_LINES: usize = 4;
/// Lines of an edge beside its slots: head and reading, reset.
const EDGE_LINES: usize = 2;

impl HeapLayout {
    pub(crate) fn new(config: &WorldConfig) -> Self {
        let edge = (config.depth + EDGE_LINES) * LINE;
        let lane_bytes = LANE_LINES * LINE + config.ranks * edge;
        let header = 2 * LINE;
        let windows = (header + config.lanes * lane_bytes).next_multiple_of(PAGE);
        let arena = (windows + config.lanes * config.window_bytes).next_multiple_of(PAGE);
        Self {
            ranks: config.ranks,
            depth: config.depth,
            lane_bytes,
            window_bytes: config.window_bytes,
            windows,
            arena,
            arena_bytes: config.arena_bytes,
            total: (arena + config.arena_bytes).next_multiple_of(PAGE),
        }
    }

    /// Bytes of a heap; a multiple of the page.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn header(word: Header) -> usize {
        word as usize * 8
    }

    fn lane(&self, lane: usize) -> usize {
        2 * LINE + lane * self.lane_bytes
    }

    fn edge(&self, lane: usize, peer: usize) -> usize {
        debug_assert!(peer < self.ranks);
        self.lane(lane) + LANE_LINES * LINE + peer * (self.depth + EDGE_LINES) * LINE
    }

    /// Offset of a signal. Slots come first in an edge, then heads, then the record of a reset.
    #[inline]
    pub(crate) fn signal(&self, lane: usize, signal: Signal) -> usize {
        match signal {
            Signal::Poison => self.lane(lane),
            Signal::Waits { word } => self.lane(lane) + 8 + word * 8,
            Signal::Asked => self.lane(lane) + LINE,
            Signal::Asleep => self.lane(lane) + 2 * LINE,
            Signal::Slot { source, k, word } => {
                debug_assert!(k < self.depth && word < SLOT_WORDS);
                self.edge(lane, source.index()) + k * LINE + word * 8
            }
            Signal::Head { destination } => {
                self.edge(lane, destination.index()) + self.depth * LINE
            }
            Signal::Reading { destination } => {
                self.edge(lane, destination.index()) + self.depth * LINE + 8
            }
            Signal::Reset { source, word } => {
                self.edge(lane, source.index()) + (self.depth + 1) * LINE + word * 8
            }
        }
    }

    /// Offset of a lane's bell.
    pub(crate) fn bell(&self, lane: usize) -> usize {
        self.lane(lane) + 3 * LINE
    }

    /// Offset of a lane's window.
    pub(crate) fn window(&self, lane: usize) -> usize {
        self.windows + lane * self.window_bytes
    }

    /// Offset and bytes of the arena.
    pub(crate) fn arena(&self) -> (usize, usize) {
        (self.arena, self.arena_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::Rank;
    use std::collections::BTreeMap;

    #[test]
    fn signals_do_not_overlap_and_writers_do_not_share_lines() {
        let config = WorldConfig { ranks: 3, lanes: 2, depth: 2, ..WorldConfig::new(3) };
        let layout = HeapLayout::new(&config);
        // Line to writer: 100 is the owner, 101 anybody.
        let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
        let mut words = Vec::new();
        for lane in 0..2 {
            let mut place = |signal, writer| {
                let offset = layout.signal(lane, signal);
                assert_eq!(*lines.entry(offset / LINE).or_insert(writer), writer, "{signal:?}");
                words.push(offset);
            };
            place(Signal::Poison, 100);
            place(Signal::Asked, 101);
            (0..4).for_each(|word| place(Signal::Waits { word }, 100));
            place(Signal::Asleep, 100);
            for peer in 0..3 {
                let (source, destination) = (Rank(peer), Rank(peer));
                let writer = usize::from(peer);
                for k in 0..2 {
                    let slot = |word| Signal::Slot { source, k, word };
                    (0..SLOT_WORDS).for_each(|word| place(slot(word), writer));
                }
                place(Signal::Head { destination }, writer);
                place(Signal::Reading { destination }, writer);
                (0..4).for_each(|word| place(Signal::Reset { source, word }, writer));
            }
            words.push(layout.bell(lane));
        }
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        assert!(words.last().expect("words") + 8 <= layout.window(0));
        assert_eq!(layout.window(1) + config.window_bytes, layout.arena().0);
    }
}
