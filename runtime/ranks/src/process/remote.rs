//! A rank's thread speaking for its process: tasks go there and come back, groups are formed there.
//!
//! Invariant: whatever ends the connection loses the rank, as if the thread had died.

use super::seat::Seat;
use super::words::{Down, Made, Part, Up};
use crate::compute::{ComputeError, Job, Output};
use crate::memory::{Buffer, OutOfMemory};
use crate::peers::{Ender, Groups, Peers};
use flexdit_comm::{Collectives, CommError};
use flexdit_core::{Group, Shape, Stage};
use std::io;
use std::sync::Arc;

/// The groups of a rank that is a process.
#[derive(Debug)]
pub(super) struct Remote {
    seat: Arc<Seat>,
    /// Number of the task that it is in.
    task: u64,
}

impl Remote {
    pub(super) fn new(seat: Arc<Seat>) -> Self {
        Self { seat, task: 0 }
    }

    fn refused(&self, doing: &str, message: String) -> CommError {
        CommError::System { rank: self.seat.rank, doing: doing.into(), message }
    }

    fn answer(&self, question: &Down) -> bool {
        match self.seat.ask(question) {
            Up::Answer(yes) => yes,
            _ => self.seat.lose(),
        }
    }
}

impl Groups for Remote {
    fn prebuild(&mut self, groups: &[Group]) -> Result<(), CommError> {
        match self.seat.ask(&Down::Prebuild(groups.into())) {
            Up::Prebuilt(done) => done.map_err(|why| self.refused("make its groups", why)),
            _ => self.seat.lose(),
        }
    }

    /// The process enters a task with the task itself, or with the news that it is given up.
    fn begin(&mut self, sequence: u64) -> Result<(), CommError> {
        self.task = sequence;
        Ok(())
    }

    fn on<'a>(&'a mut self, _group: &Group) -> Result<Box<dyn Collectives + 'a>, CommError> {
        Err(CommError::Unsupported("the groups of a rank that is a process are formed there alone"))
    }

    fn give_up(&mut self, group: &Group) {
        let told = self.seat.tell(&Down::GiveUp(self.task, group.clone()));
        self.seat.held(told);
    }

    fn can_reset(&mut self, group: &Group) -> bool {
        self.answer(&Down::CanReset(group.clone()))
    }

    fn reset(&mut self, group: &Group) -> Result<(), CommError> {
        match self.answer(&Down::Reset(group.clone())) {
            true => Ok(()),
            false => Err(self.refused("begin anew", "its process could not".into())),
        }
    }

    fn pinned(&self) -> Option<Result<usize, String>> {
        let unknown = || Err("its process never said".to_owned());
        Some(self.seat.pinned.get().cloned().unwrap_or_else(unknown))
    }

    fn watch(&mut self, lost: Box<dyn FnOnce() + Send>) {
        self.seat.watch(lost);
    }

    fn is_lost(&self) -> bool {
        self.seat.is_lost()
    }

    fn ender(&self) -> Option<Ender> {
        let seat = Arc::clone(&self.seat);
        // One that is gone needs no ending.
        Some(Box::new(move || drop(seat.kill())))
    }

    fn lose(&mut self) {
        self.seat.end();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.seat.end();
        } else {
            self.seat.finish();
        }
    }
}

/// Lets a rank's process warm up.
pub(super) fn warm_up(seat: &Seat, shapes: &[Shape]) -> Result<(), ComputeError> {
    match seat.ask(&Down::WarmUp(shapes.into())) {
        Up::Warm(done) => done.map_err(ComputeError::Kernel),
        _ => seat.lose(),
    }
}

/// Lets a rank's process run its part of a task.
pub(super) fn run(
    seat: &Seat,
    job: &Job<'_>,
    peers: &mut Peers<'_>,
) -> Result<Output, ComputeError> {
    match converse(seat, job, peers) {
        Ok(result) => result,
        Err(_) => seat.lose(),
    }
}

/// The error is the connection's.
fn converse(
    seat: &Seat,
    job: &Job<'_>,
    peers: &mut Peers<'_>,
) -> io::Result<Result<Output, ComputeError>> {
    let mut line = seat.line();
    let rows: Vec<&[u8]> = (0..job.rows.len()).map(|tensor| job.rows(tensor)).collect();
    let whole = job.whole.as_ref().filter(|_| job.task.stage == Stage::Denoise);
    let lengths = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).collect();
    let whole: Option<Vec<&[u8]>> = whole.map(|whole| whole.iter().map(Buffer::as_bytes).collect());
    let part = Part {
        task: job.task.clone(),
        request: *job.request,
        index: job.index,
        rows: lengths(&rows),
        whole: whole.as_deref().map(lengths),
    };
    let parts: Vec<&[u8]> = rows.into_iter().chain(whole.into_iter().flatten()).collect();
    line.send(&Down::Task(Box::new(part)), &parts)?;
    loop {
        match line.receive()? {
            Up::Step(step) => line.send(&Down::Step(job.step(step).is_ok()), &[])?,
            Up::Failed(fault) => return Ok(Err(fault.into())),
            Up::Done(Made { setup, kept, rows, whole }) => {
                peers.add_setup(setup);
                seat.keep(kept);
                let mut full = None;
                let mut buffers = |lengths: &[usize]| -> io::Result<Vec<Buffer>> {
                    let taken =
                        lengths.iter().map(|length| take(&mut line, job, *length, &mut full));
                    Ok(taken.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
                };
                let output = Output { rows: buffers(&rows)?, whole: buffers(&whole)? };
                return Ok(match full {
                    Some(full) => Err(ComputeError::OutOfMemory(full)),
                    None => Ok(output),
                });
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Takes a tensor into the rank's memory; what does not fit is let go.
fn take(
    line: &mut super::line::Line,
    job: &Job<'_>,
    bytes: usize,
    full: &mut Option<OutOfMemory>,
) -> io::Result<Option<Buffer>> {
    let fits = if full.is_none() {
        job.memory.zeroed(bytes).map_err(|error| *full = Some(error))
    } else {
        Err(())
    };
    match fits {
        Ok(mut buffer) => line.take(buffer.as_bytes_mut()).map(|()| Some(buffer)),
        Err(()) => line.skip(bytes as u64).map(|()| None),
    }
}
