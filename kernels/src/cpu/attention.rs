//! Attention with an online softmax: blocks of queries against blocks of keys, never all scores at once.
//!
//! Queries go in blocks of [`QUERIES`], keys in blocks of [`KEYS`] from the first key on, so that scores, keys and values
//! of a block stay in the second-level cache. Invariant: the result for a query and a head depends on that query, that
//! head and the sequence of keys alone; neither on the number of queries or heads computed with it. Keys may come in
//! several calls of [`Online::add`] (ring attention); then the result depends on how they were cut, within rounding.

use crate::cpu::matmul::{Start, matmul};
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::{LANES, exp, total, vectorised};
use crate::cpu::strips::{Strips, fill, fill_turned};
use crate::view::{View, ViewMut};

/// Queries of a block.
pub const QUERIES: usize = 256;
/// Keys of a block.
pub const KEYS: usize = 512;

/// Heads that lie side by side in the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// How many.
    pub count: usize,
    /// Elements of each.
    pub dim: usize,
}

impl Heads {
    /// Elements of a row.
    pub const fn width(self) -> usize {
        self.count * self.dim
    }
}

/// Adds to a row of scores: `(head, query, first key, scores of the keys from there on)`. Minus infinity masks a key.
pub type Bias<'a> = &'a dyn Fn(usize, usize, usize, &mut [f32]);

/// `softmax(q k^T / sqrt(dim)) v` for every head, into `out`. All matrices are `[tokens, heads x dim]`.
///
/// # Panics
/// If sizes do not fit.
pub fn attention(
    heads: Heads,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    out: ViewMut<'_>,
    scratch: &mut Scratch,
) {
    let mut online = Online::new(heads, out);
    online.add(q, k, v, None, scratch);
    online.finish();
}

/// Attention under way: for each query and head the largest score so far, the sum of weights, and in the output the
/// weighted sum of values, relative to that score.
#[derive(Debug)]
pub struct Online<'a> {
    heads: Heads,
    scale: f32,
    out: ViewMut<'a>,
    /// `[heads, queries]`.
    largest: Vec<f32>,
    /// `[heads, queries]`.
    sums: Vec<f32>,
}

impl<'a> Online<'a> {
    /// Attention of as many queries as `out` has rows, over no keys yet; scores are scaled by 1/sqrt(dim).
    ///
    /// # Panics
    /// If the rows of `out` do not hold the heads.
    pub fn new(heads: Heads, mut out: ViewMut<'a>) -> Self {
        assert_eq!(out.columns(), heads.width(), "width of the heads");
        let queries = out.height();
        (0..queries).for_each(|row| out.row_mut(row).fill(0.0));
        let count = heads.count * queries;
        let (largest, sums) = (vec![f32::NEG_INFINITY; count], vec![0.0; count]);
        Self { heads, scale: 1.0 / (heads.dim as f32).sqrt(), out, largest, sums }
    }

    /// The same with scores scaled by `scale`.
    #[must_use]
    pub fn scaled_by(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// Attends to more keys.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub fn add(
        &mut self,
        q: View<'_>,
        k: View<'_>,
        v: View<'_>,
        bias: Option<Bias<'_>>,
        scratch: &mut Scratch,
    ) {
        let width = self.heads.width();
        assert_eq!([q.columns(), k.columns(), v.columns()], [width; 3], "width of the heads");
        assert_eq!(q.height(), self.out.height(), "number of queries");
        assert_eq!(k.height(), v.height(), "number of keys");
        let mut keys = Keys::with_room(k.height(), self.heads.dim, scratch);
        let width = KEYS.min(k.height()).next_multiple_of(LANES);
        let mut scores = scratch.take(QUERIES.min(q.height()) * width);
        for head in 0..self.heads.count {
            let columns = head * self.heads.dim..(head + 1) * self.heads.dim;
            keys.fill(k.slice_columns(columns.clone()), v.slice_columns(columns), self.scale);
            for first in (0..q.height()).step_by(QUERIES) {
                let count = QUERIES.min(q.height() - first);
                self.block(head, first, q.rows(first..first + count), &keys, bias, &mut scores);
            }
        }
        scratch.give(scores);
        scratch.give(keys.turned);
        scratch.give(keys.values);
    }

