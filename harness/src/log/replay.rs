//! Replays a log: into a fresh system to compare its commands, or into a record.

use super::Step;
use crate::input::InputError;
use crate::metrics::{Recorder, RecorderOptions, RunInfo};
use crate::record::RunRecord;
use flexdit_core::{Command, Nanos, System};

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Steps replayed, up to and with the one that differed.
    pub steps: u64,
    /// Commands compared.
    pub commands: u64,
    /// The first difference; `None` if the system said the same throughout.
    pub divergence: Option<Divergence>,
}

/// The first command that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Step, counted from 0.
    pub step: u64,
    /// Its instant.
    pub at: Nanos,
    /// Position among the step's commands.
    pub position: usize,
    /// What the log has there; `None` if it has no more.
    pub logged: Option<Command>,
    /// What the system says there; `None` if it says no more.
    pub replayed: Option<Command>,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {} at {}, command {}: ", self.step, self.at, self.position)?;
        match (&self.logged, &self.replayed) {
            (Some(logged), Some(replayed)) => write!(f, "logged {logged:?}, replayed {replayed:?}"),
            (Some(logged), None) => write!(f, "logged {logged:?}, replayed nothing"),
            (None, Some(replayed)) => write!(f, "logged nothing, replayed {replayed:?}"),
            (None, None) => f.write_str("no difference"),
        }
    }
}

/// Gives a fresh system the events of a log and compares its commands, up to the first difference.
///
/// # Errors
/// If the log cannot be read.
pub fn replay(
    steps: impl IntoIterator<Item = Result<Step, InputError>>,
    system: &mut dyn System,
) -> Result<Replay, InputError> {
    let mut found = Replay { steps: 0, commands: 0, divergence: None };
    let mut said = Vec::new();
    for step in steps {
        let Step { t, events, commands } = step?;
        said.clear();
        system.step(t, &events, &mut said);
        found.commands += commands.len() as u64;
        if said != commands {
            let length = said.len().max(commands.len());
            let position = (0..length).find(|at| said.get(*at) != commands.get(*at)).unwrap_or(0);
            found.divergence = Some(Divergence {
                step: found.steps,
                at: t,
                position,
                logged: commands.get(position).cloned(),
                replayed: said.get(position).cloned(),
            });
        }
        found.steps += 1;
        if found.divergence.is_some() {
            break;
        }
    }
    Ok(found)
}

/// The record of a logged run, as the run itself made it.
///
/// # Errors
/// If the log cannot be read.
pub fn record(
    steps: impl IntoIterator<Item = Result<Step, InputError>>,
    world: u16,
    options: RecorderOptions,
    info: RunInfo,
) -> Result<RunRecord, InputError> {
    let mut recorder = Recorder::new(world, options);
    for step in steps {
        let Step { t, events, commands } = step?;
        recorder.record(t, &events, &commands);
    }
    Ok(recorder.finish(info))
}
