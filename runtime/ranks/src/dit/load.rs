//! Where a model's weights come from.

use super::Model;
use super::error::DitError;
use flexdit_kernels::KernelError;
use flexdit_kernels::error::Result;
use flexdit_kernels::model::{Seeded, TensorSpec, WeightSource};
use flexdit_kernels::pipeline::{Config, Pipeline};
use flexdit_kernels::weights::Files;
use std::path::{Path, PathBuf};

/// Folders of the parts within a model's folder, as in diffusers.
const PARTS: [&str; 3] = ["text_encoder", "transformer", "vae"];

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Random ones of this seed, the same on every machine.
    Seeded(u64),
    /// A folder with the folders `text_encoder`, `transformer` and `vae` of safetensors files.
    Folder(PathBuf),
}

/// Weights of text encoder, transformer and VAE.
pub(super) type Parts<'a> = [&'a mut dyn WeightSource; 3];

/// A model to load.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name in messages.
    pub name: String,
    /// Its sizes.
    pub config: Config,
    /// Its weights.
    pub weights: Weights,
}

impl Source {
    /// A preset of the kernels with weights from anywhere.
    ///
    /// # Errors
    /// [`DitError::Name`] if there is none of that name.
    pub fn preset(name: &str, weights: Weights) -> std::result::Result<Self, DitError> {
        let config = Config::preset(name).ok_or_else(|| DitError::Name(name.into()))?;
        Ok(Self { name: name.into(), config, weights })
    }

    /// A preset of the kernels with random weights.
    ///
    /// # Errors
    /// [`DitError::Name`] if there is none of that name.
    pub fn seeded(name: &str, seed: u64) -> std::result::Result<Self, DitError> {
        Self::preset(name, Weights::Seeded(seed))
    }

    /// The model with its weights.
    pub(super) fn load(&self) -> std::result::Result<Model, DitError> {
        let load = |[text, transformer, vae]: Parts<'_>| {
            Pipeline::load(&self.config, [text, transformer, vae])
        };
        let pipeline = self.config.check().and_then(|()| self.with_parts(load));
        let pipeline = pipeline.map_err(|error| self.failed(error))?;
        Ok(Model { source: self.clone(), pipeline })
    }

    /// What the kernels say of this model.
    pub(super) fn failed(&self, error: KernelError) -> DitError {
        DitError::Load { model: self.name.clone(), source: Box::new(error) }
    }

    /// Calls `f` with the weights of text encoder, transformer and VAE.
    pub(super) fn with_parts<T>(&self, f: impl FnOnce(Parts<'_>) -> Result<T>) -> Result<T> {
        match &self.weights {
            Weights::Seeded(seed) => {
                let mut parts = [0, 1, 2].map(|part| Seeded::new(seed.wrapping_add(part)));
                f(parts.each_mut().map(|part| part as &mut dyn WeightSource))
            }
            Weights::Folder(path) => {
                let mut parts = self.files(path)?;
                f(parts.each_mut().map(|part| part as &mut dyn WeightSource))
            }
        }
    }

    fn files(&self, path: &Path) -> Result<[Files; 3]> {
        let Config { text, transformer, vae, .. } = &self.config;
        let specs = [text.tensors(), transformer.tensors(), vae.tensors()];
        let open = |(part, specs): (&str, &Vec<TensorSpec>)| {
            let files = Files::open(&path.join(part))?;
            files.check(specs)?;
            Ok(files)
        };
        let files: Result<Vec<Files>> = PARTS.into_iter().zip(&specs).map(open).collect();
        Ok(files?.try_into().expect("three parts"))
    }
}
