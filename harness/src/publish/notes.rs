//! The words around the numbers: what each system is, what is charged.

use crate::campaign::Setting;
use crate::experiment::{Loaded, Routing, SystemKind};
use crate::profile::setup::SetupPrices;
use crate::report::{Charge, Fact, Label, Role};
use crate::workload::Workload;
use flexdit_sim::{Charges, FaultModel, GroupSetup, Occupies};

/// What a system is in the comparison.
pub fn role(kind: &SystemKind, world: u16) -> Role {
    match kind {
        // One degree leaves task-level scheduling without elastic parallelism.
        SystemKind::Elastic(spec) if spec.degrees.as_ref().is_some_and(|d| d.len() == 1) => {
            Role::OneDegree
        }
        SystemKind::Elastic(_) => Role::Elastic,
        SystemKind::Legacy(_) => Role::PaperBaseline,
        SystemKind::FixedPipeline(spec) if spec.degree == world => Role::PaperBaseline,
        SystemKind::BestStatic(_) => Role::BestStatic,
        SystemKind::Rssp(_) => Role::BestPerClass,
        _ => Role::Other,
    }
}

/// What a system is, with its layout, in words.
pub fn describe(kind: &SystemKind, world: u16) -> String {
    let groups = |degree: u16| match world / degree.max(1) {
        1 => format!("one group of {degree} ranks"),
        n if degree == 1 => format!("{n} groups of one rank"),
        n => format!("{n} groups of {degree} ranks"),
    };
    match kind {
        SystemKind::FixedPipeline(spec) => {
            let routing = match &spec.routing {
                Routing::LeastWork if spec.degree == world => "",
                Routing::LeastWork => ", routed to the least work",
                Routing::RoundRobin => ", routed round-robin",
                Routing::ClassMap(_) => ", routed by class",
            };
            format!("fixed pipeline: {}, FIFO{routing}", groups(spec.degree))
        }
        SystemKind::Legacy(_) => format!("fixed pipeline: {}, FIFO", groups(world)),
        SystemKind::Rssp(_) => {
            "fixed pipelines, each class at the degree at which it is fastest alone, changed until \
             one group of every degree fits the world"
                .to_owned()
        }
        SystemKind::ClassMap(spec) => {
            let pools = spec.pools.iter();
            let pools: Vec<_> = pools.map(|p| format!("{} x SP{}", p.groups, p.degree)).collect();
            let used = spec.pools.iter().map(|p| p.groups.saturating_mul(p.degree));
            let left = used.fold(world, u16::saturating_sub);
            format!("fixed pipelines in pools: {}{}", pools.join(", "), unused(left))
        }
        SystemKind::Lanes(spec) => {
            format!(
                "task-level lanes: {}, {}",
                groups(spec.degree),
                spec.policy.name().to_uppercase()
            )
        }
        SystemKind::BestStatic(spec) => {
            format!(
                "the static layout with the best {} on these seeds, found by running all",
                spec.metric
            )
        }
        SystemKind::Elastic(spec) => {
            let params: Vec<_> = spec.params.iter().map(|(k, v)| format!("{k} {v}")).collect();
            let params =
                if params.is_empty() { String::new() } else { format!(" ({})", params.join(", ")) };
            match spec.degrees.as_deref() {
                None => format!("elastic, policy {}{params}", spec.policy),
                Some([degree]) => {
                    format!("task-level, policy {}{params}, always degree {degree}", spec.policy)
                }
                Some(degrees) => {
                    let degrees: Vec<_> = degrees.iter().map(u16::to_string).collect();
                    let degrees = degrees.join(", ");
                    format!("elastic, policy {}{params}, degrees {degrees}", spec.policy)
                }
            }
        }
    }
}

/// `, 2 ranks unused`; nothing if a static layout uses all. Idle ranks flatter what it is compared with.
pub fn unused(ranks: u16) -> String {
    match ranks {
        0 => String::new(),
        1 => ", 1 rank unused".to_owned(),
        n => format!(", {n} ranks unused"),
    }
}

