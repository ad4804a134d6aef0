//! [`Memory`] of a model: signals are the checker's atomics, windows and lent buffers its watched cells.
//!
//! A slot's descriptor is plain data here, though the real one is made of relaxed atomics: the models prove that the label
//! alone orders it. What only diagnosis reads is invisible to the checker.

use super::kit::Kit;
use crate::config::WorldConfig;
use crate::layout::{HeapLayout, LINE};
use crate::membership::bit;
use crate::memory::{Location, Memory, RankState, Signal, Word};
use flexdit_core::Rank;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes that the checker watches as one: a line, which is a piece in most models.
pub(super) const PIECE: usize = LINE;

/// An address is the number of a loan and, in so many bits below it, the place in it.
const LOAN_BITS: u32 = 16;

/// What a model looks at. Whatever cannot matter is left out: every atomic that two ranks touch multiplies the work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope {
    /// Poison, requests to give up, and who is there.
    pub failures: bool,
    /// Records of resets.
    pub resets: bool,
    /// Sleeping ranks and their bells.
    pub sleep: bool,
    /// An acknowledgement ends its reader's sleep even if nobody rings, as the end of a nap would; else only a bell ends a
    /// sleep, and a lost wake-up is a dead-lock.
    pub naps: bool,
    /// Payloads are lent, not staged.
    pub lend: bool,
    /// Anything can be lent, and must not be read when its owner's operation has ended.
    pub loans: bool,
    /// What is lent can be read whatever becomes of the lender, as between processes.
    pub outlasts: bool,
    /// Fences do nothing.
    pub no_fences: bool,
    /// Ranks that nobody may touch, as bits.
    pub forbidden: u64,
}

/// A word of the signal window.
pub(super) enum ModelWord<K: Kit> {
    Signal(K::Atomic),
    /// A signal that ends a nap.
    Ends(K::Atomic, Arc<Alarm<K>>),
    Data(K::Cell<u64>),
    /// What the model leaves out.
    Unseen(AtomicU64),
}

impl<K: Kit> Word for ModelWord<K> {
    fn load(&self, order: Ordering) -> u64 {
        match self {
            Self::Signal(atomic) | Self::Ends(atomic, _) => K::load(atomic, order),
            Self::Data(cell) => K::get(cell),
            Self::Unseen(word) => word.load(Ordering::Relaxed),
        }
    }

    fn store(&self, value: u64, order: Ordering) {
        match self {
            Self::Signal(atomic) => K::store(atomic, value, order),
            Self::Ends(atomic, alarm) => {
                K::store(atomic, value, order);
                alarm.ring();
            }
            Self::Data(cell) => K::set(cell, value),
            Self::Unseen(word) => word.store(value, Ordering::Relaxed),
        }
    }
}

/// What a rank sleeps in: a number that changes, and the sleep itself.
pub(super) struct Alarm<K: Kit> {
    bell: K::Atomic,
    bed: K::Bed,
}

impl<K: Kit> Alarm<K> {
    fn ring(&self) {
        K::add(&self.bell, 1, Ordering::Release);
        K::rouse(&self.bed);
    }
}

/// A buffer of equal bytes.
enum Buffer<K: Kit> {
    /// Whoever reads it while it is written fails the model.
    Plain(K::Cell<u8>),
    /// Whoever reads it while it is written gets either.
    Torn(K::Atomic),
}

impl<K: Kit> Buffer<K> {
    fn get(&self) -> u8 {
        match self {
            Self::Plain(cell) => K::get(cell),
            Self::Torn(byte) => K::load(byte, Ordering::Relaxed) as u8,
        }
    }

    fn set(&self, value: u8) {
        match self {
            Self::Plain(cell) => K::set(cell, value),
            Self::Torn(byte) => K::store(byte, value.into(), Ordering::Relaxed),
        }
    }
}

/// A rank's heap, and the one buffer it may lend.
struct Heap<K: Kit> {
    words: Vec<ModelWord<K>>,
    window: Vec<K::Cell<[u8; PIECE]>>,
    buffer: Buffer<K>,
    /// What is lent, with `Scope::loans`; `None` when its operation has ended.
    loans: Mutex<Vec<Option<Vec<u8>>>>,
    state: ModelWord<K>,
    alarm: Option<Arc<Alarm<K>>>,
}

