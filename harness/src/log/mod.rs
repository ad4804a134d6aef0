//! The log of a run, `log-*.jsonl.zst`: every step with what the system was told and what it said.
//!
//! The log *is* the run: replayed into a fresh system it must give the same commands
//! ([`replay`]), and every metric follows from it alone ([`record`]).
//!
//! Format: zstd-compressed JSON lines. The first is a [`Header`]; each further one a [`Step`].
//! Steps at which the system was called without an event (its own timers) are there too.

mod read;
mod replay;

pub use read::LogReader;
pub use replay::{Divergence, Replay, record, replay};

use flexdit_core::{Command, Event, Nanos};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// Version of the format.
pub const VERSION: u32 = 2;

/// First line of a log: which run it is, and everything needed to build the system again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`VERSION`].
    pub flexdit_log: u32,
    /// Ranks.
    pub world: u16,
    /// The system's name in the experiment.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// Name of the static layout that ran, where the system is a search for the best one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Values of the swept keys, as written.
    pub point: Vec<(String, String)>,
    /// The machine, where ranks were real: instants are measured. Left out in virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_on: Option<String>,
    /// Path of the experiment file; paths in it are relative to its folder.
    pub path: String,
    /// Text of the experiment file.
    pub experiment: String,
}

/// One call of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The instant.
    pub t: Nanos,
    /// What the system was told.
    pub events: Vec<Event>,
    /// What it answered.
    pub commands: Vec<Command>,
}

/// A step about to be written.
#[derive(Serialize)]
struct StepRef<'a> {
    t: Nanos,
    events: &'a [Event],
    commands: &'a [Command],
}

/// Writes a log as the run goes on, in constant memory.
pub struct LogWriter<W: Write> {
    out: zstd::Encoder<'static, W>,
}

impl<W: Write> LogWriter<W> {
    /// Starts a log; the header's version is set.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut log = Self { out: zstd::Encoder::new(out, 3)? };
        log.line(&Header { flexdit_log: VERSION, ..header.clone() })?;
        Ok(log)
    }

    /// Appends one call of the system, also one without events or commands.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn step(&mut self, t: Nanos, events: &[Event], commands: &[Command]) -> io::Result<()> {
        self.line(&StepRef { t, events, commands })
    }

    /// Completes the log and returns what it was written to, flushed.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok(out)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }
}

#[cfg(test)]
#[path = "log_test.rs"]
mod tests;