/// The cluster and the workload.
pub fn setup(loaded: &Loaded, setting: &Setting, workloads: &[Workload]) -> Vec<Fact> {
    let fact = |name: &str, value: String, label| Fact { name: name.into(), value, label };
    let experiment = &setting.experiment;
    let models: Vec<&str> = setting.models.iter().map(|model| model.name).collect();
    let memory = setting.memory.map_or("not charged".into(), |bytes| bytes.to_string());
    let counts = workloads.iter().map(|workload| workload.requests.len());
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    let classes = workloads[0].classes.iter().map(|class| {
        let s = &class.shape;
        let frames = if s.frames > 1 { format!(" x {} frames", s.frames) } else { String::new() };
        let guided = if s.guidance { ", guided" } else { "" };
        let single =
            class.t_single.map_or("unknown".into(), |t| format!("{:.2} s", t.as_secs_f64()));
        let due = class.budget.map_or("no deadline".into(), |budget| {
            format!("due {:.2} s after it arrives", budget.as_secs_f64())
        });
        format!(
            "{}: {}x{}{frames}, {} steps{guided}, {} tokens, {single} alone on one rank, {due}",
            class.name, s.height, s.width, s.steps, class.tokens
        )
    });
    let published = setting.memory.is_some() && experiment.cluster.memory.is_none();
    let mut facts = vec![
        fact("model", models.join(", "), None),
        fact("cluster", cluster_words(setting), None),
        fact("memory of a rank", memory, published.then_some(Label::Published)),
        fact(
            "requests",
            if least == most {
                format!("{least} a seed")
            } else {
                format!("{least} to {most} a seed")
            },
            None,
        ),
        fact("offered load", load_words(workloads), Some(Label::Derived)),
    ];
    let section = |key: &str| loaded.document.root.find(key).map(|node| node.inline());
    for (name, key) in [
        ("arrivals", "workload.arrivals"),
        ("imported from", "workload.import"),
        ("SLO base", "workload.slo"),
        ("clients give up", "workload.client_timeout"),
    ] {
        facts.extend(section(key).map(|text| fact(name, text, None)));
    }
    let seeds: Vec<String> = experiment.seeds.iter().map(u64::to_string).collect();
    facts.push(fact("seeds", seeds.join(", "), None));
    facts.extend(classes.map(|text| fact("class", text, Some(Label::Derived))));
    if experiment.estimates != Default::default() {
        let bias = experiment.estimates.bias;
        let other =
            if experiment.estimates.profile.is_some() { "another profile" } else { "the profile" };
        facts.push(fact("beliefs", format!("{other}, times {bias}"), None));
    }
    facts
}

/// The offered load of an experiment's seeds.
fn load_words(workloads: &[Workload]) -> String {
    if workloads.iter().any(|workload| workload.closed_loop.is_some()) {
        return "not defined: in a closed loop a request is sent when another ends".to_owned();
    }
    let realised = workloads.iter().filter_map(|workload| workload.offered_load_realised);
    let realised: Vec<f64> = realised.collect();
    if realised.is_empty() {
        return "not defined: everything arrives at once".to_owned();
    }
    let mean = realised.iter().sum::<f64>() / realised.len() as f64;
    let expected = workloads[0].offered_load_expected;
    let expected = expected.map_or(String::new(), |load| format!("expected {load:.3}, "));
    let window = match workloads[0].phases.is_empty() {
        true => "from the first to the last arrival",
        false => "over the active window",
    };
    format!("{expected}realised {mean:.3} {window} (mean over seeds)")
}

fn cluster_words(setting: &Setting) -> String {
    let nodes = match setting.charges.ranks_per_node {
        0 => String::new(),
        ranks => format!(", {ranks} a node"),
    };
    format!("{} x {}{nodes}", setting.world(), setting.gpu.name)
}

/// Everything that is charged, defaults included.
pub fn charges(setting: &Setting) -> Vec<Charge> {
    let mut all = common_charges(setting);
    all.extend(setting.communicator_charges.as_ref().map(|charges| Charge {
        name: "communicators".to_owned(),
        value: setup_words(charges),
        is_default: false,
        label: None,
        note: "instead of group set-up, for systems with `collectives: communicators`".to_owned(),
    }));
    all
}

fn common_charges(setting: &Setting) -> Vec<Charge> {
    let unmeasured = SetupPrices::default();
    let defaults = crate::experiment::Costs::default().charges(setting.gpu, None, &unmeasured);
    let charged = &setting.charges;
    let costs = &setting.experiment.costs;
    let charge = |name: &str, value: String, is_default, label, note: &str| Charge {
        name: name.to_owned(),
        value,
        is_default,
        label,
        note: note.to_owned(),
    };
    let published = Some(Label::Published);
    let default_setup =
        charged.group_setup == defaults.group_setup && setting.setup_source.is_none();
    let (setup_label, setup_note) = match &setting.setup_source {
        Some(source) => {
            let what = "forming, plus what a first collective takes longer than a later one";
            (Some(Label::Measured), format!("{what}; {source}"))
        }
        None => (published.filter(|_| default_setup), SETUP_NOTE.to_owned()),
    };
    let jitter =
        if charged.jitter == 0.0 { "off".into() } else { format!("cv {}", charged.jitter) };
    let migration = &charged.migration;
    let assumed = if setting.charges_source.is_some() { "" } else { "; assumed" };
    let mut all = vec![
        charge(
            "migration",
            migration_words(charged),
            *migration == defaults.migration,
            None,
            "each copy; a rank's link carries its own copies one after the other",
        ),
        charge("group set-up", setup_words(charged), default_setup, setup_label, &setup_note),
        charge(
            "launch",
            charged.launch.to_string(),
            charged.launch == defaults.launch,
            None,
            &format!("overhead of every task on its ranks{assumed}"),
        ),
        charge(
            "start delay",
            charged.start_delay.to_string(),
            charged.start_delay == defaults.start_delay,
            None,
            "from when a task could begin on its ranks until it does, not hidden by queueing ahead",
        ),
        charge(
            "control plane",
            charged.control_plane.to_string(),
            charged.control_plane == defaults.control_plane,
            None,
            &format!(
                "from a decision to its arrival at the ranks, hidden by tasks queued ahead{assumed}"
            ),
        ),
        charge(
            "planning time",
            charged.planning.to_string(),
            charged.planning == defaults.planning,
            None,
            "added to the control plane at every decision",
        ),
        charge(
            "jitter",
            jitter,
            charged.jitter == 0.0,
            None,
            "log-normal factor on every step, the same for every system",
        ),
        charge(
            "stragglers",
            straggler_words(charged),
            charged.stragglers == defaults.stragglers,
            None,
            "",
        ),
        charge(
            "rank failures",
            fault_words(&setting.faults),
            setting.faults == FaultModel::default(),
            None,
            "a failed rank loses the state it holds; its requests go back to the last version still held",
        ),
        charge(
            "memory",
            if costs.memory { "layouts must fit".into() } else { "not charged".into() },
            costs.memory,
            Some(Label::Derived),
            "weights of all models on every rank, plus a working-set estimate",
        ),
        charge(
            "prepare and finalise",
            "priced with text encode and VAE decode".into(),
            true,
            Some(Label::Published),
            "dit_prepare and timestep_prepare run before, finalize after, on one rank",
        ),
    ];
    if let Some(source) = &setting.charges_source {
        let what = "stand for migration, group set-up, launch and control plane where the experiment gives \
                    none";
        all.insert(
            0,
            charge("measured charges", source.clone(), false, Some(Label::Measured), what),
        );
    }
    all
}

