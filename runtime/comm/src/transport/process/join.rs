//! A rank's side: say hello, get the memory, be ready, go on with all others; then watch for the launcher's end.
//!
//! Invariant: as long as the rank takes part its socket is open, and when it no longer is, the kernel has closed it.

use super::segment;
use super::wire::{self, Answer};
use crate::config::WorldConfig;
use crate::endpoint::Endpoint;
use crate::error::CommError;
use crate::mapped::{Mapped, clock};
use flexdit_core::Rank;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, Result as SystemResult};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Joins a world as one of its ranks, and returns when all have joined. At most one endpoint per rank; several ranks may be
/// threads of one process.
///
/// # Errors
///
/// [`CommError::BadWorld`] if a setting is out of range; [`CommError::Join`], the same on all ranks, if one differs, is there twice, ends
/// or does not come; [`CommError::LauncherLost`]; [`CommError::System`], also if nothing is heard within the time-out.
pub fn join(address: &str, rank: Rank, config: &WorldConfig) -> Result<Endpoint, CommError> {
    config.check()?;
    let begun = clock();
    let system = |doing: &str| {
        let doing = doing.to_owned();
        move |error: Errno| CommError::System { rank, doing, message: error.to_string() }
    };
    let socket = connect(address, config.timeout).map_err(system("connect to the launcher"))?;
    say(&socket, &wire::hello(rank, std::process::id(), config))
        .map_err(system("say hello to the launcher"))?;
    let memory = match hear(&socket, rank, begun, config.timeout)? {
        (Answer::Fault(fault), _) => return Err(CommError::Join(fault)),
        (Answer::Welcome, Some(file)) => {
            segment::map(file, config).map_err(system("map the world's memory"))?
        }
        _ => return Err(system("get the world's memory")(Errno::BADMSG)),
    };
    let memory = Arc::new(memory);
    segment::touch(&memory, config);
    let watch = Watch::start(socket, Arc::clone(&memory), rank, config.lanes);
    let watch = watch.map_err(system("watch the launcher"))?;
    let tie = Arc::clone(&watch.tie);
    let config = Arc::new(config.clone());
    let endpoint = Endpoint::join(memory, rank, &config, Some(Box::new(watch)));
    say(&tie.socket, &wire::READY).map_err(system("say to the launcher that it is ready"))?;
    match hear(&tie.socket, rank, begun, config.timeout)? {
        (Answer::Fault(fault), _) => return Err(CommError::Join(fault)),
        (Answer::Go, _) => {}
        _ => return Err(system("join the others")(Errno::BADMSG)),
    }
    Ok(endpoint)
}

/// Sends words. If the launcher has closed its end, what it said before tells why, and is heard next.
fn say(socket: &OwnedFd, words: &[u64]) -> SystemResult<()> {
    match wire::send(socket, words, None) {
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        outcome => outcome,
    }
}

/// A connection to the launcher, which must be the same user's and in the same namespace of processes.
pub(super) fn connect(address: &str, timeout: Duration) -> SystemResult<OwnedFd> {
    let name = address.strip_prefix('@').ok_or(Errno::INVAL)?;
    let to = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    let (family, kind, flags) = (AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    // Connecting waits while the launcher's queue is full. Neither 0 nor for ever can be said to the socket.
    let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(24 * 3600));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
    rustix::net::connect(&socket, &to)?;
    if sockopt::socket_peercred(&socket)?.uid != rustix::process::geteuid() {
        return Err(Errno::ACCESS);
    }
    Ok(socket)
}

/// The launcher's next answer.
fn hear(
    socket: &OwnedFd,
    rank: Rank,
    begun: Instant,
    timeout: Duration,
) -> Result<(Answer, Option<OwnedFd>), CommError> {
    let unheard = |error: Errno| CommError::System {
        rank,
        doing: "hear from the launcher".to_owned(),
        message: error.to_string(),
    };
    loop {
        let left = timeout.saturating_sub(clock().saturating_duration_since(begun));
        let mut ready = [PollFd::new(socket, PollFlags::IN)];
        let heard = match poll(&mut ready, Some(&timespec(left))) {
            Ok(0) => Err(Errno::TIMEDOUT),
            Ok(_) => wire::receive(socket),
            Err(error) => Err(error),
        };
        let (words, file) = match heard {
            // A reset is reported once, ahead of what was said before it.
            Err(Errno::INTR | Errno::CONNRESET) => continue,
            heard => heard.map_err(unheard)?,
        };
        if words.is_empty() {
            return Err(CommError::LauncherLost { rank });
        }
        let answer = Answer::decode(&words).ok_or_else(|| unheard(Errno::BADMSG))?;
        return Ok((answer, file));
    }
}

/// A duration for `poll`.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// What ties a rank to its launcher.
struct Tie {
    socket: OwnedFd,
    /// Readable when the rank has left.
    left: OwnedFd,
}

/// A thread that notices the launcher's end, for as long as this lives.
struct Watch {
    tie: Arc<Tie>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(socket: OwnedFd, memory: Arc<Mapped>, rank: Rank, lanes: usize) -> SystemResult<Self> {
        let left = eventfd(0, EventfdFlags::CLOEXEC)?;
        let tie = Arc::new(Tie { socket, left });
        let watched = Arc::clone(&tie);
        let body = move || {
            if watched.outlives_launcher() {
                memory.end(rank, lanes);
            }
        };
        let thread = std::thread::Builder::new().name(format!("watch {rank}")).spawn(body);
        let thread =
            thread.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Self { tie, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Adding to a counter of 0 cannot fail; and if it did, the thread would end with the launcher.
        if rustix::io::write(&self.tie.left, &1_u64.to_ne_bytes()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl Tie {
    /// Waits until the launcher is gone (true) or the rank has left (false).
    fn outlives_launcher(&self) -> bool {
        loop {
            // A hang-up is always reported. Answers are left for `hear`.
            let socket = PollFd::new(&self.socket, PollFlags::empty());
            let mut ready = [socket, PollFd::new(&self.left, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) if !ready[1].revents().is_empty() => return false,
                Ok(_) if !ready[0].revents().is_empty() => return true,
                Ok(_) | Err(Errno::INTR) => {}
                // Whoever cannot watch must not go on unwatched.
                Err(_) => return true,
            }
        }
    }
}
