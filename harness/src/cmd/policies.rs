//! `flexdit policies`: what an `elastic:` system may name.

use std::process::ExitCode;

/// List the scheduling policies and their parameters
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In an experiment:
  systems:
    - {name: mine, elastic: {policy: edf-best-fit, hopeless-last: true}}")]
pub struct Args {}

/// Prints the registry.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    super::print(&flexdit::policies::listing())
}
