//! The contract between systems under test and drivers.

use crate::command::Command;
use crate::event::Event;
use crate::group::Group;
use crate::units::Nanos;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A system under test: a pure state machine.
///
/// Contract of the driver: `now` never decreases; events of one instant come together, ordered as
/// [`Event`] says; each `Launch` is answered by one `Finished` or `Failed` per rank of its group,
/// each `Migrate` by one `Migrated`. Calls come one at a time, from any thread.
pub trait System: Send {
    /// Applies all events of instant `now`, appends commands in dispatch order, and returns when to
    /// be called without an event.
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos>;

    /// Groups whose communicators exist before the first request: they cost no set-up.
    fn prebuilt(&self) -> Vec<Group> {
        Vec::new()
    }

    /// What the system has to say about the run so far.
    fn counters(&self) -> Counters;
}

/// Bookkeeping a system reports beside its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests admitted and not ended.
    pub live: u64,
    /// Ranks claimed by tasks in flight, counted with multiplicity. 0 when no request lives.
    pub claims: u64,
    /// Times the policy was asked.
    pub decisions: u64,
    /// Policy decisions refused because they were illegal.
    pub illegal: u64,
    /// Why the policy was replaced by the fallback during the run, if it was.
    pub fallback: Option<String>,
}
