//! What the protocol needs of memory that ranks share, and of waiting.
//!
//! The protocol is written once, over [`Memory`]: mapped memory carries it out, and the model checker's memory proves it.
//! Signals lie where they are waited for: whatever rank r waits for is written to r's own heap.

use flexdit_core::Rank;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A 64-bit atomic of shared memory.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
}

/// Words of a message's descriptor; one cache line.
pub(crate) const SLOT_WORDS: usize = 8;

/// A place in the signal window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Word `word` of the `k`-th message slot for messages from `source`; written by `source` alone.
    Slot { source: Rank, k: usize, word: usize },
    /// How many of the owner's messages `destination` has consumed; written by `destination` alone.
    Head { destination: Rank },
    /// Not 0 while `destination` reads memory that the owner lent; written by `destination` alone.
    Reading { destination: Rank },
    /// Word of the record with which `source` agrees a reset; written by `source` alone.
    Reset { source: Rank, word: usize },
    /// Why the owner's lane failed, 0 if it did not; written by the owner alone.
    Poison,
    /// Not 0 if somebody asks the owner to give up; written by anybody.
    Asked,
    /// What the owner waits in; written by the owner alone: task, operation, missing ranks (0 if it does not wait),
    /// broadcast whose root it waits for.
    Waits { word: usize },
    /// Not 0 while the owner is about to sleep or asleep; written by the owner alone.
    Asleep,
}

/// Where a rank's data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Offset in the rank's heap.
    Heap(u64),
    /// Address in the one process that all ranks share.
    Address(u64),
}

impl Location {
    /// The place so many bytes further on.
    pub(crate) fn after(self, bytes: usize) -> Self {
        match self {
            Self::Heap(offset) => Self::Heap(offset + bytes as u64),
            Self::Address(address) => Self::Address(address + bytes as u64),
        }
    }
}

/// Whether a rank takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum RankState {
    Joining = 0,
    Alive = 1,
    Closed = 2,
    Lost = 3,
}

/// Memory that all ranks of a world see.
pub(crate) trait Memory {
    type Word: Word;

    /// A signal of lane `lane` in the heap of rank `at`.
    fn signal(&self, at: Rank, lane: usize, signal: Signal) -> &Self::Word;

    /// Whether rank `at` takes part.
    fn state(&self, at: Rank) -> RankState;

    /// Whether the world ended under its ranks, as when the process that launched it is gone.
    #[inline]
    fn is_over(&self) -> bool {
        false
    }

    /// Whether what is lent can be read whatever becomes of its lender, though not with the bytes that it had. Then a reader
    /// makes sure after reading that it was not withdrawn meanwhile.
    #[inline]
    fn outlasts_lender(&self) -> bool {
        false
    }

    /// Copies `data` to offset `offset` of the window of the caller's lane.
    ///
    /// # Safety
    ///
    /// The lane is rank `at`'s and the caller's, the range lies inside its window, and nobody reads it.
    unsafe fn stage(&self, at: Rank, lane: usize, offset: u64, data: &[u8]) -> Location;

    /// Where peers can read `data`, if they can.
    fn lendable(&self, at: Rank, data: &[u8]) -> Option<Location>;

    /// Shows the bytes at `location` of rank `at` to `reader`; all of it before what the caller reads next.
    ///
    /// # Safety
    ///
    /// `at` published the location and length, and waits with writing there until the caller acknowledges; or the bytes
    /// [outlast](Self::outlasts_lender) that and the caller trusts them only once it has made sure.
    unsafe fn read(&self, at: Rank, location: Location, length: usize, reader: impl FnMut(&[u8]));

    /// A full fence.
    fn fence(&self);

    /// One poll's pause without giving up the core.
    fn spin(&self);

    /// Gives up the core.
    fn give_way(&self);

    /// The number that [`sleep`](Self::sleep) compares.
    fn bell(&self, at: Rank, lane: usize) -> u32;

    /// Sleeps until the bell of lane `lane` of rank `at` is rung, unless it was since it read `seen`; at most `most`.
    fn sleep(&self, at: Rank, lane: usize, seen: u32, most: Duration);

    /// Wakes the sleeper of lane `lane` of rank `at`.
    fn ring(&self, at: Rank, lane: usize);

    /// Time since some fixed moment.
    fn now(&self) -> Duration;
}
