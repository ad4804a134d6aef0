//! Whether a run fits into the memory of this machine, before any weight is made.

use super::{available, configs};
use crate::campaign::Setting;
use crate::experiment::RankKind;
use crate::input::InputError;
use crate::workload::Workload;
use flexdit_core::Bytes;
use flexdit_core::migration::StateSpec;
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
    /// The class whose stage that is.
    pub class: String,
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

    /// What there is too little of, and what would help.
    fn refusal(&self, available: Bytes) -> String {
        let Self { weights, copies, rank, class, ranks } = self;
        let weights: Vec<String> =
            weights.iter().map(|(name, bytes)| format!("{bytes} of {name}")).collect();
        let (weights, total) = (weights.join(" and "), self.total());
        let (times, processes) = match copies {
            1 => ("once", ""),
            _ => ("in each process", ", ranks that are threads (`real: {ranks: threads}`)"),
        };
        format!(
            "{ranks} ranks need {total}: weights {weights}, {times}, and for each rank {rank} for the largest stage \
             of class {class}; {available} are available: take fewer ranks, smaller or fewer classes, a smaller \
             model{processes}, or a machine with more memory"
        )
    }
}

/// What the workload's shapes need.
///
/// # Errors
/// As [`configs::config`].
pub fn needs(setting: &Setting, workloads: &[Workload]) -> Result<Needs, InputError> {
    let config = |name: &&'static flexdit_core::model::ModelSpec| {
        configs::config(name, configs::file(setting, name.name).as_deref())
    };
    let configs: Result<Vec<Option<Config>>, _> = setting.models.iter().map(config).collect();
    let configs = configs?;
    let known = setting.models.iter().zip(&configs);
    let weights = known
        .filter_map(|(model, config)| Some((model.name, Bytes(config.as_ref()?.weight_bytes()))));
    let apart = setting.experiment.real.ranks == RankKind::Processes;
    let ranks = u64::from(setting.world());
    let copies = if apart { 1 + ranks } else { 1 };
    let mut needs = Needs { weights: weights.collect(), copies, ranks, ..Needs::default() };
    for class in workloads.iter().flat_map(|workload| &workload.classes) {
        let shape = &class.shape;
        let Some(Some(config)) = configs.get(shape.model.index()) else { continue };
        let picture = [shape.frames, shape.height, shape.width].map(|length| length as usize);
        let memory = config.memory(picture, shape.text_tokens as usize, Split::ALONE, 1);
        let state = StateSpec::of(setting.models[shape.model.index()], shape);
        let state = state.map_or(0, |state| state.latents().0 + state.embedding.0);
        let state = if apart { 2 * state } else { state };
        let rank = Bytes(memory.map_or(0, |memory| kept(memory.rank)) + state);
        if rank > needs.rank {
            (needs.rank, needs.class) = (rank, class.name.clone());
        }
    }
    Ok(needs)
}

/// Refuses a run that needs more than there is, and ranks of less memory than the weights take: what is left of it is for
/// requests.
pub(super) fn check(setting: &Setting, workloads: &[Workload]) -> Result<(), InputError> {
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
    match available() {
        Some(available) if needs.total() > available => {
            Err(setting.document.error("cluster.world", needs.refusal(available)))
        }
        _ => Ok(()),
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
            class: "L".into(),
            ranks: 2,
        };
        assert_eq!(needs.total(), Bytes(61 << 30));
        let said = needs.refusal(Bytes(16 << 30));
        for part in ["2 ranks need ", " of qwen-image, once", "class L", "smaller model, or"] {
            assert!(said.contains(part), "{said}");
        }
        let apart = Needs { copies: 3, ..needs };
        assert_eq!(apart.total(), Bytes(171 << 30));
        assert!(apart.refusal(Bytes(0)).contains("`real: {ranks: threads}`"));
    }
}
