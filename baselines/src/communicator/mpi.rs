//! Communicators of an MPI library behind the same seam: `MPI_Comm_create_group` and the library's collectives.
//!
//! Only with the feature `mpi`. Ranks are the processes of `mpirun`; each calls [`MpiWorld::start`] once, in its main
//! thread, and everything else from there.
//!
//! Sums must have the same bits on all members, which `MPI_Allreduce` does not promise, and are made in f32 in group order:
//! shares are gathered with `MPI_Alltoall(v)`, added here, and handed round with `MPI_Allgatherv`; a short all-reduce is an
//! `MPI_Allgather` and the sum of everything. [`MpiCommunicator::all_reduce_any_order`] is the library's own.
//!
//! This module does not turn the library's failures into errors: a lost rank or a mismatch ends the job, as MPI does by
//! default, and nothing times out. Invariant: arguments are checked as over TCP.

use super::ops::{check_counts, check_member, check_partner, equal};
use super::reduction::{SHORT_BYTES, check, shares};
use flexdit_comm::{Collectives, CommError, DType, Membership, Op, reduce};
use flexdit_core::{Group, Rank};
use mpi::Count;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::point_to_point::send_receive_into;
use mpi::topology::{SimpleCommunicator, UserGroup};
use mpi::traits::{
    Communicator as _, CommunicatorCollectives, Destination, Equivalence, Group as _, Root, Source,
};
use std::marker::PhantomData;

/// This process as a rank of `MPI_COMM_WORLD`. Dropping it finalises MPI.
pub struct MpiWorld {
    // Both are freed before MPI is finalised: fields drop in this order.
    group: UserGroup,
    world: SimpleCommunicator,
    _universe: Universe,
}

impl MpiWorld {
    /// Initialises MPI. Once in a process, in its main thread; processes are started by `mpirun`.
    ///
    /// # Errors
    ///
    /// [`CommError::BadWorld`] if MPI was initialised before, or has more ranks than a group may have.
    pub fn start() -> Result<Self, CommError> {
        let universe = mpi::initialize();
        let universe = universe.ok_or_else(|| {
            CommError::BadWorld("MPI was initialised before in this process".into())
        })?;
        let world = universe.world();
        if world.size() as usize > Group::MAX {
            let why = format!("MPI started {} ranks, at most {} can be", world.size(), Group::MAX);
            return Err(CommError::BadWorld(why));
        }
        Ok(Self { group: world.group(), world, _universe: universe })
    }

    /// This rank.
    pub fn rank(&self) -> Rank {
        Rank(self.world.rank() as u16)
    }

    /// Number of ranks of the world.
    pub fn world(&self) -> usize {
        self.world.size() as usize
    }

    /// Creates a communicator over an ordered group with `MPI_Comm_create_group`. Every member calls it, others do not.
    ///
    /// # Errors
    ///
    /// [`CommError::BadGroup`] before anything is sent; [`CommError::System`] if MPI makes none.
    pub fn create(&self, group: &Group) -> Result<MpiCommunicator<'_>, CommError> {
        let membership = Membership::new(group, self.rank(), self.world())?;
        let ranks: Vec<i32> = group.iter().map(|rank| i32::from(rank.0)).collect();
        let communicator = self.world.split_by_subgroup(&self.group.include(&ranks));
        let communicator = communicator.ok_or_else(|| CommError::System {
            rank: self.rank(),
            doing: format!("create a communicator over {group}"),
            message: "MPI made none".into(),
        })?;
        let (gathered, sums) = (Vec::new(), Vec::new());
        Ok(MpiCommunicator {
            membership,
            communicator,
            gathered,
            sums,
            spare: [0],
            world: PhantomData,
        })
    }
}

/// A communicator of MPI over one ordered group. Dropping it frees it, which all members do together.
pub struct MpiCommunicator<'w> {
    membership: Membership,
    communicator: SimpleCommunicator,
    /// Parts to be added, and their sums.
    gathered: Vec<u8>,
    sums: Vec<f32>,
    /// Stands for empty buffers.
    spare: [u8; 1],
    /// MPI is not finalised while a communicator lives.
    world: PhantomData<&'w MpiWorld>,
}