impl<K: Kit> Heap<K> {
    fn new(layout: &HeapLayout, config: &WorldConfig, scope: Scope, base: u64, at: Rank) -> Self {
        let unseen = |value| ModelWord::Unseen(AtomicU64::new(value));
        let signal = |value| ModelWord::Signal(K::atomic(value));
        let seen = |seen, value| if seen { signal(value) } else { unseen(value) };
        let alarm = || Arc::new(Alarm { bell: K::atomic(0), bed: K::bed() });
        let alarm = scope.sleep.then(alarm);
        let mut words: Vec<ModelWord<K>> = Vec::new();
        words.resize_with(layout.window(0) / 8, || unseen(0));
        let mut put = |signal, word| words[layout.signal(0, signal) / 8] = word;
        put(Signal::Poison, seen(scope.failures, 0));
        put(Signal::Asked, seen(scope.failures, 0));
        put(Signal::Asleep, seen(scope.sleep, 0));
        for peer in (0..config.ranks as u16).map(Rank).filter(|peer| *peer != at) {
            let (source, destination) = (peer, peer);
            for k in 0..config.depth {
                put(Signal::Slot { source, k, word: 0 }, signal(base));
                put(Signal::Slot { source, k, word: 1 }, ModelWord::Data(K::cell(0)));
            }
            let head = match &alarm {
                Some(alarm) if scope.naps => ModelWord::Ends(K::atomic(base), Arc::clone(alarm)),
                _ => signal(base),
            };
            put(Signal::Head { destination }, head);
            put(Signal::Reading { destination }, seen(scope.lend || scope.loans, 0));
            for word in 0..4 {
                put(Signal::Reset { source, word }, seen(scope.resets, 0));
            }
        }
        let pieces = config.window_bytes / PIECE;
        let plain = || Buffer::Plain(K::cell(0));
        let buffer = if scope.outlasts { Buffer::Torn(K::atomic(0)) } else { plain() };
        Self {
            words,
            window: (0..pieces).map(|_| K::cell([0; PIECE])).collect(),
            buffer,
            loans: Mutex::default(),
            state: seen(scope.failures, RankState::Alive as u64),
            alarm,
        }
    }
}

/// The memory of a world, as one rank sees it.
pub(super) struct ModelMemory<K: Kit> {
    layout: HeapLayout,
    scope: Scope,
    heaps: Arc<[Heap<K>]>,
    /// Time runs for this rank: every look at the clock is a second later.
    hurries: AtomicBool,
    looks: AtomicU64,
}

impl<K: Kit> ModelMemory<K> {
    /// Every rank's view of memory in which the last of all counts so far was `base`.
    pub(super) fn of_all(config: &WorldConfig, scope: Scope, base: u64) -> Vec<Arc<Self>> {
        let layout = HeapLayout::new(config);
        let heap = |at| Heap::new(&layout, config, scope, base, Rank(at as u16));
        let heaps: Arc<[Heap<K>]> = (0..config.ranks).map(heap).collect();
        let view = |_| {
            let (hurries, looks) = (AtomicBool::new(false), AtomicU64::new(0));
            Arc::new(Self { layout, scope, heaps: Arc::clone(&heaps), hurries, looks })
        };
        (0..config.ranks).map(view).collect()
    }

    /// Whether this rank's waits end in a time-out after their second look.
    pub(super) fn hurry(&self, hurries: bool) {
        self.hurries.store(hurries, Ordering::Relaxed);
    }

    /// Whether a message, an acknowledgement or a record concerns only ranks that may be touched.
    fn is_allowed(&self, at: Rank, signal: Signal) -> bool {
        let peer = match signal {
            Signal::Slot { source, .. } | Signal::Reset { source, .. } => source,
            Signal::Head { destination } | Signal::Reading { destination } => destination,
            Signal::Poison | Signal::Asked | Signal::Waits { .. } | Signal::Asleep => at,
        };
        (bit(at) | bit(peer)) & self.scope.forbidden == 0
    }

    /// Fills the buffer that rank `at` may lend, as its owner does before and after an operation.
    pub(super) fn fill(&self, at: Rank, value: u8) {
        self.heaps[at.index()].buffer.set(value);
    }

    /// Ends what rank `at` had lent, as the end of its operation does.
    pub(super) fn end_loans(&self, at: Rank) {
        let mut loans = self.heaps[at.index()].loans.lock().expect("one thread at a time");
        loans.iter_mut().for_each(|loan| *loan = None);
    }

    /// Reads that buffer from outside of all operations, as nobody should without a barrier.
    pub(super) fn peek(&self, at: Rank) -> u8 {
        self.heaps[at.index()].buffer.get()
    }

