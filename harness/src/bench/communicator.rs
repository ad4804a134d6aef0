//! Communicators over TCP as a contestant: forming a group is creating one.

use super::contender::{Body, Contender};
use super::launch::{BenchError, Setting};
use super::measure::RankSamples;
use super::plan::Plan;
use super::threads;
use flexdit_baselines::communicator::{Communicator, Config, Joined, Store};
use flexdit_comm::CommError;
use flexdit_core::{Group, Rank};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One rank that meets others at a store.
#[derive(Debug)]
pub struct CommunicatorRank {
    joined: Joined,
    groups: BTreeMap<usize, Communicator>,
}

impl CommunicatorRank {
    /// Joins as `rank` of `world` ranks at the store.
    ///
    /// # Errors
    /// As [`Joined::new`].
    pub fn join(rank: Rank, world: usize, store: SocketAddr) -> Result<Self, CommError> {
        let joined = Joined::new(rank, world, store, Config::default())?;
        Ok(Self { joined, groups: BTreeMap::new() })
    }
}

/// Runs `plan` on threads that meet at a store of their own.
///
/// # Errors
/// If the world does not start or a rank fails.
pub fn run(plan: &Plan, setting: &Setting) -> Result<Vec<RankSamples>, BenchError> {
    let store = Store::serve("127.0.0.1:0");
    let store = store.map_err(|error| BenchError::Setup(format!("the store: {error}")))?;
    let join = |rank| CommunicatorRank::join(Rank(rank), plan.world, store.address());
    let ranks: Result<Vec<_>, _> = (0..plan.world as u16).map(join).collect();
    let ranks = ranks.map_err(|error| BenchError::Setup(format!("joining: {error}")))?;
    threads::run(plan, setting, ranks)
}

impl Contender for CommunicatorRank {
    fn form(&mut self, id: usize, group: &Group) -> Result<(), CommError> {
        let communicator = self.joined.create(group)?;
        self.groups.insert(id, communicator);
        Ok(())
    }

    fn run(&mut self, id: usize, _: u64, body: &mut Body<'_>) -> Result<(), CommError> {
        body(self.groups.get_mut(&id).expect("the group was formed"))
    }

    fn release(&mut self, id: usize) -> Result<(), CommError> {
        self.groups.remove(&id).expect("the group was formed").destroy()
    }
}