/// A length as MPI counts.
fn count(op: Op, bytes: usize) -> Result<Count, CommError> {
    Count::try_from(bytes).map_err(|_| CommError::BadArgument {
        op,
        what: "number of bytes, which MPI counts in 32 bits,",
        got: bytes as u64,
        expected: Count::MAX as u64,
    })
}

/// Counts and where their parts begin, as MPI wants them.
fn layout(op: Op, counts: &[usize]) -> Result<(Vec<Count>, Vec<Count>), CommError> {
    count(op, counts.iter().sum())?;
    let counts: Vec<Count> = counts.iter().map(|bytes| *bytes as Count).collect();
    let begin = counts.iter().scan(0, |next, bytes| {
        *next += bytes;
        Some(*next - bytes)
    });
    let begin = begin.collect();
    Ok((counts, begin))
}

/// The buffer, or an empty one with a real address: Rust's has an address that means `MPI_IN_PLACE` to some libraries.
fn real(data: &[u8]) -> &[u8] {
    static SPARE: [u8; 1] = [0];
    if data.is_empty() { &SPARE[..0] } else { data }
}

/// As [`real`], with `spare` in place of an empty buffer.
fn real_mut<'a>(data: &'a mut [u8], spare: &'a mut [u8; 1]) -> &'a mut [u8] {
    if data.is_empty() { &mut spare[..0] } else { data }
}

impl MpiCommunicator<'_> {
    /// The ordered group.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Frees the communicator with `MPI_Comm_free`. Every member calls it.
    ///
    /// # Errors
    ///
    /// None; for the sake of those who hold either kind of communicator.
    pub fn destroy(self) -> Result<(), CommError> {
        Ok(())
    }

    /// The library's `MPI_Allreduce`: adds in an order of its own.
    pub fn all_reduce_any_order(&mut self, send: &[f32], receive: &mut [f32]) {
        self.communicator.all_reduce_into(send, receive, SystemOperation::sum());
    }

    /// Adds the `degree` equal parts in `gathered`, in order, and rounds the sums into `out`.
    fn add(&mut self, dtype: DType, out: &mut [u8]) {
        self.sums.clear();
        self.sums.resize(out.len() / dtype.size(), 0.0);
        if !out.is_empty() {
            for part in self.gathered.chunks_exact(out.len()) {
                reduce::accumulate(dtype, &mut self.sums, part);
            }
        }
        reduce::round(dtype, &self.sums, out);
    }

    /// The number of bytes that came must be that of the buffer.
    fn check_came(&self, from: usize, came: Count, expected: usize) -> Result<(), CommError> {
        if came as usize == expected {
            return Ok(());
        }
        Err(CommError::System {
            rank: self.membership.rank_at(self.membership.index()),
            doing: format!("receive {expected} bytes from {}", self.membership.rank_at(from)),
            message: format!("{came} came"),
        })
    }
}

