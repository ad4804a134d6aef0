//! The program `flexdit`: parses the command line, runs one sub-command, prints one line on failure.

mod cmd;

use clap::Parser;
use flexdit::campaign::RunError;
use flexdit::input::InputError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    match cmd::execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if is_bad_input(&error) {
                cmd::BAD_INPUT
            } else if matches!(error.downcast_ref(), Some(RunError::Interrupted)) {
                cmd::INTERRUPTED
            } else {
                cmd::FAILED
            })
        }
    }
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<InputError>() || matches!(cause.downcast_ref(), Some(RunError::Input(_)))
    })
}
