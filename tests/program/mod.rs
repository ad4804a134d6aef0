//! The program as users call it.

use std::path::Path;
use std::process::Command;

/// Runs it in a folder: exit code, standard output, standard error.
pub fn flexdit(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexdit"));
    let output = command.args(args).current_dir(folder).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal ended it"), text(output.stdout), text(output.stderr))
}
