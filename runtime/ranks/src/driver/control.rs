//! A handle on a running driver, for other threads.

use super::mail::Mail;
use crate::message::Message;
use flexdit_core::{Rank, RequestId};
use std::sync::Arc;

/// Tells a run what clients and operators want. Cheap to clone; outliving the run is harmless.
#[derive(Clone, Debug)]
pub struct Control {
    mail: Arc<Mail>,
}

impl Control {
    pub(super) fn new(mail: Arc<Mail>) -> Self {
        Self { mail }
    }

    /// The client of a request gives up: its tasks end at the next step. False if the run is over.
    pub fn cancel(&self, request: RequestId) -> bool {
        self.mail.post(Message::Cancel(request))
    }

    /// Loses a rank at its next item, as if its thread had died. False if the run is over.
    pub fn lose(&self, rank: Rank) -> bool {
        self.mail.post(Message::Lose(rank))
    }

    /// Ends the run: nothing new begins, what runs stops at its next step, the outcome is marked as interrupted. False if the
    /// run is over.
    pub fn stop(&self) -> bool {
        self.mail.post(Message::Stop)
    }
}
