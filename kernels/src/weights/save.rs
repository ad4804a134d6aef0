//! Writing weights, in f32 or bf16.

use crate::error::{KernelError, Result};
use crate::model::{TensorSpec, WeightSource};
use crate::tensor::DType;
use half::bf16;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::path::Path;

/// Bytes of a tensor, ready to be written.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// Writes the tensors `specs` of `source` into a safetensors file. All of them are in memory at once.
///
/// # Errors
/// Whatever the source says; [`KernelError::File`] if the file cannot be written.
pub fn save(
    path: &Path,
    specs: &[TensorSpec],
    source: &mut dyn WeightSource,
    dtype: DType,
) -> Result<()> {
    let mut tensors = Vec::with_capacity(specs.len());
    for spec in specs {
        let values = source.tensor(&spec.name, spec.shape)?.into_data();
        let (dtype, data) = match dtype {
            DType::F32 => (Dtype::F32, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            DType::Bf16 => {
                let rounded = values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes());
                (Dtype::BF16, rounded.collect())
            }
        };
        let shape = spec.shape.axes().to_vec();
        tensors.push((spec.name.clone(), Bytes { dtype, shape, data }));
    }
    safetensors::serialize_to_file(tensors, None, path)
        .map_err(|error| KernelError::File { path: path.into(), why: error.to_string() })
}
