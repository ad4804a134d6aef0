//! How the rows of a frame are split over the members of a group, and what neighbours send each other.
//!
//! Owns the split and the exchange of border rows. Invariant: after [`Rows::fill_border`] a member's frame lies
//! in the border that the whole frame would have there, so whatever is computed next has the bits of the whole.

use super::frame::Frame;
use crate::error::{KernelError, Result};
use crate::exchange::Exchange;
use crate::split::ragged;
use std::ops::Range;

/// The rows of every member of a group at one scale of the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// End of each member's rows, in order.
    ends: Vec<usize>,
    index: usize,
}

impl Rows {
    /// `total` rows over `parts` members in ragged pieces of whole units of `unit` rows, longer pieces first; seen by
    /// member `index`. Units are rows of tokens, so that a token's rows stay together.
    ///
    /// # Panics
    /// If `unit` does not divide `total`, or `index` is not below `parts`.
    ///
    /// ```
    /// use flexdit_kernels::vae::Rows;
    /// let rows = Rows::new(10, 2, 3, 0);
    /// assert_eq!((rows.of(0), rows.of(1), rows.of(2)), (0..4, 4..8, 8..10));
    /// ```
    pub fn new(total: usize, unit: usize, parts: usize, index: usize) -> Self {
        assert!(total.is_multiple_of(unit), "{total} rows in units of {unit}");
        assert!(index < parts, "member {index} of {parts}");
        let ends = (0..parts).map(|part| ragged(total / unit, parts, part).end * unit).collect();
        Self { ends, index }
    }

    /// Rows of member `index`.
    pub fn of(&self, index: usize) -> Range<usize> {
        index.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[index]
    }

    /// Own rows.
    pub fn mine(&self) -> Range<usize> {
        self.of(self.index)
    }

    /// Rows of all members.
    pub fn total(&self) -> usize {
        self.ends[self.ends.len() - 1]
    }

    /// Number of members.
    pub fn parts(&self) -> usize {
        self.ends.len()
    }

    /// The same split of a frame that is `factor` times as high.
    #[must_use]
    pub(super) fn scaled(&self, factor: usize) -> Self {
        Self { ends: self.ends.iter().map(|end| end * factor).collect(), index: self.index }
    }

    /// How many elements of a row-wise tensor with `width` elements a row each member holds.
    pub(super) fn counts(&self, width: usize) -> Vec<usize> {
        (0..self.parts()).map(|part| self.of(part).len() * width).collect()
    }

    /// The rows just above and just below those of a member, where there are any.
    fn wanted(&self, part: usize) -> impl Iterator<Item = usize> {
        let rows = self.of(part);
        let (some, total) = (!rows.is_empty(), self.total());
        let above = rows.start.checked_sub(1).filter(|_| some);
        let below = Some(rows.end).filter(|end| some && *end < total);
        above.into_iter().chain(below)
    }

    /// Elements that `from` sends to `to`: rows of `from` that `to` wants, `line` elements each.
    fn count(&self, from: usize, to: usize, line: usize) -> usize {
        let rows = self.of(from);
        line * if from == to { 0 } else { self.wanted(to).filter(|row| rows.contains(row)).count() }
    }

    /// Puts the neighbours' rows above and below the own ones. At the ends of the whole frame the border stays as it is.
    ///
    /// # Errors
    /// [`KernelError::Exchange`].
    pub(super) fn fill_border(&self, frame: &mut Frame, exchange: &mut dyn Exchange) -> Result<()> {
        if self.parts() == 1 {
            return Ok(());
        }
        let mine = self.mine();
        assert_eq!(mine.len(), frame.rows(), "rows of the frame");
        let line = frame.line(0).len();
        let counts = |f: &dyn Fn(usize) -> usize| (0..self.parts()).map(f).collect::<Vec<_>>();
        let send_counts = counts(&|to| self.count(self.index, to, line));
        let receive_counts = counts(&|from| self.count(from, self.index, line));
        let mut send = Vec::with_capacity(send_counts.iter().sum());
        for to in (0..self.parts()).filter(|to| *to != self.index) {
            for row in self.wanted(to).filter(|row| mine.contains(row)) {
                send.extend_from_slice(frame.line(row - mine.start + 1));
            }
        }
        let mut received = vec![0.0; receive_counts.iter().sum()];
        exchange
            .all_to_all(&send, &send_counts, &mut received, &receive_counts)
            .map_err(KernelError::Exchange)?;
        // The row above, if any, comes from a lower member and is first.
        for (row, data) in self.wanted(self.index).zip(received.chunks_exact(line)) {
            frame.line_mut((row + 1) - mine.start).copy_from_slice(data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Scratch;
    use crate::exchange::members;

    #[test]
    fn every_member_gets_the_rows_next_to_its_own() {
        for (total, unit, parts) in [(5, 1, 2), (6, 2, 3), (3, 1, 5), (1, 1, 2), (9, 1, 4)] {
            let threads: Vec<_> = members(parts)
                .into_iter()
                .map(|mut member| {
                    std::thread::spawn(move || {
                        let rows = Rows::new(total, unit, parts, member.index());
                        let mine = rows.mine();
                        let mut frame = Frame::take(mine.len(), 2, 1, &mut Scratch::default());
                        frame.clear_border();
                        for (row, value) in mine.clone().enumerate() {
                            frame.row_mut(row).fill(value as f32 + 1.0);
                        }
                        rows.fill_border(&mut frame, &mut member).expect("all live");
                        let expected = |row: usize| if row > total { 0.0 } else { row as f32 };
                        if !mine.is_empty() {
                            assert_eq!(frame.line(0)[1], expected(mine.start));
                            assert_eq!(frame.line(mine.len() + 1)[1], expected(mine.end + 1));
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no breach"));
        }
    }
}
