//! Ranks that are processes of this program: what they are told, and how they load their models. Linux only.
//!
//! Invariant: a process computes with the models, the weights and the seed of the run that starts it.

use super::arithmetic::{loadable, prompts, weights};
use super::communicators::Communicators;
use super::configs;
use crate::campaign::Setting;
use crate::experiment::{CollectiveKind, Weights};
use flexdit_core::Rank;
use flexdit_core::model::model;
use flexdit_ranks::dit::{Dit, Prompts, Source};
use flexdit_ranks::process::{Processes, Settings, SharedWorld, World, serve};
use flexdit_ranks::{Compute, GroupFree, RunError};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

/// What a rank's process computes with.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    collectives: CollectiveKind,
    models: Vec<String>,
    /// Folders are those of each model, in the models' order.
    weights: Vec<Weights>,
    /// Files of configurations, in the models' order.
    configs: Vec<Option<PathBuf>>,
    prompts: Prompts,
    seed: u64,
}

/// Starts a process for every rank; each has loaded its models and found the others when this returns.
pub(super) fn start(
    setting: &Setting,
    collectives: CollectiveKind,
    local: Arc<dyn Compute>,
    seed: u64,
) -> Result<Processes, RunError> {
    let refused = |error: &dyn std::fmt::Display| RunError::World(error.to_string());
    let size = setting.world();
    let world: Arc<dyn World> = match collectives {
        CollectiveKind::GroupFree => Arc::new(SharedWorld::new(size, &GroupFree::default())),
        CollectiveKind::Communicators => {
            Arc::new(Communicators::serve().map_err(|error| refused(&error))?)
        }
    };
    let spec = Spec {
        collectives,
        models: setting.models.iter().map(|model| model.name.to_owned()).collect(),
        weights: setting.models.iter().map(|model| weights(setting, model.name)).collect(),
        configs: setting.models.iter().map(|model| configs::file(setting, model.name)).collect(),
        prompts: prompts(setting),
        seed,
    };
    let spec = serde_json::to_string(&spec).map_err(|error| refused(&error))?;
    let settings = Settings { world: size, pin: setting.experiment.real.pin, spec };
    let program = std::env::current_exe().map_err(|error| refused(&error))?;
    let command = |_: Rank| {
        let mut command = std::process::Command::new(&program);
        command.arg("rank");
        command
    };
    Processes::start(&settings, local, world, command).map_err(|error| refused(&error))
}

/// Runs this process as a rank to its end: the program that started it says all it needs to know.
///
/// # Errors
/// If it was not started by a run.
pub fn rank() -> std::io::Result<()> {
    let kind = Cell::new(CollectiveKind::GroupFree);
    let load = |spec: &str| {
        let spec: Spec = serde_json::from_str(spec).map_err(|error| error.to_string())?;
        kind.set(spec.collectives);
        load(spec)
    };
    serve(load, |address, rank, world| match kind.get() {
        CollectiveKind::GroupFree => GroupFree::default().join(address, rank, world),
        CollectiveKind::Communicators => Communicators::default().join(address, rank, world),
    })
}

fn load(spec: Spec) -> Result<Arc<dyn Compute>, String> {
    let Spec { models, weights, configs, prompts, seed, .. } = spec;
    let source = |((name, weights), file): ((&String, Weights), Option<PathBuf>)| {
        let weights = loadable(weights);
        let missing = || format!("the kernels have no model `{name}`");
        let spec = model(name).ok_or_else(missing)?;
        let config = configs::config(spec, file.as_deref()).map_err(|error| error.to_string())?;
        Ok(Source { name: name.clone(), config: config.ok_or_else(missing)?, weights })
    };
    let sources = models.iter().zip(weights).zip(configs).map(source);
    let sources: Result<Vec<Source>, String> = sources.collect();
    let loaded = Dit::prompted(&sources?, seed, prompts).map_err(|error| error.to_string())?;
    Ok(Arc::new(loaded))
}
