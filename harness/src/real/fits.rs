//! Whether a run fits into the memory of this machine, before any weight is made.

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

/// Memory that processes may still take: of the machine and of the control group, whichever is less; `None` where the system
/// does not tell.
pub fn available() -> Option<Bytes> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| of_meminfo(&text));
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    let group = limit.map(|limit| Bytes(limit.saturating_sub(used)));
    [machine, group].into_iter().flatten().min()
}

fn of_meminfo(text: &str) -> Option<Bytes> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib * 1024))
}

/// What the workload's shapes need on all ranks together, as [`needs_of`].
pub fn needs(setting: &Setting, workloads: &[Workload]) -> Bytes {
    let classes = workloads.iter().flat_map(|workload| &workload.classes);
    let apart = setting.experiment.real.ranks == RankKind::Processes;
    needs_of(&setting.models, classes.map(|class| &class.shape), setting.world(), apart)
}

/// What shapes of these models need on all ranks together: weights once, and once more for each rank that is a process
/// (`apart`); for each rank what it may keep of the hungriest stage at the narrowest layout, with the state of one request,
/// which a process has beside the driver's. *Derived.*
pub fn needs_of<'a>(
    models: &[&ModelSpec],
    shapes: impl Iterator<Item = &'a Shape>,
    world: u16,
    apart: bool,
) -> Bytes {
    let configs: Vec<Option<Config>> =
        models.iter().map(|model| Config::preset(model.name)).collect();
    let weights: u64 = configs.iter().flatten().map(Config::weight_bytes).sum();
    let mut rank = 0;
    for shape in shapes {
        let Some(Some(config)) = configs.get(shape.model.index()) else { continue };
        let picture = [shape.frames, shape.height, shape.width].map(|length| length as usize);
        let memory = config.memory(picture, shape.text_tokens as usize, Split::ALONE, 1);
        let state = StateSpec::of(models[shape.model.index()], shape);
        let state = state.map_or(0, |state| state.latents().0 + state.embedding.0);
        let state = if apart { 2 * state } else { state };
        rank = rank.max(memory.map_or(0, |memory| kept(memory.rank)) + state);
    }
    let ranks = u64::from(world);
    Bytes(weights * if apart { 1 + ranks } else { 1 } + rank * ranks)
}

/// Why ranks that need so much do not fit; `None` if they do, or the system does not tell what is available.
pub fn too_much(needs: Bytes, world: u16, available: Option<Bytes>) -> Option<String> {
    let available = available.filter(|available| needs > *available)?;
    Some(format!(
        "{world} ranks need {needs} (weights, and each its largest stage); {available} are available"
    ))
}

/// Refuses a run that needs more than there is.
pub(super) fn check(
    setting: &Setting,
    workloads: &[Workload],
    available: Option<Bytes>,
) -> Result<(), InputError> {
    match too_much(needs(setting, workloads), setting.world(), available) {
        Some(message) => Err(setting.document.error("cluster.world", message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_for_free_memory_is_understood() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(of_meminfo(text), Some(Bytes(8192 * 1024)));
        assert_eq!(of_meminfo("MemTotal: 1 kB\n"), None);
    }
}
