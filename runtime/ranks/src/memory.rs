//! A rank's memory for artifacts: counted buffers, and a bounded pool of freed ones.
//!
//! Fresh memory costs a page fault per page, which for a migration is as much as the copy; so freed buffers are kept and
//! used again. Invariant: `current` is the sum of the buffers that live; it never passes the limit.

use bytemuck::Pod;
use flexdit_core::{Bytes, Rank};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Freed buffers kept for use again.
const POOLED: usize = 8;

/// A rank's limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rank}: {wanted} more do not fit beside {current} within {limit}")]
pub struct OutOfMemory {
    /// The rank.
    pub rank: Rank,
    /// Bytes asked for.
    pub wanted: Bytes,
    /// Bytes in use.
    pub current: Bytes,
    /// The limit.
    pub limit: Bytes,
}

/// One rank's account of artifact memory.
#[derive(Debug)]
pub struct RankMemory {
    rank: Rank,
    limit: u64,
    current: AtomicU64,
    peak: AtomicU64,
    pool: Mutex<Vec<Vec<u32>>>,
}

impl RankMemory {
    /// An empty account; `limit` bounds what lives at one time.
    pub fn new(rank: Rank, limit: Option<Bytes>) -> Arc<Self> {
        let limit = limit.map_or(u64::MAX, |limit| limit.0);
        let (current, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { rank, limit, current, peak, pool: Mutex::new(Vec::new()) })
    }

    /// Bytes of buffers that live.
    pub fn current(&self) -> Bytes {
        Bytes(self.current.load(Ordering::Relaxed))
    }

    /// The most bytes that lived at one time.
    pub fn peak(&self) -> Bytes {
        Bytes(self.peak.load(Ordering::Relaxed))
    }

    /// A buffer of zeros.
    ///
    /// # Errors
    /// [`OutOfMemory`] if it does not fit.
    pub fn zeroed(self: &Arc<Self>, bytes: usize) -> Result<Buffer, OutOfMemory> {
        let mut builder = self.builder(bytes)?;
        builder.buffer.words.resize(bytes.div_ceil(4), 0);
        Ok(builder.buffer)
    }

    /// A buffer that is filled front to back, without being cleared first.
    ///
    /// # Errors
    /// [`OutOfMemory`] if it does not fit.
    pub fn builder(self: &Arc<Self>, bytes: usize) -> Result<Builder, OutOfMemory> {
        let wanted = bytes as u64;
        let add = |current: u64| current.checked_add(wanted).filter(|sum| *sum <= self.limit);
        let before = self.current.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        let before = before.map_err(|current| OutOfMemory {
            rank: self.rank,
            wanted: Bytes(wanted),
            current: Bytes(current),
            limit: Bytes(self.limit),
        })?;
        self.peak.fetch_max(before + wanted, Ordering::Relaxed);
        let words = self.reuse(bytes.div_ceil(4));
        Ok(Builder { buffer: Buffer { words, bytes, memory: Arc::clone(self) } })
    }

    /// An empty vector with room for so many words: the oldest pooled one that is not much too large, or a new one.
    ///
    /// Not the one freed last, though caches hold it: another rank may have read it just now, and in half of the runs of
    /// `examples/overhead` pulls of 10 MiB into such buffers took twice as long.
    fn reuse(&self, words: usize) -> Vec<u32> {
        let fits = |spare: &Vec<u32>| (words..=2 * words).contains(&spare.capacity());
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        match pool.iter().position(fits) {
            // What stays keeps its order, by age.
            Some(at) => pool.remove(at),
            None => {
                drop(pool);
                Vec::with_capacity(words)
            }
        }
    }

    fn give(&self, mut words: Vec<u32>) {
        if words.capacity() == 0 {
            return;
        }
        words.clear();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() == POOLED {
            // The oldest goes: sizes that are no longer used leave the pool.
            pool.remove(0);
        }
        pool.push(words);
    }
}

