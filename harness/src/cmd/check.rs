//! `flexdit check`: seeded simulations of whole systems under checkers.

use flexdit::check;
use rayon::prelude::*;
use std::process::ExitCode;

/// Simulates random systems, workloads, faults and cancellations under checkers
///
/// Every seed draws a whole run; a failure prints the command that repeats it. For people who change the
/// scheduler, the simulator or a policy.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The one seed to check
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds to check, the last one excluded
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = range)]
    seeds: std::ops::Range<u64>,
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
    let failures: Vec<String> = seeds
        .into_par_iter()
        .filter_map(|seed| check::check(seed).err().map(|wrong| format!("seed {seed}: {wrong}\n")))
        .collect();
    super::print(&failures.concat())?;
    super::print(&format!("{} of {total} seeds failed\n", failures.len()))?;
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}
