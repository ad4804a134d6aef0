//! Writing a benchmark's folder: complete or not at all.

use super::results::Results;
use crate::results::ResultsFolder;
use anyhow::Context as _;
use std::fs;
use std::path::PathBuf;

/// Writes the report, its data, the CSV files and the manifest into `folder` and moves it to its place.
///
/// # Errors
/// The folder cannot be written; then nothing is left of it.
pub fn publish(folder: ResultsFolder, results: &Results) -> anyhow::Result<PathBuf> {
    folder.write_json("manifest.json", &results.manifest())?;
    for (path, bytes) in results.files()? {
        let path = folder.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context("creating a folder of the report")?;
        }
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(folder.commit()?)
}
