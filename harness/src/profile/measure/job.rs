//! One profile: tours until the plan is done, going on where an earlier call stopped.

use super::file;
use super::partial::{Header, Partial};
use super::pass::{self, PassError, Ranks};
use crate::bench::machine::Machine;
use crate::input::InputError;
use crate::profile::ProfileFile;
use flexdit_core::model::ModelSpec;
use std::path::{Path, PathBuf};

/// What is measured, and into which file.
#[derive(Clone, Debug)]
pub struct Job {
    /// What tours are taken under.
    pub header: Header,
    /// The model.
    pub model: &'static ModelSpec,
    /// The name of what it runs on, as experiments have it in `cluster.gpu`.
    pub gpu: String,
    /// The file.
    pub out: PathBuf,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The plan or a file is not as it should be.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A tour failed.
    #[error(transparent)]
    Pass(#[from] PassError),
}

/// Called before every tour: how many are done, of how many, and what comes.
pub type Progress<'a> = &'a dyn Fn(usize, usize, &str);

impl Job {
    /// The machine's words for a header: a measurement may go on tomorrow.
    pub fn machine() -> String {
        let here = Machine::here();
        let plural = if here.cores == 1 { "" } else { "s" };
        format!("{}, {} core{plural}, {} ({})", here.cpu, here.cores, here.os, here.arch)
    }

    /// Where unfinished results lie.
    pub fn partial(&self) -> PathBuf {
        let mut name = self.out.as_os_str().to_owned();
        name.push(".partial");
        PathBuf::from(name)
    }

    /// Runs the tours that are missing and writes the file.
    ///
    /// # Errors
    /// The file exists, results of another measurement are in the way, a file cannot be written, or a tour fails.
    pub fn run(
        &self,
        ranks: &Ranks<'_>,
        command: &str,
        progress: Progress<'_>,
    ) -> Result<ProfileFile, JobError> {
        let plan = &self.header.plan;
        plan.check(self.model, &self.out.display().to_string())?;
        if self.out.exists() {
            let message = "exists: remove it, or name another file";
            return Err(InputError::new(self.out.display().to_string(), message).into());
        }
        let mut partial = Partial::open(self.partial(), &self.header)?;
        let all = plan.rounds as usize;
        for round in 0..plan.rounds {
            let words = format!("{}, round {}", self.model.name, round + 1);
            progress(round as usize, all, &words);
            if !partial.has(round) {
                let passed = pass::run(ranks, &plan.tour(self.model, round), &[self.model])?;
                partial.add(round, passed)?;
            }
        }
        progress(all, all, "");
        let date = partial.date();
        let profile = file::profile(&self.header, date, self.model, &self.gpu, partial.done());
        let profile = profile
            .ok_or_else(|| PassError::Failed("a stage or layout has no samples".to_owned()))?;
        let text = file::text(&profile, command)
            .map_err(|error| InputError::new(self.out.display().to_string(), error.to_string()))?;
        write(&self.out, &text)?;
        partial.remove()?;
        Ok(profile)
    }
}

/// Writes a file that is there as a whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), InputError> {
    let failed = |error: std::io::Error| InputError::io(path, "write", &error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    std::fs::write(file.path(), text).map_err(failed)?;
    #[cfg(unix)]
    {
        // A temporary file is its owner's alone; a result is for everybody who may read the folder.
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), mode).map_err(failed)?;
    }
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    Ok(())
}
