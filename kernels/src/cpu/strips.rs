//! Matrices in strips of columns: the order in which the tiles of a product read their right-hand side.
//!
//! Owns the order alone. The depth is cut into panels of at most [`PANEL`], each panel into strips of as many columns as a
//! tile is wide, the last one as wide as what is left; a strip is `[depth of the panel, its columns]`, and strips
//! follow each other without gaps. So a tile reads memory in one direction, and a matrix takes no more room than it has
//! elements. Weights are brought into this order once, when a model is loaded.

use crate::cpu::tile::strip;
use crate::view::View;
use std::ops::Range;

/// Longest piece of the depth that is summed in one go.
pub const PANEL: usize = 512;

/// The depth in pieces of nearly equal length, at most [`PANEL`].
pub fn panels(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let count = depth.div_ceil(PANEL).max(1);
    let length = depth.div_ceil(count).max(1);
    (0..count).map(move |i| (i * length).min(depth)..((i + 1) * length).min(depth))
}

/// The columns in pieces as wide as a tile, and what is left.
fn strips(columns: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(strip()).map(move |first| first..columns.min(first + strip()))
}

/// A matrix `[depth, columns]` in strips.
#[derive(Clone, Copy, Debug)]
pub struct Strips<'a, T = f32> {
    data: &'a [T],
    depth: usize,
    columns: usize,
}

impl<'a, T: Copy> Strips<'a, T> {
    /// What [`fill`] or [`fill_turned`] wrote.
    ///
    /// # Panics
    /// If the buffer does not have one element for each of the matrix.
    pub fn new(data: &'a [T], depth: usize, columns: usize) -> Self {
        assert_eq!(data.len(), depth * columns, "elements of {depth} x {columns}");
        Self { data, depth, columns }
    }

    /// Rows of the matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The strips of some columns in one panel, one behind the other. `columns` begins with a strip.
    pub(super) fn block(&self, panel: &Range<usize>, columns: &Range<usize>) -> &'a [T] {
        let base = panel.start * self.columns;
        &self.data[base + columns.start * panel.len()..base + columns.end * panel.len()]
    }
}

/// Puts the columns of a matrix in strips into another order: column `i` is what was column `order[i]`.
pub(super) fn reorder<T: Copy>(data: &mut [T], depth: usize, order: &[usize]) {
    let (old, columns, width) = (data.to_vec(), order.len(), strip());
    for panel in panels(depth) {
        let base = panel.start * columns;
        // A column's elements in this panel, first to last.
        let places = |column: usize| {
            let first = column / width * width;
            let begin = base + first * panel.len() + column - first;
            (begin..).step_by(width.min(columns - first)).take(panel.len())
        };
        for (column, &from) in order.iter().enumerate() {
            places(column).zip(places(from)).for_each(|(to, from)| data[to] = old[from]);
        }
    }
}

/// Writes the rows of a matrix in strips.
///
/// # Panics
/// If `to` does not have one element for each of the matrix.
pub fn fill<T: Copy>(from: View<'_, T>, to: &mut [T]) {
    let (depth, columns) = (from.height(), from.columns());
    assert_eq!(to.len(), depth * columns, "elements of {depth} x {columns}");
    let mut rest = to;
    for panel in panels(depth) {
        for strip in strips(columns) {
            let (lines, after) = rest.split_at_mut(panel.len() * strip.len());
            for (row, line) in panel.clone().zip(lines.chunks_exact_mut(strip.len())) {
                line.copy_from_slice(&from.row(row)[strip.clone()]);
            }
            rest = after;
        }
    }
}

/// Writes a matrix in strips whose columns are the rows of `from`, each element converted.
///
/// # Panics
/// If `to` does not have one element for each of the matrix.
#[inline(always)]
pub fn fill_turned<T>(from: View<'_>, to: &mut [T], convert: impl Fn(f32) -> T) {
    let (columns, depth) = (from.height(), from.columns());
    assert_eq!(to.len(), depth * columns, "elements of {depth} x {columns}");
    let mut rest = to;
    for panel in panels(depth) {
        for strip in strips(columns) {
            let width = strip.len();
            let (lines, after) = rest.split_at_mut(panel.len() * width);
            for (at, column) in strip.enumerate() {
                let elements = &from.row(column)[panel.clone()];
                for (line, x) in lines.chunks_exact_mut(width).zip(elements) {
                    line[at] = convert(*x);
                }
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where element `(row, column)` of a matrix `[depth, columns]` stands.
    fn place(depth: usize, columns: usize, row: usize, column: usize) -> usize {
        let length = depth.div_ceil(depth.div_ceil(PANEL).max(1)).max(1);
        let start = row / length * length;
        let panel = length.min(depth - start);
        let first = column / strip() * strip();
        let width = strip().min(columns - first);
        start * columns + first * panel + (row - start) * width + column - first
    }

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
    fn both_ways_of_filling_put_every_element_in_its_place() {
        for (depth, columns) in [(1, 1), (3, 5), (513, 40), (1030, 33), (7, 96), (1152, 17)] {
            let rows: Vec<f32> = (0..depth * columns).map(|i| i as f32).collect();
            let turned: Vec<f32> =
                (0..depth * columns).map(|i| rows[i % depth * columns + i / depth]).collect();
            let (mut one, mut other) = (vec![-1.0; rows.len()], vec![-1.0; rows.len()]);
            fill(View::new(&rows, columns), &mut one);
            fill_turned(View::new(&turned, depth), &mut other, |x| x);
            assert_eq!(one, other);
            for (index, x) in rows.iter().enumerate() {
                assert_eq!(one[place(depth, columns, index / columns, index % columns)], *x);
            }
        }
    }

    #[test]
    fn columns_in_another_order_are_the_same_columns() {
        for (depth, columns) in [(3, 5), (513, 40), (1030, 33)] {
            let rows: Vec<f32> = (0..depth * columns).map(|i| i as f32).collect();
            let order: Vec<usize> = (0..columns).map(|i| (i * 7 + 3) % columns).collect();
            let mut data = vec![0.0; rows.len()];
            fill(View::new(&rows, columns), &mut data);
            reorder(&mut data, depth, &order);
            for index in 0..rows.len() {
                let (row, column) = (index / columns, index % columns);
                let was = rows[row * columns + order[column]];
                assert_eq!(data[place(depth, columns, row, column)], was);
            }
        }
    }

    #[test]
    fn a_block_is_the_strips_of_its_columns() {
        let rows: Vec<f32> = (0..600 * 70).map(|i| i as f32).collect();
        let mut data = vec![0.0; rows.len()];
        fill(View::new(&rows, 70), &mut data);
        let block = Strips::new(&data, 600, 70).block(&(300..600), &(64..70));
        let row = |row: usize| &rows[row * 70 + 64..row * 70 + 70];
        let expected: Vec<f32> = (300..600).flat_map(row).copied().collect();
        assert_eq!(block, expected);
    }
}
