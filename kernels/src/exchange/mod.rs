//! All that model code knows of other ranks: the trait [`Exchange`], and the exchange of a rank that is alone.
//!
//! Owns no transport. Whoever runs a model implements the trait over collectives. Invariant: members of a group make
//! the same calls in the same order, with counts that agree.

mod threads;

pub use threads::{Member, members};

/// What went wrong on the way; the kernels only pass it on.
pub type ExchangeError = Box<dyn std::error::Error + Send + Sync>;

/// Exchanges within one ordered group, as seen by one member. Counts are in elements.
///
/// # Errors
/// Whatever happened to the group; the step is lost then.
pub trait Exchange {
    /// Own position in the group.
    fn index(&self) -> usize;

    /// Number of members.
    fn degree(&self) -> usize;

    /// Sends `send_counts[i]` consecutive elements of `send` to member i and puts `receive_counts[i]` elements from
    /// member i into `receive`, in group order; own elements are copied.
    fn all_to_all(
        &mut self,
        send: &[f32],
        send_counts: &[usize],
        receive: &mut [f32],
        receive_counts: &[usize],
    ) -> Result<(), ExchangeError>;

    /// Puts every member's `mine` into `all`, in group order; `counts[i]` elements come from member i.
    fn all_gather(
        &mut self,
        mine: &[f32],
        counts: &[usize],
        all: &mut [f32],
    ) -> Result<(), ExchangeError>;

    /// Sends `send` to the member `by` places on and fills `receive` from the member `by` places back. All members
    /// pass buffers of one length.
    fn ring_shift(
        &mut self,
        by: usize,
        send: &[f32],
        receive: &mut [f32],
    ) -> Result<(), ExchangeError>;
}

/// The exchange of a rank that computes alone: every operation is a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Exchange for Alone {
    fn index(&self) -> usize {
        0
    }

    fn degree(&self) -> usize {
        1
    }

    fn all_to_all(
        &mut self,
        send: &[f32],
        _: &[usize],
        receive: &mut [f32],
        _: &[usize],
    ) -> Result<(), ExchangeError> {
        receive.copy_from_slice(send);
        Ok(())
    }

    fn all_gather(
        &mut self,
        mine: &[f32],
        _: &[usize],
        all: &mut [f32],
    ) -> Result<(), ExchangeError> {
        all.copy_from_slice(mine);
        Ok(())
    }

    fn ring_shift(
        &mut self,
        _: usize,
        send: &[f32],
        receive: &mut [f32],
    ) -> Result<(), ExchangeError> {
        receive.copy_from_slice(send);
        Ok(())
    }
}
