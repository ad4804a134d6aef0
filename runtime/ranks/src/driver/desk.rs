//! Whose turn it is: the dispatcher is stepped by the thread that has news for it.
//!
//! A rank that ends a task steps the system itself and finds its next task in its inbox, instead of waking another thread and being
//! woken by it, which takes longer than most decisions. The thread that drives the run takes the turns that no rank has news of:
//! arrivals, wake-ups, what clients and operators want. Invariant: one turn at a time, so events have one order; and no message
//! stays untaken while the one who could take it sleeps.

use super::RunError;
use super::alarm::Alarm;
use super::dispatch::Dispatcher;
use super::mail::Mail;
use crate::message::Message;
use flexdit_core::Nanos;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// Turns in a row that a rank takes before it goes back to its own work.
const TURNS: usize = 16;

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn.
    Again,
    /// Nothing before this time, unless somebody has news.
    At(Option<Nanos>),
    /// The end of the run.
    Over,
}

/// Takes a rank's news.
pub(crate) trait Reports: Sync {
    /// Leaves a message and sees to it that it is dealt with.
    fn report(&self, message: Message);
}

/// The dispatcher, and who may step it.
pub(super) struct Desk<'a> {
    mail: Arc<Mail>,
    dispatcher: Mutex<Dispatcher<'a>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(mail: Arc<Mail>, dispatcher: Dispatcher<'a>) -> Self {
        Self { mail, dispatcher: Mutex::new(dispatcher) }
    }

    /// The dispatcher, when nobody else has it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Dispatcher<'a>> {
        // It is looked at after a panic to end the ranks, and for nothing else.
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until every request has ended, or the run is stopped.
    ///
    /// # Errors
    /// [`RunError`], whoever's turn it was.
    ///
    /// # Panics
    /// As the system does, whoever's turn it was.
    pub(super) async fn serve(&self) -> Result<(), RunError> {
        let mut alarm = Alarm::new().map_err(|error| RunError::World(error.to_string()))?;
        self.collect(Dispatcher::is_ready).await;
        self.lock().begin()?;
        loop {
            let (next, clock) = {
                let mut dispatcher = self.lock();
                let next = dispatcher.own_turn()?;
                (next, dispatcher.clock)
            };
            let at = match next {
                Next::Over => return Ok(()),
                Next::Again => continue,
                Next::At(at) => at,
            };
            if self.has_mail() {
                continue;
            }
            let mut heard = pin!(self.mail.heard());
            let Some(at) = at else {
                heard.await;
                continue;
            };
            let mut due = pin!(alarm.wait(&clock, at));
            poll_fn(|context| match heard.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => due.as_mut().poll(context),
            })
            .await;
        }
    }

    /// Lets what is in flight end at its next step, and waits for it; ranks that do not come to it are ended, if they can be.
    pub(super) async fn drain(&self) {
        let patience = {
            let mut dispatcher = self.lock();
            dispatcher.close();
            Duration::from_nanos(dispatcher.patience().0)
        };
        if timeout(patience, self.collect(Dispatcher::is_drained)).await.is_err() {
            self.lock().end_late();
            self.collect(Dispatcher::is_drained).await;
        }
    }

    /// Waits until the dispatcher, which steps nothing, has heard enough.
    async fn collect(&self, enough: fn(&mut Dispatcher<'a>) -> bool) {
        while !enough(&mut self.lock()) {
            if !self.has_mail() {
                self.mail.heard().await;
            }
        }
    }

    /// The dispatcher, when all ranks have ended.
    pub(super) fn into_dispatcher(self) -> Dispatcher<'a> {
        self.dispatcher.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is mail, after the lock was freed.
    fn has_mail(&self) -> bool {
        Mail::settle();
        !self.mail.is_empty()
    }

    /// Takes turns as long as there is reason to and nobody else does.
    fn attend(&self) {
        for _ in 0..TURNS {
            Mail::settle();
            // Whoever has it looks for mail once more.
            let Ok(mut dispatcher) = self.dispatcher.try_lock() else { return };
            let next = dispatcher.turn_for_others();
            let sleeps_until = dispatcher.sleeps_until;
            drop(dispatcher);
            let is_early = |at: Option<Nanos>| {
                at.is_some_and(|at| sleeps_until.is_none_or(|until| at < until))
            };
            match next {
                Next::Again => continue,
                Next::At(at) if !is_early(at) => {}
                Next::At(_) | Next::Over => self.mail.ring(),
            }
            if !self.has_mail() {
                return;
            }
        }
        self.mail.ring();
    }
}

impl Reports for Desk<'_> {
    fn report(&self, message: Message) {
        self.mail.leave(message);
        self.attend();
    }
}
