//! Attention over a sequence that is split over ranks: Ulysses, ring, and one inside the other.
//!
//! With sequence degree p = Ulysses x ring, rank i holds piece i of p of every sequence, ragged. Ranks with consecutive
//! pieces form an Ulysses group: an all-to-all brings to each of them all tokens of the group for its share of the heads,
//! and another one takes the results back. Ranks with equal position in their groups form a ring: keys and values go
//! round it, and the online softmax takes them up as they come.
//!
//! Text is split just like latents, not computed by every rank: rows of a product do not depend on each other, so
//! splitting costs no bit, and at Qwen-Image's 512 text tokens beside 1,024 latent ones a replicated text stream would
//! repeat a third of the work on every rank. Every rank of an Ulysses group sees the keys in the same order for every
//! degree (all text, then all latents), so results have the same bits for Ulysses degrees 1, 2, 4, ..; a ring begins
//! with its own keys and agrees within rounding.

use crate::cpu::{Heads, Online, Scratch};
use crate::error::{KernelError, Result};
use crate::exchange::{Alone, Exchange};
use crate::split::ragged;
use crate::view::{View, ViewMut};
use std::ops::Range;

/// A rank's place in a split sequence, and how it talks to the others.
pub struct Parallel<'a> {
    ulysses: Box<dyn Exchange + 'a>,
    ring: Box<dyn Exchange + 'a>,
}

impl std::fmt::Debug for Parallel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (part, degree) = (self.part(), self.degree());
        write!(f, "Parallel({part} of {degree}, Ulysses {})", self.ulysses.degree())
    }
}

impl<'a> Parallel<'a> {
    /// A whole sequence on one rank.
    pub fn alone() -> Self {
        Self::ulysses(Alone)
    }

    /// Ulysses alone.
    pub fn ulysses(exchange: impl Exchange + 'a) -> Self {
        Self::new(exchange, Alone)
    }

    /// Ulysses groups inside a ring. The member of the ring with index g and the member of its Ulysses group with index i
    /// holds piece g x (Ulysses degree) + i.
    pub fn new(ulysses: impl Exchange + 'a, ring: impl Exchange + 'a) -> Self {
        Self { ulysses: Box::new(ulysses), ring: Box::new(ring) }
    }

    /// Number of pieces.
    pub fn degree(&self) -> usize {
        self.ulysses.degree() * self.ring.degree()
    }

    /// This rank's piece.
    pub fn part(&self) -> usize {
        self.ring.index() * self.ulysses.degree() + self.ulysses.index()
    }

    /// This rank's piece of a sequence.
    pub fn shard(&self, tokens: usize) -> Range<usize> {
        ragged(tokens, self.degree(), self.part())
    }

    /// Checks that heads can be shared out.
    ///
    /// # Errors
    /// [`KernelError::Heads`] if the Ulysses degree does not divide them.
    pub fn check_heads(&self, heads: usize) -> Result<()> {
        let degree = self.ulysses.degree();
        if heads.is_multiple_of(degree) {
            Ok(())
        } else {
            Err(KernelError::Heads { heads, degree })
        }
    }