impl Collectives for MpiCommunicator<'_> {
    fn index(&self) -> usize {
        self.membership.index()
    }

    fn degree(&self) -> usize {
        self.membership.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        self.communicator.barrier();
        Ok(())
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        check_member(Op::Broadcast, "root's place in the group", root, self.degree())?;
        count(Op::Broadcast, data.len())?;
        let data = real_mut(data, &mut self.spare);
        self.communicator.process_at_rank(root as i32).broadcast_into(data);
        Ok(())
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        let op = Op::AllGather;
        check_counts(op, counts, all.len(), self.degree())?;
        equal(op, "length of the own share", mine.len(), counts[self.index()])?;
        let (counts, begin) = layout(op, counts)?;
        let mut all = PartitionMut::new(real_mut(all, &mut self.spare), counts, begin);
        self.communicator.all_gather_varcount_into(real(mine), &mut all);
        Ok(())
    }

    fn all_gather(&mut self, mine: &[u8], all: &mut [u8]) -> Result<(), CommError> {
        let op = Op::AllGather;
        let expected = mine.len().saturating_mul(self.degree());
        equal(op, "length of a buffer", all.len(), expected)?;
        count(op, all.len())?;
        self.communicator.all_gather_into(real(mine), real_mut(all, &mut self.spare));
        Ok(())
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        let (op, own, degree) = (Op::AllToAll, self.index(), self.degree());
        check_counts(op, send_counts, send.len(), degree)?;
        check_counts(op, receive_counts, receive.len(), degree)?;
        equal(op, "own share to receive", receive_counts[own], send_counts[own])?;
        let (send_counts, send_begin) = layout(op, send_counts)?;
        let (receive_counts, receive_begin) = layout(op, receive_counts)?;
        let send = Partition::new(real(send), send_counts, send_begin);
        let receive = real_mut(receive, &mut self.spare);
        let mut receive = PartitionMut::new(receive, receive_counts, receive_begin);
        self.communicator.all_to_all_varcount_into(&send, &mut receive);
        Ok(())
    }

    fn all_to_all(&mut self, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let (op, degree) = (Op::AllToAll, self.degree());
        let whole = send.len() / degree * degree;
        equal(op, "length of a buffer that is cut into equal parts", send.len(), whole)?;
        equal(op, "length of a buffer", receive.len(), send.len())?;
        count(op, send.len())?;
        self.communicator.all_to_all_into(real(send), real_mut(receive, &mut self.spare));
        Ok(())
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let (op, own, degree) = (Op::RingShift, self.index(), self.degree());
        let by = by % degree;
        if by == 0 {
            equal(op, "length of the buffer to receive", receive.len(), send.len())?;
            receive.copy_from_slice(send);
            return Ok(());
        }
        count(op, send.len().max(receive.len()))?;
        let (to, from) = ((own + by) % degree, (own + degree - by) % degree);
        let expected = receive.len();
        let came = send_receive_into(
            real(send),
            &self.communicator.process_at_rank(to as i32),
            real_mut(receive, &mut self.spare),
            &self.communicator.process_at_rank(from as i32),
        );
        self.check_came(from, came.count(u8::equivalent_datatype()), expected)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        let op = Op::ReduceScatter;
        check(op, dtype, receive.len())?;
        let expected = receive.len().saturating_mul(self.degree());
        equal(op, "length of the buffer to send", send.len(), expected)?;
        count(op, send.len())?;
        self.gathered.resize(send.len(), 0);
        let gathered = real_mut(&mut self.gathered, &mut self.spare);
        self.communicator.all_to_all_into(real(send), gathered);
        self.add(dtype, receive);
        Ok(())
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        let (op, own, degree) = (Op::AllReduce, self.index(), self.degree());
        check(op, dtype, data.len())?;
        count(op, data.len().saturating_mul(degree))?;
        if degree == 1 {
            return Ok(());
        }
        if data.len() * (degree - 1) <= SHORT_BYTES {
            self.gathered.resize(data.len() * degree, 0);
            let gathered = real_mut(&mut self.gathered, &mut self.spare);
            self.communicator.all_gather_into(real(data), gathered);
            self.add(dtype, data);
            return Ok(());
        }
        let shares =
            shares(data.len() / dtype.size(), degree).map(|elements| elements * dtype.size());
        let (counts, begin) = layout(op, &shares.collect::<Vec<_>>())?;
        let share = counts[own];
        let mut mine = vec![0; share as usize];
        self.gathered.resize(share as usize * degree, 0);
        let (equal_counts, equal_begin) = layout(op, &vec![share as usize; degree])?;
        let send = Partition::new(&*data, &counts[..], &begin[..]);
        let mut parts = PartitionMut::new(&mut self.gathered[..], equal_counts, equal_begin);
        self.communicator.all_to_all_varcount_into(&send, &mut parts);
        self.add(dtype, &mut mine);
        let mut all = PartitionMut::new(data, counts, begin);
        self.communicator.all_gather_varcount_into(&mine[..], &mut all);
        Ok(())
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        check_partner("member to put to", to, self.index(), self.degree())?;
        count(Op::PutGet, data.len())?;
        self.communicator.process_at_rank(to as i32).send(real(data));
        Ok(())
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        check_partner("member to get from", from, self.index(), self.degree())?;
        count(Op::PutGet, data.len())?;
        let expected = data.len();
        let data = real_mut(data, &mut self.spare);
        let came = self.communicator.process_at_rank(from as i32).receive_into(data);
        self.check_came(from, came.count(u8::equivalent_datatype()), expected)
    }
}
