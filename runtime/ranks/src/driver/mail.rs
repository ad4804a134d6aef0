//! Where messages for the dispatcher lie until somebody takes them.
//!
//! Not bounded: a rank has at most one message for each item of its inbox, which is.

use crate::message::Message;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use tokio::sync::Notify;

/// Messages, in the order of each sender, and the bell of the thread that drives the run.
#[derive(Debug)]
pub(crate) struct Mail {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    bell: Notify,
    is_closed: AtomicBool,
}

impl Mail {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = unbounded();
        Self { sender, receiver, bell: Notify::new(), is_closed: AtomicBool::new(false) }
    }

    /// Leaves a message for whoever looks next.
    pub(crate) fn leave(&self, message: Message) {
        // Both ends are here.
        let _ = self.sender.send(message);
    }

    /// Leaves a message and rings. False if nobody will take it: the run is over.
    pub(crate) fn post(&self, message: Message) -> bool {
        if self.is_closed.load(Ordering::Acquire) {
            return false;
        }
        self.leave(message);
        self.ring();
        true
    }

    /// The next message, if there is one.
    pub(crate) fn take(&self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Makes what this thread did to the mail or to the dispatcher's lock come before what it looks at next: of one that leaves a
    /// message and finds the lock taken, and one that frees the lock and finds no mail, one at least sees the other.
    pub(crate) fn settle() {
        fence(Ordering::SeqCst);
    }

    /// Wakes the thread that drives the run, now or when it next sleeps.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns when the bell was rung since the last time.
    pub(crate) async fn heard(&self) {
        self.bell.notified().await;
    }

    /// Takes no more posts.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}
