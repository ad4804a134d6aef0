//! The linear layer: weights brought once into the order in which products read them, held in f32 or bf16.

use crate::cpu::matmul::{Start, matmul};
use crate::cpu::strips::{Strips, fill_turned, reorder};
use crate::tensor::DType;
use crate::view::{View, ViewMut};
use half::bf16;

/// `y = x W^T + b`, as models store it: W `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[inputs, outputs]` in strips.
    weight: Storage,
    bias: Option<Vec<f32>>,
}

#[derive(Clone, Debug)]
enum Storage {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Linear {
    /// The layer with weights `[outputs, inputs]`, kept as `storage`. Rounding to bf16 is to nearest, ties to even.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn new(weight: View<'_>, bias: Option<Vec<f32>>, storage: DType) -> Self {
        let (outputs, inputs) = (weight.height(), weight.columns());
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == outputs), "length of the bias");
        let weight = match storage {
            DType::F32 => Storage::F32(turned(weight, |x| x)),
            DType::Bf16 => Storage::Bf16(turned(weight, bf16::from_f32)),
        };
        Self { inputs, outputs, weight, bias }
    }

    /// Elements of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Elements of an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of weights and bias.
    pub fn bytes(&self) -> usize {
        let weight = match &self.weight {
            Storage::F32(weight) => size_of_val(&weight[..]),
            Storage::Bf16(weight) => size_of_val(&weight[..]),
        };
        weight + self.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
    }

    /// The layer with its outputs in another order: output `i` is what was output `order[i]`.
    ///
    /// # Panics
    /// If `order` names an output that does not exist, or not as many as there are.
    #[must_use]
    pub fn reordered(mut self, order: &[usize]) -> Self {
        assert_eq!(order.len(), self.outputs, "length of the order");
        match &mut self.weight {
            Storage::F32(weight) => reorder(weight, self.inputs, order),
            Storage::Bf16(weight) => reorder(weight, self.inputs, order),
        }
        if let Some(bias) = &mut self.bias {
            let old = bias.clone();
            bias.iter_mut().zip(order).for_each(|(new, &from)| *new = old[from]);
        }
        self
    }

    /// Applies the layer to every row.
    ///
    /// # Panics
    /// If widths or heights do not fit.
    pub fn forward(&self, x: View<'_>, mut out: ViewMut<'_>) {
        assert_eq!(x.columns(), self.inputs, "inputs of a linear layer");
        assert_eq!((out.height(), out.columns()), (x.height(), self.outputs), "its outputs");
        let start = match &self.bias {
            None => Start::Zero,
            Some(bias) => {
                (0..out.height()).for_each(|row| out.row_mut(row).copy_from_slice(bias));
                Start::Given
            }
        };
        match &self.weight {
            Storage::F32(w) => matmul(x, Strips::new(w, self.inputs, self.outputs), out, start),
            Storage::Bf16(w) => matmul(x, Strips::new(w, self.inputs, self.outputs), out, start),
        }
    }

    /// [`Self::forward`] into a new buffer.
    pub fn apply(&self, x: View<'_>) -> Vec<f32> {
        let mut out = vec![0.0; x.height() * self.outputs];
        self.forward(x, ViewMut::new(&mut out, self.outputs));
        out
    }
}

/// Weights `[outputs, inputs]` as `[inputs, outputs]` in strips.
fn turned<T: Copy + Default>(from: View<'_>, convert: impl Fn(f32) -> T) -> Vec<T> {
    let mut to = vec![T::default(); from.height() * from.columns()];
    fill_turned(from, &mut to, convert);
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn a_layer_is_the_product_with_turned_weights_plus_bias() {
        let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let layer = Linear::new(View::new(&weight, 3), Some(vec![0.5, -0.5]), DType::F32);
        assert_eq!((layer.inputs(), layer.outputs(), layer.bytes()), (3, 2, 32));
        let x = [1.0, 0.0, -1.0, 2.0, 1.0, 0.0];
        assert_eq!(layer.apply(View::new(&x, 3)), [-1.5, -2.5, 4.5, 12.5]);
        assert_eq!(layer.reordered(&[1, 0]).apply(View::new(&x, 3)), [-2.5, -1.5, 12.5, 4.5]);
    }

    #[test]
    fn bf16_weights_give_the_bits_of_the_same_weights_in_f32() {
        let mut random = Stream::new(1, "bf16");
        let (inputs, outputs, rows) = (700, 2051, 3);
        let weight: Vec<f32> = random.uniform(inputs * outputs, 1.0);
        let weight: Vec<f32> = weight.iter().map(|w| bf16::from_f32(*w).to_f32()).collect();
        let (bias, x) = (random.uniform(outputs, 1.0), random.uniform(rows * inputs, 1.0));
        let [half, full] = [DType::Bf16, DType::F32]
            .map(|storage| Linear::new(View::new(&weight, inputs), Some(bias.clone()), storage));
        assert!(half.bytes() < full.bytes() / 2 + 5000);
        assert_eq!(half.apply(View::new(&x, inputs)), full.apply(View::new(&x, inputs)));
    }
}
