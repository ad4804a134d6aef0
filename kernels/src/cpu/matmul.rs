//! The matrix product, by the `gemm` crate, arranged so that every row of the result is independent of the others.
//!
//! A library chooses kernels and summation order by the sizes it is given, and the number of rows is what sequence
//! parallelism changes. As `gemm` is called by default (weights `[out, in]`, the whole depth in one call), 475 of 2,350
//! row ranges tried came out with other bits than in the whole product. What changes the order, and what is done:
//!
//! | cause in `gemm` 0.19 | remedy |
//! |---|---|
//! | dot-product kernels for results up to 16 x 16, if both operands are contiguous along the depth | weights are kept as `[in, out]` |
//! | matrix-vector kernels for a single row, outer-product kernels for a depth of 1 or 2 | a loop of our own that adds in the same order as the block kernels |
//! | blocks of the depth: up to 512, of other lengths when both sides are at most 64 | panels of at most [`PANEL`], cut here by the depth alone; up to that the library never cuts |
//!
//! Then each element is one chain of fused multiply-adds per panel, and panels are added in order: all 2,350 ranges
//! agree. The price is negative: at the shapes of transformer blocks (1,024 to 4,096 rows, depth and width 1,152 to
//! 6,144) the default reached 0.75 to 0.89 of the multiply-add limit of the core, this arrangement 0.81 to 0.91 in the
//! same run, since weights need no transposing any more (measured; `examples/speed` prints the figures).

use crate::cpu::simd::vectorised;
use crate::view::{View, ViewMut};

/// Longest piece of the depth that is summed in one go.
pub const PANEL: usize = 512;

/// Up to this depth the library takes outer products.
const OUTER: usize = 2;

/// What the result holds before the product is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it is overwritten.
    Zero,
    /// Values to which the product is added.
    Given,
}

/// `out = x w` or `out += x w`, with x `[rows, depth]`, w `[depth, columns]`, out `[rows, columns]`.
///
/// Each row of `out` depends on the same row of `x` alone, to the bit.
///
/// # Panics
/// If shapes do not fit, or if there are fewer than two columns.
pub fn matmul(x: View<'_>, w: View<'_>, mut out: ViewMut<'_>, start: Start) {
    let (rows, depth, columns) = (x.height(), x.columns(), w.columns());
    assert_eq!(depth, w.height(), "depth of the product");
    assert_eq!((rows, columns), (out.height(), out.columns()), "size of the product");
    assert!(columns >= 2, "a single column would take a kernel that depends on the rows");
    if rows == 0 {
        return;
    }
    for (index, panel) in panels(depth).enumerate() {
        let start = if index == 0 { start } else { Start::Given };
        let (x, w) = (x.slice_columns(panel.clone()), w.rows(panel));
        if rows == 1 || x.columns() <= OUTER {
            (0..rows).for_each(|row| single(x.row(row), w, out.row_mut(row), start));
        } else {
            call(x, w, out.reborrow(), start);
        }
    }
}

/// The depth in pieces of nearly equal length, at most [`PANEL`].
pub fn panels(depth: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = depth.div_ceil(PANEL).max(1);
    let length = depth.div_ceil(count).max(1);
    (0..count).map(move |i| (i * length).min(depth)..((i + 1) * length).min(depth))
}

/// One row, in the order of the library's block kernels: a chain over the depth from zero, then added.
fn single(x: &[f32], w: View<'_>, out: &mut [f32], start: Start) {
    /// Columns whose sums stay in the first-level cache.
    const BLOCK: usize = 1024;
    let mut sums = [0.0_f32; BLOCK];
    for first in (0..out.len()).step_by(BLOCK) {
        let width = BLOCK.min(out.len() - first);
        let (sums, out) = (&mut sums[..width], &mut out[first..first + width]);
        let w = w.slice_columns(first..first + width);
        vectorised(
            #[inline(always)]
            || {
                sums.fill(0.0);
                for (depth, x) in x.iter().enumerate() {
                    for (sum, w) in sums.iter_mut().zip(w.row(depth)) {
                        *sum = x.mul_add(*w, *sum);
                    }
                }
                match start {
                    Start::Zero => out.copy_from_slice(sums),
                    Start::Given => out.iter_mut().zip(&*sums).for_each(|(o, s)| *o += s),
                }
            },
        );
    }
}

