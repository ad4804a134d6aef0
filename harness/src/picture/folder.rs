//! The folder of `--save-images`: one file for each picture, and a table of them.

use super::{About, PictureError, Pixels, encode};
use crate::input::InputError;
use serde::Serialize;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The table's name.
const INDEX: &str = "index.csv";

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    file: String,
    system: String,
    seed: u64,
    request: u32,
    class: String,
    model: String,
    width: u32,
    height: u32,
    frames: u32,
    steps: u32,
    noise_seed: u64,
    tasks: usize,
    /// Changes of layout or computing ranks from one task to the next, of any stage.
    placement_changes: usize,
    sha256: String,
}

/// A folder of pictures. Files appear whole or not at all; the table is written with the last of them.
#[derive(Debug)]
pub struct ImageFolder {
    path: PathBuf,
    /// Whether it did not exist: then it goes again if nothing comes into it.
    made: bool,
    rows: Vec<Row>,
}

impl ImageFolder {
    /// A folder that is new or empty.
    ///
    /// # Errors
    /// It has anything in it, is a file, or cannot be made or written to.
    pub fn create(path: &Path) -> Result<Self, InputError> {
        let unwritable = |error| InputError::io(path, "write the folder of pictures", &error);
        let made = !path.exists();
        fs::create_dir_all(path).map_err(unwritable)?;
        if fs::read_dir(path).map_err(unwritable)?.next().is_some() {
            let message = "the folder of pictures is not empty; name another or empty it";
            return Err(InputError::new(path.display().to_string(), message));
        }
        // Found out before the run, not after it.
        tempfile::tempfile_in(path).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), made, rows: Vec::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many pictures are in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes a picture as `RUN-REQUEST.png`; `run` is safe as a file name, such as `SYSTEM-SEED`.
    ///
    /// # Errors
    /// The file cannot be written, or the picture not encoded: both with the file's name.
    pub fn add(&mut self, run: &str, pixels: &Pixels, about: &About) -> Result<(), InputError> {
        let name = format!("{run}-{:05}.png", about.request);
        let target = self.path.join(&name);
        let encoded = encode(pixels, about);
        let bytes = encoded.map_err(|error: PictureError| {
            InputError::new(target.display().to_string(), error.to_string())
        })?;
        write_whole(&self.path, &target, &bytes)
            .map_err(|error| InputError::io(&target, "write the picture", &error))?;
        let computed = about.placements.iter().filter(|task| !task.failed);
        let computed: Vec<_> = computed.collect();
        let moved = |pair: &&[&super::Placement]| {
            (&pair[0].layout, &pair[0].ranks) != (&pair[1].layout, &pair[1].ranks)
        };
        self.rows.push(Row {
            file: name,
            system: about.system.clone(),
            seed: about.seed,
            request: about.request,
            class: about.class.clone(),
            model: about.model.clone(),
            width: pixels.width,
            height: pixels.height,
            frames: pixels.frames,
            steps: about.steps,
            noise_seed: about.noise_seed,
            tasks: about.placements.len(),
            placement_changes: computed.windows(2).filter(moved).count(),
            sha256: pixels.sha256(),
        });
        Ok(())
    }

    /// Writes `index.csv`, with the SHA-256 of every picture's bytes; returns where.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<PathBuf, InputError> {
        let target = self.path.join(INDEX);
        let unwritable = |error| InputError::io(&target, "write the table of pictures", &error);
        let mut table = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            table.serialize(row).map_err(|error| unwritable(io::Error::other(error)))?;
        }
        let text = table.into_inner().map_err(|error| unwritable(error.into_error()))?;
        write_whole(&self.path, &target, &text).map_err(unwritable)?;
        Ok(target)
    }
}

impl Drop for ImageFolder {
    fn drop(&mut self) {
        if self.made {
            // Fails, as it should, if there is anything in it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Writes a file that appears whole or not at all.
fn write_whole(folder: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    share(file.path())?;
    file.persist(target).map(drop).map_err(|error| error.error)
}

/// Gives the file the access that others may read; temporary ones are private.
#[cfg(unix)]
fn share(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{about, decode, tests};
    use super::*;

    #[test]
    fn pictures_and_their_table_are_written() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("deep/pictures");
        let mut folder = ImageFolder::create(&path).unwrap();
        let (pixels, about) = (tests::sample(1, 32, 48), about::tests::sample());
        folder.add("elastic-3", &pixels, &about).unwrap();
        assert_eq!(folder.len(), 1);
        folder.finish().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["elastic-3-00007.png", "index.csv"]);
        let read = decode(&fs::read(path.join("elastic-3-00007.png")).unwrap()).unwrap();
        assert_eq!((read.pixels, read.about), (pixels.clone(), Some(about)));
        let table = fs::read_to_string(path.join("index.csv")).unwrap();
        let row = table.lines().nth(1).expect("a row");
        assert!(
            row.starts_with("elastic-3-00007.png,elastic,3,7,S,tiny-image,48,32,1,4,"),
            "{row}"
        );
        assert!(row.ends_with(&format!(",4,3,{}", pixels.sha256())), "{row}");
    }

    #[test]
    fn a_folder_with_anything_in_it_is_refused_and_untouched() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("a.txt"), "a").unwrap();
        let error = ImageFolder::create(base.path()).unwrap_err().to_string();
        let name = base.path().display();
        let expected = "the folder of pictures is not empty; name another or empty it";
        assert_eq!(error, format!("{name}: {expected}"));
        let error = ImageFolder::create(&base.path().join("a.txt")).unwrap_err().to_string();
        assert!(
            error.contains("cannot write the folder of pictures: a file is in the way"),
            "{error}"
        );
        drop(ImageFolder::create(&base.path().join("new")).unwrap());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
