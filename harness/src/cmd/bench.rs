//! `flexdit bench`: measures collectives on this machine and writes the results.

use flexdit::bench::launch::{self, Contestant, Setting};
use flexdit::bench::plan::Operation;
use flexdit::bench::publish::publish;
use flexdit::bench::results::Results;
use flexdit::bench::{churn, collectives, group_setup};
use flexdit::input::InputError;
use flexdit::quantity::Size;
use flexdit::results::{ResultsFolder, remove_on_interrupt};
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure collectives on this machine: what forming a group costs, latency and bandwidth, churn
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit bench group-setup                   forming a group, with and without communicators
  flexdit bench collectives --ops all_to_all  latency and bandwidth over message sizes
  flexdit bench churn                         a new group at every operation against a fixed one

Quiet the machine first: every number is measured, and says on which machine.
Exit codes: 0 done, whatever the figures; 1 a byte was wrong or a rank failed; 2 bad input.")]
pub struct Args {
    #[command(subcommand)]
    command: Bench,
}

/// The benchmarks.
#[derive(Debug, clap::Subcommand)]
enum Bench {
    GroupSetup(GroupSetup),
    Collectives(Collectives),
    Churn(Churn),
}

/// What all benchmarks take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Who takes part, with commas between; default: all that this program can run here
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    contestants: Vec<Contestant>,
    /// Seed of groups and data
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    seed: u64,
    /// Few samples: to see that everything works
    #[arg(long)]
    quick: bool,
    /// Do not pin ranks to cores
    #[arg(long)]
    no_pin: bool,
    /// Results folder; must not exist. Default: results/bench-NAME, numbered if that exists
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Measure what forming a group costs: its descriptor, the first collective on it, the steady state
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit bench group-setup
  flexdit bench group-setup --worlds 4 --degrees 2,4 --contestants thread,communicator
  flexdit bench group-setup --quick --out results/look
  flexdit bench group-setup --write-costs workloads/profiles/group-setup/mine.yaml
                                              prices for `costs: {group_setup: {profile: {..}}}`

Exit codes: 0 done, whatever the figures; 1 a byte was wrong or a rank failed; 2 bad input.")]
struct GroupSetup {
    #[command(flatten)]
    groups: Groups,
    /// Fresh worlds of each size, per contestant; default 30
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    lives: Option<u16>,
    /// Also write the prices as a file for `costs.group_setup.profile` of experiments; replaces one that is there
    #[arg(long, value_name = "FILE")]
    write_costs: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Measure latency and bandwidth of every operation over message sizes, beside what the hardware takes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit bench collectives
  flexdit bench collectives --ops barrier,all_to_all --sizes 64B,4KiB,4MiB
  flexdit bench collectives --sizes 1KiB..1MiB --ranks 4 --contestants thread
                                              sizes from 1 KiB to 1 MiB by factors of four

Exit codes: 0 done, whatever the figures; 1 a byte was wrong or a rank failed; 2 bad input.")]
struct Collectives {
    /// Operations, with commas between; default: all
    #[arg(long, value_name = "OP", value_delimiter = ',')]
    ops: Vec<Operation>,
    /// Message sizes, with commas between, or a range; default 64B..64MiB
    #[arg(long, value_name = "SIZES", value_parser = sizes)]
    sizes: Option<Sizes>,
    /// Ranks of the world, which is the group
    #[arg(long, value_name = "N", default_value_t = 2)]
    ranks: usize,
    /// Times that everything is gone through; default 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    #[command(flatten)]
    common: Common,
}

/// Measure random overlapping groups, a new one at every operation, against fixed groups
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit bench churn
  flexdit bench churn --worlds 4 --degrees 2 --contestants thread

Exit codes: 0 done, whatever the figures; 1 a byte was wrong or a rank failed; 2 bad input.")]
struct Churn {
    #[command(flatten)]
    groups: Groups,
    /// Fresh worlds of each case; default 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    #[command(flatten)]
    common: Common,
}

/// Which groups of which worlds, and what runs on them
#[derive(Debug, clap::Args)]
struct Groups {
    /// Ranks of the worlds
    #[arg(long, value_name = "N", value_delimiter = ',')]
    worlds: Vec<usize>,
    /// Members of the groups; those larger than a world are left out there
    #[arg(long, value_name = "N", value_delimiter = ',')]
    degrees: Vec<usize>,
    /// The collective that is run on the groups
    #[arg(long, value_name = "OP", default_value = "all_to_all")]
    op: Operation,
    /// Its bytes, as in `4KiB`
    #[arg(long, value_name = "SIZE", default_value = "4KiB")]
    bytes: Size,
}

/// Message sizes in bytes, ascending.
type Sizes = Box<[u64]>;

/// `64B,4KiB` or `64B..64MiB`.
fn sizes(text: &str) -> Result<Sizes, String> {
    let size = |text: &str| -> Result<u64, String> { Ok(text.trim().parse::<Size>()?.0.0) };
    if let Some((least, most)) = text.split_once("..") {
        let (least, most) = (size(least)?, size(most)?);
        if least == 0 || least > most {
            return Err(format!("expected a range such as 64B..64MiB, got {text}"));
        }
        return Ok(collectives::sizes(least, most).into());
    }
    let mut sizes: Vec<u64> = text.split(',').map(size).collect::<Result<_, _>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes.into())
}

