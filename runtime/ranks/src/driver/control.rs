//! A handle on a running driver, for other threads.

use crate::message::Message;
use flexdit_core::{Rank, RequestId};
use tokio::sync::mpsc::Sender;

/// Tells a run what clients and operators want. Cheap to clone; outliving the run is harmless.
#[derive(Clone, Debug)]
pub struct Control {
    sender: Sender<Message>,
}

impl Control {
    pub(super) fn new(sender: Sender<Message>) -> Self {
        Self { sender }
    }

    /// The client of a request gives up: its tasks end at the next step. False if the run is over, or too busy to be told now.
    pub fn cancel(&self, request: RequestId) -> bool {
        self.sender.try_send(Message::Cancel(request)).is_ok()
    }

    /// Loses a rank at its next item, as if its thread had died. False as for [`Control::cancel`].
    pub fn lose(&self, rank: Rank) -> bool {
        self.sender.try_send(Message::Lose(rank)).is_ok()
    }

    /// Ends the run: nothing new begins, what runs stops at its next step, the outcome is marked as interrupted. False as
    /// for [`Control::cancel`].
    pub fn stop(&self) -> bool {
        self.sender.try_send(Message::Stop).is_ok()
    }
}
