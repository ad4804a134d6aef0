//! What a solver carries from step to step, as bytes and in shards.

use crate::error::{KernelError, Result};
use crate::solver::Method;
use std::ops::Range;

/// First bytes of a state, with the version of its form.
const MAGIC: [u8; 4] = *b"FDS1";

/// What passes from step to step besides the latents: the number of steps done and, for a solver with a history, earlier
/// predictions and the sample before the last step. Every buffer has one element per element of the latents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    step: usize,
    /// Order of the last step, up to 2.
    pub(super) order: usize,
    /// Predicted pictures, newest first; at most two. Then the sample before the last step.
    pub(super) buffers: Vec<Vec<f32>>,
}

impl State {
    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    pub(super) fn advance(&mut self) {
        self.step += 1;
    }

    /// Number of buffers: what moves with a request per element of its latents.
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// The state after `step` steps, taken up again from the tensors of [`Self::into_history`].
    ///
    /// # Panics
    /// If there are not [`Method::history`] tensors.
    pub fn resume(method: Method, step: usize, mut history: Vec<Vec<f32>>) -> Self {
        assert_eq!(history.len(), method.history(), "tensors of a solver's history");
        if history.is_empty() {
            return Self { step, ..Self::default() };
        }
        match step {
            0 => history.clear(),
            1 => drop(history.remove(1)),
            _ => {}
        }
        Self { step, order: step.min(2), buffers: history }
    }

    /// What passes on besides the number of steps, in as many tensors for every step, each of `length` elements: for UniPC
    /// the newest prediction, the one before, and the sample before the last step; zeros for what is not there yet.
    pub fn into_history(self, method: Method, length: usize) -> Vec<Vec<f32>> {
        let mut history = self.buffers;
        if history.len() + 1 == method.history() {
            history.insert(1, vec![0.0; length]);
        }
        history.resize_with(method.history(), || vec![0.0; length]);
        history
    }

    /// The state of the tokens in `range`, if tokens have `width` elements.
    ///
    /// # Panics
    /// If the range ends beyond the buffers.
    #[must_use]
    pub fn shard(&self, range: Range<usize>, width: usize) -> Self {
        let part = range.start * width..range.end * width;
        let buffers = self.buffers.iter().map(|buffer| buffer[part.clone()].to_vec()).collect();
        Self { buffers, ..*self }
    }

    /// The state of all shards together, in order.
    ///
    /// # Errors
    /// [`KernelError::State`] if there is no shard or they are of different steps.
    pub fn join(shards: &[Self]) -> Result<Self> {
        let first = shards.first().ok_or(KernelError::State("no shard"))?;
        let same = |shard: &Self| {
            (shard.step, shard.order, shard.buffers.len())
                == (first.step, first.order, first.buffers.len())
        };
        if !shards.iter().all(same) {
            return Err(KernelError::State("shards are of different steps"));
        }
        let whole =
            |index: usize| shards.iter().flat_map(move |s| s.buffers[index].iter().copied());
        let buffers = (0..first.buffers.len()).map(|index| whole(index).collect()).collect();
        Ok(Self { buffers, ..*first })
    }

    /// The state as bytes: a head of four numbers, then the buffers in little-endian f32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = self.buffers.first().map_or(0, Vec::len);
        let mut bytes = MAGIC.to_vec();
        for number in [self.step, self.order, self.buffers.len(), length] {
            bytes.extend((number as u64).to_le_bytes());
        }
        bytes.extend(self.buffers.iter().flatten().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    /// The state that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KernelError::State`] if the bytes are of another form or length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(KernelError::State("not a solver state"))?;
        let (head, rest) = rest.split_at_checked(32).ok_or(KernelError::State("cut short"))?;
        let (numbers, _) = head.as_chunks::<8>();
        let [step, order, count, length] = [0, 1, 2, 3]
            .map(|i| usize::try_from(u64::from_le_bytes(numbers[i])).unwrap_or(usize::MAX));
        let expected = count.checked_mul(length).and_then(|n| n.checked_mul(4));
        if order > 2 || count > 3 || expected != Some(rest.len()) {
            return Err(KernelError::State("head and length do not agree"));
        }
        let (values, _) = rest.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let buffers = (0..count).map(|i| values[i * length..(i + 1) * length].to_vec()).collect();
        Ok(Self { step, order, buffers })
    }
}
