//! What a rank does before the clock starts: one request of each model's hungriest shape, alone and for nobody.
//!
//! The first task of its size asks the system for its pages, which for a decode takes as long as the decode. Servers that
//! people use have done that long before; so the first requests of a run must not pay for it either.

use super::{Dit, DitError};
use flexdit_core::{ClassId, Nanos, Parallelism, Rank, Request, RequestId, Shape};

impl Dit {
    /// Of each model the shape whose tasks need the most memory on one rank.
    pub(super) fn hungriest(&self, shapes: &[Shape]) -> Vec<Shape> {
        let need = |shape: &&Shape| {
            self.memory(shape, Parallelism::SINGLE).map_or(0, |memory| memory.rank)
        };
        let of_model = |model: usize| {
            shapes.iter().filter(|shape| shape.model.index() == model).max_by_key(need).copied()
        };
        (0..self.models.len()).filter_map(of_model).collect()
    }

    /// Computes a request of this shape and one step with the rank's buffers.
    pub(super) fn rehearse(&self, rank: Rank, shape: Shape) -> Result<(), DitError> {
        let request = Request {
            id: RequestId(0),
            class: ClassId(0),
            shape: Shape { steps: 1, ..shape },
            chunk_steps: 1,
            priority: 0,
            preemptible: false,
            arrival: Nanos::ZERO,
            deadline: None,
            t_single: None,
        };
        let mut kept = self.scratch_for(rank, shape, Parallelism::SINGLE);
        self.compute(&request, &mut kept.scratch).map(drop)
    }
}
