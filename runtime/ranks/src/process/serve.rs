//! A rank's side: loads, joins, then runs its part of every task it is told, until the driver ends it or is gone.
//!
//! Invariant: it never outlives the driver: a thread waits for the other end of the connection to close.

use super::line::Line;
use super::words::{Down, Fault, Made, Part, Setup, Up};
use crate::artifact::State;
use crate::clock::Clock;
use crate::compute::{Compute, Input, Job, LoseRank, Output};
use crate::gate::Steps;
use crate::memory::{Buffer, RankMemory};
use crate::peers::{Groups, Peers};
use crate::pin;
use crate::tokens::Tokens;
use crate::worker::task::panic_text;
use flexdit_comm::CommError;
use flexdit_core::migration::layout_of;
use flexdit_core::{Bytes, Rank, Shape};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;

/// Runs this process as a rank to its end. Its standard input is the connection to the driver.
///
/// `load` makes the arithmetic of the driver's spec; `join` makes the way to the other ranks from their world's address, the own
/// rank and the number of ranks.
///
/// # Errors
/// If standard input is no such connection, or the driver says what it must not. If the driver is gone, the process ends.
pub fn serve(
    load: impl FnOnce(&str) -> Result<Arc<dyn Compute>, String>,
    join: impl FnOnce(&str, Rank, u16) -> Result<Box<dyn Groups>, CommError>,
) -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    if let Err(error) = stream.peer_addr() {
        let what =
            format!("standard input is no connection to a driver, which starts ranks: {error}");
        return Err(io::Error::new(error.kind(), what));
    }
    watch(stream.try_clone()?.into())?;
    let line = RefCell::new(Line::new(stream));
    let hear = || line.borrow_mut().receive::<Down>();
    let say = |words: &Up| line.borrow_mut().send(words, &[]);
    let Down::Setup(Setup { rank, world, pin, spec }) = hear()? else { return unexpected() };
    let compute = match load(&spec) {
        Ok(compute) => compute,
        Err(why) => return say(&Up::Loaded(Err(why))),
    };
    say(&Up::Loaded(Ok(())))?;
    let Down::Join(address) = hear()? else { return unexpected() };
    let joined = join(&address, rank, world);
    // Only now: what a world asks of the machine's cores is not about the one of this rank.
    let pinned = if pin { pin::to_core(rank.index()) } else { Err("not asked to".into()) };
    let groups = match joined {
        Ok(groups) => groups,
        Err(error) => return say(&Up::Joined { world: Err(error.to_string()), pinned }),
    };
    say(&Up::Joined { world: Ok(()), pinned })?;
    let memory = RankMemory::new(rank, None);
    let mut server = Server {
        rank,
        line: &line,
        compute,
        groups,
        memory,
        clock: Clock::start(),
        states: BTreeMap::new(),
    };
    loop {
        match server.step() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if is_end(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Whether an error of the connection says that the driver is gone.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn unexpected<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, "the driver says what nobody asked for"))
}

/// Ends the process as soon as the driver's end of the connection is closed, whatever the rank does then.
fn watch(socket: OwnedFd) -> io::Result<()> {
    let body = move || {
        loop {
            // A hang-up is always reported. What is said is for the rank to hear.
            let mut polled = [PollFd::new(&socket, PollFlags::empty())];
            match poll(&mut polled, None) {
                Err(Errno::INTR) => {}
                Ok(_) if polled[0].revents().is_empty() => {}
                // Whoever cannot watch must not go on unwatched.
                Ok(_) | Err(_) => std::process::exit(0),
            }
        }
    };
    Builder::new().name("driver-watch".into()).spawn(body).map(drop)
}

/// A rank at work.
struct Server<'a> {
    rank: Rank,
    line: &'a RefCell<Line>,
    compute: Arc<dyn Compute>,
    groups: Box<dyn Groups>,
    memory: Arc<RankMemory>,
    clock: Clock,
    states: BTreeMap<Shape, State>,
}

/// Asks the driver before every step but the first, which the driver has begun with the task.
struct Asking<'a>(&'a RefCell<Line>);

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asking")
    }
}

impl Steps for Asking<'_> {
    fn enter(&self, step: u32) -> bool {
        let mut line = self.0.borrow_mut();
        // A driver that does not answer is gone, and this process with it.
        step == 0
            || line
                .send(&Up::Step(step), &[])
                .and_then(|()| line.receive())
                .is_ok_and(|answer| matches!(answer, Down::Step(true)))
    }
}