    /// As dropping a rank's endpoint does.
    pub(super) fn leave(&self, at: Rank, state: RankState) {
        self.heaps[at.index()].state.store(state as u64, Ordering::Release);
        (0..self.heaps.len()).for_each(|rank| self.ring(Rank(rank as u16), 0));
    }

    /// As [`Aborter::abort`](crate::Aborter::abort) does.
    pub(super) fn abort(&self, at: Rank) {
        self.signal(at, 0, Signal::Asked).store(1, Ordering::Release);
        self.fence();
        self.ring(at, 0);
    }
}

impl<K: Kit> Memory for ModelMemory<K> {
    type Word = ModelWord<K>;

    fn signal(&self, at: Rank, lane: usize, signal: Signal) -> &ModelWord<K> {
        assert!(self.is_allowed(at, signal), "{signal:?} of {at} is none of the group's");
        &self.heaps[at.index()].words[self.layout.signal(lane, signal) / 8]
    }

    fn state(&self, at: Rank) -> RankState {
        match self.heaps[at.index()].state.load(Ordering::Acquire) {
            1 => RankState::Alive,
            2 => RankState::Closed,
            _ => RankState::Lost,
        }
    }

    fn outlasts_lender(&self) -> bool {
        self.scope.outlasts
    }

    unsafe fn stage(&self, at: Rank, _lane: usize, offset: u64, data: &[u8]) -> Location {
        let window = &self.heaps[at.index()].window[offset as usize / PIECE..];
        for (cell, part) in window.iter().zip(data.chunks(PIECE)) {
            let mut line = [0; PIECE];
            line[..part.len()].copy_from_slice(part);
            K::set(cell, line);
        }
        Location::Heap(offset)
    }

    fn lendable(&self, at: Rank, data: &[u8]) -> Option<Location> {
        if self.scope.loans {
            let mut loans = self.heaps[at.index()].loans.lock().expect("one thread at a time");
            loans.push(Some(data.to_vec()));
            return Some(Location::Address((loans.len() as u64) << LOAN_BITS));
        }
        (self.scope.lend && data.len() <= PIECE).then_some(Location::Address(0))
    }

    unsafe fn read(
        &self,
        at: Rank,
        location: Location,
        length: usize,
        mut reader: impl FnMut(&[u8]),
    ) {
        let heap = &self.heaps[at.index()];
        match location {
            Location::Heap(offset) if length > 0 => {
                let window = &heap.window[offset as usize / PIECE..];
                let lines = window.iter().take(length.div_ceil(PIECE));
                let bytes: Vec<u8> = lines.flat_map(K::get).take(length).collect();
                reader(&bytes);
            }
            Location::Address(0) if length > 0 => {
                reader(&[heap.buffer.get(); PIECE][..length]);
                if self.scope.outlasts && !self.scope.no_fences {
                    K::fence();
                }
            }
            Location::Address(at) if length > 0 => {
                // As long as a reader takes.
                K::give_way();
                let loans = heap.loans.lock().expect("one thread at a time");
                let loan = loans[(at >> LOAN_BITS) as usize - 1].as_ref().expect("still lent");
                reader(&loan[at as usize % (1 << LOAN_BITS)..][..length]);
            }
            _ => {}
        }
    }

    fn fence(&self) {
        if (self.scope.sleep || self.scope.lend) && !self.scope.no_fences {
            K::fence();
        }
    }

    fn spin(&self) {
        K::give_way();
    }

    fn give_way(&self) {
        K::give_way();
    }

    fn bell(&self, at: Rank, _lane: usize) -> u32 {
        let alarm = &self.heaps[at.index()].alarm;
        alarm.as_ref().map_or(0, |alarm| K::load(&alarm.bell, Ordering::Acquire) as u32)
    }

    fn sleep(&self, at: Rank, lane: usize, seen: u32, _most: Duration) {
        match &self.heaps[at.index()].alarm {
            Some(alarm) => K::lie(&alarm.bed, || self.bell(at, lane) != seen),
            None => K::give_way(),
        }
    }

    fn ring(&self, at: Rank, _lane: usize) {
        if let Some(alarm) = &self.heaps[at.index()].alarm {
            alarm.ring();
        }
    }

    fn now(&self) -> Duration {
        if !self.hurries.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        Duration::from_secs(self.looks.fetch_add(1, Ordering::Relaxed))
    }
}
