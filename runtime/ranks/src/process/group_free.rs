//! Group-free collectives of ranks that are processes: the launcher in the driver, and each rank's way in.

use super::World;
use crate::clock::Clock;
use crate::peers::{GroupFree, Groups, OnLane};
use flexdit_comm::CommError;
use flexdit_comm::transport::process::{Launcher, join};
use flexdit_core::{Nanos, Rank};

/// How long a rank that is dead may still count as present: its socket is closed by then, so this passes only if the thread
/// that would notice does not run.
const NOTICED: Nanos = Nanos::from_millis(10_000);

/// The memory of a world, in the driver's process.
#[derive(Debug)]
pub struct SharedWorld(Launcher);

impl SharedWorld {
    /// Makes the memory and waits for ranks.
    ///
    /// # Errors
    /// [`CommError::BadWorld`], [`CommError::Launch`], and [`CommError::System`].
    pub fn new(world: u16, settings: &GroupFree) -> Result<Self, CommError> {
        Launcher::listen(&settings.config(world)).map(Self)
    }
}

impl World for SharedWorld {
    fn address(&self) -> String {
        self.0.bootstrap().address().to_owned()
    }

    fn lost(&self, rank: Rank) {
        let clock = Clock::start();
        while self.0.present().contains(&rank) && clock.now() < NOTICED {
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
