//! Group-free collectives as a contestant: forming a group is making a value.

use super::contender::{Body, Contender};
use flexdit_comm::{CommError, Endpoint, Membership};
use flexdit_core::Group;
use std::hint::black_box;

/// Groups for which room is made beforehand, so that keeping one allocates nothing.
const ROOM: usize = 1 << 12;

/// One rank of a group-free world, thread or process.
#[derive(Debug)]
pub struct GroupFreeRank {
    endpoint: Endpoint,
    groups: Vec<Option<Membership>>,
}

impl GroupFreeRank {
    /// The rank that holds this end of the world.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, groups: vec![None; ROOM] }
    }

    fn member(&self, group: &Group) -> Result<Membership, CommError> {
        Membership::new(group, self.endpoint.rank(), self.endpoint.config().ranks)
    }
}

impl Contender for GroupFreeRank {
    fn form(&mut self, id: usize, group: &Group) -> Result<(), CommError> {
        let member = self.member(group)?;
        if id >= self.groups.len() {
            self.groups.resize(id + ROOM, None);
        }
        self.groups[id] = Some(member);
        Ok(())
    }

    fn form_many(&mut self, group: &Group, count: u32) -> Result<bool, CommError> {
        for _ in 0..count {
            black_box(self.member(black_box(group))?);
        }
        Ok(true)
    }

    fn run(&mut self, id: usize, sequence: u64, body: &mut Body<'_>) -> Result<(), CommError> {
        let Self { endpoint, groups } = self;
        let member = groups[id].as_ref().expect("the group was formed");
        let lane = endpoint.lane(0);
        lane.begin(sequence)?;
        body(&mut lane.on(member))
    }

    fn release(&mut self, id: usize) -> Result<(), CommError> {
        self.groups[id] = None;
        Ok(())
    }
}