    /// One block of queries of one head against all keys.
    fn block(
        &mut self,
        head: usize,
        first: usize,
        q: View<'_>,
        keys: &Keys,
        bias: Option<Bias<'_>>,
        scores: &mut [f32],
    ) {
        let dim = self.heads.dim;
        let columns = head * dim..(head + 1) * dim;
        let (q, count) = (q.slice_columns(columns.clone()), q.height());
        let at = head * self.out.height() + first;
        let mut out = self.out.reborrow().rows(first..first + count).slice_columns(columns);
        let (largest, sums) = (&mut self.largest[at..at + count], &mut self.sums[at..at + count]);
        for (first_key, turned, values) in keys.blocks() {
            let real = turned.columns();
            let width = real.next_multiple_of(LANES);
            let scores = &mut scores[..count * width];
            let products = ViewMut::new(scores, width).slice_columns(0..real);
            matmul(q, turned, products, Start::Zero);
            if let Some(bias) = bias {
                for (query, row) in scores.chunks_exact_mut(width).enumerate() {
                    bias(head, first + query, first_key, &mut row[..real]);
                }
            }
            soften(scores, width, real, largest, sums, &mut out);
            let weights = View::new(scores, width).slice_columns(0..real);
            matmul(weights, values, out.reborrow(), Start::Given);
        }
    }

    /// Divides by the sums of weights. A query without keys, or with all of them masked, gets zeros.
    pub fn finish(mut self) {
        let (dim, queries) = (self.heads.dim, self.out.height());
        vectorised(
            #[inline(always)]
            || {
                for query in 0..queries {
                    let heads = self.out.row_mut(query).chunks_exact_mut(dim).enumerate();
                    for (head, out) in heads {
                        let sum = self.sums[head * queries + query];
                        let factor = if sum > 0.0 { 1.0 / sum } else { 0.0 };
                        out.iter_mut().for_each(|x| *x *= factor);
                    }
                }
            },
        );
    }
}

/// Turns scores into weights relative to the largest score so far, and brings sums and outputs to that scale.
fn soften(
    scores: &mut [f32],
    width: usize,
    real: usize,
    largest: &mut [f32],
    sums: &mut [f32],
    out: &mut ViewMut<'_>,
) {
    vectorised(
        #[inline(always)]
        || {
            for (query, row) in scores.chunks_exact_mut(width).enumerate() {
                row[real..].fill(f32::NEG_INFINITY);
                let (lanes, _) = row.as_chunks_mut::<LANES>();
                let mut tops = [f32::NEG_INFINITY; LANES];
                for lane in lanes.iter() {
                    for i in 0..LANES {
                        tops[i] = if lane[i] > tops[i] { lane[i] } else { tops[i] };
                    }
                }
                let old = largest[query];
                let new = tops.iter().fold(old, |top, x| if *x > top { *x } else { top });
                // With every key masked there is nothing to be relative to.
                let base = if new == f32::NEG_INFINITY { 0.0 } else { new };
                let mut totals = [0.0; LANES];
                for lane in lanes {
                    for i in 0..LANES {
                        lane[i] = exp(lane[i] - base);
                        totals[i] += lane[i];
                    }
                }
                let shrink = exp(old - base);
                largest[query] = new;
                sums[query] = sums[query].mul_add(shrink, total(totals));
                if shrink != 1.0 {
                    out.row_mut(query).iter_mut().for_each(|x| *x *= shrink);
                }
            }
        },
    );
}

/// Keys and values of one head, in blocks of at most [`KEYS`].
struct Keys {
    count: usize,
    dim: usize,
    /// Per block `[dim, keys of the block]` in strips, scaled.
    turned: Vec<f32>,
    /// Per block `[keys of the block, dim]` in strips.
    values: Vec<f32>,
}

impl Keys {
    fn with_room(count: usize, dim: usize, scratch: &mut Scratch) -> Self {
        let mut room = || scratch.take(count * dim);
        Self { count, dim, turned: room(), values: room() }
    }