    /// `softmax(q k^T / sqrt(dim)) v` over sequences joined one after the other, of `lengths` tokens in all; `q`, `k`, `v`
    /// and `out` hold this rank's piece of the first, then of the second, and so on.
    ///
    /// # Errors
    /// [`KernelError::Exchange`] if an exchange fails.
    ///
    /// # Panics
    /// If sizes do not fit or heads cannot be shared out.
    pub fn attention(
        &mut self,
        heads: Heads,
        lengths: &[usize],
        [q, k, v]: [View<'_>; 3],
        out: ViewMut<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if self.ulysses.degree() == 1 {
            return self.ring_attention(heads, lengths, [q, k, v], out, scratch);
        }
        let plan = Swap::new(self, heads, lengths);
        let share = Heads { count: heads.count / plan.members, dim: heads.dim };
        let rows = plan.rows();
        let gathered = plan.gather([q, k, v], &mut *self.ulysses, scratch)?;
        let mut result = scratch.take(rows * share.width());
        let (q, rest) = gathered.split_at(rows * share.width());
        let (k, v) = rest.split_at(rows * share.width());
        let views = [q, k, v].map(|x| View::new(x, share.width()));
        let part = ViewMut::new(&mut result, share.width());
        self.ring_attention(share, lengths, views, part, scratch)?;
        plan.scatter(&result, out, &mut *self.ulysses, scratch)?;
        scratch.give(gathered);
        scratch.give(result);
        Ok(())
    }

    /// The part of attention that goes round the ring, for the tokens of a whole Ulysses group.
    fn ring_attention(
        &mut self,
        heads: Heads,
        lengths: &[usize],
        [q, k, v]: [View<'_>; 3],
        out: ViewMut<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut online = Online::new(heads, out);
        online.add(q, k, v, None, scratch);
        let (degree, index) = (self.ring.degree(), self.ring.index());
        if degree > 1 {
            let width = heads.width();
            let rows = |group: usize| group_rows(lengths, self.ulysses.degree(), degree, group);
            let longest = (0..degree).map(rows).max().unwrap_or(0);
            // Keys, then values, in buffers of one length for all.
            let mut mine = scratch.take(2 * longest * width);
            let mut theirs = scratch.take(2 * longest * width);
            mine.fill(0.0);
            pack(k, &mut mine);
            pack(v, &mut mine[longest * width..]);
            for step in 1..degree {
                self.ring.ring_shift(1, &mine, &mut theirs).map_err(KernelError::Exchange)?;
                std::mem::swap(&mut mine, &mut theirs);
                let count = rows((index + degree - step) % degree);
                let part = |first: usize| View::new(&mine[first..first + count * width], width);
                online.add(q, part(0), part(longest * width), None, scratch);
            }
            scratch.give(mine);
            scratch.give(theirs);
        }
        online.finish();
        Ok(())
    }
}

/// Rows that the Ulysses group `group` of a ring of `ring` holds.
fn group_rows(lengths: &[usize], ulysses: usize, ring: usize, group: usize) -> usize {
    let piece = |length: usize, i: usize| ragged(length, ulysses * ring, group * ulysses + i).len();
    lengths.iter().map(|length| (0..ulysses).map(|i| piece(*length, i)).sum::<usize>()).sum()
}

/// Copies rows without gaps to the begin of `to`.
fn pack(rows: View<'_>, to: &mut [f32]) {
    for (row, to) in rows.iter().zip(to.chunks_exact_mut(rows.columns())) {
        to.copy_from_slice(row);
    }
}

/// Who of an Ulysses group holds which rows, and which heads go to whom.
struct Swap {
    members: usize,
    me: usize,
    /// Elements of one member's share of the heads.
    share: usize,
    /// `[members][sequences]`: where a member's rows of a sequence lie among the group's.
    pieces: Vec<Vec<Range<usize>>>,
}

impl Swap {
    fn new(parallel: &Parallel<'_>, heads: Heads, lengths: &[usize]) -> Self {
        let members = parallel.ulysses.degree();
        assert!(heads.count.is_multiple_of(members), "{} heads over {members}", heads.count);
        let first = parallel.ring.index() * members;
        let mut pieces = vec![Vec::with_capacity(lengths.len()); members];
        let mut begin = 0;
        for length in lengths {
            for (member, list) in pieces.iter_mut().enumerate() {
                let count = ragged(*length, parallel.degree(), first + member).len();
                list.push(begin..begin + count);
                begin += count;
            }
        }
        let share = heads.count / members * heads.dim;
        Self { members, me: parallel.ulysses.index(), share, pieces }
    }

    /// Rows of one member.
    fn rows_of(&self, member: usize) -> usize {
        self.pieces[member].iter().map(Range::len).sum()
    }

    /// Rows of the whole group.
    fn rows(&self) -> usize {
        (0..self.members).map(|member| self.rows_of(member)).sum()
    }

    /// Own rows of all heads become all rows of own heads: q, then k, then v, each `[rows, share]`.
    fn gather(
        &self,
        qkv: [View<'_>; 3],
        exchange: &mut dyn Exchange,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        let (mine, share) = (self.rows_of(self.me), self.share);
        let mut send = scratch.take(3 * mine * share * self.members);
        let parts = send.chunks_exact_mut((mine * share).max(1));
        for (index, part) in parts.enumerate() {
            let (member, which) = (index / 3, index % 3);
            pack(qkv[which].slice_columns(member * share..(member + 1) * share), part);
        }
        let sent = vec![3 * mine * share; self.members];
        let counts: Vec<usize> =
            (0..self.members).map(|member| 3 * self.rows_of(member) * share).collect();
        let mut received = scratch.take(3 * self.rows() * share);
        exchange.all_to_all(&send, &sent, &mut received, &counts).map_err(KernelError::Exchange)?;
        let mut all = scratch.take(received.len());
        let mut from = &received[..];
        for member in 0..self.members {
            for which in 0..3 {
                let base = which * self.rows();
                for piece in &self.pieces[member] {
                    let to = (base + piece.start) * share..(base + piece.end) * share;
                    let (rows, rest) = from.split_at(to.len());
                    all[to].copy_from_slice(rows);
                    from = rest;
                }
            }
        }
        scratch.give(send);
        scratch.give(received);
        Ok(all)
    }

    /// All rows of own heads become own rows of all heads.
    fn scatter(
        &self,
        result: &[f32],
        mut out: ViewMut<'_>,
        exchange: &mut dyn Exchange,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let (mine, share) = (self.rows_of(self.me), self.share);
        let mut send = scratch.take(result.len());
        let mut at = 0;
        for piece in self.pieces.iter().flatten() {
            let length = piece.len() * share;
            send[at..at + length].copy_from_slice(&result[piece.start * share..piece.end * share]);
            at += length;
        }
        let counts: Vec<usize> =
            (0..self.members).map(|member| self.rows_of(member) * share).collect();
        let mut received = scratch.take(mine * share * self.members);
        let back = vec![mine * share; self.members];
        exchange.all_to_all(&send, &counts, &mut received, &back).map_err(KernelError::Exchange)?;
        for (member, part) in received.chunks_exact((mine * share).max(1)).enumerate() {
            for (row, values) in part.chunks_exact(share).enumerate() {
                out.row_mut(row)[member * share..(member + 1) * share].copy_from_slice(values);
            }
        }
        scratch.give(send);
        scratch.give(received);
        Ok(())
    }
}
