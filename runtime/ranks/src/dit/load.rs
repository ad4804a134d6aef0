//! Where a model's weights come from.

use super::Model;
use super::error::DitError;
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
        let pipeline = match &self.weights {
            Weights::Seeded(seed) => self.seeded_pipeline(*seed),
            Weights::Folder(path) => self.pipeline_of(path),
        };
        let pipeline = pipeline.map_err(|error| {
            let (model, source) = (self.name.clone(), Box::new(error));
            DitError::Load { model, source }
        })?;
        Ok(Model { name: self.name.clone(), pipeline })
    }

    fn seeded_pipeline(&self, seed: u64) -> Result<Pipeline> {
        let mut sources = [0, 1, 2].map(|part| Seeded::new(seed.wrapping_add(part)));
        Pipeline::load(&self.config, sources.each_mut().map(|part| part as &mut dyn WeightSource))
    }

    fn pipeline_of(&self, path: &Path) -> Result<Pipeline> {
        self.config.check()?;
        let Config { text, transformer, vae, .. } = &self.config;
        let specs = [text.tensors(), transformer.tensors(), vae.tensors()];
        let open = |(part, specs): (&str, &Vec<TensorSpec>)| {
            let files = Files::open(&path.join(part))?;
            files.check(specs)?;
            Ok(files)
        };
        let files: Result<Vec<Files>> = PARTS.into_iter().zip(&specs).map(open).collect();
        let mut files: [Files; 3] = files?.try_into().expect("three parts");
        Pipeline::load(&self.config, files.each_mut().map(|part| part as &mut dyn WeightSource))
    }
}
