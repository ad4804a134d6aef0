//! Whether a run fits into the memory of this machine, before any weight is made.

use super::configs;
use crate::campaign::Setting;
use crate::experiment::RankKind;
use crate::input::InputError;
use crate::workload::Workload;
use flexdit_core::migration::StateSpec;
use flexdit_core::model::ModelSpec;
use flexdit_core::{Bytes, Shape};
use flexdit_kernels::model::Split;
use flexdit_kernels::pipeline::Config;
use flexdit_ranks::dit::kept;

/// What a run needs on all ranks together. *Derived.*
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Weights of each model, by its name.
    pub weights: Vec<(&'static str, Bytes)>,
    /// How often they are in memory: once, and once more for each rank that is a process.
    pub copies: u64,
    /// For each rank what it may keep of the hungriest stage at the narrowest layout, with the state of one request, which a
    /// process has beside the driver's.
    pub rank: Bytes,
    /// Whose stage that is.
    pub hungriest: String,
    /// Ranks.
    pub ranks: u64,
}

impl Needs {
    /// Weights of all models.
    pub fn all_weights(&self) -> Bytes {
        self.weights.iter().map(|(_, bytes)| *bytes).sum()
    }

    /// All of it.
    pub fn total(&self) -> Bytes {
        Bytes(self.all_weights().0 * self.copies + self.rank.0 * self.ranks)
    }

    /// What there is too little of, and what would help; `None` if it fits, or the system does not tell what is available.
    pub fn refusal(&self, available: Option<Bytes>) -> Option<String> {
        let available = available.filter(|available| self.total() > *available)?;
        let Self { weights, copies, rank, hungriest, ranks } = self;
        let weights: Vec<String> =
            weights.iter().map(|(name, bytes)| format!("{bytes} of {name}")).collect();
        let (weights, total) = (weights.join(" and "), self.total());
        let (times, processes) = match copies {
            1 => ("once", ""),
            _ => ("in each process", ", ranks that are threads (`real: {ranks: threads}`)"),
        };
        Some(format!(
            "{ranks} ranks need {total}: weights {weights}, {times}, and for each rank {rank} for the largest stage \
             of {hungriest}; {available} are available: take fewer ranks, smaller or fewer shapes, a smaller \
             model{processes}, or a machine with more memory"
        ))
    }
}

/// What the workload's shapes need.
///
/// # Errors
/// As [`configs::config`].
pub fn needs(setting: &Setting, workloads: &[Workload]) -> Result<Needs, InputError> {
    let config = |spec: &&'static ModelSpec| {
        let config = configs::config(spec, configs::file(setting, spec.name).as_deref())?;
        Ok((*spec, config))
    };
    let models: Result<Vec<_>, InputError> = setting.models.iter().map(config).collect();
    let classes = workloads.iter().flat_map(|workload| &workload.classes);
    let shapes = classes.map(|class| (format!("class {}", class.name), &class.shape));
    let apart = setting.experiment.real.ranks == RankKind::Processes;
    Ok(needs_of(&models?, shapes, setting.world(), apart))
}

/// What named shapes of these models need; `apart` if ranks are processes. A model without a configuration counts nothing.
pub fn needs_of<'a>(
    models: &[(&'static ModelSpec, Option<Config>)],
    shapes: impl Iterator<Item = (String, &'a Shape)>,
    world: u16,
    apart: bool,
) -> Needs {
    let weights = models
        .iter()
        .filter_map(|(model, config)| Some((model.name, Bytes(config.as_ref()?.weight_bytes()))));
    let ranks = u64::from(world);
    let copies = if apart { 1 + ranks } else { 1 };
    let mut needs = Needs { weights: weights.collect(), copies, ranks, ..Needs::default() };
    for (name, shape) in shapes {
        let Some((model, Some(config))) = models.get(shape.model.index()) else { continue };
        let picture = [shape.frames, shape.height, shape.width].map(|length| length as usize);
        let memory = config.memory(picture, shape.text_tokens as usize, Split::ALONE, 1);
        let state = StateSpec::of(model, shape);
        let state = state.map_or(0, |state| state.latents().0 + state.embedding.0);
        let state = if apart { 2 * state } else { state };
        let rank = Bytes(memory.map_or(0, |memory| kept(memory.rank)) + state);
        if rank > needs.rank {
            (needs.rank, needs.hungriest) = (rank, name);
        }
    }
    needs
}

/// Refuses a run that needs more than there is, and ranks of less memory than the weights take: what is left of it is for
/// requests.
pub(super) fn check(
    setting: &Setting,
    workloads: &[Workload],
    available: Option<Bytes>,
) -> Result<(), InputError> {
    let needs = needs(setting, workloads)?;
    let weights = needs.all_weights();
    // Of less than what virtual time counts every system says itself that no layout fits.
    let counted: Bytes = setting.models.iter().map(|model| model.weights()).sum();
    let little = |memory: &Bytes| *memory > counted && *memory <= weights;
    if let Some(memory) = setting.memory.filter(little) {
        let message =
            format!("expected more than the weights of the models, {weights}, got {memory}");
        return Err(setting.document.error("cluster.memory", message));
    }
    match needs.refusal(available) {
        Some(message) => Err(setting.document.error("cluster.world", message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_models_working_set_and_what_helps() {
        let needs = Needs {
            weights: vec![("qwen-image", Bytes(55 << 30))],
            copies: 1,
            rank: Bytes(3 << 30),
            hungriest: "class L".into(),
            ranks: 2,
        };
        assert_eq!(needs.total(), Bytes(61 << 30));
        assert_eq!(needs.refusal(None), None);
        assert_eq!(needs.refusal(Some(needs.total())), None);
        let said = needs.refusal(Some(Bytes(16 << 30))).expect("too much");
        for part in ["2 ranks need ", " of qwen-image, once", "class L", "smaller model, or"] {
            assert!(said.contains(part), "{said}");
        }
        let apart = Needs { copies: 3, ..needs };
        assert_eq!(apart.total(), Bytes(171 << 30));
        let said = apart.refusal(Some(Bytes(0))).expect("too much");
        assert!(said.contains("`real: {ranks: threads}`"));
    }
}
