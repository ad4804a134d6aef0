//! Every word of the program's vocabulary in one table: terms, metrics, charges, systems, policies.

use crate::metrics::{Better, METRICS};

/// What sort of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A word with one meaning in code, files and plots.
    Term,
    /// A column of the results.
    Metric,
    /// A key under `costs:`.
    Charge,
    /// A key of an entry of `systems:`.
    System,
    /// An entry of the registry of policies.
    Policy,
}

impl Kind {
    /// Every kind, in the order of listings.
    pub const ALL: [Self; 5] = [Self::Term, Self::Metric, Self::Charge, Self::System, Self::Policy];

    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Metric => "metric",
            Self::Charge => "charge",
            Self::System => "system",
            Self::Policy => "policy",
        }
    }
}

/// One name with its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The name as written in files.
    pub name: &'static str,
    /// What sort of thing it is.
    pub kind: Kind,
    /// What it means.
    pub text: String,
}

/// Everything that can be explained, by kind, in the order of the tables.
pub fn all() -> Vec<Meaning> {
    let fixed = [(Kind::Term, TERMS), (Kind::Charge, CHARGES), (Kind::System, SYSTEMS)];
    let mut all: Vec<Meaning> = fixed
        .into_iter()
        .flat_map(|(kind, table)| table.iter().map(move |&(name, text)| (kind, name, text)))
        .map(|(kind, name, text)| Meaning { name, kind, text: text.to_owned() })
        .collect();
    all.extend(METRICS.iter().map(|metric| {
        let unit =
            if metric.unit.is_empty() { String::new() } else { format!(" [{}]", metric.unit) };
        let better = match metric.better {
            Better::Higher => " Higher is better.",
            Better::Lower => " Lower is better.",
            Better::Neither => "",
        };
        let text = format!("{}{unit}{better}", metric.doc);
        Meaning { name: metric.name, kind: Kind::Metric, text }
    }));
    all.extend(crate::policies::meanings());
    all.sort_by_key(|meaning| meaning.kind);
    all
}

/// What `name` means, whatever its case and whether words are joined by spaces, `-` or `_`. One name
/// may be a term and a metric.
pub fn find(name: &str) -> Vec<Meaning> {
    let wanted = plain(name);
    all().into_iter().filter(|meaning| plain(meaning.name) == wanted).collect()
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', ' ', '-'], "")
}

const TERMS: &[(&str, &str)] = &[
    ("world", "All ranks of the machine."),
    ("rank", "Global index of one device or worker."),
    ("group", "The ordered ranks of a task or collective; position is the shard's index."),
    ("rank set", "Ranks without order: what the scheduler reserves."),
    (
        "communicator",
        "Connections and buffers among the members of one group, made by all of them together before its first collective.",
    ),
    (
        "group-free",
        "Collectives over any ordered list of ranks: memory and signals belong to the world, forming a group is making a value.",
    ),
    ("cold", "Timed as the first thing in a fresh world; everything later is warm."),
    ("layout", "How a tensor is split over the ranks of a group."),
    ("placement", "Which ranks hold or compute something."),
    ("artifact", "One immutable version of a request's state, passed from task to task."),
    ("migration", "Moving an artifact to another placement; the destination pulls."),
    ("reshard", "A migration that also changes the layout."),
    ("request", "What a client asks for: one image or video, with a class and maybe a deadline."),
    ("class", "Requests of one shape, such as S, M, L; tables are split by class."),
    ("stage", "Text encode, denoise or VAE decode: the three parts of a request, in order."),
    ("task", "What is scheduled: a stage, or a chunk of denoising steps."),
    ("chunk", "The k denoising steps of one task; its end is the next rescheduling point."),
    ("trajectory", "A request as its chain of tasks."),
    ("step", "Index of a denoising iteration; not the timestep, which is a noise value."),
    ("timestep", "The noise value that a step works at."),
    ("latents", "The compressed image or video that denoising works on."),
    ("tokens", "Patches of latents: the sequence that the transformer sees."),
    ("sequence degree", "Ranks that share one sequence: Ulysses degree x ring degree."),
    ("ulysses degree", "Ranks that share attention by heads; divides the model's head count."),
    ("ring degree", "Ranks that pass keys and values around; no rule of divisibility."),
    ("cfg degree", "2 puts the two guidance branches on different ranks; else 1."),
    ("vae-patch degree", "Patches that the VAE decodes on different ranks."),
    (
        "degree",
        "Ranks that compute a task together: sequence degree x CFG degree, or VAE-patch degree.",
    ),
    ("latency", "Completion - arrival."),
    ("queueing delay", "First task's start - arrival."),
    ("service time", "Completion - first task's start."),
    ("deadline", "When a request is due; its base is the workload's `slo`."),
    (
        "lateness",
        "Completion - deadline, signed. Marginal up to 10 % of the budget, moderate up to 50 %, severe above.",
    ),
    ("t_single", "A request's latency alone on one rank: the sum of its six priced stages."),
    ("alpha", "Deadline = arrival + alpha x T_single."),
    ("slowdown", "Latency / T_single."),
    (
        "completion ratio",
        "Completed / all requests; printed beside latency, since a policy that starves a class looks good on the rest.",
    ),
    ("goodput", "Requests completed by their deadline, a second."),
    ("throughput", "Requests completed, a second."),
    ("makespan", "From the start to the end of the last event."),
    ("utilisation", "Busy rank-time / (world x makespan)."),
    ("offered load", "Work that arrives, at T_single a request, over world x active window."),
    ("open loop", "Requests arrive whatever the system does."),
    ("closed loop", "A fixed number of requests is in the system; the next comes when one ends."),
    ("algbw", "Bytes of a collective / its time."),
    ("busbw", "algbw corrected for the collective, comparable with the link."),
    (
        "idle time",
        "Rank-time without work, by cause: no work in the system, work waiting, drain, held by a wider group, migration, group set-up, control plane, rank down.",
    ),
    (
        "gap to bound",
        "How far mean latency, makespan or violations are above a lower bound of the same requests.",
    ),
    ("percentile", "Nearest rank on exact samples; p99 needs 100 samples, otherwise n/a."),
    ("profile", "A table of stage durations with units, source and validity range."),
    ("measured", "Label of a number taken with a clock on real hardware."),
    ("simulated", "Label of a number computed in virtual time."),
    ("published", "Label of a number printed in a paper or by another project."),
    ("derived", "Label of a number that follows from others by a formula."),
    ("extrapolated", "Priced outside the range that the profile's source covers."),
    ("elastic", "Serving in which a request's ranks and degree may change at every task boundary."),
    ("static", "Serving in which groups and degrees are fixed at start-up."),
];

