//! One process per rank over one shared mapping. Linux only; elsewhere every entry answers
//! [`CommError::Unsupported`](crate::CommError::Unsupported).
//!
//! A [`Launcher`] makes the memory (a memfd that cannot shrink), listens on a Unix socket, and starts one process per rank, or waits
//! for ranks that are started otherwise. Each rank calls [`join`]: it says who it is and what its settings are, gets the memory,
//! and returns with the others when all have joined. If one differs, all fail, with the same error.
//!
//! The socket stays open as long as the rank takes part, and the kernel closes it when a process ends, however it ends. So
//! the launcher learns at once that a rank is gone: it marks the rank as lost and wakes everybody, and only operations with that rank
//! fail. And each rank learns at once that the launcher is gone: all its operations fail from then on, since nobody
//! would tell it of lost peers any more. A parent-death signal would not do: it follows the *thread* that
//! started the child, reaches direct children alone, is lost if the parent dies before it is asked for, and kills instead of telling.
//!
//! The socket's address is an abstract name that the kernel picks: nothing on disk, hence nothing left there by a launcher that is
//! killed, and no two launchers with the same. File permissions do not guard such a name, so both ends compare
//! user ids instead.
//!
//! ```no_run
//! use flexdit_comm::transport::process::{self, Launcher};
//! use flexdit_comm::{Collectives as _, CommError, WorldConfig};
//! use flexdit_core::{Group, Rank};
//! use std::{process::Command, time::Duration};
//!
//! // One program, two roles: `this` launches, `this rank ADDRESS RANK` is a rank.
//! let arguments: Vec<String> = std::env::args().collect();
//! let config = WorldConfig::new(4);
//! if let [_, role, address, rank] = &arguments[..] && role == "rank" {
//!     let rank = Rank(rank.parse().expect("a number"));
//!     let mut endpoint = process::join(address, rank, &config)?;
//!     let group: Group = (0..4).map(Rank).collect();
//!     let lane = endpoint.lane(0);
//!     let member = lane.member(&group)?;
//!     lane.begin(1)?;
//!     lane.on(&member).barrier()?;
//! } else {
//!     let mut launcher = Launcher::start(&config, |rank, bootstrap| {
//!         let mut command = Command::new(&arguments[0]);
//!         command.arg("rank").arg(bootstrap.address()).arg(rank.0.to_string());
//!         command
//!     })?;
//!     launcher.joined()?;
//!     let ended = launcher.wait(Duration::from_secs(60))?;
//!     assert!(ended.iter().all(|status| status.is_some_and(|status| status.success())));
//! }
//! # Ok::<(), CommError>(())
//! ```

#[cfg(target_os = "linux")]
mod join;
#[cfg(target_os = "linux")]
mod launcher;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod segment;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use join::join;
#[cfg(target_os = "linux")]
pub use launcher::Launcher;
#[cfg(not(target_os = "linux"))]
pub use unsupported::{Launcher, join};

/// What a process needs to know to join: give it to the program of each rank, beside the rank and the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    address: String,
}

impl Bootstrap {
    /// Where the launcher listens, for [`join`]; printable.
    pub fn address(&self) -> &str {
        &self.address
    }
}
