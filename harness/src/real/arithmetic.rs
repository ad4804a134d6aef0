//! The models of an experiment, ready to compute, or what is wrong with them at the place where it stands.

use super::{configs, fits};
use crate::campaign::Setting;
use crate::experiment::{RankKind, Weights};
use crate::input::{InputError, suggestion};
use crate::workload::Workload;
use flexdit_core::Group;
use flexdit_core::model::CPU;
use flexdit_core::model::ModelSpec;
use flexdit_kernels::pipeline::Config;
use flexdit_ranks::dit::{self, Dit, Prompts, Source};
use std::sync::Arc;

/// The models of a sweep point, loaded once for all its runs.
#[derive(Debug)]
pub struct Arithmetic {
    loaded: Dit,
}

/// Refuses what cannot run on this machine's cores, before any weight is made.
///
/// # Errors
/// Another GPU than `cpu`, a model that the kernels do not have, faults, more ranks than a world may have, more memory than
/// there is, a size that a model cannot make.
pub fn check(setting: &Setting, workloads: &[Workload]) -> Result<(), InputError> {
    let (experiment, document) = (&setting.experiment, &setting.document);
    if setting.gpu.name != CPU {
        let message = format!("expected `cpu` for real ranks, got `{}`", setting.gpu.name);
        return Err(document.error("cluster.gpu", message));
    }
    if usize::from(setting.world()) > Group::MAX {
        let message =
            format!("expected at most {} real ranks, got {}", Group::MAX, setting.world());
        return Err(document.error("cluster.world", message));
    }
    if experiment.costs.faults.on().is_some() {
        let message = "ranks fail in virtual time only: remove it to run on real ranks";
        return Err(document.error("costs.faults", message));
    }
    if experiment.real.ranks == RankKind::Processes && !cfg!(target_os = "linux") {
        let message = "ranks that are processes need Linux; `threads` do not";
        return Err(document.error("real.ranks", message));
    }
    for (index, model) in setting.models.iter().enumerate() {
        let config = config(setting, index, model)?;
        for class in workloads.iter().flat_map(|workload| &workload.classes) {
            let shape = &class.shape;
            let picture = [shape.frames, shape.height, shape.width].map(|n| n as usize);
            if shape.model.index() == index
                && let Err(error) = config.grid(picture)
            {
                let key = format!("workload.classes.{}", class.name);
                return Err(document.error(&key, error.to_string()));
            }
        }
    }
    fits::check(setting, workloads, super::available())
}

/// What a model computes.
fn config(setting: &Setting, index: usize, model: &ModelSpec) -> Result<Config, InputError> {
    let file = configs::file(setting, model.name);
    if let Some(config) = configs::config(model, file.as_deref())? {
        return Ok(config);
    }
    let known: Vec<&str> = flexdit_core::model::MODELS
        .iter()
        .map(|model| model.name)
        .filter(|name| Config::preset(name).is_some())
        .collect();
    let (message, hint) = suggestion("executable model", model.name, &known);
    Err(InputError { hint, ..setting.document.error(&model_key(setting, index), message) })
}

fn model_key(setting: &Setting, index: usize) -> String {
    match setting.experiment.model {
        Some(_) => "model".to_owned(),
        None => format!("models[{index}]"),
    }
}

impl Arithmetic {
    /// Loads the models and checks every class of the workloads against them.
    ///
    /// # Errors
    /// Weights that are missing or have another shape, by name; a class that a model cannot make.
    pub fn load(setting: &Setting, workloads: &[Workload]) -> Result<Self, InputError> {
        let document = &setting.document;
        let source = |(index, model): (usize, &&'static ModelSpec)| {
            let config = config(setting, index, model)?;
            Ok(Source {
                name: model.name.to_owned(),
                config,
                weights: loadable(weights(setting, model.name)),
            })
        };
        let sources: Result<Vec<_>, InputError> =
            setting.models.iter().enumerate().map(source).collect();
        let loaded = Dit::prompted(&sources?, 0, prompts(setting)).map_err(|error| {
            let key = match error {
                dit::DitError::Prompt { .. } => "real.prompts",
                _ => "real.weights",
            };
            // One tensor a line becomes one after the other.
            let message = error.to_string().replace(":\n  ", ": ");
            document.error(key, message.replace("\n  ", "; ").replace('\n', "; "))
        })?;
        let models = Self { loaded };
        models.check(setting, workloads)?;
        Ok(models)
    }

    /// Checks every class of the workloads against the models.
    ///
    /// # Errors
    /// The first class that a model cannot make, with the reason.
    pub fn check(&self, setting: &Setting, workloads: &[Workload]) -> Result<(), InputError> {
        for class in workloads.iter().flat_map(|workload| &workload.classes) {
            self.loaded.check_shape(&class.shape).map_err(|error| {
                let key = format!("workload.classes.{}", class.name);
                setting.document.error(&key, error.to_string())
            })?;
        }
        Ok(())
    }

    /// The models for one run: noise and prompts follow from its seed.
    pub fn for_seed(&self, seed: u64) -> Arc<Dit> {
        Arc::new(self.loaded.for_seed(seed))
    }
}

/// What the requests of an experiment show.
pub(super) fn prompts(setting: &Setting) -> Prompts {
    let real = &setting.experiment.real;
    Prompts { texts: real.prompts.clone(), negative: real.negative_prompt.clone() }
}

/// Where a model's weights come from: a folder is the model's own.
pub(super) fn weights(setting: &Setting, model: &str) -> Weights {
    match &setting.experiment.real.weights {
        Weights::Seed(seed) => Weights::Seed(*seed),
        Weights::Folder(folder) => Weights::Folder(setting.folder.join(folder).join(model)),
    }
}

/// The same as ranks take it.
pub(super) fn loadable(weights: Weights) -> dit::Weights {
    match weights {
        Weights::Seed(seed) => dit::Weights::Seeded(seed),
        Weights::Folder(folder) => dit::Weights::Folder(folder),
    }
}

/// Models with weights of a folder that has no tokenizer, so that prompts say nothing to them.
pub fn without_tokenizer(setting: &Setting) -> Vec<&'static str> {
    let given = matches!(setting.experiment.real.weights, Weights::Folder(_));
    let asked = given && !setting.experiment.real.prompts.is_empty();
    let names = setting.models.iter().map(|model| model.name).filter(|_| asked);
    names.filter(|name| loadable(weights(setting, name)).tokenizer().is_none()).collect()
}
