//! The seam: what drivers and kernels use of the other ranks of a group, whoever carries it out.
//!
//! Group-free collectives ([`lane`](crate)) and the baseline's communicators both implement [`Collectives`], so whoever
//! holds one cannot tell which it is. All members of the group call the same operations in the same order.

use crate::dtype::{DType, Element};
use crate::error::CommError;
use crate::tag::Op;

/// Collective operations of one ordered group, seen by one member. Counts and lengths are in bytes.
///
/// A call returns when this member's part is done and its buffers may be used again; other members may still be at it.
///
/// # Errors
///
/// Every operation: [`CommError::BadArgument`] before anything is sent if lengths do not fit;
/// else whatever happened to the group, after which the group is unusable until it is reset or made anew.
pub trait Collectives {
    /// Own position in the group.
    fn index(&self) -> usize;

    /// Number of members.
    fn degree(&self) -> usize;

    /// Returns when every member has called it.
    fn barrier(&mut self) -> Result<(), CommError>;

    /// Fills `data` of every member with that of the member at `root`.
    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError>;

    /// Puts every member's `mine` into `all`, in group order; `counts[i]` bytes come from member i.
    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError>;

    /// Sends `send_counts[i]` consecutive bytes of `send` to member i, and puts `receive_counts[i]` bytes
    /// from member i into `receive`, in group order. Own bytes are copied.
    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError>;

    /// Sends `send` to the member `by` places on, and fills `receive` from the member `by` places back; one operation.
    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError>;

    /// Adds `send` of all members elementwise and gives each its share: member i gets the elements from
    /// i x `receive.len()` on. Sums are made in group order in f32 and rounded once.
    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError>;

    /// Replaces `data` of every member by the sum over all members: in group order, in f32, rounded once, so
    /// bitwise equal on all members.
    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError>;

    /// Sends `data` to the member `to`, which calls [`get`](Self::get). Only these two take part.
    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError>;

    /// Fills `data` with what the member `from` puts. Only these two take part.
    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError>;

    /// Puts every member's `mine` into `all`, in group order; all shares have one size.
    fn all_gather(&mut self, mine: &[u8], all: &mut [u8]) -> Result<(), CommError> {
        let counts = [mine.len(); flexdit_core::Group::MAX];
        let degree = self.degree();
        self.all_gather_ragged(mine, &counts[..degree], all)
    }

    /// Sends the i-th equal part of `send` to member i and puts theirs into `receive`, in group order.
    fn all_to_all(&mut self, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let degree = self.degree();
        let share = send.len() / degree;
        if share * degree != send.len() {
            let expected = (share * degree) as u64;
            let got = send.len() as u64;
            return Err(CommError::BadArgument {
                op: Op::AllToAll,
                what: "length of a buffer that is cut into equal parts",
                got,
                expected,
            });
        }
        let counts = [share; flexdit_core::Group::MAX];
        self.all_to_all_ragged(send, &counts[..degree], receive, &counts[..degree])
    }
}

/// The same operations on slices of elements; counts are in elements.
pub trait TypedCollectives: Collectives {
    /// [`Collectives::broadcast`] of elements.
    fn broadcast_of<T: Element>(&mut self, root: usize, data: &mut [T]) -> Result<(), CommError> {
        self.broadcast(root, bytemuck::cast_slice_mut(data))
    }

    /// [`Collectives::all_gather`] of elements.
    fn all_gather_of<T: Element>(&mut self, mine: &[T], all: &mut [T]) -> Result<(), CommError> {
        self.all_gather(bytemuck::cast_slice(mine), bytemuck::cast_slice_mut(all))
    }

    /// [`Collectives::all_to_all`] of elements.
    fn all_to_all_of<T: Element>(
        &mut self,
        send: &[T],
        receive: &mut [T],
    ) -> Result<(), CommError> {
        self.all_to_all(bytemuck::cast_slice(send), bytemuck::cast_slice_mut(receive))
    }

    /// [`Collectives::ring_shift`] of elements.
    fn ring_shift_of<T: Element>(
        &mut self,
        by: usize,
        send: &[T],
        receive: &mut [T],
    ) -> Result<(), CommError> {
        self.ring_shift(by, bytemuck::cast_slice(send), bytemuck::cast_slice_mut(receive))
    }

    /// [`Collectives::reduce_scatter`] of elements.
    fn reduce_scatter_of<T: Element>(
        &mut self,
        send: &[T],
        receive: &mut [T],
    ) -> Result<(), CommError> {
        let receive = bytemuck::cast_slice_mut(receive);
        self.reduce_scatter(T::DTYPE, bytemuck::cast_slice(send), receive)
    }

    /// [`Collectives::all_reduce`] of elements.
    fn all_reduce_of<T: Element>(&mut self, data: &mut [T]) -> Result<(), CommError> {
        self.all_reduce(T::DTYPE, bytemuck::cast_slice_mut(data))
    }
}

impl<C: Collectives + ?Sized> TypedCollectives for C {}