fn migration_words(charges: &Charges) -> String {
    let migration = &charges.migration;
    let by_size = match migration.bytes_per_second {
        0 => String::new(),
        rate => format!(" + bytes / {} GB/s", rate as f64 / 1e9),
    };
    let who = match migration.occupies {
        Occupies::Both => "source and destination start nothing meanwhile",
        Occupies::Destination => "only the destination waits",
    };
    let between = match (charges.ranks_per_node, migration.inter_node_bytes_per_second) {
        (0, _) => String::new(),
        (_, rate) => format!(" ({} GB/s between nodes)", rate as f64 / 1e9),
    };
    format!("{}{by_size}{between}; {who}", migration.latency)
}

const SETUP_NOTE: &str = "groups that a system builds at start-up pay nothing; 60 us is GF-DiT's group-free figure, 778 ms \
                          its NCCL figure";

fn setup_words(charges: &Charges) -> String {
    if !charges.group_setup_by_degree.is_empty() {
        let listed = charges.group_setup_by_degree.iter();
        let prices: Vec<_> = listed.map(|(degree, time)| format!("{time} for {degree}")).collect();
        let when = match charges.group_setup {
            GroupSetup::FirstUse { .. } => "at the first use of a rank set",
            _ => "for every task on several ranks",
        };
        return format!("{when}, by their number: {}", prices.join(", "));
    }
    match charges.group_setup {
        GroupSetup::Free => "free".to_owned(),
        GroupSetup::PerUse(time) => format!("{time} for every task on several ranks"),
        GroupSetup::Fixed(time) => format!(
            "{time} when a request's denoise rank set changes, or begins with several ranks"
        ),
        GroupSetup::FirstUse { cost, capacity: 0 } => {
            format!("{cost} at the first use of a rank set")
        }
        GroupSetup::FirstUse { cost, capacity } => {
            format!("{cost} at the first use of a rank set, {capacity} kept")
        }
    }
}

fn straggler_words(charges: &Charges) -> String {
    let slow = &charges.stragglers;
    let mut words = Vec::new();
    if slow.probability > 0.0 {
        words.push(format!("{} of steps take {} times as long", slow.probability, slow.factor));
    }
    words.extend(
        slow.slow_ranks.iter().map(|(rank, by)| format!("rank {rank} is {by} times slower")),
    );
    if words.is_empty() { "off".to_owned() } else { words.join(", ") }
}

fn fault_words(faults: &FaultModel) -> String {
    let mut words = Vec::new();
    if let Some(mean) = faults.mean_time_between {
        words.push(format!(
            "every {mean} a rank, back after {} (means)",
            faults.mean_time_to_repair
        ));
    }
    if !faults.outages.is_empty() {
        words.push(format!("{} given outages", faults.outages.len()));
    }
    if words.is_empty() { "off".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_a_layout_leaves_idle_are_named() {
        assert_eq!([0, 1, 3].map(unused), ["", ", 1 rank unused", ", 3 ranks unused"]);
    }

    #[test]
    fn a_load_that_is_not_defined_says_why() {
        let mut workload = Workload {
            models: vec![],
            classes: vec![],
            requests: vec![],
            names: None,
            closed_loop: None,
            cancellations: vec![],
            phases: vec![],
            offered_load_expected: Some(1.0),
            offered_load_realised: Some(0.9),
            source: String::new(),
        };
        let words = |workload: &Workload| load_words(std::slice::from_ref(workload));
        assert_eq!(
            words(&workload),
            "expected 1.000, realised 0.900 from the first to the last arrival (mean over seeds)"
        );
        workload.offered_load_realised = None;
        assert!(words(&workload).contains("everything arrives at once"));
        workload.closed_loop = Some(8);
        assert!(words(&workload).contains("closed loop"));
    }
}
