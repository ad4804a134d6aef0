//! Results of a measurement under way, beside the file that it will become: a second call goes on where the first stopped.
//!
//! One line a finished tour, after a line that says under what they were taken. A line that was cut off in the middle does
//! not count. Invariant: tours of another plan, machine or program are never mixed in.

use super::pass::Passed;
use super::plan::Plan;
use crate::input::InputError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// How tours go, as a number that changes with it: 1 was one shape at a time, ranks in step.
pub const KIND: u32 = 2;

/// What tours were taken under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// How tours go: [`KIND`]. Files that do not say so are of kind 1.
    #[serde(default = "first_kind")]
    pub kind: u32,
    /// What is run.
    pub plan: Plan,
    /// The machine, without the date.
    pub machine: String,
    /// Version of the program.
    pub flexdit: String,
    /// Whether it was built with optimisation.
    pub optimised: bool,
    /// Where weights come from.
    pub weights: String,
    /// The day (UTC) of the first sample, empty in files that do not say. A measurement may go on another day.
    #[serde(default)]
    pub date: String,
}

fn first_kind() -> u32 {
    1
}

#[derive(Serialize, Deserialize)]
struct Line {
    round: u32,
    passed: Passed,
}

/// The finished tours, and the file that they are in.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
    date: String,
    done: BTreeMap<u32, Passed>,
}

impl Partial {
    /// Opens what an earlier call has left at `path`, or begins.
    ///
    /// # Errors
    /// The file cannot be read or written, or its tours were taken under something else.
    pub fn open(path: PathBuf, header: &Header) -> Result<Self, InputError> {
        let failed = |error: std::io::Error| InputError::io(&path, "write", &error);
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| InputError::io(&path, "open", &error))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| InputError::io(&path, "read", &error))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        // What was cut off goes, so that the next line begins a line.
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut lines = text[..whole].lines();
        let (mut done, mut date) = (BTreeMap::new(), header.date.clone());
        match lines.next() {
            None => append(&mut file, header).map_err(failed)?,
            Some(first) => {
                let found: Header = serde_json::from_str(first).map_err(|_| {
                    InputError::new(
                        path.display().to_string(),
                        "no results of `flexdit profile`: another file is in the way",
                    )
                })?;
                same(&path, header, &found)?;
                if !found.date.is_empty() {
                    date = found.date;
                }
                for (at, line) in lines.enumerate() {
                    let line: Line = serde_json::from_str(line).map_err(|error| {
                        let file = path.display().to_string();
                        InputError::new(file, error.to_string()).at(at as u32 + 2, 0)
                    })?;
                    done.insert(line.round, line.passed);
                }
            }
        }
        Ok(Self { path, file, date, done })
    }

    /// The day of the first sample.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Whether the tour of a round is there.
    pub fn has(&self, round: u32) -> bool {
        self.done.contains_key(&round)
    }

    /// Adds a finished tour.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, round: u32, passed: Passed) -> Result<(), InputError> {
        let line = Line { round, passed };
        append(&mut self.file, &line)
            .map_err(|error| InputError::io(&self.path, "write", &error))?;
        self.done.insert(line.round, line.passed);
        Ok(())
    }

    /// The tours so far, by round.
    pub fn done(&self) -> &BTreeMap<u32, Passed> {
        &self.done
    }

    /// Removes the file: all of it is elsewhere now.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> Result<(), InputError> {
        std::fs::remove_file(&self.path)
            .map_err(|error| InputError::io(&self.path, "remove", &error))
    }
}

/// One line in one call: it is there, or is cut off and does not count.
fn append(file: &mut File, line: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line).map_err(std::io::Error::other)?;
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.flush()
}

