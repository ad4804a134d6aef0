//! The settings of a world. Every rank must have the same; their hash is compared when a rank joins.

use crate::error::CommError;
use crate::membership::mix;
use flexdit_core::Group;
use std::time::Duration;

/// How a world is made. All ranks compare all of it but the time-out and patience, which are each rank's own.
///
/// ```
/// use flexdit_comm::{WorldConfig, transport::thread};
///
/// let endpoints = thread::world(&WorldConfig::new(4))?;
/// assert_eq!(endpoints.len(), 4);
/// # Ok::<(), flexdit_comm::CommError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldConfig {
    /// Number of ranks, 1 to 64.
    pub ranks: usize,
    /// Independent ordering domains, 1 to 16. One operation runs at a time on a rank's lane.
    pub lanes: usize,
    /// Messages that an edge holds unacknowledged: a power of two, 1 to 64.
    pub depth: usize,
    /// Bytes of a lane's window, where payloads are staged: at least two pieces.
    pub window_bytes: usize,
    /// Payloads are moved in pieces of so many bytes: a multiple of 64.
    pub piece_bytes: usize,
    /// Bytes of each rank's arena, from which tensors in the heap are allocated; may be 0.
    pub arena_bytes: usize,
    /// From this size on, data that peers can read where it lies is lent to them instead of staged.
    pub lend_bytes: usize,
    /// An operation that waits longer fails.
    pub timeout: Duration,
    /// How a rank waits.
    pub patience: Patience,
    /// Names the world; ranks of another world are refused.
    pub nonce: u64,
}

/// How long a waiting rank spins and yields before it parks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Polls in a row with a pause instruction between them, at most 2^20; peers that fail are noticed afterwards.
    pub spins: u32,
    /// Polls with the core given up between them, at most 2^20.
    pub yields: u32,
}

impl Patience {
    /// For `ranks` ranks on `cores` cores: whoever shares a core gives it up soon.
    pub const fn for_cores(ranks: usize, cores: usize) -> Self {
        if ranks <= cores {
            Self { spins: 4096, yields: 64 }
        } else {
            Self { spins: 32, yields: 4 }
        }
    }
}

impl WorldConfig {
    /// Settings for `ranks` ranks on the cores of this machine: two lanes, eight messages an edge, windows of 1 MiB.
    pub fn new(ranks: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            ranks,
            lanes: 2,
            depth: 8,
            window_bytes: 1 << 20,
            piece_bytes: 128 << 10,
            arena_bytes: 0,
            lend_bytes: 16 << 10,
            timeout: Duration::from_secs(30),
            patience: Patience::for_cores(ranks, cores),
            nonce: 0,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    ///
    /// [`CommError::BadWorld`] naming the first setting that is out of range.
    pub fn check(&self) -> Result<(), CommError> {
        let bad = |what: &str| Err(CommError::BadWorld(what.to_owned()));
        if self.ranks == 0 || self.ranks > Group::MAX {
            return bad("a world has 1 to 64 ranks");
        }
        if self.lanes == 0 || self.lanes > 16 {
            return bad("a world has 1 to 16 lanes");
        }
        if !self.depth.is_power_of_two() || self.depth > 64 {
            return bad("the depth of an edge is a power of two, at most 64");
        }
        if self.piece_bytes == 0
            || self.piece_bytes > 1 << 30
            || !self.piece_bytes.is_multiple_of(64)
        {
            return bad("a piece is a multiple of 64 bytes, at most 2^30");
        }
        if self.window_bytes < self.piece_bytes * 2 || !self.window_bytes.is_multiple_of(64) {
            return bad("a window is a multiple of 64 bytes and holds two pieces or more");
        }
        if self.window_bytes > 1 << 40 || self.arena_bytes > 1 << 40 {
            return bad("a window or an arena has at most 2^40 bytes");
        }
        if self.patience.spins > 1 << 20 || self.patience.yields > 1 << 20 {
            return bad("a rank polls at most 2^20 times of each kind before it parks");
        }
        Ok(())
    }

    /// Every setting that all ranks must share, by name.
    pub(crate) fn shared(&self) -> [(&'static str, u64); Self::SHARED] {
        [
            ("nonce", self.nonce),
            ("ranks", self.ranks as u64),
            ("lanes", self.lanes as u64),
            ("depth", self.depth as u64),
            ("window_bytes", self.window_bytes as u64),
            ("piece_bytes", self.piece_bytes as u64),
            ("arena_bytes", self.arena_bytes as u64),
        ]
    }

    /// Number of settings that all ranks must share.
    pub(crate) const SHARED: usize = 7;

    /// What ranks compare: a hash of every setting that all must share.
    pub fn hash(&self) -> u64 {
        self.shared().iter().fold(0, |hash, (_, value)| mix(hash ^ value))
    }
}