/// Bytes of an artifact on one rank, aligned to 4. Immutable once published.
#[derive(Debug)]
pub struct Buffer {
    words: Vec<u32>,
    bytes: usize,
    memory: Arc<RankMemory>,
}

impl Buffer {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }

    /// The bytes, to be written.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }

    /// The bytes as elements.
    ///
    /// # Panics
    /// If they are not a whole number of elements, or elements need more than 4-byte alignment.
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.as_bytes())
    }

    /// The bytes as elements, to be written.
    ///
    /// # Panics
    /// As [`Buffer::as_slice`].
    pub fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.as_bytes_mut())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.memory.current.fetch_sub(self.bytes as u64, Ordering::Relaxed);
        self.memory.give(std::mem::take(&mut self.words));
    }
}

/// A buffer being filled.
#[derive(Debug)]
pub struct Builder {
    buffer: Buffer,
}

impl Builder {
    /// Appends a whole number of words.
    ///
    /// # Panics
    /// If `bytes` is no whole number of words, or not aligned to 4.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.words.extend_from_slice(bytemuck::cast_slice(bytes));
    }

    /// Appends all of another buffer as the whole of this one.
    pub(crate) fn copy(mut self, other: &Buffer) -> Buffer {
        self.buffer.words.extend_from_slice(&other.words);
        self.finish()
    }

    /// The buffer.
    ///
    /// # Panics
    /// If more or less was pushed than was asked for.
    pub fn finish(self) -> Buffer {
        let Self { buffer } = self;
        assert_eq!(buffer.words.len(), buffer.bytes.div_ceil(4), "words of a built buffer");
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_while_they_live_and_memory_is_used_again() {
        let memory = RankMemory::new(Rank(2), Some(Bytes(100)));
        let first = memory.zeroed(61).expect("fits");
        assert_eq!(memory.current(), Bytes(61));
        let refused = memory.zeroed(40).expect_err("too much");
        assert_eq!(refused.to_string(), "rank 2: 40 B more do not fit beside 61 B within 100 B");
        let address = first.as_bytes().as_ptr();
        drop(first);
        assert_eq!(memory.current(), Bytes(0));
        let second = memory.zeroed(48).expect("fits");
        assert_eq!(second.as_bytes().as_ptr(), address);
        assert_eq!((memory.current(), memory.peak()), (Bytes(48), Bytes(61)));
    }

    #[test]
    fn the_pool_keeps_the_order_in_which_buffers_were_freed() {
        let memory = RankMemory::new(Rank(0), None);
        let place = |buffer: &Buffer| buffer.as_bytes().as_ptr();
        let make = |bytes: usize| memory.zeroed(bytes).expect("no limit");
        let buffers: Vec<Buffer> = (0..=POOLED).map(|_| make(64)).collect();
        let places: Vec<*const u8> = buffers.iter().map(place).collect();
        // The first one has to go when the last one comes.
        buffers.into_iter().for_each(drop);
        let mut again: Vec<Buffer> = (0..POOLED).map(|_| make(64)).collect();
        assert_eq!(again.iter().map(place).collect::<Vec<_>>(), places[1..]);
        // A small one that comes and goes does not change the order of the others.
        drop(make(8));
        again.truncate(1);
        drop(make(8));
        let last: Vec<Buffer> = (1..POOLED).map(|_| make(64)).collect();
        assert_eq!(last.iter().map(place).collect::<Vec<_>>(), places[2..]);
    }

    #[test]
    fn a_built_buffer_is_what_was_pushed() {
        let memory = RankMemory::new(Rank(0), None);
        let mut builder = memory.builder(8).expect("fits");
        builder.push(bytemuck::cast_slice(&[1_u32]));
        builder.push(bytemuck::cast_slice(&[7_u32]));
        let buffer = builder.finish();
        assert_eq!(buffer.as_slice::<u32>(), [1, 7]);
        let copy = memory.builder(8).expect("fits").copy(&buffer);
        assert_eq!(copy.as_bytes(), buffer.as_bytes());
    }
}
