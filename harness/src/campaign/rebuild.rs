//! From the header of a log back to the system that wrote it.

use super::setting::Setting;
use super::systems::{BoxedSystem, Builder};
use crate::experiment::{Loaded, SystemKind};
use crate::input::{Document, InputError};
use crate::log::{Header, LogReader, Replay, replay};
use crate::workload::Workload;
use std::path::Path;

/// What a log's header describes, built again.
pub struct Rebuilt {
    /// The sweep point.
    pub setting: Setting,
    /// The workload of the run's seed.
    pub workload: Workload,
    /// The system, as before its first event.
    pub system: BoxedSystem,
}

/// Builds the run of a log again; profiles and traces are read from where the experiment names them.
///
/// # Errors
/// A file that the experiment names is gone or wrong; the header does not fit its experiment.
pub fn rebuild(header: &Header) -> Result<Rebuilt, InputError> {
    let document = Document::parse(&header.path, &header.experiment)?;
    let folder = Path::new(&header.path).parent().unwrap_or(Path::new("")).to_owned();
    let loaded = Loaded::from_document(document, folder)?;
    let setting = Setting::new(&loaded, 0)?;
    let wrong = |what: String| InputError::new(&header.path, format!("the log's header {what}"));
    let systems = &setting.experiment.systems;
    let index = systems.iter().position(|system| system.name == header.system);
    let index = index
        .ok_or_else(|| wrong(format!("names system `{}`, which is not there", header.system)))?;
    let seeds = &setting.experiment.seeds;
    let mut workloads: Vec<Workload> =
        seeds.iter().map(|&seed| setting.workload(seed)).collect::<Result<_, _>>()?;
    let builder = Builder::new(&setting, &workloads, index);
    let system = match (&systems[index].kind, &header.layout) {
        (SystemKind::BestStatic(_), None) => {
            return Err(wrong("does not say which layout was the best".to_owned()));
        }
        (SystemKind::BestStatic(_), Some(name)) => {
            let layouts = builder.static_layouts(&builder.offers());
            let layout = layouts.iter().find(|layout| layout.name() == *name);
            let layout = layout.ok_or_else(|| wrong(format!("names no static layout: {name}")))?;
            builder.candidate(layout)?
        }
        (kind, _) => builder.kind(kind)?,
    };
    let workload = match seeds.iter().position(|seed| *seed == header.seed) {
        Some(at) => workloads.swap_remove(at),
        None => setting.workload(header.seed)?,
    };
    Ok(Rebuilt { setting, workload, system })
}

/// Replays the log at `path` into a system built again from its header.
///
/// # Errors
/// As [`rebuild`]; the log cannot be read.
pub fn verify(path: &Path) -> Result<(Header, Replay), InputError> {
    let log = LogReader::open(path)?;
    let header = log.header().clone();
    let mut system = rebuild(&header)?.system;
    let found = replay(log, &mut *system)?;
    Ok((header, found))
}
