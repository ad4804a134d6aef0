//! Group-free collectives of ranks that are processes: the launcher in the driver, and each rank's way in.

use super::World;
use crate::clock::Clock;
use crate::peers::{GroupFree, Groups, OnLane};
use flexdit_comm::transport::process::{Launcher, join};
use flexdit_comm::{CommError, WorldConfig};
use flexdit_core::{Nanos, Rank};
use std::sync::OnceLock;

/// How long a rank that is dead may still count as present: its socket is closed by then, so this passes only if the thread
/// that would notice does not run.
const NOTICED: Nanos = Nanos::from_millis(10_000);

/// The memory of a world, in the driver's process, once it is [opened](World::open).
#[derive(Debug)]
pub struct SharedWorld {
    config: WorldConfig,
    launcher: OnceLock<Result<Launcher, CommError>>,
}

impl SharedWorld {
    /// A world of so many ranks. Nothing is made yet, and nothing waits.
    pub fn new(world: u16, settings: &GroupFree) -> Self {
        Self { config: settings.config(world), launcher: OnceLock::new() }
    }
}

impl World for SharedWorld {
    /// Makes the memory and begins to wait for ranks, for as long as the time-out says.
    ///
    /// # Errors
    /// [`CommError::BadWorld`], [`CommError::Launch`], and [`CommError::System`].
    fn open(&self) -> Result<String, CommError> {
        let launcher = self.launcher.get_or_init(|| Launcher::listen(&self.config));
        let launcher = launcher.as_ref().map_err(Clone::clone)?;
        Ok(launcher.bootstrap().address().to_owned())
    }

    fn lost(&self, rank: Rank) {
        let Some(Ok(launcher)) = self.launcher.get() else { return };
        let clock = Clock::start();
        while launcher.present().contains(&rank) && clock.now() < NOTICED {
            std::thread::yield_now();
        }
    }
}

impl GroupFree {
    /// A rank's way to its peers, all of them processes: what [`serve`](super::serve) asks for.
    ///
    /// # Errors
    /// As [`join`].
    pub fn join(
        &self,
        address: &str,
        rank: Rank,
        world: u16,
    ) -> Result<Box<dyn Groups>, CommError> {
        Ok(Box::new(OnLane::new(join(address, rank, &self.config(world))?)))
    }
}
