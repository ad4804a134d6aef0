//! A rank's process as the driver sees it: its connection, its life, and what it told.
//!
//! Invariant: a process that is lost is dead and waited for, and its peers can know, before the driver hears of the loss.

use super::World;
use super::line::Line;
use super::words::{Down, Up};
use crate::compute::LoseRank;
use flexdit_core::{Bytes, Rank};
use serde::Serialize;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long a process may take to answer that it ends.
const ENDED: Duration = Duration::from_secs(5);

/// Told once that a rank is lost.
type Alarm = Box<dyn FnOnce() + Send>;

/// One rank's process.
pub(super) struct Seat {
    pub rank: Rank,
    line: Mutex<Line>,
    child: Mutex<Child>,
    world: Arc<dyn World>,
    lost: AtomicBool,
    /// Set before the process is told to stop: its end is no loss.
    ends: AtomicBool,
    alarm: Mutex<Option<Alarm>>,
    /// Its core, or why it keeps to none.
    pub pinned: OnceLock<Result<usize, String>>,
    /// Bytes of buffers that it keeps.
    kept: Mutex<Bytes>,
    /// The most memory that it had, once it has ended as it should.
    pub peak: OnceLock<Bytes>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seat of {}", self.rank)
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    pub(super) fn new(rank: Rank, stream: UnixStream, child: Child, world: Arc<dyn World>) -> Self {
        Self {
            rank,
            line: Mutex::new(Line::new(stream)),
            child: Mutex::new(child),
            world,
            lost: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            alarm: Mutex::new(None),
            pinned: OnceLock::new(),
            kept: Mutex::new(Bytes::ZERO),
            peak: OnceLock::new(),
        }
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        locked(&self.line)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn kept(&self) -> Bytes {
        *locked(&self.kept)
    }

    pub(super) fn keep(&self, bytes: Bytes) {
        *locked(&self.kept) = bytes;
    }

    /// Its process, while it is the driver's to end.
    pub(super) fn process(&self) -> u32 {
        locked(&self.child).id()
    }

    /// Sends the process SIGKILL, whatever it does.
    pub(super) fn kill(&self) -> io::Result<()> {
        // Does nothing to a process that was waited for, so it never reaches another one with its number.
        locked(&self.child).kill()
    }

    pub(super) fn watch(&self, alarm: Alarm) {
        *locked(&self.alarm) = Some(alarm);
    }

    /// Ends the process and waits until it is gone; then lets its peers know.
    pub(super) fn end(&self) {
        // Held to the end: whoever comes second finds that the peers can know, too.
        let mut child = locked(&self.child);
        // Both do nothing for a process that was waited for.
        let _ = child.kill();
        let _ = child.wait();
        if !self.ends.load(Ordering::Acquire) && !self.lost.swap(true, Ordering::AcqRel) {
            self.world.lost(self.rank);
        }
    }

    /// The connection is at its end: unless the process was told to stop, it is lost, and the run hears of it.
    pub(super) fn hung_up(&self) {
        if self.ends.load(Ordering::Acquire) {
            return;
        }
        self.end();
        if let Some(alarm) = locked(&self.alarm).take() {
            alarm();
        }
    }

    /// Loses the rank, as a thread that dies would.
    pub(super) fn lose(&self) -> ! {
        self.end();
        resume_unwind(Box::new(LoseRank))
    }

    /// What the connection gives; if it fails, the rank is lost.
    pub(super) fn held<T>(&self, result: io::Result<T>) -> T {
        result.unwrap_or_else(|_| self.lose())
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&self, question: &Down) -> Up {
        let answer = self.tell(question).and_then(|()| self.line().receive());
        self.held(answer)
    }

    pub(super) fn tell(&self, words: &impl Serialize) -> io::Result<()> {
        self.line().send(words, &[])
    }

    /// Lets the process end as it should, and waits for it; not for long: one that hangs is ended otherwise.
    pub(super) fn finish(&self) {
        if self.is_lost() || self.ends.swap(true, Ordering::AcqRel) {
            return;
        }
        let told = self.tell(&Down::Stop);
        if let Ok(Up::Ended(peak)) = told.and_then(|()| self.line().receive_within(ENDED)) {
            peak.map(|peak| self.peak.set(peak));
            let _ = locked(&self.child).wait();
        } else {
            self.ends.store(false, Ordering::Release);
            self.end();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both do nothing for a process that was waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
}
