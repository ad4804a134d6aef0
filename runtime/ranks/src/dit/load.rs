//! Where a model's weights come from.

use super::error::DitError;
use super::{Model, Prompts};
use flexdit_kernels::KernelError;
use flexdit_kernels::error::Result;
use flexdit_kernels::model::{Seeded, TensorSpec, WeightSource};
use flexdit_kernels::pipeline::{Config, Pipeline};
use flexdit_kernels::text::Tokenizer;
use flexdit_kernels::weights::Files;
use std::path::{Path, PathBuf};

/// Folders of the parts within a model's folder, as in diffusers.
const PARTS: [&str; 3] = ["text_encoder", "transformer", "vae"];

/// Folder of a model's own tokenizer beside them, and its file.
const TOKENIZER: [&str; 2] = ["tokenizer", "tokenizer.json"];

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Random ones of this seed, the same on every machine.
    Seeded(u64),
    /// A folder with the folders `text_encoder`, `transformer` and `vae` of safetensors files, and maybe `tokenizer` with a
    /// `tokenizer.json`.
    Folder(PathBuf),
}

impl Weights {
    /// The file of the model's own tokenizer, if the weights' folder has a folder for it. Prompts become tokens by a hash of
    /// their words where there is none.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        let Self::Folder(path) = self else { return None };
        let [folder, file] = TOKENIZER;
        let folder = path.join(folder);
        folder.is_dir().then(|| folder.join(file))
    }
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

    /// The model with its weights, and with its tokenizer, if there are texts for one.
    pub(super) fn load(&self, prompts: &Prompts) -> std::result::Result<Model, DitError> {
        let pipeline = self.pipeline(prompts).map_err(|error| self.failed(error))?;
        Ok(Model { source: self.clone(), pipeline })
    }

    fn pipeline(&self, prompts: &Prompts) -> Result<Pipeline> {
        self.config.check()?;
        let tokenizer = self.weights.tokenizer().filter(|_| !prompts.texts.is_empty());
        let tokenizer = tokenizer.map(|path| Tokenizer::open(&path)).transpose()?;
        let load = |[text, transformer, vae]: Parts<'_>| {
            Pipeline::load(&self.config, [text, transformer, vae])
        };
        let pipeline = self.with_parts(load)?;
        Ok(match tokenizer {
            Some(tokenizer) => pipeline.with_tokenizer(tokenizer),
            None => pipeline,
        })
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

    /// The files of all parts; what is wrong with any of them is told at once.
    fn files(&self, path: &Path) -> Result<[Files; 3]> {
        let Config { text, transformer, vae, .. } = &self.config;
        let specs = [text.tensors(), transformer.tensors(), vae.tensors()];
        if !path.is_dir() {
            let why = format!(
                "no such folder; expected one with the folders {}, {} and {} of safetensors files",
                PARTS[0], PARTS[1], PARTS[2]
            );
            return Err(KernelError::File { path: path.into(), why });
        }
        let open = |(part, specs): (&str, &Vec<TensorSpec>)| {
            let files = Files::open(&path.join(part))?;
            files.check(specs)?;
            Ok(files)
        };
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for part in PARTS.into_iter().zip(&specs).map(open) {
            match part {
                Ok(opened) => files.push(opened),
                Err(error) => errors.push(error),
            }
        }
        match (errors.len(), files.try_into()) {
            (0, Ok(files)) => Ok(files),
            (1, _) => Err(errors.remove(0)),
            _ => Err(KernelError::Several(errors)),
        }
    }
}
