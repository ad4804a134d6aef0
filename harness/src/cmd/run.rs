//! `flexdit run`: runs an experiment and writes its results.

use flexdit::bench::machine::Machine;
use flexdit::campaign::{self, Finished, Log, RunKey, RunOptions};
use flexdit::experiment::Loaded;
use flexdit::input::InputError;
use flexdit::metrics::RecorderOptions;
use flexdit::picture::SaveImages;
use flexdit::publish::{self, Check, FolderLog};
use flexdit::real::{Interrupt, RealOptions, RealRuns, Results};
use flexdit::report;
use flexdit::results::{ResultsFolder, remove_on_interrupt, stop_on_interrupt};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Checks that hold are counted, not listed, beyond this many.
const MOST_CHECKS: usize = 8;

/// Run an experiment: every system on every seed, and write the comparison
///
/// With `--engine cpu` ranks are cores of this machine and everything is measured: the same file, systems and policies, real
/// arithmetic, collectives and migration. Times of the workload are real times then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit run workloads/quickstart.yaml
  flexdit run exp.yaml --out results/heavy --set workload.target_load=1.2
  flexdit run exp.yaml --seeds 1..20 --set systems.elastic.elastic.policy=edf-greedy
  flexdit run exp.yaml --log --trace          replayable logs; traces for ui.perfetto.dev
  flexdit run workloads/cpu/two-ranks.yaml --engine cpu

Exit codes: 0 done, 1 an `expect:` check failed, a run is stuck or failed, 2 bad input, 130 interrupted. On Ctrl-C
virtual time leaves nothing; real ranks stop at their next step and what was measured is written, marked
as partial. A second Ctrl-C leaves nothing.")]
pub struct Args {
    /// The experiment (YAML)
    #[arg(value_name = "EXP.yaml")]
    experiment: PathBuf,
    /// Results folder; must not exist. Default: results/NAME, numbered if that exists
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seeds instead of the experiment's: `7`, `1,2,5` or `1..20` (both ends included)
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Set a key of the experiment, as in `costs.launch=20us`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write a replayable log of every run
    #[arg(long)]
    log: bool,
    /// Write a trace of every system on the first seed
    #[arg(long)]
    trace: bool,
    /// Save every picture that real ranks make, as PNG, with the table index.csv; a new or empty folder
    #[arg(long, value_name = "DIR")]
    save_images: Option<PathBuf>,
    /// What runs the experiment
    #[arg(long, value_enum, default_value_t = Engine::Sim)]
    engine: Engine,
    /// Threads; default: all cores. Results do not depend on it; real runs go one after the other
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// What runs an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// Virtual time, at the prices of the profile
    Sim,
    /// Real ranks on the cores of this machine
    Cpu,
}

/// What decides the exit code.
struct Verdict {
    checks: Vec<Check>,
    /// Whether a run on real ranks failed, or ended since nothing could run any more.
    is_stuck: bool,
}

/// Runs and reports.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut overrides = args.overrides.clone();
    if let Some(seeds) = &args.seeds {
        overrides.push(format!("seeds={}", seed_list(seeds)?));
    }
    let loaded = Loaded::read(&args.experiment, &overrides)?;
    let out = args.out.clone().unwrap_or_else(|| free_folder(&loaded.first().name));
    let interrupt = Arc::new(Interrupt::default());
    let _ = match args.engine {
        Engine::Sim => remove_on_interrupt(),
        Engine::Cpu => stop_on_interrupt(&interrupt),
    };
    let folder = ResultsFolder::create(&out)?;
    let pictures = pictures(&loaded, args)?;
    let (written, verdict) = execute(&loaded, folder, args, &interrupt, pictures.as_ref())?;
    let pictures = pictures.map(SaveImages::finish).transpose()?;
    super::print(&text(&written, &verdict.checks, pictures.as_deref()))?;
    let failed = verdict.is_stuck || verdict.checks.iter().any(|check| !check.holds);
    Ok(match (interrupt.is_stopped(), failed) {
        (true, _) => ExitCode::from(super::INTERRUPTED),
        (false, true) => ExitCode::from(super::FAILED),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Where pictures go, if they are to be saved.
fn pictures<'a>(loaded: &'a Loaded, args: &Args) -> Result<Option<SaveImages<'a>>, InputError> {
    let Some(path) = &args.save_images else { return Ok(None) };
    if args.engine == Engine::Sim {
        let message = "virtual time makes no pictures: expected `--engine cpu` beside it";
        return Err(InputError::new("--save-images", message));
    }
    SaveImages::create(path, loaded).map(Some)
}

