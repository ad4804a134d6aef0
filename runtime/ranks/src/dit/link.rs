//! The kernels' exchange over the collectives of a task's ranks.
//!
//! A step needs several groups in turn (Ulysses, ring, both guidance branches), and a rank has one way to its peers. So each
//! link forms its group at every call: for group-free collectives that is a local value, for communicators a look-up.

use crate::peers::Peers;
use bytemuck::{cast_slice, cast_slice_mut};
use flexdit_comm::{Collectives, CommError};
use flexdit_kernels::exchange::{Exchange, ExchangeError};
use smallvec::SmallVec;
use std::cell::RefCell;

/// A rank's way to its peers, shared by the links of one task.
pub(super) type Shared<'p, 'a> = RefCell<&'p mut Peers<'a>>;

/// One group of a task, as seen by one member.
pub(super) struct Link<'s, 'p, 'a> {
    peers: &'s Shared<'p, 'a>,
    /// Places of the members among the task's computing ranks.
    places: SmallVec<[usize; 8]>,
    index: usize,
}

impl<'s, 'p, 'a> Link<'s, 'p, 'a> {
    /// The group of these places; this rank's place is the `index`-th.
    pub(super) fn new(
        peers: &'s Shared<'p, 'a>,
        places: impl IntoIterator<Item = usize>,
        index: usize,
    ) -> Self {
        Self { peers, places: places.into_iter().collect(), index }
    }

    fn with(
        &self,
        run: impl FnOnce(&mut dyn Collectives) -> Result<(), CommError>,
    ) -> Result<(), ExchangeError> {
        let mut peers = self.peers.borrow_mut();
        let mut group = peers.among(&self.places)?;
        Ok(run(&mut *group)?)
    }
}

/// Counts of elements as counts of bytes.
fn bytes(counts: &[usize]) -> SmallVec<[usize; 8]> {
    counts.iter().map(|count| count * size_of::<f32>()).collect()
}

impl Exchange for Link<'_, '_, '_> {
    fn index(&self) -> usize {
        self.index
    }

    fn degree(&self) -> usize {
        self.places.len()
    }

    fn all_to_all(
        &mut self,
        send: &[f32],
        send_counts: &[usize],
        receive: &mut [f32],
        receive_counts: &[usize],
    ) -> Result<(), ExchangeError> {
        let (out, back) = (bytes(send_counts), bytes(receive_counts));
        self.with(|group| {
            group.all_to_all_ragged(cast_slice(send), &out, cast_slice_mut(receive), &back)
        })
    }

    fn all_gather(
        &mut self,
        mine: &[f32],
        counts: &[usize],
        all: &mut [f32],
    ) -> Result<(), ExchangeError> {
        let counts = bytes(counts);
        self.with(|group| group.all_gather_ragged(cast_slice(mine), &counts, cast_slice_mut(all)))
    }

    fn ring_shift(
        &mut self,
        by: usize,
        send: &[f32],
        receive: &mut [f32],
    ) -> Result<(), ExchangeError> {
        self.with(|group| group.ring_shift(by, cast_slice(send), cast_slice_mut(receive)))
    }
}
