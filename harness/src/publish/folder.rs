//! Writing the results folder of a finished experiment.

use super::log::run_name;
use super::report::report_input;
use crate::campaign::Finished;
use crate::experiment::{Experiment, GroupSetup, Loaded, ProfileRef};
use crate::input::InputError;
use crate::metrics::summarise;
use crate::report::{self, Label, ReportInput};
use crate::results::{FileHash, Manifest, ResultsFolder, classes_table, summary_table};
use crate::trace;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What was written.
pub struct Written {
    /// The folder, complete.
    pub folder: PathBuf,
    /// What the report says.
    pub report: ReportInput,
}

/// Writes everything into `folder` and moves it to its place. With `traces`, one trace for each system on
/// the first seed of every sweep point.
///
/// # Errors
/// The folder cannot be written; then nothing is left of it.
pub fn write(
    folder: ResultsFolder,
    loaded: &Loaded,
    finished: &Finished,
    wall_s: f64,
    traces: bool,
) -> anyhow::Result<Written> {
    let campaign = &finished.campaign;
    let (overall, classes) = summarise(campaign);
    folder.write("summary.csv", summary_table(&overall, &campaign.points).to_csv())?;
    folder.write("classes.csv", classes_table(&classes, &campaign.points).to_csv())?;
    let experiment: Experiment = loaded.document.get()?;
    let yaml = serde_yaml::to_string(&experiment).context("the experiment as YAML")?;
    folder.write("experiment.yaml", &yaml)?;
    let manifest = manifest(loaded, finished, wall_s)?;
    folder.write_json("manifest.json", &manifest)?;
    if !finished.searches.is_empty() {
        folder.write_json("best-static.json", &finished.searches)?;
    }
    write_tables(&folder, finished)?;
    if traces {
        write_traces(&folder, loaded, finished)?;
    }
    let report = report_input(loaded, finished, &manifest);
    for (path, bytes) in report::files(&report)? {
        let path = folder.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context("creating a folder of the report")?;
        }
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(Written { folder: folder.commit()?, report })
}

#[cfg(feature = "dataframe")]
fn write_tables(folder: &ResultsFolder, finished: &Finished) -> anyhow::Result<()> {
    let tables = crate::results::ParquetTables::create(folder.path(), &finished.campaign.classes);
    let mut tables = tables.context("creating the Parquet tables")?;
    for run in &finished.campaign.runs {
        tables.push(run).context("writing the Parquet tables")?;
    }
    tables.finish().context("writing the Parquet tables")
}

#[cfg(not(feature = "dataframe"))]
fn write_tables(_: &ResultsFolder, _: &Finished) -> anyhow::Result<()> {
    eprintln!("note: built without the feature `dataframe`: no requests.parquet, no tasks.parquet");
    Ok(())
}

fn write_traces(
    folder: &ResultsFolder,
    loaded: &Loaded,
    finished: &Finished,
) -> anyhow::Result<()> {
    let campaign = &finished.campaign;
    let first = campaign.seeds.first();
    for run in campaign.runs.iter().filter(|run| Some(&run.seed) == first) {
        let name = run_name(loaded, run.point, &run.system, run.seed);
        let file = folder.file(&format!("trace-{name}.json.gz"))?;
        trace::write(run, &campaign.classes, file).context("writing a trace")?;
    }
    Ok(())
}

/// Hashes of the profiles, workloads and traces that an experiment reads.
///
/// # Errors
/// One of them cannot be read.
pub fn inputs(loaded: &Loaded) -> Result<Vec<FileHash>, InputError> {
    let mut inputs: Vec<PathBuf> = Vec::new();
    for point in &loaded.points {
        let believed = point.experiment.estimates.profile.iter().flat_map(|refs| &refs.0);
        let profiles = point.experiment.profile.0.iter().chain(believed).map(ProfileRef::path);
        inputs.extend(profiles.map(Path::to_path_buf));
        if let GroupSetup::Profile(setup) = &point.experiment.costs.group_setup {
            inputs.push(setup.file.clone());
        }
        inputs.extend(point.experiment.costs.measured.clone());
        inputs.extend(point.experiment.real.configs.iter().map(|(_, path)| path.clone()));
        inputs.extend(point.experiment.workload.input_files());
    }
    inputs.sort();
    inputs.dedup();
    let mut hashes = Vec::new();
    for input in inputs {
        hash(&loaded.folder, &input, &mut hashes)?;
    }
    Ok(hashes)
}

fn manifest(loaded: &Loaded, finished: &Finished, wall_s: f64) -> anyhow::Result<Manifest> {
    let experiment = loaded.first();
    let path = Path::new(&loaded.document.file);
    let charges: Vec<_> = finished
        .settings
        .iter()
        .map(|setting| serde_json::json!({"charges": setting.charges, "faults": setting.faults}))
        .collect();
    Ok(Manifest {
        experiment: FileHash::of(loaded.document.file.clone(), &fs::read(path)?),
        inputs: inputs(loaded)?,
        seeds: experiment.seeds.clone(),
        systems: experiment.systems.iter().map(|system| system.name.clone()).collect(),
        wall_s,
        charges: if finished.real.is_some() {
            serde_json::Value::Null
        } else {
            serde_json::Value::Array(charges)
        },
        label: if finished.real.is_some() { Label::Measured } else { Label::Simulated }
            .name()
            .to_owned(),
        real: finished.real.as_ref().map(super::real::manifest),
        ..Manifest::here(&experiment.name)
    })
}

/// Hashes a file, or every file of a directory in order of name.
fn hash(folder: &Path, path: &Path, into: &mut Vec<FileHash>) -> Result<(), InputError> {
    let full = folder.join(path);
    let unreadable = |error| InputError::io(&full, "read", &error);
    if !full.is_dir() {
        let bytes = fs::read(&full).map_err(unreadable)?;
        into.push(FileHash::of(path.display().to_string(), &bytes));
        return Ok(());
    }
    let entries = fs::read_dir(&full).map_err(unreadable)?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let inner = path.join(&name);
        if folder.join(&inner).is_file() {
            hash(folder, &inner, into)?;
        }
    }
    Ok(())
}
