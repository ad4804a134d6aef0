//! [`Memory`] over plain mapped bytes: one base address per rank's heap. Threads and processes differ only in who made the
//! bytes and whether one rank's addresses mean anything to another.

use crate::config::WorldConfig;
use crate::layout::{Header, HeapLayout, MAGIC, VERSION};
use crate::memory::{Location, Memory, RankState, Signal, Word};
use crate::park;
use flexdit_core::Rank;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// The clock that time-outs are measured with.
pub(crate) fn clock() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "time-outs need the clock")]
    Instant::now()
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
}

/// The heaps of a world, as one process sees them.
pub(crate) struct Mapped {
    bases: Vec<*mut u8>,
    layout: HeapLayout,
    /// All ranks are threads of this process: any address is as good as an offset.
    one_process: bool,
    begun: Instant,
    /// The world ended; as this process knows.
    over: AtomicBool,
    /// Owns the bytes.
    _backing: Box<dyn Any + Send + Sync>,
}

// SAFETY: the pointers go to memory that lives as long as `_backing`; signals are atomics, and the data windows are only
// touched through `stage` and `read`, whose callers keep writers and readers apart.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapped({} heaps)", self.bases.len())
    }
}

impl Mapped {
    /// Heaps at `bases`, kept alive by `backing`.
    ///
    /// # Safety
    ///
    /// Each base is aligned to 64 bytes and begins `HeapLayout::total` bytes that are zeroed or were a heap of the same
    /// layout, live as long as `backing`, overlap no other heap and are used through this type alone.
    pub(crate) unsafe fn new(
        config: &WorldConfig,
        bases: Vec<*mut u8>,
        one_process: bool,
        backing: Box<dyn Any + Send + Sync>,
    ) -> Self {
        let layout = HeapLayout::new(config);
        let (begun, over) = (clock(), AtomicBool::new(false));
        Self { bases, layout, one_process, begun, over, _backing: backing }
    }

    /// Ends the world for this process: what waits on rank `at`'s lanes gives up, and nothing new begins.
    #[cfg(target_os = "linux")]
    pub(crate) fn end(&self, at: Rank, lanes: usize) {
        self.over.store(true, Ordering::Release);
        (0..lanes).for_each(|lane| self.ring(at, lane));
    }

    pub(crate) fn ranks(&self) -> usize {
        self.bases.len()
    }

    #[inline]
    fn word(&self, at: Rank, offset: usize) -> &AtomicU64 {
        let base = self.bases[at.index()];
        debug_assert!(offset.is_multiple_of(8) && offset + 8 <= self.layout.total());
        // SAFETY: by the contract of `new`, the heap has `total` bytes from an aligned base, and the layout keeps every
        // signal inside; offsets are multiples of 8; these bytes are only ever accessed as atomics.
        unsafe { &*base.add(offset).cast::<AtomicU64>() }
    }

    fn bell_word(&self, at: Rank, lane: usize) -> &AtomicU32 {
        let base = self.bases[at.index()];
        // SAFETY: as `word`; the bell has a line of its own and is only accessed as this atomic.
        unsafe { &*base.add(self.layout.bell(lane)).cast::<AtomicU32>() }
    }

    /// Fills the header of rank `at`'s heap. The state comes last, when the rank is ready.
    pub(crate) fn write_header(&self, at: Rank, config: &WorldConfig, process: u32) {
        let words = [
            (Header::Magic, MAGIC),
            (Header::Version, VERSION),
            (Header::Nonce, config.nonce),
            (Header::Config, config.hash()),
            (Header::Process, u64::from(process)),
        ];
        for (word, value) in words {
            self.word(at, HeapLayout::header(word)).store(value, Ordering::Release);
        }
    }

    /// First bytes of the heaps, by rank.
    #[cfg(target_os = "linux")]
    pub(crate) fn bases(&self) -> &[*mut u8] {
        &self.bases
    }

    /// Touches every page of rank `at`'s signals and windows, so that no operation pays for its first use.
    pub(crate) fn touch(&self, at: Rank) {
        let (end, _) = self.layout.arena();
        for offset in (0..end).step_by(4096) {
            self.word(at, offset).fetch_or(0, Ordering::Relaxed);
        }
    }

