//! The matrix product, arranged so that every row of the result is independent of the others, to the last bit.
//!
//! Owns the blocking: rows go in chunks, the depth in panels, columns in blocks of strips, so that a block of the
//! right-hand side stays in the second-level cache while all rows of the chunk pass by. Each element is one chain of fused
//! multiply-adds per panel, and panels are added in order (`tile.rs`). Where cuts lie follows from depth and
//! columns alone, so the number of rows, which is what sequence parallelism changes, changes no bit.
//!
//! Rows are packed, unless so few columns wait for them that packing would cost more than it saves. What a tile is about
//! to add to, and what it is about to multiply with, is asked for ahead: without that, a tile waits for its own results on
//! their way from memory, which was most of the distance to the core's limit. `examples/speed` measures it, beside the
//! `gemm` crate.

use crate::cpu::strips::{Strips, panels};
use crate::cpu::tile::{Pack, Tiles, strip, widths};
use crate::view::{View, ViewMut};
use half::bf16;
use half::slice::HalfFloatSliceExt;
use pulp::Arch;
use std::cell::Cell;
use std::ops::Range;

pub use crate::cpu::tile::Start;

/// Rows that pass by a block of the right-hand side before the next one: a multiple of every tile's height.
const CHUNK: usize = 516;
/// Elements of a block of the right-hand side: 256 KiB, half of the smallest second-level cache of today's servers.
const BLOCK: usize = 64 * 1024;
/// Up to so many columns, rows are read where they lie.
const UNPACKED: usize = 128;

/// What weights may be kept as.
pub trait Element: Copy {
    /// The same as f32, if that is what they are.
    fn as_f32(strips: &[Self]) -> Option<&[f32]>;
    /// Converts, exactly.
    fn widen(from: &[Self], to: &mut [f32]);
}

impl Element for f32 {
    fn as_f32(strips: &[Self]) -> Option<&[f32]> {
        Some(strips)
    }

    fn widen(from: &[Self], to: &mut [f32]) {
        to.copy_from_slice(from);
    }
}

impl Element for bf16 {
    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }
}

/// `out = x w` or `out += x w`, with x `[rows, depth]`, w `[depth, columns]`, out `[rows, columns]`.
///
/// Each row of `out` depends on the same row of `x` alone, to the bit.
///
/// # Panics
/// If shapes do not fit.
pub fn matmul<T: Element>(x: View<'_>, w: Strips<'_, T>, mut out: ViewMut<'_>, start: Start) {
    let (rows, depth, columns) = (x.height(), x.columns(), w.columns());
    assert_eq!(depth, w.depth(), "depth of the product");
    assert_eq!((rows, columns), (out.height(), out.columns()), "size of the product");
    let mut room = ROOM.take();
    for first in (0..rows).step_by(CHUNK) {
        let chunk = first..rows.min(first + CHUNK);
        let (x, mut out) = (x.rows(chunk.clone()), out.reborrow().rows(chunk));
        for (index, panel) in panels(depth).enumerate() {
            let start = if index == 0 { start } else { Start::Given };
            pass(x.slice_columns(panel.clone()), w, &panel, out.reborrow(), start, &mut room);
        }
    }
    ROOM.set(room);
}

thread_local! {
    /// Buffers of this thread: at most a chunk of packed rows and a block of widened weights, 1.3 MB.
    static ROOM: Cell<Room> = const { Cell::new(Room { rows: Vec::new(), strips: Vec::new() }) };
}

#[derive(Default)]
struct Room {
    rows: Vec<f32>,
    strips: Vec<f32>,
}

/// A chunk of rows times one panel.
fn pass<T: Element>(
    x: View<'_>,
    w: Strips<'_, T>,
    panel: &Range<usize>,
    mut out: ViewMut<'_>,
    start: Start,
    room: &mut Room,
) {
    let (depth, columns) = (panel.len(), w.columns());
    if depth == 0 {
        if start == Start::Zero {
            (0..out.height()).for_each(|row| out.row_mut(row).fill(0.0));
        }
        return;
    }
    let packed = (columns > UNPACKED).then(|| {
        room.rows.resize(x.height() * depth, 0.0);
        Arch::new().dispatch(Pack { x, to: &mut room.rows });
        &room.rows[..]
    });
    for block in blocks(columns, depth) {
        let (strips, width) = even(w.block(panel, &block), block.len(), &mut room.strips);
        let out = out.reborrow().slice_columns(block);
        Arch::new().dispatch(Tiles { x, packed, strips, width, out, start });
    }
}

/// The columns in blocks of whole strips; the last strip stands alone if it is narrow.
fn blocks(columns: usize, depth: usize) -> impl Iterator<Item = Range<usize>> {
    let width = strip();
    let full = columns / width * width;
    let length = (BLOCK / (depth * width)).max(1) * width;
    let blocks = (0..full).step_by(length).map(move |first| first..full.min(first + length));
    blocks.chain((full < columns).then_some(full..columns))
}

