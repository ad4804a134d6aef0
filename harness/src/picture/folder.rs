//! The folder of `--save-images`: one file for each picture, and a table of them.

use super::{About, PictureError, Pixels, encode};
use crate::input::InputError;
use crate::results::ResultsFolder;
use serde::Serialize;
use std::fs;
use std::io;
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

/// A folder of pictures, being written. It appears complete or not at all; dropped before [`ImageFolder::finish`], it leaves what was
/// there before.
#[derive(Debug)]
pub struct ImageFolder {
    /// Where it will be, as the caller says it.
    target: PathBuf,
    folder: ResultsFolder,
    rows: Vec<Row>,
}

impl ImageFolder {
    /// Starts a folder that is new or empty.
    ///
    /// # Errors
    /// It has anything in it, is a file, or cannot be made or written to.
    pub fn create(path: &Path) -> Result<Self, InputError> {
        let unwritable = |error| InputError::io(path, "write the folder of pictures", &error);
        if path.symlink_metadata().is_ok()
            && fs::read_dir(path).map_err(unwritable)?.next().is_some()
        {
            let message = "the folder of pictures is not empty; name another or empty it";
            return Err(InputError::new(path.display().to_string(), message));
        }
        let folder = ResultsFolder::replacing_empty(path, "write the folder of pictures")?;
        Ok(Self { target: path.to_owned(), folder, rows: Vec::new() })
    }

    /// Where files lie until all are there.
    pub fn path(&self) -> &Path {
        self.folder.path()
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
        let encoded = encode(pixels, about);
        let bytes = encoded.map_err(|error: PictureError| {
            let target = self.target.join(&name);
            InputError::new(target.display().to_string(), error.to_string())
        })?;
        self.folder.write(&name, &bytes)?;
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

    /// Writes `index.csv`, with the SHA-256 of every picture's bytes, and lets the folder appear; returns where the table is.
    ///
    /// # Errors
    /// If it cannot be written, or something has come into the folder meanwhile.
    pub fn finish(self) -> Result<PathBuf, InputError> {
        let target = self.target.join(INDEX);
        let unwritable = |error| InputError::io(&target, "write the table of pictures", &error);
        let mut table = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            table.serialize(row).map_err(|error| unwritable(io::Error::other(error)))?;
        }
        let text = table.into_inner().map_err(|error| unwritable(error.into_error()))?;
        self.folder.write(INDEX, text)?;
        // An empty one goes; if anything has come into it, the move is refused.
        let _ = fs::remove_dir(&self.target);
        self.folder.commit()?;
        Ok(target)
    }
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
        assert!(!path.exists(), "all or nothing");
        assert_eq!(folder.finish().unwrap(), path.join("index.csv"));
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

    #[test]
    fn an_empty_folder_is_replaced_when_all_pictures_are_there() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("pictures");
        fs::create_dir(&path).unwrap();
        let count = || fs::read_dir(&path).unwrap().count();
        for is_kept in [false, true] {
            let mut folder = ImageFolder::create(&path).unwrap();
            folder.add("a-1", &tests::sample(1, 32, 48), &about::tests::sample()).unwrap();
            assert_eq!(count(), 0);
            if is_kept {
                folder.finish().unwrap();
            }
        }
        assert_eq!((count(), fs::read_dir(base.path()).unwrap().count()), (2, 1));
    }
}
