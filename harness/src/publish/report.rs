//! Everything the report says, from a finished experiment.

use super::{notes, sources};
use crate::campaign::{Builder, Finished, Search, Setting};
use crate::experiment::{Loaded, SystemKind};
use crate::metrics::{Metric, metric};
use crate::report::{Fact, Label, Ranking, RankingRow, ReportInput, SystemNote};
use crate::results::Manifest;
use crate::workload::Workload;
use flexdit_baselines::Layout;

/// The report's input. Headline and pictures show the sweep point whose values the file itself states.
pub fn report_input(loaded: &Loaded, finished: &Finished, manifest: &Manifest) -> ReportInput {
    let point = headline_point(loaded);
    let setting = &finished.settings[point];
    let experiment = &setting.experiment;
    let world = setting.world();
    let mut input = ReportInput::from_campaign(&finished.campaign, point);
    let search = finished.searches.iter().find(|search| search.point == point);
    input.systems = experiment
        .systems
        .iter()
        .map(|system| {
            let mut description = notes::describe(&system.kind, world);
            if let SystemKind::Rssp(crate::experiment::Rssp { degrees: None, .. }) = system.kind {
                description += &rssp_layout(setting, &finished.workloads[point]);
            }
            let won =
                finished.searches.iter().find(|s| s.point == point && s.system == system.name);
            if let Some(won) = won {
                description += &format!(": {}", won.ranking[0].layout);
            }
            SystemNote {
                name: system.name.clone(),
                description,
                role: notes::role(&system.kind, world),
            }
        })
        .collect();
    input.title = format!("{}: elastic and fixed parallelism compared", experiment.name);
    input.lead = lead(finished, point);
    input.label = Label::Simulated;
    input.setup = notes::setup(loaded, setting, &finished.workloads[point]);
    input.charges = notes::charges(setting);
    if let Some(real) = &finished.real {
        super::real::complete(&mut input, finished, real, point);
    }
    input.profiles = sources::profiles(setting, &finished.workloads[point][0]);
    input.ranking = search.map(ranking);
    input.provenance = provenance(manifest);
    input.rerun = rerun(loaded, &manifest.command);
    input.warnings.extend(static_bias(search));
    input
}

/// The point whose swept values are those that the file states itself; else the first.
fn headline_point(loaded: &Loaded) -> usize {
    let stated = |key: &str| loaded.document.root.find(key).map(|node| node.inline());
    let same = |sweep: &[(String, String)]| {
        sweep.iter().filter(|(key, value)| stated(key).as_ref() == Some(value)).count()
    };
    let points = loaded.points.iter().enumerate();
    let best = points.max_by_key(|(index, point)| (same(&point.sweep.0), usize::MAX - index));
    best.map_or(0, |(index, _)| index)
}

/// `: 1xsp2+2xsp1`, the cut that offered work decides; nothing when the degrees are given.
fn rssp_layout(setting: &Setting, workloads: &[Workload]) -> String {
    let offers = Builder::new(setting, workloads, 0).offers();
    let layout = Layout::rssp(setting.world(), &offers, None);
    layout.map_or(String::new(), |layout| {
        format!(": {}{}", layout.name(), notes::unused(layout.unused()))
    })
}

/// `1 seed`, `3 seeds`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn lead(finished: &Finished, point: usize) -> Vec<String> {
    let setting = &finished.settings[point];
    let experiment = &setting.experiment;
    let models: Vec<&str> = setting.models.iter().map(|model| model.name).collect();
    let mut lead = Vec::new();
    lead.push(format!(
        "{} compared {} on the same requests for {} on {} x {}, {}. Fixed systems \
         decide ranks and degree at start-up; elastic ones decide again at every task boundary.",
        count(experiment.systems.len(), "system"),
        if finished.real.is_some() { "on real ranks" } else { "in virtual time" },
        models.join(", "),
        setting.world(),
        setting.gpu.name.to_uppercase(),
        count(experiment.seeds.len(), "seed"),
    ));
    lead.extend(experiment.description.clone());
    lead
}

fn ranking(search: &Search) -> Ranking {
    let by = metric(&search.metric).expect("validated with the experiment");
    let mean = |name: &str, rows| metric(name).and_then(|metric: &Metric| metric.mean(rows));
    let rows = search.ranking.iter().map(|candidate| {
        let values = by.values(&candidate.rows).unwrap_or_default();
        RankingRow {
            layout: candidate.layout.clone(),
            value: candidate.value.unwrap_or(f64::NAN),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            slo_attainment: mean("slo_attainment", &candidate.rows),
            latency_ms_mean: mean("latency_ms_mean", &candidate.rows),
            throughput_rps: mean("throughput_rps", &candidate.rows),
        }
    });
    Ranking {
        metric: search.metric.clone(),
        smaller_is_better: search.smaller_is_better,
        rows: rows.filter(|row| row.value.is_finite()).collect(),
    }
}

fn static_bias(search: Option<&Search>) -> Option<String> {
    let search = search?;
    Some(format!(
        "{} was chosen among {} layouts on the seeds it is reported on, which favours it.",
        search.system,
        search.ranking.len()
    ))
}

/// The command as it was typed, quoted where a shell needs it.
fn rerun(loaded: &Loaded, command: &[String]) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
    let quoted = |arg: &String| match arg.chars().all(plain) && !arg.is_empty() {
        true => arg.clone(),
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    };
    match command.split_first() {
        Some((_, args)) if args.first().is_some_and(|arg| arg == "run") => {
            let args: Vec<String> = args.iter().map(quoted).collect();
            vec![format!("flexdit {}", args.join(" "))]
        }
        _ => vec![format!("flexdit run {}", loaded.document.file)],
    }
}

fn provenance(manifest: &Manifest) -> Vec<Fact> {
    let fact = |name: &str, value: String| Fact { name: name.to_owned(), value, label: None };
    let mut facts = vec![
        fact("flexdit", manifest.flexdit.clone()),
        fact("revision", manifest.git_revision.clone().unwrap_or("not known".to_owned())),
        fact(&manifest.experiment.path, format!("sha256 {}", manifest.experiment.sha256)),
    ];
    let inputs = manifest.inputs.iter();
    facts.extend(inputs.map(|file| fact(&file.path, format!("sha256 {}", file.sha256))));
    facts
}
