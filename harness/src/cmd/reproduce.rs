//! `flexdit reproduce`: the papers' claims against this simulator.

use anyhow::Context as _;
use flexdit::reproduce::{self, Options};
use flexdit::results::{ResultsFolder, remove_on_interrupt};
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the papers' experiments and compare their claims with what comes out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit reproduce                           all claims
  flexdit reproduce throughput latency        two claims
  flexdit reproduce qwen-a100-short           the claims that one experiment bears on
  flexdit reproduce --seeds 1..20 --out results/reproduce

Exit codes: 0 done, whatever the verdicts; 1 a run is stuck; 2 bad input.")]
pub struct Args {
    /// Claims, or experiments of the paper folder; default: all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder with `paper/` and `profiles/`
    #[arg(long, value_name = "DIR", default_value = "workloads")]
    workloads: PathBuf,
    /// Seeds of every experiment: `7`, `1,2,5` or `1..20`. Default: the first 5 of each file
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Folder for reproduce.md, .json and .csv; must not exist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads; default: all cores. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// Runs, prints and, if asked, writes.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let seeds = args.seeds.as_deref().map(super::run::seed_list).transpose()?;
    let _ = remove_on_interrupt();
    let folder = args.out.as_deref().map(ResultsFolder::create).transpose()?;
    let bar: ProgressBar = super::run::progress();
    let advance = |total: Option<usize>| match total {
        Some(total) => bar.set_length(total as u64),
        None => bar.inc(1),
    };
    let options = Options {
        workloads: &args.workloads,
        names: &args.names,
        seeds: seeds.as_deref(),
        progress: &advance,
    };
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let found = pool.install(|| reproduce::reproduce(&options))?;
    bar.finish_and_clear();
    if let Some(folder) = folder {
        folder.write("reproduce.md", reproduce::markdown(&found))?;
        folder.write("reproduce.csv", reproduce::csv(&found))?;
        folder.write_json("reproduce.json", &found)?;
        folder.commit().context("the results")?;
    }
    super::print(&reproduce::text(&found))
}
