//! How a run begins: when all ranks are there.

use super::RunError;
use super::dispatch::{Dispatcher, Phase};
use crate::clock::Clock;
use crate::message::{Item, Message};

/// What is known of ranks that have yet to begin.
pub(super) struct Muster {
    waiting: usize,
    refused: Option<String>,
    /// What clients and operators want as soon as the run has begun.
    wanted: Vec<Message>,
}

impl Muster {
    pub(super) const fn of(ranks: usize) -> Self {
        Self { waiting: ranks, refused: None, wanted: Vec::new() }
    }
}

impl Dispatcher<'_> {
    /// Whether every rank has said that it is ready, or cannot be.
    pub(super) fn is_ready(&mut self) -> bool {
        let Phase::Beginning(muster) = &mut self.phase else { return true };
        while let Some(message) = self.mail.take() {
            match message {
                Message::Ready { rank, pinned, world } => {
                    self.fleet.get(rank).pinned = pinned;
                    muster.refused = muster.refused.take().or(world.err());
                    muster.waiting -= 1;
                }
                Message::Lost { rank } => {
                    muster.refused.get_or_insert(format!("{rank} was lost before the run began"));
                    muster.waiting -= 1;
                }
                Message::Stop => self.stopped = true,
                wanted @ (Message::Lose(_) | Message::Cancel(_)) => muster.wanted.push(wanted),
                _ => {}
            }
        }
        muster.waiting == 0
    }

    /// Starts the clock.
    ///
    /// # Errors
    /// A rank that is not there.
    pub(super) fn begin(&mut self) -> Result<(), RunError> {
        let Phase::Beginning(muster) = std::mem::replace(&mut self.phase, Phase::Serving) else {
            unreachable!("a run begins once");
        };
        if let Some(why) = muster.refused {
            return Err(RunError::World(why));
        }
        self.clock = Clock::start();
        for rank in self.fleet.living().iter() {
            self.fleet.push(*rank, Item::Begin(self.clock));
        }
        muster.wanted.into_iter().try_for_each(|wanted| self.on_message(wanted))
    }
}
