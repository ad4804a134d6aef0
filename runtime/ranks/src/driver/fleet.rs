//! The rank threads, their inboxes, and what each has yet to report.

use super::{Driver, RankReport, RunError};
use crate::clock::Clock;
use crate::memory::RankMemory;
use crate::message::Item;
use crate::stats::Measured;
use crate::worker::Worker;
use crossbeam_channel::{Sender, TrySendError, bounded};
use flexdit_core::{Event, Group, Nanos, Rank};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// A rank as the dispatcher sees it.
pub(super) struct RankBook {
    inbox: Sender<Item>,
    thread: Option<JoinHandle<Measured>>,
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
    /// Threads that want a core while all ranks work: two for a rank that does not compute on its own.
    pub threads: usize,
}

impl Fleet {
    /// Starts a thread for every rank.
    pub(super) fn start(driver: &Driver<'_>, prebuilt: &[Group]) -> Result<Self, RunError> {
        let options = &driver.options;
        let refused = |error: &dyn std::error::Error| RunError::World(error.to_string());
        let groups = driver.fabric.ranks(options.world).map_err(|error| refused(&error))?;
        let prebuilt: Arc<[Group]> = prebuilt.into();
        let apart = groups.iter().filter(|groups| groups.pinned().is_some()).count();
        let threads = groups.len() + apart;
        let mut ranks = Vec::with_capacity(groups.len());
        for (index, groups) in groups.into_iter().enumerate() {
            let rank = Rank(index as u16);
            // Beside tasks and pulls there is room for resets and the end.
            let (inbox, items) = bounded(options.inbox + 64);
            let memory = RankMemory::new(rank, options.rank_memory);
            let clock = Clock::start();
            let worker = Worker {
                rank,
                inbox: items,
                reports: driver.sender.clone(),
                groups,
                compute: Arc::clone(&driver.compute),
                memory: Arc::clone(&memory),
                clock,
                measured: Measured::default(),
                last_end: clock.now(),
            };
            let (pin, prebuilt) = (options.pin, Arc::clone(&prebuilt));
            let thread = Builder::new().name(format!("rank-{index}"));
            let thread = thread.spawn(move || worker.run(pin, &prebuilt));
            ranks.push(RankBook {
                inbox,
                thread: Some(thread.map_err(|error| refused(&error))?),
                memory,
                pinned: Err("it never began".into()),
                lost: false,
                lost_at: None,
                queue: VecDeque::new(),
                held_back: 0,
                withheld: Vec::new(),
            });
        }
        Ok(Self { ranks, threads })
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

    /// Whether every task and pull was reported.
    pub(super) fn is_idle(&self) -> bool {
        self.ranks.iter().all(|book| book.queue.is_empty())
    }

    /// Ends all threads and returns what they measured and each rank's report.
    pub(super) fn join(&mut self) -> (Measured, Vec<RankReport>) {
        let mut measured = Measured::default();
        let mut reports = Vec::with_capacity(self.ranks.len());
        for book in &self.ranks {
            // A thread whose inbox is full drains it first; one that is gone needs no word.
            let _ = book.inbox.send(Item::Stop);
        }
        for (index, book) in self.ranks.iter_mut().enumerate() {
            let ended = book.thread.take().map(JoinHandle::join);
            if let Some(Ok(own)) = &ended {
                measured.merge(own);
            }
            reports.push(RankReport {
                rank: Rank(index as u16),
                pinned: book.pinned.clone(),
                lost: book.lost || matches!(ended, Some(Err(_))),
                lost_at: book.lost_at,
                peak: book.memory.peak(),
                held: book.memory.current(),
            });
        }
        (measured, reports)
    }
}
