//! `flexdit validate`: virtual time against real ranks.

use anyhow::Context as _;
use flexdit::experiment::Loaded;
use flexdit::input::InputError;
use flexdit::publish;
use flexdit::real::Interrupt;
use flexdit::report::render;
use flexdit::results::{FileHash, Manifest, ResultsFolder, stop_on_interrupt};
use flexdit::validation::{self, CREWS, Options, Prices, Validation};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Run an experiment in virtual time and on real ranks, and say how far the prediction is off
///
/// Both engines see the same requests at the same times. Prices and charges come from tours of the profile before and after
/// every real run, so that a machine whose speed drifts is told from a simulator that errs; nothing is fitted to the runs. Where
/// the experiment has a measured profile, the error at that profile's prices, a prediction made beforehand, stands beside it.
/// Every real run is made at least twice: an error is evidence only beyond about twice the standard error of the real mean.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit validate workloads/cpu/two-ranks.yaml
  flexdit validate exp.yaml --prices profile           prices of the experiment's own profile, measured beforehand
  flexdit validate exp.yaml --profile measured.yaml --seeds 1..5 --tolerance 0.05

Exit codes: 0 done, 1 beyond the tolerance or a run is stuck (it is named, and in no figure), 2 bad input, 130 interrupted (the
report has the runs that were complete).")]
pub struct Args {
    /// The experiment (YAML); its cluster is `gpu: cpu`
    #[arg(value_name = "EXP.yaml")]
    experiment: PathBuf,
    /// Take stage prices and charges from this profile, as `flexdit profile` writes it
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Where prices and charges come from; default: tours, or the profile if `--profile` names one
    #[arg(long, value_enum)]
    prices: Option<PricesFrom>,
    /// Crews of one request of every shape a rank for every decode layout, in a tour; default 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    crews: Option<u32>,
    /// Times that every real run is made, at least 2; intervals cover other seeds with five seeds or more, and else other runs
    /// of these seeds
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeats: usize,
    /// Fail if mean or p95 latency of a system is off by more than this share of the real one, by the estimate alone: neither
    /// interval nor standard error count, so few runs may fail, or pass, by chance
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<f64>,
    /// Results folder; must not exist. Default: results/NAME-validation, numbered if that exists
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seeds instead of the experiment's: `7`, `1,2,5` or `1..20` (both ends included)
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Set a key of the experiment, as in `workload.target_load=0.5`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Where prices and charges come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PricesFrom {
    /// Tours before and after every real run
    Tours,
    /// The experiment's profile
    Profile,
}

impl Args {
    fn prices(&self) -> Result<Prices, InputError> {
        let default = match self.profile {
            Some(_) => PricesFrom::Profile,
            None => PricesFrom::Tours,
        };
        match self.prices.unwrap_or(default) {
            PricesFrom::Tours => Ok(Prices::Tours { crews: self.crews.unwrap_or(CREWS) }),
            PricesFrom::Profile if self.crews.is_some() => {
                let message = "there are no tours: expected `--prices tours` beside it";
                Err(InputError::new("--crews", message))
            }
            PricesFrom::Profile => Ok(Prices::Profile),
        }
    }
}

/// Runs both and reports.
#[expect(clippy::disallowed_methods, reason = "the manifest states how long it took")]
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut overrides = args.overrides.clone();
    if let Some(seeds) = &args.seeds {
        overrides.push(format!("seeds={}", super::run::seed_list(seeds)?));
    }
    if let Some(profile) = &args.profile {
        let path = absolute(profile)?;
        overrides.push(format!("profile={path}"));
        overrides.push(format!("costs.measured={path}"));
    }
    let prices = args.prices()?;
    let loaded = Loaded::read(&args.experiment, &overrides)?;
    validation::check(&loaded, args.repeats)?;
    let name = format!("{}-validation", loaded.first().name);
    let out = args.out.clone().unwrap_or_else(|| super::run::free_folder(&name));
    let interrupt = Arc::new(Interrupt::default());
    let _ = stop_on_interrupt(&interrupt);
    let folder = ResultsFolder::create(&out)?;
    let start = Instant::now();
    let bar = super::run::progress();
    let progress = |done: usize, all: usize, words: &str| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(words.to_owned());
    };
    let repeats = args.repeats;
    let options = Options { repeats, prices, interrupt: &interrupt, progress: &progress };
    let found = validation::validate(&loaded, &options)?;
    bar.finish_and_clear();
    write(&folder, &loaded, &found, start.elapsed().as_secs_f64())?;
    let written = folder.commit().context("the results")?;
    super::print(&validation::text(&found))?;
    let beyond = args.tolerance.map_or(Vec::new(), |tolerance| found.beyond(tolerance));
    for stuck in &found.stuck {
        super::print(&format!("stuck: {stuck}\n"))?;
    }
    for row in &beyond {
        super::print(&format!("beyond the tolerance: {} of {}\n", row.metric, row.system))?;
    }
    super::print(&format!("\nwritten: {}\n", written.join("report.html").display()))?;
    Ok(ExitCode::from(code(&found, !beyond.is_empty())))
}

