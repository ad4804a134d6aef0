//! Pictures of a run that goes on: one thread takes them off the dispatcher's hands and writes raw bytes to a file without a
//! name; PNG is made when the run is over, so that compressing takes no core from a rank.
//!
//! Invariant: no more results than the queue holds keep ranks' memory in use; where the file is slower than the run, the run waits, and
//! that is counted.

use super::Pixels;
use flexdit_core::RequestId;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Results that may wait for the thread.
const QUEUE: usize = 16;

/// A picture in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Whose picture.
    pub request: RequestId,
    /// Frames, pixel rows and pixel columns.
    pub shape: [u32; 3],
    at: u64,
    bytes: usize,
}

/// Takes results of type `T` during a run.
#[derive(Debug)]
pub struct Spool<T> {
    queue: Option<SyncSender<T>>,
    thread: Option<JoinHandle<io::Result<Shots>>>,
    waited: u64,
}

impl<T: Send + 'static> Spool<T> {
    /// A spool in an unnamed file of this folder; `develop` makes pixels of a result, on the spool's thread.
    ///
    /// # Errors
    /// If the file or the thread cannot be made.
    pub fn start(
        folder: &Path,
        develop: impl Fn(T) -> (RequestId, Pixels) + Send + 'static,
    ) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        let (queue, results) = sync_channel::<T>(QUEUE);
        let body = move || {
            let (mut shots, mut at, mut failed) = (Vec::new(), 0, None);
            for result in results {
                // After an error the rest is thrown away: the run goes on and says so at its end.
                if failed.is_some() {
                    continue;
                }
                let (request, pixels) = develop(result);
                failed = file.write_all(&pixels.rgb).err();
                let bytes = pixels.rgb.len();
                let shape = [pixels.frames, pixels.height, pixels.width];
                shots.push(Shot { request, shape, at, bytes });
                at += bytes as u64;
            }
            match failed {
                Some(error) => Err(error),
                None => {
                    shots.sort_by_key(|shot: &Shot| shot.request);
                    Ok(Shots { file: Mutex::new(file), shots, waited: 0 })
                }
            }
        };
        let thread = Builder::new().name("pictures".into()).spawn(body)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), waited: 0 })
    }

    /// Takes a result. Waits only if the queue is full.
    pub fn take(&mut self, result: T) {
        let Some(queue) = &self.queue else { return };
        // A thread that is gone has panicked, which the end tells.
        if let Err(TrySendError::Full(result)) = queue.try_send(result) {
            self.waited += 1;
            let _ = queue.send(result);
        }
    }

    /// Waits for everything to be in the file.
    ///
    /// # Errors
    /// The first error of writing.
    ///
    /// # Panics
    /// If making pixels of a result panicked.
    pub fn finish(mut self) -> io::Result<Shots> {
        self.queue = None;
        let thread = self.thread.take().expect("joined once");
        let shots = thread.join().expect("making pixels does not panic")?;
        Ok(Shots { waited: self.waited, ..shots })
    }
}

/// The pictures of a run that is over.
#[derive(Debug)]
pub struct Shots {
    file: Mutex<File>,
    shots: Vec<Shot>,
    waited: u64,
}

impl Shots {
    /// All of them, by request.
    pub fn list(&self) -> &[Shot] {
        &self.shots
    }

    /// Results for which the run had to wait.
    pub fn waited(&self) -> u64 {
        self.waited
    }

    /// One picture's pixels.
    ///
    /// # Errors
    /// If they cannot be read back.
    pub fn read(&self, shot: &Shot) -> io::Result<Pixels> {
        let [frames, height, width] = shot.shape;
        let mut rgb = vec![0; shot.bytes];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(shot.at))?;
        file.read_exact(&mut rgb)?;
        Ok(Pixels { frames, height, width, rgb })
    }

    /// The picture of a request, if there is one.
    pub fn of(&self, request: RequestId) -> Option<&Shot> {
        let at = self.shots.binary_search_by_key(&request, |shot| shot.request).ok()?;
        Some(&self.shots[at])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn what_went_in_comes_out_by_request_and_no_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let develop = |id: u32| (RequestId(id), sample(1 + id % 2, 4, 4 + id));
        let mut spool = Spool::start(folder.path(), develop).unwrap();
        let ids: Vec<u32> = (0..60).rev().collect();
        ids.iter().for_each(|id| spool.take(*id));
        let shots = spool.finish().unwrap();
        assert_eq!(shots.list().len(), 60);
        for id in ids {
            let shot = shots.of(RequestId(id)).expect("it went in");
            assert_eq!(shots.read(shot).unwrap(), develop(id).1);
        }
        assert_eq!(shots.of(RequestId(60)), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let develop = |id: u32| (RequestId(id), sample(1, 1, 1));
        assert!(Spool::start(&folder.path().join("none"), develop).is_err());
    }
}
