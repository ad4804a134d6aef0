//! Where weights come from: any source that answers to names, and the seeded one.
//!
//! Names and shapes are those of the state dictionaries of diffusers' `QwenImageTransformer2DModel` and
//! `WanTransformer3DModel`.

use crate::cpu::Linear;
use crate::error::Result;
use crate::random::Stream;
use crate::tensor::{DType, Shape, Tensor};
use crate::view::View;

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
}

impl TensorSpec {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.elements() as u64
    }

    /// Whether it is the matrix of a linear layer, which may be kept in bf16.
    pub fn is_matrix(&self) -> bool {
        self.shape.axes().len() > 1 && self.name.ends_with(".weight")
    }
}

/// Gives out tensors by name.
pub trait WeightSource {
    /// The tensor of this name and shape, in f32.
    ///
    /// # Errors
    /// [`crate::KernelError::Missing`] or [`crate::KernelError::Shape`] if there is none of that name or shape.
    fn tensor(&mut self, name: &str, shape: Shape) -> Result<Tensor>;
}

/// Tables that are looked up, not multiplied with.
const TABLES: [&str; 3] =
    ["embed_tokens.weight", "shared.weight", "relative_attention_bias.weight"];

/// Random weights, each tensor a stream of its own: the same for a seed in any order, on any machine, in any version.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    seed: u64,
}

impl Seeded {
    /// The weights of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl WeightSource for Seeded {
    /// Matrices are uniform with variance 1 / inputs, so that activations keep their size; weights of norms are near one,
    /// biases small, modulation tables of variance 1 / width, tables of tokens and of distances of variance 1.
    fn tensor(&mut self, name: &str, shape: Shape) -> Result<Tensor> {
        let mut stream = Stream::new(self.seed, name);
        let elements = shape.elements();
        let data = if name.ends_with("scale_shift_table") {
            stream.uniform(elements, (3.0 / shape.columns() as f32).sqrt())
        } else if TABLES.iter().any(|table| name.ends_with(table)) {
            stream.uniform(elements, 3.0_f32.sqrt())
        } else if name.ends_with(".bias") {
            stream.uniform(elements, 0.02)
        } else if shape.axes().len() == 1 || name.ends_with(".gamma") {
            stream.uniform(elements, 0.1).into_iter().map(|x| 1.0 + x).collect()
        } else {
            let inputs = elements / shape.axes()[0];
            stream.uniform(elements, (3.0 / inputs as f32).sqrt())
        };
        Tensor::new(name, shape, data)
    }
}

/// Takes a model's tensors from a source under a prefix.
pub struct Loader<'a> {
    source: &'a mut dyn WeightSource,
    prefix: String,
    storage: DType,
}

impl<'a> Loader<'a> {
    /// A loader without prefix; matrices are kept as `storage`.
    pub fn new(source: &'a mut dyn WeightSource, storage: DType) -> Self {
        Self { source, prefix: String::new(), storage }
    }

    /// The same below `name`.
    pub fn below(&mut self, name: &str) -> Loader<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Loader { source: self.source, prefix, storage: self.storage }
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    /// As [`WeightSource::tensor`].
    pub fn values(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Vec<f32>> {
        let (name, shape) = (format!("{}{name}", self.prefix), shape.into());
        let tensor = self.source.tensor(&name, shape)?;
        tensor.expect(&name, shape)?;
        Ok(tensor.into_data())
    }

    /// A linear layer with bias.
    ///
    /// # Errors
    /// As [`WeightSource::tensor`].
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        self.linear_of(name, [outputs, inputs])
    }

    /// A linear layer without bias.
    ///
    /// # Errors
    /// As [`WeightSource::tensor`].
    pub fn plain_linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.values(&format!("{name}.weight"), [outputs, inputs])?;
        Ok(Linear::new(View::new(&weight, inputs), None, self.storage))
    }

    /// A linear layer with bias, whose weights have more axes: the first are the outputs.
    ///
    /// # Errors
    /// As [`WeightSource::tensor`].
    pub fn linear_of(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Linear> {
        let shape = shape.into();
        let outputs = shape.axes()[0];
        let weight = self.values(&format!("{name}.weight"), shape)?;
        let bias = self.values(&format!("{name}.bias"), [outputs])?;
        let view = View::new(&weight, shape.elements() / outputs);
        Ok(Linear::new(view, Some(bias), self.storage))
    }
}
