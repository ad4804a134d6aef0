//! The profile file that a measurement becomes.

use super::partial::Header;
use super::pass::Passed;
use super::plan::Plan;
use super::price::{self, FAR, Prices};
use crate::profile::{
    ChargesSpec, EntrySpec, LabelName, MeasuredSpec, ModeName, ProfileFile, SpreadSpec, StageName,
    UnitName,
};
use crate::real::Taken;
use flexdit_core::Parallelism;
use flexdit_core::model::ModelSpec;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The file's content from all tours of a plan; `None` if one has no samples.
pub fn profile(
    header: &Header,
    date: &str,
    model: &ModelSpec,
    gpu: &str,
    done: &BTreeMap<u32, Passed>,
) -> Option<ProfileFile> {
    let plan = &header.plan;
    let prices = Prices::of(plan, model, done);
    let guided = plan.shapes.iter().any(|shape| shape.guidance);
    let mut entries = encode(plan, &prices)?;
    let step = if guided { StageName::GuidedStep } else { StageName::Step };
    for (layout, samples) in &prices.steps {
        entries.push(entry(step, *layout, samples)?);
    }
    for (layout, samples) in &prices.decodes {
        entries.push(entry(StageName::VaeDecode, *layout, samples)?);
    }
    entries.push(counted(StageName::TimestepPrepare, "timed with text encoding"));
    entries.push(counted(StageName::Finalize, "timed with VAE decoding"));
    let passes: Vec<&Passed> = done.values().collect();
    let others = passes.iter().fold(Taken::default(), |sum, passed| sum.and(passed.others));
    let unpinned = done.values().any(|passed| !passed.unpinned.is_empty());
    Some(ProfileFile {
        model: model.name.to_owned(),
        gpu: gpu.to_owned(),
        mode: ModeName::Eager,
        unit: UnitName::Ms,
        label: Some(LabelName::Measured),
        source: Some(format!("flexdit profile on {}, {date}", header.machine)),
        measured: Some(MeasuredSpec {
            machine: header.machine.clone(),
            date: date.to_owned(),
            flexdit: header.flexdit.clone(),
            world: plan.world,
            pinned: plan.pin && !unpinned,
            optimised: header.optimised,
            chunk_steps: plan.chunk,
            rounds: plan.rounds,
            collectives: plan.collectives,
            others: others.share().map(|share| (share * 1e4).round() / 1e4),
        }),
        charges: Some(price::charges(&passes, plan.collectives)?),
        entries,
    })
}

/// The price of encoding: the task is timed as a whole, by shape. Half of the smallest stands at the number of text tokens, so
/// that another number is not priced; the rest at the shapes' latent tokens.
fn encode(plan: &Plan, prices: &Prices) -> Option<Vec<EntrySpec>> {
    let all = prices.encode.iter();
    let all: Option<Vec<(f64, f64)>> =
        all.map(|(size, samples)| Some((*size as f64, price::price(samples)? / 1e6))).collect();
    let all = all?;
    let least = all.iter().map(|(_, ms)| *ms).min_by(f64::total_cmp)?;
    let text = price::round(least / 2.0);
    let tokens = f64::from(plan.shapes.first()?.text_tokens);
    let rest = all.iter().map(|(size, ms)| (*size, price::round(ms - text))).collect();
    let note = "text-encode and dit-prepare add up to the task, which is timed as a whole";
    let mut first = blank(StageName::TextEncode, Parallelism::SINGLE);
    first.samples = Some(vec![(tokens, text)]);
    first.source = Some(note.to_owned());
    let mut second = blank(StageName::DitPrepare, Parallelism::SINGLE);
    second.samples = Some(rest);
    second.source = Some(note.to_owned());
    second.spread = spreads(&prices.encode);
    Some(vec![first, second])
}

fn entry(
    stage: StageName,
    layout: Parallelism,
    samples: &BTreeMap<u64, Vec<f64>>,
) -> Option<EntrySpec> {
    let price = |(size, samples): (&u64, &Vec<f64>)| {
        Some((*size as f64, price::round(price::price(samples)? / 1e6)))
    };
    let priced: Option<Vec<(f64, f64)>> = samples.iter().map(price).collect();
    let mut entry = blank(stage, layout);
    entry.samples = Some(priced?);
    entry.spread = spreads(samples);
    Some(entry)
}

