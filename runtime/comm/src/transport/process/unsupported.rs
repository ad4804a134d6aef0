//! The same entries where there is no memfd: each says so.

use super::Bootstrap;
use crate::config::WorldConfig;
use crate::endpoint::Endpoint;
use crate::error::CommError;
use flexdit_core::{Group, Rank};
use std::convert::Infallible;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

const UNSUPPORTED: CommError =
    CommError::Unsupported("the transport `process` needs Linux; the transport `thread` does not");

/// Starts and watches the ranks of a world; there is none on this system.
#[derive(Debug)]
pub struct Launcher(Infallible);

impl Launcher {
    /// Starts one process per rank.
    ///
    /// # Errors
    ///
    /// [`CommError::Unsupported`], always.
    pub fn start(
        _config: &WorldConfig,
        _command: impl FnMut(Rank, &Bootstrap) -> Command,
    ) -> Result<Self, CommError> {
        Err(UNSUPPORTED)
    }

    /// Waits for ranks that somebody else starts.
    ///
    /// # Errors
    ///
    /// [`CommError::Unsupported`], always.
    pub fn listen(_config: &WorldConfig) -> Result<Self, CommError> {
        Err(UNSUPPORTED)
    }

    /// What ranks need to join.
    pub fn bootstrap(&self) -> &Bootstrap {
        match self.0 {}
    }

    /// Returns when all ranks have joined.
    ///
    /// # Errors
    ///
    /// Not called: there is no launcher.
    pub fn joined(&self) -> Result<(), CommError> {
        match self.0 {}
    }

    /// The ranks that take part now.
    pub fn present(&self) -> Group {
        match self.0 {}
    }

    /// The process of a rank.
    pub fn child(&mut self, _rank: Rank) -> Option<&mut Child> {
        match self.0 {}
    }

    /// Waits until all processes have ended.
    ///
    /// # Errors
    ///
    /// Not called: there is no launcher.
    pub fn wait(&mut self, _most: Duration) -> Result<Vec<Option<ExitStatus>>, CommError> {
        match self.0 {}
    }
}

/// Joins a world as one of its ranks.
///
/// # Errors
///
/// [`CommError::Unsupported`], always.
pub fn join(_address: &str, _rank: Rank, _config: &WorldConfig) -> Result<Endpoint, CommError> {
    Err(UNSUPPORTED)
}
