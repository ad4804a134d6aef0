//! `flexdit check`: seeded simulations of whole systems under checkers, and seeded schedules of collectives against their
//! oracle.

use flexdit::check;
use flexdit_comm::check as collectives;
use rayon::prelude::*;
use std::process::ExitCode;

/// Simulates random systems, workloads, faults and cancellations under checkers
///
/// Every seed draws a whole run; a failure prints the command that repeats it. For people who change the
/// scheduler, the simulator or a policy, and with `--collectives` for those who change the collectives: then every
/// seed draws a world and a schedule of overlapping groups, which its ranks run as threads.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The one seed to check
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds to check, the last one excluded
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = range)]
    seeds: std::ops::Range<u64>,
    /// Compare random schedules of collectives with the oracle instead
    #[arg(long)]
    collectives: bool,
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || format!("expected two numbers as in 0..1000, got `{text}`");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    Ok(first.parse().map_err(|_| wrong())?..last.parse().map_err(|_| wrong())?)
}

/// Checks every seed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let seeds = args.seed.map_or(args.seeds.clone(), |seed| seed..seed.saturating_add(1));
    let total = seeds.end.saturating_sub(seeds.start);
    let check = |seed| match args.collectives {
        true => collectives::check(seed).err(),
        false => check::check(seed).err(),
    };
    let failures: Vec<String> = seeds
        .into_par_iter()
        .filter_map(|seed| check(seed).map(|wrong| format!("seed {seed}: {wrong}\n")))
        .collect();
    super::print(&failures.concat())?;
    super::print(&format!("{} of {total} seeds failed\n", failures.len()))?;
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}
