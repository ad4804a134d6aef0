//! `flexdit completions`: a shell's completion script on standard output.

use clap::CommandFactory;
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  flexdit completions bash > ~/.local/share/bash-completion/completions/flexdit"
)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "flexdit", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