/// Refuses tours that were taken under something else, and says what differs.
fn same(path: &Path, now: &Header, then: &Header) -> Result<(), InputError> {
    if now.kind != then.kind {
        let message = format!(
            "holds tours of kind {}, expected {}: finish that measurement with the flexdit that began \
             it, or remove the file",
            then.kind, now.kind
        );
        return Err(InputError::new(path.display().to_string(), message));
    }
    let differs = [
        ("model", now.plan.model != then.plan.model),
        ("shapes", now.plan.shapes != then.plan.shapes),
        ("settings", now.plan != then.plan),
        ("machine", now.machine != then.machine),
        ("program", (&now.flexdit, now.optimised) != (&then.flexdit, then.optimised)),
        ("weights", now.weights != then.weights),
    ];
    match differs.into_iter().find(|(_, differ)| *differ) {
        None => Ok(()),
        Some((what, _)) => {
            let message = format!(
                "holds tours of another {what}: finish that measurement as it was begun, or remove \
                 the file"
            );
            Err(InputError::new(path.display().to_string(), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{CopySample, Samples};
    use super::*;
    use crate::experiment::CollectiveKind;
    use flexdit_core::Nanos;

    fn header() -> Header {
        let plan = Plan {
            model: "qwen-image".into(),
            world: 2,
            degrees: vec![1, 2],
            patches: vec![1],
            shapes: vec![],
            chunk: 1,
            crews: 1,
            rounds: 2,
            pin: true,
            collectives: CollectiveKind::GroupFree,
        };
        let text = |text: &str| text.to_owned();
        Header {
            kind: KIND,
            plan,
            machine: text("a"),
            flexdit: text("1"),
            optimised: true,
            weights: text("seed 1"),
            date: text("2026-11-21"),
        }
    }

    fn passed(bytes: u64) -> Passed {
        let copies = vec![CopySample { bytes, time: Nanos(3) }];
        Passed { samples: Samples { copies, ..Samples::default() }, ..Passed::default() }
    }

    #[test]
    fn a_second_call_finds_what_the_first_finished_and_not_what_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml.partial");
        let rounds = [0, 1, 2];
        let mut first = Partial::open(path.clone(), &header()).unwrap();
        first.add(rounds[0], passed(5)).unwrap();
        first.add(rounds[1], passed(6)).unwrap();
        drop(first);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.truncate(text.len() - 9);
        std::fs::write(&path, text).unwrap();
        let later = Header { date: "2026-11-22".into(), ..header() };
        let mut second = Partial::open(path.clone(), &later).unwrap();
        assert_eq!(second.date(), "2026-11-21", "the day of the first sample");
        assert_eq!(rounds.map(|round| second.has(round)), [true, false, false]);
        second.add(rounds[2], passed(7)).unwrap();
        drop(second);
        let third = Partial::open(path.clone(), &header()).unwrap();
        assert_eq!(third.done().get(&rounds[2]), Some(&passed(7)));
        assert_eq!(third.done().len(), 2);
        third.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn tours_of_another_machine_or_plan_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml.partial");
        drop(Partial::open(path.clone(), &header()).unwrap());
        let refused = |header: &Header| {
            let error = Partial::open(path.clone(), header).unwrap_err().to_string();
            error.split("holds tours of another ").nth(1).unwrap_or_default().to_owned()
        };
        let other = Header { machine: "b".into(), ..header() };
        assert!(refused(&other).starts_with("machine: "));
        let mut other = header();
        other.plan.crews = 2;
        assert!(refused(&other).starts_with("settings: "));
        let mut old = serde_json::to_value(header()).unwrap();
        old.as_object_mut().unwrap().remove("kind");
        std::fs::write(&path, format!("{old}\n")).unwrap();
        let error = Partial::open(path.clone(), &header()).unwrap_err().to_string();
        assert!(error.contains("holds tours of kind 1, expected 2: finish that"), "{error}");
        std::fs::write(&path, "{}\n").unwrap();
        let error = Partial::open(path.clone(), &header()).unwrap_err().to_string();
        assert!(error.contains("another file is in the way"), "{error}");
    }
}
