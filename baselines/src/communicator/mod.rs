//! The other side of the comparison: collectives that address a *communicator*, made as `c10d` and NCCL make one.
//!
//! A [`Communicator`] is created by all members of an ordered group together: they meet at a [`Store`], learn a unique id
//! and each other's addresses, connect every pair, allocate buffers and pass a barrier. It is destroyed by all
//! together. Its operations are those of [`Collectives`], over TCP, so whoever holds one cannot
//! tell it from a group-free lane.
//!
//! This module owns the store, the set-up, the data path and the operations. It does not choose groups and keeps no cache
//! of communicators: what a set-up costs is what is measured.
//!
//! Invariant: a message is accepted only if its tag is the expected one; whatever goes wrong, every member gets a typed
//! error in bounded time, and the communicator refuses to be used again.
//!
//! ```
//! use flexdit_baselines::communicator::{Config, Joined, Store};
//! use flexdit_comm::{Collectives, CommError};
//! use flexdit_core::{Group, Rank};
//!
//! let store = Store::serve("127.0.0.1:0")?;
//! let group: Group = [Rank(2), Rank(0)].into_iter().collect();
//! let rank = |rank: Rank| {
//!     let mut joined = Joined::new(rank, 3, store.address(), Config::default())?;
//!     let mut communicator = joined.create(&group)?;
//!     let mut all = [0; 2];
//!     communicator.all_gather(&[rank.0 as u8], &mut all)?;
//!     communicator.destroy()?;
//!     Ok::<_, CommError>(all)
//! };
//! std::thread::scope(|scope| {
//!     let other = scope.spawn(|| rank(Rank(2)));
//!     assert_eq!(rank(Rank(0)), Ok([2, 0]));
//!     assert_eq!(other.join().expect("no panic"), Ok([2, 0]));
//! });
//! # Ok::<(), std::io::Error>(())
//! ```

mod clock;
mod frame;
mod joined;
mod mesh;
#[cfg(feature = "mpi")]
mod mpi;
mod ops;
mod progress;
mod reduction;
mod store;
#[cfg(test)]
mod tests;

pub use joined::Joined;
#[cfg(feature = "mpi")]
pub use mpi::{MpiCommunicator, MpiWorld};
pub use store::{Store, StoreError, StoreServer};

use flexdit_comm::{Cause, Collectives, CommError, DType, Membership, Op, Place, Tag};
use progress::{Fault, Link, Receiving, Sending};
use rustix::net::{SendFlags, send};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a rank and its communicators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a rank waits without a byte moving before it gives up.
    pub timeout: Duration,
    /// How often a member looks for data before it sleeps in the system. It offers its core to others each time, so this
    /// also pays when ranks outnumber cores.
    pub spins: u32,
    /// Bytes of the buffer for each member in which reductions receive parts.
    pub buffer_bytes: usize,
}

impl Default for Config {
    /// 30 s, 50 looks, 256 KiB.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), spins: 50, buffer_bytes: 256 << 10 }
    }
}

/// Connections among the members of one ordered group, as one member holds them.
///
/// Created by [`Joined::create`]. Dropping one closes its connections; members that still wait for it then get
/// [`CommError::PeerLost`].
#[derive(Debug)]
pub struct Communicator {
    membership: Membership,
    links: Vec<Option<Link>>,
    config: Config,
    /// Collectives so far.
    sequence: u64,
    /// Messages of `put` to, and of `get` from, each member so far.
    puts: Vec<u32>,
    gets: Vec<u32>,
    poisoned: bool,
    /// `config.buffer_bytes` for each member, and the sums of as many elements.
    parts: Vec<u8>,
    sums: Vec<f32>,
    store: Arc<Store>,
    keys: Vec<String>,
}

impl Communicator {
    /// The ordered group.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Destroys the communicator: a barrier, then all connections are closed and the first member removes its
    /// keys from the store. Every member calls it.
    ///
    /// # Errors
    ///
    /// As [`Collectives::barrier`]. The connections are closed in any case.
    pub fn destroy(mut self) -> Result<(), CommError> {
        self.barrier()?;
        if self.membership.index() == 0 {
            let rank = self.membership.group()[0];
            self.store.remove(&self.keys).map_err(|error| joined::system(rank, &error))?;
        }
        Ok(())
    }

    /// Numbers the next collective.
    fn begin(&mut self) -> Result<(), CommError> {
        if self.poisoned {
            return Err(CommError::Poisoned { rank: self.own_rank(), lane: 0 });
        }
        self.sequence += 1;
        Ok(())
    }

    fn own_rank(&self) -> flexdit_core::Rank {
        self.membership.rank_at(self.membership.index())
    }

    fn tag(&self, op: Op, index: u32, dtype: DType, bytes: usize) -> Tag {
        let (sequence, key) = (self.sequence, self.membership.key());
        Tag { sequence, index, op, dtype, bytes: bytes as u64, key }
    }

    /// Carries out one step of an operation.
    fn step(
        &mut self,
        op: Op,
        index: u32,
        sends: &mut [Sending<'_>],
        receives: &mut [Receiving<'_>],
    ) -> Result<(), CommError> {
        let Config { timeout, spins, .. } = self.config;
        progress::exchange(&mut self.links, sends, receives, timeout, spins)
            .map_err(|fault| self.fail(op, index, fault))
    }

    /// Gives up: tells every peer that can still be told, closes what this member says, and names what happened.
    fn fail(&mut self, op: Op, index: u32, fault: Fault) -> CommError {
        self.poisoned = true;
        let own = self.own_rank();
        let (by, cause) = match &fault {
            Fault::Mismatch { .. } => (own, Cause::Mismatch),
            Fault::Aborted { by, cause } => (*by, *cause),
            Fault::Lost { .. } => (own, Cause::PeerLost),
            Fault::Late { .. } => (own, Cause::Timeout),
            Fault::System { .. } => (own, Cause::Asked),
        };
        for link in self.links.iter().flatten() {
            if !link.inside_message {
                let _ = send(&link.stream, &frame::of_end(by, cause), SendFlags::NOSIGNAL);
            }
            // The rest stays open, so that what was said before can still be read.
            let _ = link.stream.shutdown(Shutdown::Write);
        }
        describe(&self.membership, op, self.sequence, index, fault)
    }
}

/// A fault in the words of [`CommError`].
fn describe(membership: &Membership, op: Op, sequence: u64, index: u32, fault: Fault) -> CommError {
    let rank = membership.rank_at(membership.index());
    let group = membership.group().clone();
    let place = Box::new(Place { rank, lane: 0, op, sequence, index, group });
    match fault {
        Fault::Mismatch { peer, mine, theirs } => {
            CommError::Mismatch { place, peer: membership.rank_at(peer), mine, theirs }
        }
        Fault::Aborted { by, cause } => CommError::Aborted { place, by, cause },
        Fault::Lost { peer } => CommError::PeerLost { place, peer: membership.rank_at(peer) },
        Fault::Late { missing, waited } => {
            let missing = missing.into_iter().map(|peer| membership.rank_at(peer)).collect();
            // A communicator knows of no waits but its own.
            let graph = format!("{rank} waits for {missing} in {} {sequence}.{index}", op.name());
            CommError::Timeout { place, missing, waited, graph }
        }
        Fault::System { doing, message } => CommError::System { rank, doing, message },
    }
}
