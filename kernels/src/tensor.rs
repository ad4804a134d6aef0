//! Tensors: a shape over one plain buffer, row by row.
//!
//! A tensor owns its elements; sharing is the caller's affair (`Arc` around a whole model). Invariant: a buffer
//! always holds exactly what its shape says.

use crate::error::{KernelError, Result};
use crate::view::{View, ViewMut};
use half::bf16;
use std::fmt;

/// Type of element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 16-bit brain floating point: storage only, arithmetic is in f32.
    Bf16,
}

impl DType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// An element that tensors hold.
pub trait Element: Copy + Default + Send + Sync + 'static {
    /// Its type.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
}

/// Lengths of up to five axes, the last one contiguous.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    lengths: [usize; Self::MOST],
    axes: usize,
}

impl Shape {
    /// Most axes of a tensor.
    pub const MOST: usize = 5;

    /// The shape with these lengths.
    ///
    /// # Panics
    /// If there is no axis, or more than [`Self::MOST`].
    pub fn new(axes: &[usize]) -> Self {
        assert!((1..=Self::MOST).contains(&axes.len()), "{} axes", axes.len());
        let mut lengths = [1; Self::MOST];
        lengths[..axes.len()].copy_from_slice(axes);
        Self { lengths, axes: axes.len() }
    }

    /// Lengths of the axes.
    pub fn axes(&self) -> &[usize] {
        &self.lengths[..self.axes]
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.axes().iter().product()
    }

    /// Length of the last axis.
    pub fn columns(&self) -> usize {
        self.lengths[self.axes - 1]
    }

    /// Product of all axes but the last.
    pub fn rows(&self) -> usize {
        self.lengths[..self.axes - 1].iter().product()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        Self::new(&axes)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.axes())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.axes())
    }
}

/// A tensor that owns its elements, row by row.
///
/// ```
/// use flexdit_kernels::Tensor;
/// let tensor = Tensor::new("x", [2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!(tensor.view().rows(1..2).row(0), [3.0, 4.0, 5.0]);
/// let error = Tensor::new("x", [2, 2], vec![0.0; 3]).unwrap_err();
/// assert_eq!(error.to_string(), "x of shape [2, 2] needs 4 elements, got 3");
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T = f32> {
    shape: Shape,
    data: Vec<T>,
}

impl<T: Element> Tensor<T> {
    /// A tensor over `data`; `what` names it in the error.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `data` does not hold as many elements as the shape says.
    pub fn new(what: &str, shape: impl Into<Shape>, data: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        if data.len() != shape.elements() {
            return Err(KernelError::Length { what: what.into(), shape, got: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { shape, data: vec![T::default(); shape.elements()] }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its type of element.
    pub const fn dtype(&self) -> DType {
        T::DTYPE
    }

    /// Itself, if it has the expected shape; `what` names it in the error.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if it has another.
    pub fn expect(&self, what: &str, expected: impl Into<Shape>) -> Result<&Self> {
        let expected = expected.into();
        if self.shape == expected {
            return Ok(self);
        }
        Err(KernelError::Shape { what: what.into(), got: self.shape, expected })
    }

    /// The same elements under another shape.
    ///
    /// # Panics
    /// If it has another number of elements.
    pub fn reshaped(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.elements(), self.data.len(), "{} as {shape}", self.shape);
        Self { shape, data: self.data }
    }

    /// All elements, row by row.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All elements, row by row.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The buffer.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// Elements of the `index`-th entry of the first axis.
    pub fn entry(&self, index: usize) -> &[T] {
        let length = self.data.len() / self.shape.axes()[0];
        &self.data[index * length..(index + 1) * length]
    }

    /// The whole as rows.
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.data, self.shape.columns())
    }

    /// The whole as rows.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.data, self.shape.columns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_shape_is_refused_with_both_shapes() {
        let tensor: Tensor<bf16> = Tensor::zeros([2, 3]);
        let error = tensor.expect("proj_out.weight", [3, 2]).unwrap_err();
        assert_eq!(error.to_string(), "proj_out.weight has shape [2, 3], expected [3, 2]");
        assert_eq!(tensor.dtype(), DType::Bf16);
    }
}
