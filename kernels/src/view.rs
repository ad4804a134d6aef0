//! Views: rows and columns of a buffer, `stride` elements apart. What kernels take.
//!
//! All axes of a tensor but the last are flattened into rows. Invariant: every row of a view lies inside its buffer.

use std::ops::Range;

/// Rows of a matrix, `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T: Copy> View<'a, T> {
    /// A whole buffer as rows of `columns`.
    ///
    /// # Panics
    /// If `columns` is 0 or does not divide the buffer.
    pub fn new(data: &'a [T], columns: usize) -> Self {
        assert!(columns > 0 && data.len().is_multiple_of(columns), "{} in {columns}", data.len());
        Self { data, rows: data.len() / columns, columns, stride: columns }
    }

    /// `count` windows of `columns` elements, each `stride` elements after the one before: rows that overlap where the
    /// stride is shorter. What a convolution reads.
    ///
    /// # Panics
    /// If the buffer ends before the last window, or `columns` is 0.
    pub fn windows(data: &'a [T], count: usize, columns: usize, stride: usize) -> Self {
        assert!(columns > 0, "windows of nothing");
        let end = if count == 0 { 0 } else { (count - 1) * stride + columns };
        Self { data: &data[..end], rows: count, columns, stride }
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from the begin of a row to the begin of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The elements from the first of the first row to the last of the last, with what lies between the rows.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &'a [T] {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        &self.data[index * self.stride..index * self.stride + self.columns]
    }

    /// The rows in a range.
    pub fn rows(&self, range: Range<usize>) -> Self {
        let (start, end) = span(range.clone(), self.rows, self.columns, self.stride);
        Self { data: &self.data[start..end], rows: range.len(), ..*self }
    }

    /// The columns in a range.
    pub fn slice_columns(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.columns, "columns {range:?}");
        let columns = range.len();
        let end = if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + range.end };
        let start = range.start.min(end);
        Self { data: &self.data[start..end], rows: self.rows, columns, stride: self.stride }
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let whole = *self;
        (0..self.rows).map(move |index| whole.row(index))
    }
}

/// Rows of a matrix that may be written.
#[derive(Debug)]
pub struct ViewMut<'a, T = f32> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T> ViewMut<'a, T> {
    /// A whole buffer as rows of `columns`.
    ///
    /// # Panics
    /// If `columns` is 0 or does not divide the buffer.
    pub fn new(data: &'a mut [T], columns: usize) -> Self {
        assert!(columns > 0 && data.len().is_multiple_of(columns), "{} in {columns}", data.len());
        Self { rows: data.len() / columns, data, columns, stride: columns }
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from the begin of a row to the begin of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// As [`View::data`].
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    /// Row `index`.
    pub fn row_mut(&mut self, index: usize) -> &mut [T] {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        &mut self.data[index * self.stride..index * self.stride + self.columns]
    }

    /// The same, for reading.
    pub fn as_view(&self) -> View<'_, T> {
        View { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The same, for a shorter while.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The rows in a range.
    pub fn rows(self, range: Range<usize>) -> Self {
        let (start, end) = span(range.clone(), self.rows, self.columns, self.stride);
        Self { data: &mut self.data[start..end], rows: range.len(), ..self }
    }

    /// The columns in a range.
    pub fn slice_columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.columns, "columns {range:?}");
        let columns = range.len();
        let end = if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + range.end };
        let start = range.start.min(end);
        Self { data: &mut self.data[start..end], rows: self.rows, columns, stride: self.stride }
    }
}

/// First element of a range of rows, and the one past its last.
fn span(range: Range<usize>, rows: usize, columns: usize, stride: usize) -> (usize, usize) {
    assert!(range.start <= range.end && range.end <= rows, "rows {range:?} of {rows}");
    if range.is_empty() {
        return (0, 0);
    }
    (range.start * stride, (range.end - 1) * stride + columns)
}

#[cfg(test)]
mod tests {
    use super::View;
    use crate::Tensor;

    #[test]
    fn views_name_rows_and_columns_of_the_buffer() {
        let data: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let tensor = Tensor::new("x", [2, 3, 4], data).expect("24 elements");
        let view = tensor.view();
        assert_eq!((view.height(), view.columns()), (6, 4));
        let part = view.rows(2..5).slice_columns(1..3);
        assert_eq!(part.iter().collect::<Vec<_>>(), [[9.0, 10.0], [13.0, 14.0], [17.0, 18.0]]);
        assert_eq!((part.stride(), part.data().len()), (4, 10));
        assert_eq!(part.rows(3..3).height(), 0);
        assert_eq!(view.rows(0..0).slice_columns(2..4).height(), 0);
        let windows = View::windows(tensor.data(), 2, 6, 4).rows(1..2);
        assert_eq!(windows.row(0), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(tensor.entry(1)[0], 12.0);
    }
}
