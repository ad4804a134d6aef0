//! What produced a benchmark's results: program, machine, command, and what could not take part.

use super::launch::{Contestant, Setting};
use super::machine::{self, Machine};
use serde::{Deserialize, Serialize};

/// What produced a benchmark's results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of flexdit.
    pub flexdit: String,
    /// Git revision of its source, `-dirty` when changed; `None` if not known.
    pub git_revision: Option<String>,
    /// Whether the program was built with optimisation.
    pub optimised: bool,
    /// The command line.
    pub command: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// Whether ranks were pinned to cores, round robin.
    pub pinned: bool,
    /// Whether ranks had real-time priority.
    #[serde(default)]
    pub realtime: bool,
    /// Seed of groups and data.
    pub seed: u64,
    /// Seconds that the benchmark took.
    pub wall_s: f64,
    /// Contestants that this program cannot run here, and why.
    pub absent: Vec<(Contestant, String)>,
}

impl Provenance {
    /// Of this program, machine, command line and moment.
    pub fn here(setting: &Setting, contestants: &[Contestant], seed: u64) -> Self {
        let missing = |one: Contestant| one.missing().map(|why| (one, why.to_owned()));
        let left_out = Contestant::ALL.into_iter().filter(|one| !contestants.contains(one));
        Self {
            flexdit: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: crate::results::git_revision(),
            optimised: !cfg!(debug_assertions),
            command: crate::results::command_line(),
            machine: Machine::here(),
            pinned: setting.pin,
            realtime: machine::is_realtime(),
            seed,
            wall_s: 0.0,
            absent: left_out.filter_map(missing).collect(),
        }
    }

    /// The command as it may be typed again.
    pub fn command_line(&self) -> String {
        self.command.join(" ")
    }

    /// `measured on AMD EPYC, 2 cores, ..`.
    pub fn measured_on(&self) -> String {
        format!("measured on {}", self.machine.words())
    }

    /// What a reader has to know of the circumstances, one sentence each.
    pub fn circumstances(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Machine: {}. flexdit {}, revision {}.",
            self.machine.words(),
            self.flexdit,
            self.git_revision.as_deref().unwrap_or("not known")
        )];
        lines.push(match self.pinned {
            true => "Ranks were pinned to cores round robin.".to_owned(),
            false => "Ranks were not pinned to cores: that was not permitted here, or was \
                      switched off. Expect more spread."
                .to_owned(),
        });
        if self.realtime {
            lines.push(
                "Ranks had real-time priority: no ordinary program of this machine interrupted them.".to_owned(),
            );
        }
        if !self.optimised {
            lines.push("The program was built without optimisation: times mean little.".to_owned());
        }
        let absent = self.absent.iter();
        lines.extend(absent.map(|(one, why)| format!("Without {}: {why}.", one.words())));
        lines
    }
}
