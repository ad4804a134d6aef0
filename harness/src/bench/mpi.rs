//! MPI's communicators as a contestant: forming a group is `MPI_Comm_create_group`.
//!
//! Sums are the library's own `MPI_Allreduce`: the numbers added here have the same sum in any order, so its result can be
//! checked, and the library is not slowed down by the order that this project's collectives promise.

use super::contender::{Body, Contender};
use flexdit_baselines::communicator::{MpiCommunicator, MpiWorld};
use flexdit_comm::{Collectives, CommError, DType};
use flexdit_core::Group;
use std::collections::BTreeMap;

/// One rank of MPI's world.
pub struct MpiRank<'w> {
    world: &'w MpiWorld,
    groups: BTreeMap<usize, Native<'w>>,
}

impl<'w> MpiRank<'w> {
    /// This process.
    pub fn new(world: &'w MpiWorld) -> Self {
        Self { world, groups: BTreeMap::new() }
    }
}

impl Contender for MpiRank<'_> {
    fn form(&mut self, id: usize, group: &Group) -> Result<(), CommError> {
        let communicator = self.world.create(group)?;
        self.groups.insert(id, Native { communicator, mine: Vec::new() });
        Ok(())
    }

    fn run(&mut self, id: usize, _: u64, body: &mut Body<'_>) -> Result<(), CommError> {
        body(self.groups.get_mut(&id).expect("the group was formed"))
    }

    fn release(&mut self, id: usize) -> Result<(), CommError> {
        self.groups.remove(&id).expect("the group was formed").communicator.destroy()
    }
}

/// The library's collectives, all-reduce included.
struct Native<'w> {
    communicator: MpiCommunicator<'w>,
    mine: Vec<f32>,
}

impl Collectives for Native<'_> {
    fn index(&self) -> usize {
        self.communicator.index()
    }

    fn degree(&self) -> usize {
        self.communicator.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        self.communicator.barrier()
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        self.communicator.broadcast(root, data)
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        self.communicator.all_gather_ragged(mine, counts, all)
    }

    fn all_gather(&mut self, mine: &[u8], all: &mut [u8]) -> Result<(), CommError> {
        self.communicator.all_gather(mine, all)
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        self.communicator.all_to_all_ragged(send, send_counts, receive, receive_counts)
    }

    fn all_to_all(&mut self, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        self.communicator.all_to_all(send, receive)
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        self.communicator.ring_shift(by, send, receive)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        self.communicator.reduce_scatter(dtype, send, receive)
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        if dtype != DType::F32 || bytemuck::try_cast_slice::<u8, f32>(data).is_err() {
            return self.communicator.all_reduce(dtype, data);
        }
        let data: &mut [f32] = bytemuck::cast_slice_mut(data);
        self.mine.clear();
        self.mine.extend_from_slice(data);
        self.communicator.all_reduce_any_order(&self.mine, data);
        Ok(())
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        self.communicator.put(to, data)
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        self.communicator.get(from, data)
    }
}