/// Runs one benchmark.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Bench::GroupSetup(args) => group_setup(args),
        Bench::Collectives(args) => collectives(args),
        Bench::Churn(args) => churn(args),
    }
}

fn collectives(args: &Collectives) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let base = match common.quick {
        true => collectives::Spec::quick(),
        false => collectives::Spec::default(),
    };
    let spec = collectives::Spec {
        contestants: common.contestants()?,
        ops: given(&args.ops, base.ops),
        sizes: args.sizes.as_ref().map_or(base.sizes, |sizes| sizes.to_vec()),
        ranks: args.ranks,
        rounds: args.rounds.map_or(base.rounds, usize::from),
        seed: common.seed,
        ..base
    };
    spec.check()?;
    common.measure("bench-collectives", collectives::steps(&spec), |setting, progress| {
        let results = collectives::run(&spec, setting, &launch::run, progress)?;
        Ok(Results::Collectives(results))
    })
}

fn churn(args: &Churn) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let base = if common.quick { churn::Spec::quick() } else { churn::Spec::default() };
    let spec = churn::Spec {
        contestants: common.contestants()?,
        worlds: given(&args.groups.worlds, base.worlds),
        degrees: given(&args.groups.degrees, base.degrees),
        rounds: args.rounds.map_or(base.rounds, usize::from),
        op: args.groups.op,
        bytes: args.groups.bytes.0.0,
        seed: common.seed,
        ..base
    };
    spec.check()?;
    common.measure("bench-churn", churn::worlds(&spec), |setting, progress| {
        Ok(Results::Churn(churn::run(&spec, setting, &launch::run, progress)?))
    })
}

fn group_setup(args: &GroupSetup) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let base = match common.quick {
        true => group_setup::Spec::quick(),
        false => group_setup::Spec::default(),
    };
    let spec = group_setup::Spec {
        contestants: common.contestants()?,
        worlds: given(&args.groups.worlds, base.worlds),
        degrees: given(&args.groups.degrees, base.degrees),
        lives: args.lives.map_or(base.lives, usize::from),
        op: args.groups.op,
        bytes: args.groups.bytes.0.0,
        seed: common.seed,
        ..base
    };
    spec.check()?;
    let worlds = group_setup::worlds(&spec);
    common.measure("bench-group-setup", worlds, |setting, progress| {
        let results = group_setup::run(&spec, setting, &launch::run, progress)?;
        if let Some(path) = &args.write_costs {
            let failed = |error| InputError::io(path, "write the prices", &error);
            std::fs::write(path, group_setup::costs_text(&results)?).map_err(failed)?;
        }
        Ok(Results::GroupSetup(results))
    })
}

/// What was asked for, each once and ascending, or the default.
fn given<T: Ord + Clone>(asked: &[T], default: Vec<T>) -> Vec<T> {
    if asked.is_empty() {
        return default;
    }
    let mut asked = asked.to_vec();
    asked.sort();
    asked.dedup();
    asked
}

impl Common {
    /// Those asked for, or all that can run here.
    fn contestants(&self) -> Result<Vec<Contestant>, InputError> {
        for one in &self.contestants {
            if let Some(why) = one.missing() {
                let message = format!("{} cannot run here: {why}", one.words());
                return Err(InputError::new("--contestants", message));
            }
        }
        Ok(given(&self.contestants, Contestant::available()))
    }

    /// Runs a benchmark of so many steps, writes its results and prints them.
    fn measure(
        &self,
        name: &str,
        steps: usize,
        run: impl FnOnce(&Setting, &dyn Fn()) -> anyhow::Result<Results>,
    ) -> anyhow::Result<ExitCode> {
        let out = self.out.clone().unwrap_or_else(|| super::run::free_folder(name));
        let _ = remove_on_interrupt();
        let folder = ResultsFolder::create(&out)?;
        let setting = Setting { pin: !self.no_pin, ..Setting::default() };
        let bar: ProgressBar = super::run::progress();
        bar.set_length(steps as u64);
        let results = run(&setting, &|| bar.inc(1))?;
        bar.set_message("writing the report");
        let folder = publish(folder, &results)?;
        bar.finish_and_clear();
        let written = folder.join("report.html");
        super::print(&format!("{}\nwritten: {}\n", results.summary(), written.display()))?;
        let wrong = results.checked().wrong > 0;
        Ok(if wrong { ExitCode::from(super::FAILED) } else { ExitCode::SUCCESS })
    }
}
