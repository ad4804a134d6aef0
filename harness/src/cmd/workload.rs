//! `flexdit workload`: what can be done with workloads without running them.

use clap::Subcommand;
use flexdit::experiment::schema;
use std::process::ExitCode;

/// Work with workloads and experiment files
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON Schema of experiment files
    #[command(after_help = "\
Editors check and complete experiments whose first line is
  # yaml-language-server: $schema=schema.json")]
    Schema,
}

/// Runs one of them.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Schema => super::print(&schema::text()),
    }
}