#[expect(clippy::disallowed_methods, reason = "the manifest states how long the run took")]
fn execute(
    loaded: &Loaded,
    folder: ResultsFolder,
    args: &Args,
    interrupt: &Interrupt,
    pictures: Option<&SaveImages<'_>>,
) -> anyhow::Result<(publish::Written, Verdict)> {
    let start = Instant::now();
    let bar = progress();
    let path = folder.path().to_owned();
    let log = FolderLog::new(&path, loaded);
    let log = match args.engine {
        Engine::Sim => log,
        Engine::Cpu => log.measured_on(Machine::here().words()),
    };
    let advance = |total: usize| {
        bar.set_length(total as u64);
        bar.inc(1);
    };
    let options = RunOptions {
        recorder: RecorderOptions::default(),
        progress: &advance,
        log: args.log.then_some(&log as &dyn Log),
    };
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(args.threads.map_or(0, usize::from)).build()?;
    let finished = match args.engine {
        Engine::Sim => pool.install(|| campaign::run(loaded, &options))?,
        Engine::Cpu => on_ranks(loaded, &options, interrupt, pictures, &bar)?,
    };
    bar.set_message("writing the report");
    // Half an experiment holds or breaks no promise.
    let is_partial = |real: &RealRuns| interrupt.is_stopped() || !real.failed.is_empty();
    let is_partial = finished.real.as_ref().is_some_and(is_partial);
    let checks = if is_partial { Vec::new() } else { publish::checks(&finished) };
    let is_stuck = finished.real.as_ref().is_some_and(RealRuns::is_stuck);
    let wall_s = start.elapsed().as_secs_f64();
    let written = pool.install(|| publish::write(folder, loaded, &finished, wall_s, args.trace))?;
    bar.finish_and_clear();
    Ok((written, Verdict { checks, is_stuck }))
}

/// Runs on real ranks, named on the bar.
fn on_ranks(
    loaded: &Loaded,
    options: &RunOptions<'_>,
    interrupt: &Interrupt,
    pictures: Option<&SaveImages<'_>>,
    bar: &ProgressBar,
) -> anyhow::Result<Finished> {
    let begun = |key: &RunKey<'_>| bar.set_message(format!("{}, seed {}", key.system, key.seed));
    let results = pictures.map(|pictures| pictures as &dyn Results);
    let real = RealOptions { interrupt, begun: &begun, results };
    Ok(campaign::run_real(loaded, options, &real)?)
}

fn text(written: &publish::Written, checks: &[Check], pictures: Option<&str>) -> String {
    let mut text = report::summary(&written.report);
    if !checks.is_empty() {
        text.push('\n');
    }
    let listed = |check: &&Check| !check.holds || checks.len() <= MOST_CHECKS;
    for check in checks.iter().filter(listed) {
        let verdict = if check.holds { "holds" } else { "FAILS" };
        text += &format!("check {verdict}: {} ({})\n", check.text, check.found);
    }
    if checks.len() > MOST_CHECKS {
        let held = checks.iter().filter(|check| check.holds).count();
        text += &format!("{held} of {} checks hold\n", checks.len());
    }
    text += &pictures.map(|pictures| format!("\n{pictures}\n")).unwrap_or_default();
    text + &format!("\nwritten: {}\n", written.folder.join("report.html").display())
}

/// A bar on standard error; nothing when that is not a terminal.
pub fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// `results/NAME`, or the first `results/NAME-2`, `-3`, .. that does not exist.
pub fn free_folder(name: &str) -> PathBuf {
    let base = Path::new("results");
    let numbered = (2..).map(|n| base.join(format!("{name}-{n}")));
    let mut names = std::iter::once(base.join(name)).chain(numbered);
    names.find(|path| !path.exists()).expect("numbers do not end")
}

/// The list that `--seeds` means, as YAML.
pub fn seed_list(text: &str) -> Result<String, InputError> {
    let wrong = || {
        let message = format!("expected seeds such as 7, 1,2,5 or 1..20, got `{text}`");
        InputError::new("--seeds", message)
    };
    let seed = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let mut seeds = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (seed(first)?, seed(last)?);
                if first > last || last - first >= 100_000 {
                    return Err(wrong());
                }
                seeds.extend(first..=last);
            }
            None => seeds.push(seed(part)?),
        }
    }
    Ok(format!("{seeds:?}"))
}
