//! The command line: one file per sub-command, each with its arguments and one `run`.

mod bench;
mod check;
mod completions;
mod explain;
mod gate;
mod policies;
mod profile;
mod replay;
mod report;
mod reproduce;
mod run;
mod validate;
mod verify;
mod workload;

use clap::{Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Exit code of a failed check, gate or run.
pub const FAILED: u8 = 1;
/// Exit code of bad input, as clap's for bad usage.
pub const BAD_INPUT: u8 = 2;

/// Compares elastic with fixed parallelism for serving diffusion transformers.
///
/// Every system under test is scheduled on the same workload at the same prices; results are exact
/// for a file and a seed, on any machine.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Exit codes: 0 done, 1 a check or gate failed, 2 bad input.

Start with `flexdit explain` for the vocabulary and `flexdit policies` for what can be compared.";

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Verify(verify::Args),
    Profile(profile::Args),
    Workload(workload::Args),
    Validate(validate::Args),
    Report(report::Args),
    Reproduce(reproduce::Args),
    Bench(bench::Args),
    /// Be one rank of a benchmark's world; started by `flexdit bench`
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    BenchRank(flexdit::bench::rank_process::RankArgs),
    /// Be one rank of a real run; started by `flexdit run` and `flexdit verify`
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Rank,
    Gate(gate::Args),
    Replay(replay::Args),
    Check(check::Args),
    Policies(policies::Args),
    Explain(explain::Args),
    Completions(completions::Args),
}

/// Exit code of what was interrupted, as a shell's.
pub const INTERRUPTED: u8 = 130;

/// Runs one sub-command.
pub fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Workload(args) => workload::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(target_os = "linux")]
        Command::BenchRank(args) => {
            flexdit::bench::rank_process::run(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(target_os = "linux")]
        Command::Rank => {
            flexdit::real::rank()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Gate(args) => gate::run(&args),
        Command::Policies(args) => policies::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Writes to standard output; a reader that went away (`| head`) is not an error.
pub fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_documented() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
            for arg in sub.get_arguments() {
                assert!(arg.get_help().is_some(), "{} of {}", arg.get_id(), sub.get_name());
            }
        }
    }
}
