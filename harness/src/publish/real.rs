//! What a report and a manifest say of real ranks.

use crate::campaign::Finished;
use crate::experiment::{CollectiveKind, RankKind, Weights};
use crate::real::{RealRuns, without_tokenizer};
use crate::report::{Fact, Label, MeasuredNote, ReportInput};
use flexdit_core::Shape;
use flexdit_core::model::ModelSpec;

/// Turns a report's input into one of measured runs: nothing was charged, everything was timed.
pub fn complete(input: &mut ReportInput, finished: &Finished, real: &RealRuns, point: usize) {
    let experiment = &finished.settings[point].experiment;
    input.label = Label::Measured;
    input.charges.clear();
    let mut warnings = real.warnings(point, experiment.real.pin);
    for model in without_tokenizer(&finished.settings[point]) {
        warnings.push(format!(
            "{model}: its folder of weights has no tokenizer, so prompts became tokens by a hash of their words: pictures \
             tell prompts apart and do not show them."
        ));
    }
    warnings.append(&mut input.warnings);
    input.warnings = warnings;
    for note in &mut input.systems {
        let run = real.at(point).find(|run| run.system == note.name);
        note.description += run.map_or("", |run| words(run.collectives));
    }
    let fact = |name: &str, value: String, label| Fact { name: name.to_owned(), value, label };
    input.setup.push(fact("machine", real.machine.words(), Some(Label::Measured)));
    let world = finished.settings[point].world();
    let per_core = f64::from(world) / real.machine.cores.max(1) as f64;
    input.setup.push(fact("ranks a core", format!("{per_core:.2}"), Some(Label::Measured)));
    let others = real.taken(point).words();
    input.setup.push(fact("capacity of the cores that others took", others, Some(Label::Measured)));
    let kind = match experiment.real.ranks {
        RankKind::Threads => "threads of one process",
        RankKind::Processes => "processes, driven by another one",
    };
    input.setup.push(fact("ranks are", kind.to_owned(), None));
    let weights = match &experiment.real.weights {
        Weights::Seed(seed) => format!("random, seed {seed}"),
        Weights::Folder(folder) => folder.display().to_string(),
    };
    input.setup.push(fact("weights", weights, None));
    for (model, path) in experiment.real.configs.iter() {
        let words = format!("of {model}: {}", path.display());
        input.setup.push(fact("model configuration", words, None));
    }
    if !experiment.real.prompts.is_empty() {
        let words = format!("{} texts in turn", experiment.real.prompts.len());
        input.setup.push(fact("prompts", words, None));
    }
    let classes = finished.workloads[point].first().map_or(&[][..], |first| &first.classes);
    for class in classes {
        let model = finished.settings[point].models[class.shape.model.index()];
        if let Some(words) = cut(model, &class.shape) {
            input.setup.push(fact(
                &format!("pixels of {}", class.name),
                words,
                Some(Label::Derived),
            ));
        }
    }
    let weights = real.at(point).map(|run| run.weights).max().unwrap_or_default();
    let (overheads, ranks) = (real.overheads(point), real.ranks(point));
    let processes = experiment.real.ranks == RankKind::Processes;
    input.measured = Some(MeasuredNote { overheads, ranks, weights, processes });
}

/// What is made where pixels fill no whole token; `None` where all do.
fn cut(model: &ModelSpec, shape: &Shape) -> Option<String> {
    let [_, rows, columns] = model.grid(shape.height, shape.width, shape.frames).ok()?;
    let [_, down_rows, down_columns] = model.vae_down;
    let height = rows * model.patch[1] * down_rows;
    let width = columns * model.patch[2] * down_columns;
    let asked = (shape.height, shape.width);
    (asked != (height, width))
        .then(|| format!("{height}x{width} of {}x{} asked for, in whole tokens", asked.0, asked.1))
}

fn words(collectives: CollectiveKind) -> &'static str {
    match collectives {
        CollectiveKind::GroupFree => "; group-free collectives",
        CollectiveKind::Communicators => "; communicators over TCP",
    }
}

/// Machine, cores and every run.
pub fn manifest(real: &RealRuns) -> serde_json::Value {
    let runs = real.runs.iter().map(|run| {
        let outcome = &run.outcome;
        let cores = outcome.ranks.iter().map(|rank| rank.pinned.as_ref().ok());
        let lost = outcome.ranks.iter().filter(|rank| rank.lost);
        let lost = lost.map(|rank| serde_json::json!({"rank": rank.rank, "at_ns": rank.lost_at}));
        serde_json::json!({
            "point": run.point,
            "system": run.system,
            "seed": run.seed,
            "collectives": run.collectives,
            "ranks": if run.processes.is_empty() { RankKind::Threads } else { RankKind::Processes },
            "cores_of_ranks": cores.collect::<Vec<_>>(),
            "end_ns": outcome.end,
            "interrupted": outcome.interrupted,
            "stranded": outcome.stranded,
            "unfinished_requests": outcome.unfinished,
            "failed_tasks": outcome.failed_tasks,
            "resets": outcome.resets,
            "lost_ranks": lost.collect::<Vec<_>>(),
            "requests_of_lost_ranks": run.struck,
            "peak_process_bytes": run.processes.iter().flatten().max(),
            "peak_artifact_bytes": outcome.ranks.iter().map(|rank| rank.peak).max(),
            "peak_buffer_bytes": run.scratch.iter().max(),
            "weight_bytes": run.weights,
            "others_share": run.others.share(),
        })
    });
    serde_json::json!({
        "machine": real.machine,
        "interrupted": real.interrupted,
        "runs": runs.collect::<Vec<_>>(),
        "failed_runs": real.failed,
    })
}
