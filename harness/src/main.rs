//! The program `flexdit`: parses the command line, runs one sub-command, prints one line on failure.

mod cmd;

use clap::Parser;
use flexdit::input::InputError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    match cmd::execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let bad_input = error.chain().any(|cause| cause.is::<InputError>());
            ExitCode::from(if bad_input { cmd::BAD_INPUT } else { cmd::FAILED })
        }
    }
}
