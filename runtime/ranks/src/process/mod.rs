//! Ranks that are processes: the driver's threads speak for them, one each. Linux only.
//!
//! The dispatcher, every copy of every request's state and the gates of tasks stay in the driver's process. A rank's process has
//! its models, its buffers and its way to its peers, and computes. So a process that is killed takes nothing with it that a
//! thread would leave: its rank is lost, the copies that count as its are dropped, its requests go on elsewhere from the last
//! version that others hold.
//!
//! [`Processes`] starts the processes; it is both the [`Compute`](crate::Compute) and the [`Fabric`](crate::Fabric) of a run. The
//! program of a rank calls [`serve`]. The two speak over a socket that the process finds as its standard input. A process ends when the
//! driver says so or is gone, however it went; the driver ends and awaits every process that it started.

mod group_free;
mod line;
mod processes;
mod remote;
mod seat;
mod serve;
mod watch;
mod words;

pub use group_free::SharedWorld;
pub use processes::{Processes, Settings, StartError};
pub use serve::serve;

use flexdit_comm::CommError;
use flexdit_core::Rank;

/// The driver's end of whatever ranks find each other by.
pub trait World: Send + Sync {
    /// Makes it, unless it is there; what a rank's process needs to know to join. Asked when all have loaded their models, so whatever
    /// waits for them begins here.
    ///
    /// # Errors
    /// If it cannot be made.
    fn open(&self) -> Result<String, CommError>;

    /// Called when a rank's process has ended unasked: returns when its peers can know.
    fn lost(&self, _rank: Rank) {}
}
