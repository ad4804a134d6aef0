//! Waiting: spin, then yield, then sleep until somebody rings, with a bound on the whole.
//!
//! A sleeper announces itself, fences, and polls once more; a waker stores its signal, fences, and looks for sleepers. So one
//! of them sees the other. Acknowledgements of small messages skip the waker's fence, and naps are short for their sake.

use crate::config::Patience;
use crate::memory::{Memory, Signal, Word};
use crate::rules::Rules;
use flexdit_core::Rank;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the waiter should do before it polls again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Poll again, nothing else.
    Short,
    /// Waiting takes long: look whether the peers are still there, and say what is missing.
    Long,
    /// The time is over.
    Expired,
}

/// First and longest nap.
const NAP: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// One wait of one rank. Dropped while it is announced, it would leave a needless wake-up, no more.
#[derive(Debug)]
pub(crate) struct Waiter<R> {
    me: Rank,
    lane: usize,
    patience: Patience,
    timeout: Duration,
    round: u32,
    /// The bell as it was when the sleep was announced.
    announced: Option<u32>,
    nap: Duration,
    begun: Option<Duration>,
    rules: PhantomData<R>,
}

impl<R: Rules> Waiter<R> {
    pub(crate) fn new(me: Rank, lane: usize, patience: Patience, timeout: Duration) -> Self {
        let (announced, begun) = (None, None);
        Self {
            me,
            lane,
            patience,
            timeout,
            round: 0,
            announced,
            nap: NAP.0,
            begun,
            rules: PhantomData,
        }
    }

    /// There was progress: what comes next may come soon.
    #[inline]
    pub(crate) fn progressed<M: Memory>(&mut self, memory: &M) {
        if self.round > 0 {
            self.withdraw(memory);
            (self.round, self.nap, self.begun) = (0, NAP.0, None);
        }
    }

    /// How long this wait has taken since the last progress, as far as it was measured.
    pub(crate) fn waited<M: Memory>(&self, memory: &M) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| memory.now().saturating_sub(begun))
    }

    /// Passes time after a poll that found nothing.
    #[inline]
    pub(crate) fn pause<M: Memory>(&mut self, memory: &M) -> Pause {
        self.round = self.round.saturating_add(1);
        if self.round <= self.patience.spins {
            memory.spin();
            return Pause::Short;
        }
        self.long_pause(memory)
    }

    #[cold]
    fn long_pause<M: Memory>(&mut self, memory: &M) -> Pause {
        let now = memory.now();
        let begun = *self.begun.get_or_insert(now);
        let left = self.timeout.saturating_sub(now.saturating_sub(begun));
        if left.is_zero() {
            return Pause::Expired;
        }
        if self.round <= self.patience.spins + self.patience.yields {
            memory.give_way();
            return Pause::Long;
        }
        match self.announced.take() {
            None => {
                self.announced = Some(memory.bell(self.me, self.lane));
                memory.signal(self.me, self.lane, Signal::Asleep).store(1, Ordering::Relaxed);
                if R::ANNOUNCE {
                    memory.fence();
                }
            }
            Some(bell) => {
                memory.sleep(self.me, self.lane, bell, self.nap.min(left));
                self.nap = (self.nap * 2).min(NAP.1);
                memory.signal(self.me, self.lane, Signal::Asleep).store(0, Ordering::Relaxed);
            }
        }
        Pause::Long
    }

    fn withdraw<M: Memory>(&mut self, memory: &M) {
        if self.announced.take().is_some() {
            memory.signal(self.me, self.lane, Signal::Asleep).store(0, Ordering::Relaxed);
        }
    }
}

/// Wakes those of `peers` (bits) that sleep on lane `lane`, after signals were stored to them.
#[inline]
pub(crate) fn wake<M: Memory, R: Rules>(memory: &M, lane: usize, peers: u64) {
    if R::ANNOUNCE {
        memory.fence();
    }
    wake_without_fence(memory, lane, peers);
}

/// As [`wake`]; may miss a peer that falls asleep at this very moment, which then sleeps one nap.
#[inline]
pub(crate) fn wake_without_fence<M: Memory>(memory: &M, lane: usize, mut peers: u64) {
    while peers != 0 {
        let peer = Rank(peers.trailing_zeros() as u16);
        peers &= peers - 1;
        if memory.signal(peer, lane, Signal::Asleep).load(Ordering::Relaxed) != 0 {
            memory.ring(peer, lane);
        }
    }
}