    /// A word of the header of rank `at`.
    pub(crate) fn header(&self, at: Rank, word: Header) -> u64 {
        self.word(at, HeapLayout::header(word)).load(Ordering::Acquire)
    }

    /// Says whether rank `at` takes part, and wakes everybody if it no longer does.
    pub(crate) fn set_state(&self, at: Rank, state: RankState, lanes: usize) {
        self.word(at, HeapLayout::header(Header::State)).store(state as u64, Ordering::Release);
        if matches!(state, RankState::Closed | RankState::Lost) {
            for rank in 0..self.ranks() {
                (0..lanes).for_each(|lane| self.ring(Rank(rank as u16), lane));
            }
        }
    }

    /// The arena of rank `at`: first byte and length.
    pub(crate) fn arena(&self, at: Rank) -> (*mut u8, usize) {
        let (offset, bytes) = self.layout.arena();
        // SAFETY: the layout keeps the arena inside the heap.
        (unsafe { self.bases[at.index()].add(offset) }, bytes)
    }

    #[inline]
    fn pointer(&self, at: Rank, location: Location) -> *const u8 {
        match location {
            // SAFETY: offsets are published by the owner and lie inside its heap.
            Location::Heap(offset) => unsafe { self.bases[at.index()].add(offset as usize) },
            Location::Address(address) => std::ptr::with_exposed_provenance(address as usize),
        }
    }
}

impl Memory for Mapped {
    type Word = AtomicU64;

    #[inline]
    fn signal(&self, at: Rank, lane: usize, signal: Signal) -> &AtomicU64 {
        self.word(at, self.layout.signal(lane, signal))
    }

    fn state(&self, at: Rank) -> RankState {
        match self.header(at, Header::State) {
            0 => RankState::Joining,
            1 => RankState::Alive,
            2 => RankState::Closed,
            _ => RankState::Lost,
        }
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    #[inline]
    fn outlasts_lender(&self) -> bool {
        !self.one_process
    }

    #[inline]
    unsafe fn stage(&self, at: Rank, lane: usize, offset: u64, data: &[u8]) -> Location {
        let offset = self.layout.window(lane) + offset as usize;
        debug_assert!(offset + data.len() <= self.layout.window(lane + 1));
        // SAFETY: by this function's contract the range lies inside the window of the caller's lane and nobody reads it.
        unsafe {
            let into = self.bases[at.index()].add(offset);
            std::ptr::copy_nonoverlapping(data.as_ptr(), into, data.len());
        }
        Location::Heap(offset as u64)
    }

    fn lendable(&self, at: Rank, data: &[u8]) -> Option<Location> {
        if self.one_process {
            return Some(Location::Address(data.as_ptr().expose_provenance() as u64));
        }
        let base = self.bases[at.index()].addr();
        let offset = data.as_ptr().addr().checked_sub(base)?;
        (offset + data.len() <= self.layout.total()).then_some(Location::Heap(offset as u64))
    }

    #[inline]
    unsafe fn read(
        &self,
        at: Rank,
        location: Location,
        length: usize,
        mut reader: impl FnMut(&[u8]),
    ) {
        if length > 0 {
            // SAFETY: by this function's contract the owner published this range and does not write it now; or it is
            // another process, which may, and any bytes are as good as others until the caller has made sure.
            reader(unsafe { std::slice::from_raw_parts(self.pointer(at, location), length) });
            if !self.one_process {
                fence(Ordering::Acquire);
            }
        }
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn spin(&self) {
        std::hint::spin_loop();
    }

    fn give_way(&self) {
        std::thread::yield_now();
    }

    fn bell(&self, at: Rank, lane: usize) -> u32 {
        self.bell_word(at, lane).load(Ordering::Acquire)
    }

    fn sleep(&self, at: Rank, lane: usize, seen: u32, most: Duration) {
        park::wait(self.bell_word(at, lane), seen, most, self.one_process);
    }

    fn ring(&self, at: Rank, lane: usize) {
        let bell = self.bell_word(at, lane);
        bell.fetch_add(1, Ordering::Release);
        park::wake(bell, self.one_process);
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}
