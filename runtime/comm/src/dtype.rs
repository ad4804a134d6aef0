//! Element types of collectives and the one reduction they know: the sum, in f32, in the order it is given.

use half::{bf16, f16};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DType {
    /// Bytes that are moved, never added.
    Bytes = 0,
    /// IEEE single precision.
    F32 = 1,
    /// bfloat16.
    Bf16 = 2,
    /// IEEE half precision.
    F16 = 3,
}

impl DType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::F32, Self::Bf16, Self::F16];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// `bytes`, `f32`, `bf16` or `f16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// A Rust type that tensors may consist of.
pub trait Element: bytemuck::Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// Its name at run time.
    const DTYPE: DType;
}

impl Element for u8 {
    const DTYPE: DType = DType::Bytes;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
}