fn spreads(samples: &BTreeMap<u64, Vec<f64>>) -> Option<Vec<SpreadSpec>> {
    samples.iter().map(|(size, samples)| price::spread(*size, samples)).collect()
}

/// A stage that another one's time holds.
fn counted(stage: StageName, source: &str) -> EntrySpec {
    let mut entry = blank(stage, Parallelism::SINGLE);
    entry.constant = Some(0.0);
    entry.source = Some(source.to_owned());
    entry
}

fn blank(stage: StageName, layout: Parallelism) -> EntrySpec {
    EntrySpec {
        stage,
        degree: layout.ulysses,
        ring: layout.ring,
        cfg: layout.cfg,
        patch: layout.patch,
        samples: None,
        steps_per_sample: None,
        quadratic: None,
        constant: None,
        label: None,
        source: None,
        spread: None,
    }
}

/// The file as it is written, with what a reader has to know above it.
///
/// # Errors
/// Never in practice: a profile is plain data.
pub fn text(file: &ProfileFile, command: &str) -> anyhow::Result<String> {
    let measured = file.measured.as_ref();
    let mut text = format!(
        "# {model} on {gpu}, measured. Written by `{command}`.\n\
         # A price is the mean of all its samples, in ms, as tasks in the log of a real run took it without launch and \
         forming of\n# groups. `spread` says how samples lay; `far` counts those beyond {FAR} times their median.\n",
        model = file.model,
        gpu = file.gpu,
    );
    if measured.is_some_and(|measured| !measured.optimised) {
        text += "# The program was built without optimisation: times mean little.\n";
    }
    let head = ProfileFile { entries: Vec::new(), charges: None, ..file.clone() };
    let head = serde_yaml::to_string(&head)?;
    text += head.trim_end().trim_end_matches("[]").trim_end().trim_end_matches("entries:");
    if let Some(charges) = &file.charges {
        text += &charges_text(charges);
    }
    text += "entries:\n";
    for entry in &file.entries {
        entry_text(entry, &mut text)?;
    }
    Ok(text)
}

fn charges_text(charges: &ChargesSpec) -> String {
    let mut text = format!(
        "charges:\n  launch: {}\n  control_plane: {}\n",
        charges.launch, charges.control_plane
    );
    if let Some(copy) = &charges.migration {
        text +=
            &format!("  migration: {{latency: {}, bandwidth: {}}}\n", copy.latency, copy.bandwidth);
    }
    if !charges.group_setup.is_empty() {
        let setups = charges.group_setup.iter();
        let setups = setups.map(|s| format!("{{ranks: {}, time: {}}}", s.ranks, s.time));
        text += &format!("  group_setup: [{}]\n", setups.collect::<Vec<_>>().join(", "));
    }
    text
}

fn entry_text(entry: &EntrySpec, text: &mut String) -> anyhow::Result<()> {
    let name = serde_json::to_value(entry.stage)?;
    writeln!(text, "  - stage: {}", name.as_str().unwrap_or_default())?;
    for (key, degree) in
        [("degree", entry.degree), ("ring", entry.ring), ("cfg", entry.cfg), ("patch", entry.patch)]
    {
        if degree > 1 {
            writeln!(text, "    {key}: {degree}")?;
        }
    }
    if let Some(constant) = entry.constant {
        writeln!(text, "    constant: {constant}")?;
    }
    if let Some(samples) = &entry.samples {
        let samples = samples.iter().map(|(size, ms)| format!("[{size}, {ms}]"));
        writeln!(text, "    samples: [{}]", samples.collect::<Vec<_>>().join(", "))?;
    }
    if let Some(source) = &entry.source {
        writeln!(text, "    source: {source:?}")?;
    }
    for (at, s) in entry.spread.iter().flatten().enumerate() {
        if at == 0 {
            writeln!(text, "    spread:")?;
        }
        let far = match s.far {
            0 => String::new(),
            count => format!(", far: {count}"),
        };
        writeln!(
            text,
            "      - {{size: {}, n: {}, mean: {}, p10: {}, p50: {}, p90: {}{}}}",
            s.size, s.n, s.mean, s.p10, s.p50, s.p90, far
        )?;
    }
    Ok(())
}
