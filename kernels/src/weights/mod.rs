//! Weights in files: safetensors in the naming of diffusers and transformers, read tensor by tensor, and written.
//!
//! Owns the file format and what is wrong with a file; which tensors a model needs is the model's to say. Invariant: a
//! file is checked whole before any of it is used, and every tensor that is wrong is named, not only the first.

mod files;
pub(crate) mod problem;
mod save;

pub use files::Files;
pub use problem::Problem;
pub use save::save;

#[cfg(test)]
mod tests;
