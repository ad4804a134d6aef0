//! `manifest.json`: what produced a results folder.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::process::Command;

/// A file that the experiment read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// The path as the experiment names it.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

impl FileHash {
    /// Hashes `bytes`, read from `path`.
    pub fn of(path: impl Into<String>, bytes: &[u8]) -> Self {
        Self { path: path.into(), sha256: sha256_hex(bytes) }
    }
}

/// The machine that ran it. Simulated results do not depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Processors available.
    pub cpus: usize,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What produced a results folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of flexdit.
    pub flexdit: String,
    /// Git revision of its source, `-dirty` when changed; `None` if not known.
    pub git_revision: Option<String>,
    /// Where the numbers come from: `simulated` or `measured`.
    pub label: String,
    /// The experiment's name.
    pub name: String,
    /// The experiment file.
    pub experiment: FileHash,
    /// Profiles, workloads and traces that the experiment read.
    pub inputs: Vec<FileHash>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Systems.
    pub systems: Vec<String>,
    /// The command line; see [`command_line`].
    pub command: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// Seconds since 1970 when the folder was written.
    pub written_unix_s: u64,
    /// Seconds that the run took.
    pub wall_s: f64,
    /// Everything that was charged, defaults filled in; `null` on real ranks.
    pub charges: serde_json::Value,
    /// Machine, cores and runs, where ranks were real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<serde_json::Value>,
}

/// The command as it may be typed again: the program by its name, wherever it lies, then its arguments.
pub fn command_line() -> Vec<String> {
    std::iter::once("flexdit".to_owned()).chain(std::env::args().skip(1)).collect()
}

impl Manifest {
    /// A manifest of this program, machine, command line and moment; the rest is for the caller.
    pub fn here(name: impl Into<String>) -> Self {
        Self {
            flexdit: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: git_revision(),
            label: "simulated".to_owned(),
            name: name.into(),
            command: command_line(),
            machine: Machine::here(),
            written_unix_s: unix_seconds(),
            ..Self::default()
        }
    }
}

/// SHA-256 of `bytes`, hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Git revision of the source this program was built from, if that is still there.
pub fn git_revision() -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(source).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "HEAD"]).filter(|revision| !revision.is_empty())?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { revision } else { format!("{revision}-dirty") })
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the manifest states when it was written")]
pub(crate) fn unix_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(b""), empty);
    }

    #[test]
    fn a_manifest_survives_its_file() {
        let manifest = Manifest { seeds: vec![u64::MAX], wall_s: 0.1, ..Manifest::here("x") };
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
    }
}