const CHARGES: &[(&str, &str)] = &[
    (
        "migration",
        "`costs.migration`: latency + bytes / bandwidth for each copy, source and destination busy. Default 100us and the GPU's link.",
    ),
    (
        "group_setup",
        "`costs.group_setup`: forming a multi-rank group. free; per_use: every task pays; fixed: a changed group pays; first_use: a new rank set pays; profile: prices by degree that `flexdit bench group-setup --write-costs` measured. Default {per_use: 60us}. Groups built at start-up are free.",
    ),
    ("launch", "`costs.launch`: overhead on every rank before a task computes. Default 5us."),
    (
        "start_delay",
        "`costs.start_delay`: time from when a task could begin on all its ranks until it does. Default 0.",
    ),
    (
        "control_plane",
        "`costs.control_plane`: time from a decision to the arrival of its commands at the ranks. Default 10us.",
    ),
    (
        "planning",
        "`costs.planning`: what one decision takes, added to the control plane. Default 0.",
    ),
    (
        "jitter",
        "`costs.jitter`: log-normal factor of mean 1 on every step, text encode and VAE decode, the same for every system. Default off.",
    ),
    (
        "stragglers",
        "`costs.stragglers`: some steps, or all work of some ranks, take a multiple of their time. Default off.",
    ),
    (
        "faults",
        "`costs.faults`: ranks fail at random or at given times, lose what they hold, and come back empty. Default off.",
    ),
    ("memory", "`costs.memory`: whether a rank's memory bounds what may run on it. Default true."),
];

const SYSTEMS: &[(&str, &str)] = &[
    (
        "fixed-pipeline",
        "Equal groups made at start-up. A request runs on one group from text encode to VAE decode, first in, first out, all ranks held throughout. With the degree of the whole world it is the paper's baseline.",
    ),
    ("legacy", "The fixed pipeline on one group of all ranks."),
    (
        "rssp",
        "Each class at the degree at which it is fastest alone, changed until one group of every degree fits the world, which is cut by the work offered.",
    ),
    ("class-map", "Fixed pipelines in pools, each for some classes."),
    (
        "lanes",
        "Equal groups that run task by task; the degree never changes. Policies fcfs, sjf, srtf.",
    ),
    (
        "best-static",
        "The best of all static layouts on this workload, found by running them: the comparison that counts.",
    ),
    (
        "elastic",
        "Task-level scheduling by a policy: ranks and degree may change at every task boundary.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_joined() {
        for name in ["VAE-patch degree", "vae_patch_degree", "Group set-up"] {
            assert_eq!(find(name).len(), 1, "{name}");
        }
        let kinds: Vec<Kind> = find("elastic").into_iter().map(|m| m.kind).collect();
        assert_eq!(kinds, [Kind::Term, Kind::System]);
        assert!(find("slo_attainment")[0].text.ends_with("Higher is better."));
    }

    #[test]
    fn no_name_stands_twice_within_a_kind() {
        let all = all();
        for (i, meaning) in all.iter().enumerate() {
            let twice = all[..i].iter().any(|m| m.kind == meaning.kind && m.name == meaning.name);
            assert!(!twice, "{}", meaning.name);
        }
    }
}
