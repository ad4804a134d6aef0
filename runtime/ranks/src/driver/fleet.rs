//! The ranks' threads, their inboxes, and what each has yet to report.

use super::desk::Reports;
use super::{Driver, RankReport, RunError};
use crate::clock::Clock;
use crate::memory::RankMemory;
use crate::message::Item;
use crate::peers::{Ender, Groups};
use crate::stats::Measured;
use crate::worker::{Before, Worker};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use flexdit_core::{Event, Group, Nanos, Rank};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// A rank as the dispatcher sees it.
pub(super) struct RankBook {
    inbox: Sender<Item>,
    /// Ends what computes elsewhere for it.
    ender: Option<Ender>,
    pub memory: Arc<RankMemory>,
    pub pinned: Result<usize, String>,
    pub lost: bool,
    pub lost_at: Option<Nanos>,
    /// Tasks and pulls that it has not reported, in order.
    pub queue: VecDeque<u64>,
    /// Failed requests whose collectives must be reset before the system may hear of this rank.
    pub held_back: u32,
    /// What the system is to hear then.
    pub withheld: Vec<Event>,
}

/// All ranks.
pub(super) struct Fleet {
    pub ranks: Vec<RankBook>,
}

/// A rank that has yet to be given a thread.
pub(super) struct Seat {
    inbox: Receiver<Item>,
    groups: Box<dyn Groups>,
    memory: Arc<RankMemory>,
}

/// How a rank's thread ended: what it measured, or what it panicked with.
pub(super) type Ended = std::thread::Result<Measured>;

impl Fleet {
    /// The books of every rank, and a seat for each.
    pub(super) fn new(driver: &Driver<'_>) -> Result<(Self, Vec<Seat>), RunError> {
        let options = &driver.options;
        let groups = driver.fabric.ranks(options.world);
        let groups = groups.map_err(|error| RunError::World(error.to_string()))?;
        let seat = |(index, groups): (usize, Box<dyn Groups>)| {
            // Beside tasks and pulls there is room for resets and the end.
            let (sender, inbox) = bounded(options.inbox + 64);
            let memory = RankMemory::new(Rank(index as u16), options.rank_memory);
            let book = RankBook {
                inbox: sender,
                ender: groups.ender(),
                memory: Arc::clone(&memory),
                pinned: Err("it never began".into()),
                lost: false,
                lost_at: None,
                queue: VecDeque::new(),
                held_back: 0,
                withheld: Vec::new(),
            };
            (book, Seat { inbox, groups, memory })
        };
        let (ranks, seats) = groups.into_iter().enumerate().map(seat).unzip();
        Ok((Self { ranks }, seats))
    }

    pub(super) fn get(&mut self, rank: Rank) -> &mut RankBook {
        &mut self.ranks[rank.index()]
    }

    /// Ranks that are not lost.
    pub(super) fn living(&self) -> Group {
        let living = self.ranks.iter().enumerate().filter(|(_, book)| !book.lost);
        living.map(|(index, _)| Rank(index as u16)).collect()
    }

    /// Puts an item into a rank's inbox. False if it is full; a rank that is gone takes anything and does nothing.
    pub(super) fn push(&self, rank: Rank, item: Item) -> bool {
        !matches!(self.ranks[rank.index()].inbox.try_send(item), Err(TrySendError::Full(_)))
    }

    /// Ends what computes elsewhere for a rank; it is then lost. Does nothing to a rank that is a thread.
    pub(super) fn end(&self, rank: Rank) {
        if let Some(end) = &self.ranks[rank.index()].ender {
            end();
        }
    }

    /// Whether every task and pull was reported.
    pub(super) fn is_idle(&self) -> bool {
        self.ranks.iter().all(|book| book.queue.is_empty())
    }

    /// Lets all threads end.
    pub(super) fn stop(&self) {
        for book in &self.ranks {
            // A thread whose inbox is full drains it first; one that is gone needs no word.
            let _ = book.inbox.send(Item::Stop);
        }
    }

    /// What ended threads measured, and each rank's report.
    pub(super) fn reports(&self, ended: Vec<Ended>) -> (Measured, Vec<RankReport>) {
        let mut measured = Measured::default();
        let mut reports = Vec::with_capacity(self.ranks.len());
        for ((index, book), ended) in self.ranks.iter().enumerate().zip(ended) {
            if let Ok(own) = &ended {
                measured.merge(own);
            }
            reports.push(RankReport {
                rank: Rank(index as u16),
                pinned: book.pinned.clone(),
                lost: book.lost || ended.is_err(),
                lost_at: book.lost_at,
                peak: book.memory.peak(),
                held: book.memory.current(),
            });
        }
        (measured, reports)
    }
}

/// Starts a thread for every seat.
///
/// # Errors
/// The system refuses a thread; those that run are to be stopped.
pub(super) fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    seats: Vec<Seat>,
    driver: &'env Driver<'_>,
    desk: &'env dyn Reports,
    before: &'env Before,
) -> Result<Vec<ScopedJoinHandle<'scope, Measured>>, RunError> {
    let start = |(index, seat): (usize, Seat)| {
        let clock = Clock::start();
        let worker = Worker {
            rank: Rank(index as u16),
            inbox: seat.inbox,
            desk,
            mail: Arc::clone(&driver.mail),
            groups: seat.groups,
            compute: Arc::clone(&driver.compute),
            memory: seat.memory,
            clock,
            measured: Measured::default(),
            last_end: clock.now(),
        };
        let thread = Builder::new().name(format!("rank-{index}"));
        let pin = driver.options.pin;
        let thread = thread.spawn_scoped(scope, move || worker.run(pin, before));
        thread.map_err(|error| RunError::World(error.to_string()))
    };
    seats.into_iter().enumerate().map(start).collect()
}