/// The exit code of what was found.
fn code(found: &Validation, is_beyond: bool) -> u8 {
    match (found.interrupted, is_beyond || !found.stuck.is_empty()) {
        (true, _) => super::INTERRUPTED,
        (false, true) => super::FAILED,
        (false, false) => 0,
    }
}

/// The path from the root: the experiment's own paths start at its folder.
fn absolute(path: &Path) -> Result<String, InputError> {
    let unreadable = |error| InputError::io(path, "find the profile", &error);
    Ok(std::path::absolute(path).map_err(unreadable)?.display().to_string())
}

fn write(
    folder: &ResultsFolder,
    loaded: &Loaded,
    found: &Validation,
    wall_s: f64,
) -> anyhow::Result<()> {
    folder.write("validation.csv", validation::csv(found))?;
    folder.write_json("validation.json", found)?;
    for (path, bytes) in render(&validation::document(found))? {
        folder.write(&path, &bytes)?;
    }
    let bytes = std::fs::read(&loaded.document.file)?;
    let experiment = loaded.first();
    let manifest = Manifest {
        experiment: FileHash::of(loaded.document.file.clone(), &bytes),
        inputs: publish::inputs(loaded)?,
        label: "simulated and measured".to_owned(),
        seeds: experiment.seeds.clone(),
        systems: experiment.systems.iter().map(|system| system.name.clone()).collect(),
        wall_s,
        real: Some(facts(experiment.real.pin, found)),
        ..Manifest::here(&experiment.name)
    };
    folder.write_json("manifest.json", &manifest)?;
    Ok(())
}

/// What the manifest says of the real runs.
fn facts(pin: bool, found: &Validation) -> serde_json::Value {
    let run = |pair: &validation::Pair| {
        serde_json::json!({
            "system": pair.system,
            "seed": pair.seed,
            "repeat": pair.repeat,
            "cores_of_ranks": pair.cores,
            "others_share": pair.others,
        })
    };
    serde_json::json!({
        "machine": found.machine,
        "repeats": found.repeats,
        "pin": pin,
        "prices": found.priced,
        "interrupted": found.interrupted,
        "stuck": found.stuck,
        "others": found.others,
        "runs": found.pairs.iter().map(run).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(interrupted: bool, stuck: &[&str]) -> Validation {
        let empty = serde_json::json!({
            "name": "", "machine": "", "repeats": 2, "interrupted": interrupted, "priced": "profile", "rows": [],
            "stages": [], "works": [], "levels": [], "curves": [], "charges": [], "overheads": [], "warnings": [],
            "stuck": stuck, "others": {"runs": null, "tours": null}, "pairs": [],
        });
        serde_json::from_value(empty).expect("a validation")
    }

    #[test]
    fn a_stuck_run_is_a_failure_and_no_interrupt() {
        assert_eq!(code(&found(false, &[]), false), 0);
        assert_eq!(code(&found(false, &[]), true), 1);
        assert_eq!(code(&found(false, &["one"]), false), 1);
        assert_eq!(code(&found(true, &["one"]), true), 130);
    }
}