impl Server<'_> {
    /// Does what it is told; false if that is to stop.
    fn step(&mut self) -> io::Result<bool> {
        let told = self.line.borrow_mut().receive()?;
        let answer = match told {
            Down::Task(part) => return self.task(&part).map(|()| true),
            Down::GiveUp(sequence, group) => {
                // A task that failed before it came here; of one that did come the number is known.
                let _ = self.groups.begin(sequence);
                self.groups.give_up(&group);
                return Ok(true);
            }
            Down::Prebuild(groups) => {
                Up::Prebuilt(self.groups.prebuild(&groups).map_err(|error| error.to_string()))
            }
            Down::WarmUp(shapes) => {
                let done = self.compute.warm_up(self.rank, &shapes);
                Up::Warm(done.map_err(|error| error.to_string()))
            }
            Down::CanReset(group) => Up::Answer(self.groups.can_reset(&group)),
            Down::Reset(group) => Up::Answer(self.groups.reset(&group).is_ok()),
            Down::Stop => Up::Ended(peak()),
            Down::Setup(_) | Down::Join(_) | Down::Step(_) => return unexpected(),
        };
        let goes_on = !matches!(answer, Up::Ended(_));
        self.line.borrow_mut().send(&answer, &[])?;
        Ok(goes_on)
    }

    /// Takes a part of a task, runs it, and says what came of it.
    fn task(&mut self, part: &Part) -> io::Result<()> {
        let rows = self.tensors(&part.rows)?;
        let whole = part.whole.as_deref().map(|whole| self.tensors(whole)).transpose()?;
        let rows = rows.into_iter().map(Input::Own).collect();
        let (output, setup) = match self.run(part, rows, whole.map(Into::into)) {
            Ok(made) => made,
            Err(fault) => return self.line.borrow_mut().send(&Up::Failed(fault), &[]),
        };
        let bytes = |buffers: &[Buffer]| buffers.iter().map(|b| b.as_bytes().len()).collect();
        let (rows, whole) = (bytes(&output.rows), bytes(&output.whole));
        let made = Made { setup, kept: self.compute.kept(self.rank), rows, whole };
        let all = output.rows.iter().chain(&output.whole);
        let parts: Vec<&[u8]> = all.map(Buffer::as_bytes).collect();
        self.line.borrow_mut().send(&Up::Done(made), &parts)
    }

    fn tensors(&self, lengths: &[usize]) -> io::Result<Vec<Buffer>> {
        let mut line = self.line.borrow_mut();
        let take = |length: &usize| {
            let mut buffer = self.memory.zeroed(*length).map_err(io::Error::other)?;
            line.take(buffer.as_bytes_mut())?;
            Ok(buffer)
        };
        lengths.iter().map(take).collect()
    }

    fn run(
        &mut self,
        part: &Part,
        rows: Vec<Input>,
        whole: Option<Arc<[Buffer]>>,
    ) -> Result<(Output, flexdit_core::Nanos), Fault> {
        let Part { task, request, index, .. } = part;
        if !self.states.contains_key(&request.shape) {
            self.states.insert(request.shape, self.compute.state(&request.shape)?);
        }
        let state = &self.states[&request.shape];
        let layout = layout_of(task.stage, task.parallelism);
        let tokens = Tokens::of(layout, state.grid, *index as u32 % layout.parts());
        self.groups.begin(task.id.0).map_err(crate::ComputeError::from)?;
        let job = Job {
            task,
            request,
            state,
            rank: self.rank,
            index: *index,
            tokens: &tokens,
            rows,
            whole,
            memory: &self.memory,
            gate: &Asking(self.line),
        };
        let mut peers = Peers::new(&mut *self.groups, task.active(), self.rank, self.clock);
        let compute = &self.compute;
        match catch_unwind(AssertUnwindSafe(|| compute.run(&job, &mut peers))) {
            Ok(Ok(output)) => Ok((output, peers.setup())),
            Ok(Err(error)) => Err(error.into()),
            // As if it had been killed: nothing is said, nothing is put in order.
            Err(payload) if payload.is::<LoseRank>() => std::process::exit(1),
            Err(payload) => Err(Fault::Kernel(panic_text(&*payload))),
        }
    }
}

/// The most memory that this process had at one time; `None` where the system does not tell.
fn peak() -> Option<Bytes> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib * 1024))
}
