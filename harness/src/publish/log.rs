//! Logs of runs, written into a results folder as the runs go on.

use crate::campaign::{Log, RunKey, RunLog};
use crate::experiment::Loaded;
use crate::log::{Header, LogWriter};
use flexdit_core::{Command, Event, Nanos};
use flexdit_sim::Observer;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Opens `log-<system>-<seed>.jsonl.zst` in a folder for every run; sweep points are numbered.
pub struct FolderLog<'a> {
    folder: &'a Path,
    loaded: &'a Loaded,
    measured_on: Option<String>,
}

impl<'a> FolderLog<'a> {
    /// Logs of the runs of `loaded` in `folder`.
    pub fn new(folder: &'a Path, loaded: &'a Loaded) -> Self {
        Self { folder, loaded, measured_on: None }
    }

    /// The same for runs on the real ranks of a machine.
    pub fn measured_on(self, machine: String) -> Self {
        Self { measured_on: Some(machine), ..self }
    }
}

/// The middle of a run's file name.
pub(crate) fn run_name(loaded: &Loaded, point: usize, system: &str, seed: u64) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let system: String = system.chars().map(safe).collect();
    match loaded.points.len() {
        1 => format!("{system}-{seed}"),
        _ => format!("{system}-{seed}-point{point}"),
    }
}

impl Log for FolderLog<'_> {
    fn open(&self, key: &RunKey<'_>) -> io::Result<Box<dyn RunLog>> {
        let point = &self.loaded.points[key.point];
        let mut experiment = point.experiment.clone();
        experiment.sweep = Default::default();
        let header = Header {
            world: experiment.cluster.world,
            system: key.system.to_owned(),
            seed: key.seed,
            layout: key.layout.clone(),
            point: point.sweep.0.clone(),
            measured_on: self.measured_on.clone(),
            path: self.loaded.document.file.clone(),
            experiment: serde_yaml::to_string(&experiment).map_err(io::Error::other)?,
            ..Header::default()
        };
        let name = run_name(self.loaded, key.point, key.system, key.seed);
        let file = File::create(self.folder.join(format!("log-{name}.jsonl.zst")))?;
        let writer = LogWriter::new(BufWriter::new(file), &header)?;
        Ok(Box::new(Open { writer, failed: None }))
    }
}

struct Open {
    writer: LogWriter<BufWriter<File>>,
    /// The first error; nothing is written after it.
    failed: Option<io::Error>,
}

impl Observer for Open {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        if self.failed.is_none() {
            self.failed = self.writer.step(now, events, commands).err();
        }
    }
}

impl RunLog for Open {
    fn finish(self: Box<Self>) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None => self.writer.finish().map(drop),
        }
    }
}
