//! What one decoding carries along: the split over ranks, the frames that causal convolutions look back on, and buffers.

use super::conv::Conv;
use super::frame::Frame;
use super::rows::Rows;
use crate::cpu::Scratch;
use crate::error::Result;
use crate::exchange::Exchange;
use std::collections::VecDeque;

/// Frames before the current one that a causal convolution sees.
const LOOK_BACK: usize = 2;

/// One decoding under way.
pub(super) struct Run<'a> {
    pub(super) exchange: &'a mut dyn Exchange,
    pub(super) scratch: &'a mut Scratch,
    /// The split at the lowest resolution.
    pub(super) rows: Rows,
    /// Whether the latent frame under way is the first: it gives one frame, the others one for each doubling.
    pub(super) first: bool,
    /// Whether it is the only one, so that nobody looks back on its frames.
    pub(super) single: bool,
    histories: Vec<VecDeque<Frame>>,
}

impl<'a> Run<'a> {
    /// A decoding of one latent frame (`single`) or several, with `histories` causal convolutions.
    pub(super) fn new(
        rows: Rows,
        histories: usize,
        single: bool,
        exchange: &'a mut dyn Exchange,
        scratch: &'a mut Scratch,
    ) -> Self {
        let mut list = Vec::new();
        list.resize_with(histories, VecDeque::new);
        Self { exchange, scratch, rows, first: true, single, histories: list }
    }

    /// Fetches the rows above and below from the neighbours; the frame may be of any resolution.
    pub(super) fn fill_border(&mut self, frame: &mut Frame) -> Result<()> {
        if self.rows.parts() == 1 {
            return Ok(());
        }
        // Rows of all members grow alike. A member without rows exchanges nothing, whatever the factor.
        let factor = match self.rows.mine().len() {
            0 => 1,
            rows => frame.rows() / rows,
        };
        self.rows.scaled(factor).fill_border(frame, self.exchange)
    }

    /// Calls `f` with the frames remembered at `history` and the new one, in order, and remembers the new one.
    pub(super) fn remember(
        &mut self,
        history: usize,
        new: Frame,
        f: impl FnOnce(&[&Frame], &mut Scratch) -> Frame,
    ) -> Frame {
        let known = &mut self.histories[history];
        let frames: Vec<&Frame> = known.iter().chain([&new]).collect();
        let out = f(&frames, self.scratch);
        if self.single {
            new.give(self.scratch);
            return out;
        }
        known.push_back(new);
        if known.len() > LOOK_BACK {
            let oldest = known.pop_front().expect("more than one");
            oldest.give(self.scratch);
        }
        out
    }

    /// A convolution of one frame, with no look at others.
    pub(super) fn apply(&mut self, conv: &Conv, x: Frame) -> Frame {
        let mut out = Frame::take(x.rows(), x.width(), conv.outputs(), self.scratch);
        conv.apply(&[&x], &mut out);
        x.give(self.scratch);
        out
    }

    /// Leaves all remembered frames for other use.
    pub(super) fn end(self) {
        for frame in self.histories.into_iter().flatten() {
            frame.give(self.scratch);
        }
    }
}
