//! A rank: one thread that takes items from its inbox in order and reports.
//!
//! A rank's life is straight-line code: take an item, fetch inputs, compute, publish, report. It knows of no other request
//! than the one it works for; that its report may step the system is the desk's affair. Invariant: every task and pull taken
//! is reported, unless the thread dies, which its alarm reports.

mod pull;
pub(crate) mod task;

use crate::clock::Clock;
use crate::compute::{Compute, LoseRank};
use crate::driver::{Mail, Reports};
use crate::memory::RankMemory;
use crate::message::{Item, Message};
use crate::peers::Groups;
use crate::pin;
use crate::rendezvous::Rendezvous;
use crate::stats::Measured;
use crossbeam_channel::{Receiver, TryRecvError};
use flexdit_core::{Group, Nanos, Rank, Shape};
use std::sync::Arc;

/// How long a reset waits for ranks outside its group that have yet to read something; then it is called off.
const READERS: Nanos = Nanos::from_millis(100);

/// How long a rank that has nothing to do looks for its next item, giving way to whoever wants its core, before it sleeps: a
/// core that falls asleep takes longer to wake than a decision takes.
const AWAKE: Nanos = Nanos(100_000);

/// Everything a rank's thread owns.
pub(crate) struct Worker<'a> {
    pub rank: Rank,
    pub inbox: Receiver<Item>,
    /// Takes what this rank has to say.
    pub desk: &'a dyn Reports,
    /// Takes what is said in its name.
    pub mail: Arc<Mail>,
    pub groups: Box<dyn Groups>,
    pub compute: Arc<dyn Compute>,
    pub memory: Arc<RankMemory>,
    pub clock: Clock,
    pub measured: Measured,
    /// When the last task or pull ended.
    pub last_end: Nanos,
}

/// What every rank makes ready before the clock starts.
pub(crate) struct Before {
    /// Groups that exist before the first request.
    pub groups: Vec<Group>,
    /// Shapes of the requests to come.
    pub shapes: Vec<Shape>,
}

/// Reports the end of the thread unless it was asked for.
struct Alarm {
    rank: Rank,
    mail: Arc<Mail>,
    armed: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.armed {
            // When the run is over nobody needs to know.
            self.mail.post(Message::Lost { rank: self.rank });
        }
    }
}

impl Worker<'_> {
    /// The thread's body.
    pub(crate) fn run(mut self, pinned: bool, before: &Before) -> Measured {
        let mut alarm = Alarm { rank: self.rank, mail: Arc::clone(&self.mail), armed: true };
        let (rank, mail) = (self.rank, Arc::clone(&self.mail));
        // As if an operator had asked for it.
        self.groups.watch(Box::new(move || {
            mail.post(Message::Lose(rank));
        }));
        let pinned = match self.groups.pinned() {
            Some(elsewhere) => elsewhere,
            None if pinned => pin::to_core(self.rank.index()),
            None => Err("not asked to".into()),
        };
        let world = self.groups.prebuild(&before.groups).map_err(|error| error.to_string());
        let warm = || self.compute.warm_up(self.rank, &before.shapes);
        let world = world.and_then(|()| warm().map_err(|error| error.to_string()));
        self.report(Message::Ready { rank: self.rank, pinned, world });
        while let Some(item) = self.next() {
            let item = if self.groups.is_lost() { Item::Lose } else { item };
            match item {
                Item::Begin(clock) => {
                    self.clock = clock;
                    self.last_end = clock.now();
                }
                Item::Task(live, queued) => self.task(&live, queued),
                Item::Pull(live, queued) => self.pull(&live, queued),
                Item::Reset(meeting) => {
                    let done = self.reset(&meeting);
                    self.report(Message::Reset { rank: self.rank, id: meeting.id, done });
                }
                Item::Lose => {
                    self.groups.lose();
                    std::panic::resume_unwind(Box::new(LoseRank))
                }
                Item::Stop => break,
            }
        }
        alarm.armed = false;
        self.measured
    }

    /// The next item; `None` when nobody can send one any more.
    fn next(&self) -> Option<Item> {
        let begun = self.clock.now();
        while self.clock.now() - begun < AWAKE {
            match self.inbox.try_recv() {
                Ok(item) => return Some(item),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        self.inbox.recv().ok()
    }

    /// Takes part in a reset, if all members can.
    fn reset(&mut self, meeting: &Rendezvous) -> bool {
        let begun = self.clock.now();
        while !self.groups.can_reset(&meeting.members) {
            if self.clock.now() - begun > READERS {
                meeting.void();
                return false;
            }
            std::thread::yield_now();
        }
        meeting.meet() && self.groups.reset(&meeting.members).is_ok()
    }

    fn report(&self, message: Message) {
        self.desk.report(message);
    }

    /// Counts the time between items; returns when this one starts.
    fn start(&mut self, queued: Nanos) -> Nanos {
        let started = self.clock.now();
        if queued <= self.last_end {
            self.measured.gap_queued.add(started.saturating_sub(self.last_end));
        } else {
            self.measured.gap_decided.add(started.saturating_sub(self.last_end));
            self.measured.wake.add(started.saturating_sub(queued));
        }
        started
    }
}
