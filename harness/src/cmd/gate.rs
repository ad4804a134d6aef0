//! `flexdit gate`: fails when a run is not what its golden says.

use anyhow::Context as _;
use flexdit::gate::{Tolerance, compare_folders};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares a results folder with a golden and exits with 1 on a regression.
///
/// Simulated results are exact, so any change fails, also for the better, unless a tolerance is
/// given for its metric; then only worse values past the tolerance fail. A golden is a folder with
/// the summary.csv and classes.csv of an earlier run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results folder of the run
    pub dir: PathBuf,
    /// Folder with the golden summary.csv and classes.csv
    #[arg(long, value_name = "GOLDEN")]
    pub against: PathBuf,
    /// Relative change that a metric may make, such as latency_ms_mean=0.02; `*` names the rest
    #[arg(long, value_name = "METRIC=REL")]
    pub tolerance: Vec<Tolerance>,
    /// Markdown file to append the comparison to, such as the job summary of a CI system
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Values that are listed at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// Runs the comparison.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = compare_folders(&args.dir, &args.against, &args.tolerance)?;
    if let Some(path) = &args.summary {
        let title = format!("{} against {}", args.dir.display(), args.against.display());
        let text = found.to_markdown(&title, args.limit);
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{text}"))
            .with_context(|| format!("cannot write the summary {}", path.display()))?;
    }
    super::print(&found.to_text(args.limit))?;
    Ok(if found.passed() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
}
