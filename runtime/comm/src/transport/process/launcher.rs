//! What the caller holds of a world of processes: it starts them, waits for them, and ends those that are left.
//!
//! Invariant: after it is dropped there is no process that it started, no socket, no memory and no thread of its.

use super::Bootstrap;
use super::join::timespec;
use super::monitor::{Monitor, Progress};
use super::segment;
use crate::config::WorldConfig;
use crate::error::CommError;
use crate::graph;
use crate::mapped::{Mapped, clock};
use crate::membership::bit;
use crate::memory::{Memory as _, RankState};
use flexdit_core::{Group, Rank};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Starts the ranks of a world, lets them join, and watches over them. Keep it as long as they take part: they do not go on
/// without it. Dropping it ends the processes that it started and that still run, by SIGKILL.
///
/// The [module](super) has an example.
#[derive(Debug)]
pub struct Launcher {
    bootstrap: Bootstrap,
    memory: Arc<Mapped>,
    progress: Arc<Progress>,
    stop: Arc<OwnedFd>,
    /// By rank; empty if somebody else starts them.
    children: Vec<Child>,
    monitor: Option<JoinHandle<()>>,
}

/// Where processes are not reported when they end, they are looked at so often.
const LOOK: Duration = Duration::from_millis(10);

impl Launcher {
    /// Starts one process per rank, in order. Each must call [`join`](super::join) with the address of the bootstrap, its rank and
    /// the same settings. `command` may start it through another program, if that one lives as long.
    ///
    /// Returns when they are started; [`joined`](Self::joined) waits until they have joined.
    ///
    /// # Errors
    ///
    /// [`CommError::BadWorld`] if a setting is out of range; [`CommError::System`]. No process is left then.
    pub fn start(
        config: &WorldConfig,
        mut command: impl FnMut(Rank, &Bootstrap) -> Command,
    ) -> Result<Self, CommError> {
        let (mut launcher, monitor) = Self::prepare(config)?;
        for rank in (0..config.ranks as u16).map(Rank) {
            let child = command(rank, &launcher.bootstrap).spawn().map_err(|error| {
                let (doing, message) = ("start its process".to_owned(), error.to_string());
                CommError::System { rank, doing, message }
            })?;
            launcher.children.push(child);
        }
        launcher.watch(monitor)
    }

    /// Waits for ranks that somebody else starts, on this machine, as this user and in the same namespaces of network and
    /// processes.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn listen(config: &WorldConfig) -> Result<Self, CommError> {
        let (launcher, monitor) = Self::prepare(config)?;
        launcher.watch(monitor)
    }

    /// Makes the memory and the socket. Processes may connect from now on; they are answered once the monitor runs.
    fn prepare(config: &WorldConfig) -> Result<(Self, Monitor), CommError> {
        config.check()?;
        let file = segment::create(config).map_err(system("make the world's memory"))?;
        let memory = segment::map(&file, config).map_err(system("map the world's memory"))?;
        let (listener, address) = listen().map_err(system("listen for ranks"))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(system("make an event"))?;
        let (memory, stop, progress) = (Arc::new(memory), Arc::new(stop), Arc::default());
        let launcher = Self {
            bootstrap: Bootstrap { address },
            memory: Arc::clone(&memory),
            progress: Arc::clone(&progress),
            stop: Arc::clone(&stop),
            children: Vec::new(),
            monitor: None,
        };
        let monitor = Monitor {
            config: Arc::new(config.clone()),
            memory,
            progress,
            stop,
            listener: Some(listener),
            file: Some(file),
            children: Vec::new(),
        };
        Ok((launcher, monitor))
    }

    fn watch(mut self, mut monitor: Monitor) -> Result<Self, CommError> {
        monitor.children = self.children.iter().map(end_of).collect();
        let thread = std::thread::Builder::new().name("launcher".into());
        let thread = thread.spawn(move || monitor.run()).map_err(|error| {
            system("start a thread")(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
        })?;
        self.monitor = Some(thread);
        Ok(self)
    }

    /// What ranks need to join.
    pub fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }

    /// Returns when all ranks have joined; takes at most the time-out.
    ///
    /// # Errors
    ///
    /// [`CommError::Join`], which every rank gets too.
    pub fn joined(&self) -> Result<(), CommError> {
        self.progress.outcome()
    }

    /// The ranks that take part now, in order.
    pub fn present(&self) -> Group {
        let ranks = (0..self.memory.ranks() as u16).map(Rank);
        let present = ranks.filter(|rank| self.memory.state(*rank) == RankState::Alive);
        graph::ranks(present.fold(0, |mask, rank| mask | bit(rank)))
    }

    /// The process of a rank, if this launcher started it: to read what it prints, to kill it.
    pub fn child(&mut self, rank: Rank) -> Option<&mut Child> {
        self.children.get_mut(rank.index())
    }

    /// Waits until all processes have ended, at most so long, and returns how each did, by rank; `None` for one that still runs.
    ///
    /// # Errors
    ///
    /// [`CommError::System`].
    pub fn wait(&mut self, most: Duration) -> Result<Vec<Option<ExitStatus>>, CommError> {
        let begun = clock();
        loop {
            let ended: Result<Vec<_>, _> = self.children.iter_mut().map(Child::try_wait).collect();
            let ended = ended.map_err(|error| {
                system("wait for a process")(Errno::from_io_error(&error).unwrap_or(Errno::CHILD))
            })?;
            let left = most.saturating_sub(clock().saturating_duration_since(begun));
            if left.is_zero() || ended.iter().all(Option::is_some) {
                return Ok(ended);
            }
            let running = self.children.iter().zip(&ended).filter(|(_, ended)| ended.is_none());
            let ends: Vec<Option<OwnedFd>> = running.map(|(child, _)| end_of(child)).collect();
            let left = if ends.iter().all(Option::is_some) { left } else { left.min(LOOK) };
            let poll_for = |end| PollFd::new(end, PollFlags::IN);
            let mut polled: Vec<PollFd<'_>> = ends.iter().flatten().map(poll_for).collect();
            // Whatever it says, the next round looks.
            let _ = poll(&mut polled, Some(&timespec(left)));
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both do nothing for a process that has been waited for, so they never reach another one with its number.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(monitor) = self.monitor.take()
            && rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).is_ok()
        {
            let _ = monitor.join();
        }
    }
}

/// A socket under a name that the kernel picks, and that name.
fn listen() -> Result<(OwnedFd, String), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new_unnamed())?;
    rustix::net::listen(&socket, 2 * Group::MAX as i32)?;
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(&socket)?)?;
    let name = address.abstract_name().ok_or(Errno::ADDRNOTAVAIL)?;
    Ok((socket, format!("@{}", String::from_utf8_lossy(name))))
}

/// A file that is readable when a child has ended, where the kernel offers it. The child was not waited for, so its number is
/// still its own.
fn end_of(child: &Child) -> Option<OwnedFd> {
    let process = Pid::from_raw(child.id().cast_signed())?;
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// What the system refused the launcher.
fn system(doing: &'static str) -> impl Fn(Errno) -> CommError {
    move |error| CommError::Launch { doing, message: error.to_string() }
}
