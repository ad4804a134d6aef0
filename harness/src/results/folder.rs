//! A folder that appears complete or not at all.

use crate::input::InputError;
use crate::real::Interrupt;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// Temporary folders of this process that are not complete.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A results folder being written. Dropped before [`ResultsFolder::commit`], it is removed.
#[derive(Debug)]
pub struct ResultsFolder {
    target: PathBuf,
    /// What it is to those who read errors.
    doing: &'static str,
    temporary: TempDir,
}

impl ResultsFolder {
    /// Starts a folder that will be `target`. Missing parents are made.
    ///
    /// # Errors
    /// If `target` exists, or its parent cannot be made or written to.
    pub fn create(target: &Path) -> Result<Self, InputError> {
        refuse_existing(target)?;
        Self::replacing_empty(target, "write the results folder")
    }

    /// The same for a folder that may be there as long as it is empty; `doing` is what errors say was tried.
    ///
    /// # Errors
    /// If the parent of `target` cannot be made or written to.
    pub(crate) fn replacing_empty(target: &Path, doing: &'static str) -> Result<Self, InputError> {
        let unwritable = |error| InputError::io(target, doing, &error);
        let absolute = std::path::absolute(target).map_err(unwritable)?;
        let parent = absolute.parent().unwrap_or(Path::new("/"));
        let name = absolute.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(parent).map_err(unwritable)?;
        let prefix = format!(".{name}.partial-");
        let mut builder = tempfile::Builder::new();
        share(builder.prefix(&prefix));
        let temporary = builder.tempdir_in(parent).map_err(unwritable)?;
        unfinished().push(temporary.path().to_owned());
        Ok(Self { target: absolute, doing, temporary })
    }

    /// Where files go until the folder is complete.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// A new buffered file in the folder; flush it, or errors of the last bytes go unseen.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn file(&self, name: &str) -> Result<BufWriter<File>, InputError> {
        let path = self.path().join(name);
        let file = File::create(&path).map_err(|error| self.error(name, &error))?;
        Ok(BufWriter::new(file))
    }

    /// Writes a file, in a folder of its own if the name asks for one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), InputError> {
        let path = self.path().join(name);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .map_err(|error| self.error(name, &error))
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), InputError> {
        let mut file = self.file(name)?;
        serde_json::to_writer_pretty(&mut file, value)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.flush())
            .map_err(|error| self.error(name, &error))
    }

    /// Moves the folder to its target and returns that.
    ///
    /// # Errors
    /// If the target has come into being meanwhile, or the move fails.
    pub fn commit(self) -> Result<PathBuf, InputError> {
        refuse_existing(&self.target)?;
        fs::rename(self.temporary.path(), &self.target)
            .map_err(|error| InputError::io(&self.target, self.doing, &error))?;
        Ok(self.target.clone())
    }

    /// An error about one file, named as the reader of the message knows it.
    fn error(&self, name: &str, error: &std::io::Error) -> InputError {
        InputError::io(&self.target.join(name), "write the file", error)
    }
}

impl Drop for ResultsFolder {
    fn drop(&mut self) {
        unfinished().retain(|path| path != self.temporary.path());
    }
}

/// Removes every folder of this process that is not complete.
pub fn remove_unfinished() {
    for path in unfinished().drain(..) {
        // Another thread may still be adding files: try again while it is there.
        for _ in 0..10 {
            if fs::remove_dir_all(&path).is_ok() || !path.exists() {
                break;
            }
        }
    }
}

/// On Ctrl-C or termination, removes what is not complete and exits with 130.
///
/// # Errors
/// If a handler is already installed.
pub fn remove_on_interrupt() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        remove_unfinished();
        std::process::exit(130);
    })
}

/// On Ctrl-C or termination, stops the campaign, whose results are then written as far as they are; on the second one, does
/// as [`remove_on_interrupt`].
///
/// # Errors
/// If a handler is already installed.
pub fn stop_on_interrupt(campaign: &Arc<Interrupt>) -> Result<(), ctrlc::Error> {
    let campaign = Arc::clone(campaign);
    ctrlc::set_handler(move || {
        if !campaign.stop() {
            remove_unfinished();
            std::process::exit(130);
        }
    })
}

fn unfinished() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse_existing(target: &Path) -> Result<(), InputError> {
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    let name = target.display().to_string();
    Err(InputError::new(name, "the output folder exists; name another or remove it"))
}

/// Gives the folder the access that any new folder gets; temporary ones are private by default.
#[cfg(unix)]
fn share(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(fs::Permissions::from_mode(0o777));
}

#[cfg(not(unix))]
fn share(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_appears_complete() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("deep/run");
        let folder = ResultsFolder::create(&target).unwrap();
        folder.write("a.txt", "a").unwrap();
        folder.write_json("b.json", &[1, 2]).unwrap();
        assert!(!target.exists());
        assert_eq!(folder.commit().unwrap(), target);
        let mut found = names(&target);
        found.sort();
        assert_eq!(found, ["a.txt", "b.json"]);
        assert_eq!(names(&base.path().join("deep")), ["run"]);
    }

    #[test]
    fn an_abandoned_folder_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let folder = ResultsFolder::create(&base.path().join("run")).unwrap();
        folder.write("a.txt", "a").unwrap();
        drop(folder);
        assert!(names(base.path()).is_empty());
    }

    #[test]
    fn a_folder_that_exists_is_refused_and_untouched() {
        let base = tempfile::tempdir().unwrap();
        let error = ResultsFolder::create(base.path()).unwrap_err().to_string();
        let name = base.path().display();
        assert_eq!(error, format!("{name}: the output folder exists; name another or remove it"));
        assert!(names(base.path()).is_empty());
    }

    #[test]
    fn a_parent_that_is_a_file_is_refused() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let error = ResultsFolder::create(&base.path().join("file/run")).unwrap_err().to_string();
        assert!(error.contains("cannot write the results folder"), "{error}");
    }
}
