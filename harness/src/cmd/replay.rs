//! `flexdit replay`: verifies logs.

use flexdit::campaign::verify;
use std::path::PathBuf;
use std::process::ExitCode;

/// Verifies logs: a fresh system, told the logged events, must give the logged commands
///
/// The system is built again from the experiment that the log carries; profiles and traces are read
/// from where that names them. Exits with 1 at the first command that differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  flexdit run workloads/quickstart.yaml --seeds 1 --log --out results/logged
  flexdit replay results/logged/log-*.jsonl.zst")]
pub struct Args {
    /// Logs, as `flexdit run --log` writes them
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
}

/// Verifies every log.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.logs {
        let (header, found) = verify(path)?;
        let run = format!("{}: {}, seed {}", path.display(), header.system, header.seed);
        let text = match &found.divergence {
            None => format!("same: {} commands in {} steps", found.commands, found.steps),
            Some(divergence) => {
                code = ExitCode::from(super::FAILED);
                format!("DIFFERS: {divergence}")
            }
        };
        super::print(&format!("{run}: {text}\n"))?;
    }
    Ok(code)
}