/// Strips as f32, and their width, which tiles know: as they are if they are so, else in `room`, converted and a narrow one
/// filled up with zeros.
fn even<'a, T: Element>(
    strips: &'a [T],
    columns: usize,
    room: &'a mut Vec<f32>,
) -> (&'a [f32], usize) {
    let [whole, narrow] = widths();
    let width = if columns <= narrow { narrow } else { whole };
    if columns.is_multiple_of(width) {
        let strips = T::as_f32(strips).unwrap_or_else(|| {
            room.resize(strips.len(), 0.0);
            T::widen(strips, room);
            room
        });
        return (strips, width);
    }
    room.clear();
    room.resize(strips.len() / columns * width, 0.0);
    for (line, from) in room.chunks_exact_mut(width).zip(strips.chunks_exact(columns)) {
        T::widen(from, &mut line[..columns]);
    }
    (room, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::strips::fill;
    use crate::random::Stream;

    /// The matrix in strips.
    fn stripped(w: View<'_>) -> Vec<f32> {
        let mut data = vec![0.0; w.height() * w.columns()];
        fill(w, &mut data);
        data
    }

    /// Each element by itself, in the promised order.
    fn one_by_one(x: View<'_>, w: View<'_>, start: Option<&[f32]>) -> Vec<f32> {
        let element = |row: usize, column: usize| {
            let mut value = start.map(|start| start[row * w.columns() + column]);
            for panel in panels(x.columns()) {
                let sum =
                    panel.fold(0.0_f32, |sum, k| x.row(row)[k].mul_add(w.row(k)[column], sum));
                value = Some(value.map_or(sum, |value| value + sum));
            }
            value.unwrap_or(0.0)
        };
        (0..x.height())
            .flat_map(|row| (0..w.columns()).map(move |column| element(row, column)))
            .collect()
    }

    #[test]
    fn an_element_is_a_chain_per_panel_and_panels_in_order() {
        let shapes = [
            (1, 64, 64),
            (13, 16, 48),
            (5, 72, 100),
            (7, 1152, 129),
            (2, 1000, 131),
            (530, 20, 140),
        ];
        let tiny = [
            (3, 2, 64),
            (4, 1, 16),
            (2, 1, 2),
            (6, 4, 1),
            (11, 513, 33),
            (12, 3, 5),
            (0, 3, 4),
            (3, 5, 260),
        ];
        for (rows, depth, columns) in shapes.into_iter().chain(tiny) {
            let mut random = Stream::new(7, "matmul");
            let x = random.uniform(rows * depth, 1.0);
            let w = random.uniform(depth * columns, 1.0);
            let begin = random.uniform(rows * columns, 1.0);
            let (x, w) = (View::new(&x, depth), View::new(&w, columns));
            let data = stripped(w);
            let strips = Strips::new(&data, depth, columns);
            let mut out = begin.clone();
            matmul(x, strips, ViewMut::new(&mut out, columns), Start::Zero);
            assert!(out == one_by_one(x, w, None), "{rows} x {depth} x {columns}");
            out.copy_from_slice(&begin);
            matmul(x, strips, ViewMut::new(&mut out, columns), Start::Given);
            assert!(out == one_by_one(x, w, Some(&begin)), "{rows} x {depth} x {columns}, added");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_rows_it_is_computed_with() {
        let shapes = [(64, 64), (16, 48), (72, 100), (1152, 128), (1000, 130), (513, 33), (3, 5)];
        for (depth, columns) in shapes {
            let mut random = Stream::new(7, "rows");
            let rows = 540;
            let x = random.uniform(rows * depth, 1.0);
            let data = random.uniform(depth * columns, 1.0);
            let x = View::new(&x, depth);
            let w = Strips::new(&data, depth, columns);
            let mut whole = vec![0.0; rows * columns];
            matmul(x, w, ViewMut::new(&mut whole, columns), Start::Zero);
            for length in (1..40).chain([63, 64, 65, 127, 128, 129, 200, 517]) {
                for first in [0, 1, 7, 23] {
                    let range = first * columns..(first + length) * columns;
                    let mut part = vec![0.0; range.len()];
                    let out = ViewMut::new(&mut part, columns);
                    matmul(x.rows(first..first + length), w, out, Start::Zero);
                    assert!(part == whole[range], "{depth} x {columns}: {first} + {length}");
                }
            }
        }
    }

    #[test]
    fn strided_rows_and_results_give_the_same_bits() {
        let mut random = Stream::new(8, "strides");
        for columns in [16, 21, 150] {
            let wide = random.uniform(20 * 50, 1.0);
            let x = View::new(&wide, 50).slice_columns(5..35);
            let tight: Vec<f32> = x.iter().flatten().copied().collect();
            let data = random.uniform(30 * columns, 1.0);
            let w = Strips::new(&data, 30, columns);
            let mut expected = vec![0.0; 20 * columns];
            let out = ViewMut::new(&mut expected, columns);
            matmul(View::new(&tight, 30), w, out, Start::Zero);
            let mut room = vec![9.0; 20 * (columns + 9)];
            let out = ViewMut::new(&mut room, columns + 9).slice_columns(4..columns + 4);
            matmul(x, w, out, Start::Zero);
            let written = View::new(&room, columns + 9);
            let inner = written.slice_columns(4..columns + 4);
            assert!(inner.iter().flatten().eq(&expected));
            assert!(written.slice_columns(0..4).iter().flatten().all(|x| *x == 9.0));
            assert!(
                written.slice_columns(columns + 4..columns + 9).iter().flatten().all(|x| *x == 9.0)
            );
        }
    }

    #[test]
    fn widened_weights_give_the_bits_of_the_same_weights_in_f32() {
        let mut random = Stream::new(9, "bf16");
        for (depth, columns) in [(700, 100), (20, 300), (6, 3)] {
            let half: Vec<bf16> =
                random.uniform(depth * columns, 1.0).into_iter().map(bf16::from_f32).collect();
            let full: Vec<f32> = half.iter().map(|w| w.to_f32()).collect();
            let x = random.uniform(7 * depth, 1.0);
            let mut outs = [(); 2].map(|()| vec![0.0; 7 * columns]);
            let [a, b] = &mut outs;
            let x = View::new(&x, depth);
            matmul(x, Strips::new(&half, depth, columns), ViewMut::new(a, columns), Start::Zero);
            matmul(x, Strips::new(&full, depth, columns), ViewMut::new(b, columns), Start::Zero);
            assert!(outs[0] == outs[1], "{depth} x {columns}");
        }
    }
}
