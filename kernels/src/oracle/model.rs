//! What the two written-out transformers share: weights by name, modulation, positions.

use super::number::Bounded;
use super::ops::{self, Matrix};
use crate::error::Result;
use crate::model::WeightSource;
use crate::tensor::Shape;
use crate::view::View;

/// What a step is computed from: as [`crate::model::Input`], with the tokens of the whole sequence and their bounds.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Latent tokens.
    pub tokens: &'a Matrix,
    /// Text tokens.
    pub text: View<'a>,
    /// Noise level times 1000.
    pub timestep: f32,
    /// Tokens along frames, rows and columns.
    pub grid: [usize; 3],
}

/// Weights by name.
pub(super) struct Names<'a>(pub &'a mut dyn WeightSource);

impl Names<'_> {
    pub(super) fn values(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Vec<f32>> {
        Ok(self.0.tensor(name, shape.into())?.into_data())
    }

    pub(super) fn numbers(&mut self, name: &str, length: usize) -> Result<Vec<Bounded>> {
        Ok(self.values(name, [length])?.into_iter().map(Bounded::from).collect())
    }

    pub(super) fn linear(&mut self, name: &str, x: &Matrix, outputs: usize) -> Result<Matrix> {
        self.linear_of(name, x, [outputs, x.columns()])
    }

    pub(super) fn linear_of(
        &mut self,
        name: &str,
        x: &Matrix,
        shape: impl Into<Shape>,
    ) -> Result<Matrix> {
        let shape = shape.into();
        let weight = self.values(&format!("{name}.weight"), shape)?;
        let bias = self.values(&format!("{name}.bias"), [shape.axes()[0]])?;
        Ok(ops::linear(x, View::new(&weight, x.columns()), Some(&bias)))
    }

    /// Every head on its own over its root mean square.
    pub(super) fn head_norm(&mut self, name: &str, x: &Matrix, dim: usize) -> Result<Matrix> {
        let weight = self.values(&format!("{name}.weight"), [dim])?;
        let heads = Matrix::from_rows(dim, x.data().chunks_exact(dim).map(<[Bounded]>::to_vec));
        let normed = ops::rms_norm(&heads, &weight, 1e-6);
        Ok(Matrix::from_rows(x.columns(), [normed.data().to_vec()]))
    }

    pub(super) fn feed_forward(
        &mut self,
        name: &str,
        x: &Matrix,
        inner: usize,
        width: usize,
    ) -> Result<Matrix> {
        let hidden = self.linear(&format!("{name}.net.0.proj"), x, inner)?.map(ops::gelu);
        self.linear(&format!("{name}.net.2"), &hidden, width)
    }
}

/// Rows with mean 0 and variance 1, times 1 + `scale`, plus `shift`.
pub(super) fn modulated(x: &Matrix, shift: &[Bounded], scale: &[Bounded]) -> Matrix {
    let factor: Vec<Bounded> = scale.iter().map(|scale| Bounded::from(1.0) + *scale).collect();
    ops::layer_norm(x, 1e-6, &factor, shift)
}

/// One row as six.
pub(super) fn split_six(vectors: &Matrix) -> Vec<Vec<Bounded>> {
    vectors.data().chunks_exact(vectors.columns() / 6).map(<[Bounded]>::to_vec).collect()
}

/// Frame, row and column of every token, counted from a centre.
pub(super) fn sequence_positions(grid: [usize; 3], centre: [i32; 3]) -> Vec<Vec<i32>> {
    let [frames, rows, columns] = grid.map(|length| length as i32);
    let mut positions = Vec::new();
    for frame in 0..frames {
        for row in 0..rows {
            for column in 0..columns {
                positions.push(vec![frame - centre[0], row - centre[1], column - centre[2]]);
            }
        }
    }
    positions
}
