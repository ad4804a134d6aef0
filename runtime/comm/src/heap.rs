//! Tensors that live in a rank's heap: peers in other processes read them where they lie.
//!
//! Invariant: buffers do not overlap, and their room is given back when they are dropped.

use crate::error::CommError;
use crate::layout::LINE;
use crate::mapped::Mapped;
use flexdit_core::Rank;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Free room of an arena: offset to length, neighbours merged.
#[derive(Debug)]
struct Free(BTreeMap<usize, usize>);

impl Free {
    /// Takes the first room that is large enough.
    fn take(&mut self, bytes: usize) -> Option<usize> {
        let (&offset, &length) = self.0.iter().find(|(_, length)| **length >= bytes)?;
        self.0.remove(&offset);
        if length > bytes {
            self.0.insert(offset + bytes, length - bytes);
        }
        Some(offset)
    }

    fn give(&mut self, mut offset: usize, mut length: usize) {
        if let Some((&before, &room)) = self.0.range(..offset).next_back()
            && before + room == offset
        {
            self.0.remove(&before);
            (offset, length) = (before, length + room);
        }
        if let Some(room) = self.0.remove(&(offset + length)) {
            length += room;
        }
        self.0.insert(offset, length);
    }
}

/// The part of a rank's heap from which tensors are allocated.
#[derive(Clone, Debug)]
pub(crate) struct Arena {
    memory: Arc<Mapped>,
    rank: Rank,
    free: Arc<Mutex<Free>>,
}

impl Arena {
    pub(crate) fn new(memory: Arc<Mapped>, rank: Rank) -> Self {
        let (_, bytes) = memory.arena(rank);
        let room = (bytes > 0).then_some((0, bytes));
        Self { memory, rank, free: Arc::new(Mutex::new(Free(room.into_iter().collect()))) }
    }

    pub(crate) fn allocate(&self, bytes: usize) -> Result<HeapBuffer, CommError> {
        let room = bytes.max(1).next_multiple_of(LINE);
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).take(room);
        let offset = taken.ok_or_else(|| {
            let (rank, whole) = (self.rank, self.memory.arena(self.rank).1);
            CommError::BadWorld(format!(
                "{rank}: no {bytes} bytes in a row are free in its arena of {whole} bytes"
            ))
        })?;
        let mut buffer = HeapBuffer { arena: self.clone(), offset, bytes, room };
        buffer.fill(0);
        Ok(buffer)
    }
}

/// Bytes in a rank's heap, aligned to 64. An ordinary slice that peers can read where it lies.
#[derive(Debug)]
pub struct HeapBuffer {
    arena: Arena,
    offset: usize,
    bytes: usize,
    room: usize,
}

impl HeapBuffer {
    fn pointer(&self) -> *mut u8 {
        let (base, _) = self.arena.memory.arena(self.arena.rank);
        // SAFETY: `Free` hands out offsets inside the arena.
        unsafe { base.add(self.offset) }
    }
}

impl Deref for HeapBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is this buffer's alone, was zeroed, and lives as long as the mapping that `arena` holds. Peers only
        // read it, while an operation of this rank borrows it.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.bytes) }
    }
}

impl DerefMut for HeapBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; an operation that lends the buffer holds a borrow until no peer reads it.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.bytes) }
    }
}

impl Drop for HeapBuffer {
    fn drop(&mut self) {
        self.arena.free.lock().unwrap_or_else(PoisonError::into_inner).give(self.offset, self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    #[test]
    fn room_that_was_given_back_is_whole_again() {
        let mut free = Free([(0, 256)].into());
        let parts = [free.take(64), free.take(64), free.take(128)];
        assert_eq!(parts, [Some(0), Some(64), Some(128)]);
        assert_eq!(free.take(1), None);
        free.give(0, 64);
        free.give(128, 128);
        assert_eq!(free.take(192), None);
        free.give(64, 64);
        assert_eq!(free.0, [(0, 256)].into());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(4),
            ..ProptestConfig::with_cases(400)
        })]
        #[test]
        fn rooms_never_overlap_and_all_come_back(
            steps in prop::collection::vec(
                (any::<bool>(), 1_usize..20, any::<prop::sample::Index>()),
                0..100,
            ),
        ) {
            let mut free = Free([(0, 64)].into());
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for (takes, bytes, which) in steps {
                if takes {
                    let Some(at) = free.take(bytes) else { continue };
                    prop_assert!(at + bytes <= 64);
                    for (other, length) in &taken {
                        prop_assert!(at + bytes <= *other || other + length <= at);
                    }
                    taken.push((at, bytes));
                } else if !taken.is_empty() {
                    let (at, bytes) = taken.swap_remove(which.index(taken.len()));
                    free.give(at, bytes);
                }
            }
            for (at, bytes) in taken {
                free.give(at, bytes);
            }
            prop_assert_eq!(free.0, [(0, 64)].into());
        }
    }
}