    fn fill(&mut self, k: View<'_>, v: View<'_>, scale: f32) {
        for first in (0..self.count).step_by(KEYS) {
            let keys = first..self.count.min(first + KEYS);
            let range = first * self.dim..keys.end * self.dim;
            let (turned, values) = (&mut self.turned[range.clone()], &mut self.values[range]);
            fill(v.rows(keys.clone()), values);
            vectorised(
                #[inline(always)]
                || fill_turned(k.rows(keys), turned, |x| x * scale),
            );
        }
    }

    /// For each block: first key, turned keys, values.
    fn blocks(&self) -> impl Iterator<Item = (usize, Strips<'_>, Strips<'_>)> {
        (0..self.count).step_by(KEYS).map(|first| {
            let count = KEYS.min(self.count - first);
            let range = first * self.dim..(first + count) * self.dim;
            let turned = Strips::new(&self.turned[range.clone()], self.dim, count);
            let values = Strips::new(&self.values[range], count, self.dim);
            (first, turned, values)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Attention of the queries in `range`, for heads `from..to` of three of dimension 20.
    fn run(
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        cuts: &[usize],
    ) -> Vec<f32> {
        let mut random = Stream::new(5, "attention");
        let (queries, keys, dim) = (600, 1100, 20);
        let q = random.uniform(queries * 60, 2.0);
        let (k, v) = (random.uniform(keys * 60, 2.0), random.uniform(keys * 60, 1.0));
        let [q, k, v] = [&q, &k, &v]
            .map(|x| View::new(x, 60).slice_columns(columns.start * dim..columns.end * dim));
        let heads = Heads { count: columns.len(), dim };
        let mut out = vec![0.0; rows.len() * heads.width()];
        let mut online = Online::new(heads, ViewMut::new(&mut out, heads.width()));
        let mut scratch = Scratch::default();
        for cut in cuts.windows(2) {
            let part = cut[0]..cut[1];
            let (k, v) = (k.rows(part.clone()), v.rows(part));
            online.add(q.rows(rows.clone()), k, v, None, &mut scratch);
        }
        online.finish();
        out
    }

    #[test]
    fn queries_and_heads_have_the_same_bits_however_they_are_split() {
        let whole = run(0..600, 0..3, &[0, 1100]);
        let view = View::new(&whole, 60);
        for (rows, columns) in
            [(0..600, 1..2), (0..300, 0..3), (17..18, 2..3), (100..102, 0..1), (255..599, 1..3)]
        {
            let part = run(rows.clone(), columns.clone(), &[0, 1100]);
            let expected = view.rows(rows).slice_columns(columns.start * 20..columns.end * 20);
            assert!(expected.iter().flatten().eq(part.iter()), "{columns:?}");
        }
    }

    #[test]
    fn keys_in_several_parts_differ_by_rounding_only() {
        let whole = run(0..40, 0..3, &[0, 1100]);
        for cuts in [vec![0, 500, 1100], vec![0, 0, 1, 513, 1100]] {
            let part = run(0..40, 0..3, &cuts);
            let worst = whole.iter().zip(&part).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Weights sum to one and values are below one: a few roundings per block of keys.
            assert!(worst <= 1100.0 * f32::EPSILON, "{worst}");
        }
    }

    #[test]
    fn masked_keys_have_no_weight_and_a_query_without_keys_gets_zeros() {
        let (k, v) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let heads = Heads { count: 1, dim: 2 };
        let mut out = [9.0; 6];
        let mut online = Online::new(heads, ViewMut::new(&mut out, 2));
        // Query i sees keys below i.
        let causal = |_: usize, query: usize, first: usize, scores: &mut [f32]| {
            let seen = query.saturating_sub(first).min(scores.len());
            scores[seen..].fill(f32::NEG_INFINITY);
        };
        let (q, k, v) = ([0.0; 6], View::new(&k, 2), View::new(&v, 2));
        online.add(View::new(&q, 2), k, v, Some(&causal), &mut Scratch::default());
        online.finish();
        assert_eq!(out, [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
    }
}