/// Several rows, one panel. Columns are what the library calls rows: they are contiguous in the result.
#[expect(unsafe_code, reason = "the library's only interface")]
fn call(x: View<'_>, w: View<'_>, mut out: ViewMut<'_>, start: Start) {
    let (rows, depth, columns) = (x.height(), x.columns(), w.columns());
    if depth == 0 {
        if start == Start::Zero {
            (0..rows).for_each(|row| out.row_mut(row).fill(0.0));
        }
        return;
    }
    let stride = |stride: usize| isize::try_from(stride).expect("a buffer fits the address space");
    let (x_stride, w_stride, out_stride) =
        (stride(x.stride()), stride(w.stride()), stride(out.stride()));
    // SAFETY: the library reads w at (column + depth x w.stride), x at (row x x.stride + depth) and reads and writes out
    // at (row x out.stride + column), for all indices below `columns`, `depth` and `rows`. `matmul` has checked that the
    // views agree on these numbers, and a view's buffer reaches to the last column of its last row, so all of it is in
    // bounds; strides are at least the columns, so no element of `out` is named twice. `out` is borrowed mutably, so it
    // overlaps neither operand. The buffers are initialised.
    unsafe {
        gemm::gemm(
            columns,
            rows,
            depth,
            out.data_mut().as_mut_ptr(),
            out_stride,
            1,
            start == Start::Given,
            w.data().as_ptr(),
            w_stride,
            1,
            x.data().as_ptr(),
            x_stride,
            1,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn panels_cover_the_depth_and_are_short() {
        for depth in 0..3000 {
            let mut end = 0;
            for panel in panels(depth) {
                assert_eq!(panel.start, end);
                assert!(panel.len() <= PANEL);
                end = panel.end;
            }
            assert_eq!(end, depth);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_rows_it_is_computed_with() {
        let shapes = [(64, 64), (16, 48), (72, 100), (1152, 128), (1000, 130), (513, 33), (3, 5)];
        let tiny = [(2, 64), (1, 16), (1, 2), (4, 2), (512, 17), (1536, 96)];
        for (depth, columns) in shapes.into_iter().chain(tiny) {
            let mut random = Stream::new(7, "matmul");
            let rows = 300;
            let x = random.uniform(rows * depth, 1.0);
            let w = random.uniform(depth * columns, 1.0);
            let begin = random.uniform(rows * columns, 1.0);
            let (x, w) = (View::new(&x, depth), View::new(&w, columns));
            for start in [Start::Zero, Start::Given] {
                let mut whole = begin.clone();
                matmul(x, w, ViewMut::new(&mut whole, columns), start);
                for length in (1..40).chain([63, 64, 65, 127, 128, 129, 200, 255]) {
                    for first in [0, 1, 7, 40] {
                        let range = first * columns..(first + length) * columns;
                        let mut part = begin[range.clone()].to_vec();
                        let out = ViewMut::new(&mut part, columns);
                        matmul(x.rows(first..first + length), w, out, start);
                        assert!(part == whole[range], "{depth} x {columns}: {first} + {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn strided_operands_give_the_same_bits() {
        let mut random = Stream::new(8, "strides");
        let (wide_x, wide_w) = (random.uniform(20 * 50, 1.0), random.uniform(50 * 40, 1.0));
        let x = View::new(&wide_x, 50).slice_columns(5..35);
        let w = View::new(&wide_w, 40).rows(3..33).slice_columns(8..24);
        let close = |view: View<'_>| view.iter().flatten().copied().collect::<Vec<f32>>();
        let (tight_x, tight_w) = (close(x), close(w));
        let mut expected = vec![0.0; 20 * 16];
        let out = ViewMut::new(&mut expected, 16);
        matmul(View::new(&tight_x, 30), View::new(&tight_w, 16), out, Start::Zero);
        let mut wide = vec![9.0; 20 * 30];
        matmul(x, w, ViewMut::new(&mut wide, 30).slice_columns(4..20), Start::Zero);
        let written = View::new(&wide, 30);
        assert_eq!(close(written.slice_columns(4..20)), expected);
        assert!(close(written.slice_columns(20..30)).iter().all(|x| *x == 9.0));
    }
}
