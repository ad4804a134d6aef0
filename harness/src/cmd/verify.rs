//! `flexdit verify`: reruns requests under other systems and compares the pictures.

use anyhow::Context as _;
use flexdit::campaign::Setting;
use flexdit::experiment::{Loaded, check_workload};
use flexdit::input::InputError;
use flexdit::real::{self, Arithmetic};
use flexdit::verify::{Contest, Contestant, VerifyError, compare};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the same requests under several systems on real ranks and compare the pictures bit by bit
///
/// All requests come at once and have no deadline. `restless` is an elastic system that changes ranks, degrees and chunks
/// at random; without --systems it is compared with every system of the experiment, the first of which is the reference.
/// Where a ring was at work rounding differs, and pictures are held against colours computed in f64, which takes up to half a
/// minute a request; so are equal ones that two rings made. Requests too large for that are not judged, which is no success.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit verify workloads/cpu/two-ranks.yaml
  flexdit verify exp.yaml --systems fixed,restless --requests 40 --seed 7
  flexdit verify exp.yaml --with-flaw            must exit with 1

Exit codes: 0 every bit is equal (or, of a ring, rounded as derived), 1 a picture differs, is missing, or differs where a ring
was at work and could not be judged, 2 bad input.")]
pub struct Args {
    /// The experiment (YAML); of a sweep, its first point
    #[arg(value_name = "EXP.yaml")]
    experiment: PathBuf,
    /// Systems to compare, by name, the reference first; default: all of the experiment but searches, and `restless`
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    systems: Vec<String>,
    /// Seed of requests, noise and prompts; default: the experiment's first
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Requests, from the first on
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Set a key of the experiment, as in `cluster.world=4`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Let a latent value's sign change wherever several ranks denoise, to see that it is found
    #[arg(long)]
    with_flaw: bool,
}

/// Runs, compares and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::read(&args.experiment, &args.overrides)?;
    let setting = Setting::new(&loaded, 0)?;
    let seed = args.seed.unwrap_or(setting.experiment.seeds[0]);
    let workload = setting.workload(seed)?;
    check_workload(&setting.experiment, &setting.document, &workload.classes, &setting.book)?;
    let workload = Contest::requests(workload, args.requests as usize);
    if workload.requests.is_empty() {
        return Err(InputError::new("--seed", "the workload of this seed has no request").into());
    }
    let contestants = Contestant::named(&setting, &args.systems)?;
    let workloads = std::slice::from_ref(&workload);
    real::check(&setting, workloads)?;
    let dit = Arithmetic::load(&setting, workloads)?.for_seed(seed);
    let contest =
        Contest { setting: &setting, workload: &workload, dit, seed, flawed: args.with_flaw };
    let mut galleries = Vec::new();
    for contestant in &contestants {
        let gallery = contest.pictures(contestant).map_err(|error| match error {
            VerifyError::Input(error) => error.into(),
            error => anyhow::Error::from(error),
        });
        galleries.push(gallery?);
    }
    let sheet = compare(&contest, &galleries).context("read pictures back")?;
    super::print(&sheet.to_string())?;
    Ok(if sheet.holds() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}
