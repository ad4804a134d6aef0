//! The launcher's thread: lets ranks join together, then notices those that are gone.
//!
//! Invariant: a rank is marked as lost only when its process can no longer touch the memory. The kernel closes a process's socket
//! and reports its end when all its threads have let go of the memory.

use super::join::timespec;
use super::wire::{self, Answer};
use crate::config::WorldConfig;
use crate::error::{CommError, JoinFault};
use crate::graph;
use crate::layout::{Header, MAGIC, VERSION};
use crate::mapped::{Mapped, clock};
use crate::membership::bit;
use crate::memory::{Memory as _, RankState};
use flexdit_core::Rank;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, sockopt};
use rustix::process::{PidfdFlags, pidfd_open};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// How far joining has come; what the monitor tells the launcher.
#[derive(Debug, Default)]
pub(super) struct Progress {
    outcome: Mutex<Option<Result<(), CommError>>>,
    changed: Condvar,
}

impl Progress {
    /// Waits until all have joined, or nobody will.
    pub(super) fn outcome(&self) -> Result<(), CommError> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self.changed.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, result: Result<(), CommError>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.get_or_insert(result);
        self.changed.notify_all();
    }
}

/// Says so if the monitor ends for a reason of its own, so that nobody waits for it.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        let why = "the world ended before all ranks had joined".to_owned();
        self.0.set(Err(CommError::BadWorld(why)));
    }
}

/// A process that has connected.
struct Connection {
    socket: OwnedFd,
    /// Readable when the process has ended; `None` if the kernel does not offer it.
    process: Option<OwnedFd>,
    /// Once it has said hello.
    rank: Option<Rank>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not all have said hello.
    Gathering,
    /// All agree; not all have mapped the memory.
    Mapping,
    Joined,
    /// Those who come late are told why.
    Failed,
}

/// What a poll was for.
#[derive(Clone, Copy)]
enum Source {
    Stop,
    Listener,
    Connection(usize),
    Child(usize),
}

pub(super) struct Monitor {
    pub config: Arc<WorldConfig>,
    pub memory: Arc<Mapped>,
    pub progress: Arc<Progress>,
    /// Readable when the launcher is dropped.
    pub stop: Arc<OwnedFd>,
    /// Closed once all have joined.
    pub listener: Option<OwnedFd>,
    /// The memory, to be handed out.
    pub file: Option<OwnedFd>,
    /// Processes that were started, by rank, until they end.
    pub children: Vec<Option<OwnedFd>>,
}

/// The monitor at work.
struct Work {
    monitor: Monitor,
    phase: Phase,
    fault: Option<JoinFault>,
    connections: Vec<Option<Connection>>,
    /// Ranks that have said hello, that are ready, and that were told of the fault; as bits.
    came: u64,
    ready: u64,
    told: u64,
    begun: Instant,
}

impl Monitor {
    /// Runs until the launcher is dropped, or everybody knows that nobody joins.
    pub(super) fn run(self) {
        let _ending = Ending(Arc::clone(&self.progress));
        let mut work = Work {
            monitor: self,
            phase: Phase::Gathering,
            fault: None,
            connections: Vec::new(),
            came: 0,
            ready: 0,
            told: 0,
            begun: clock(),
        };
        while work.step() {}
    }
}

impl Work {
    /// All ranks of the world, as bits.
    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.monitor.config.ranks)
    }

    /// Waits for something and handles it; whether there is more to do.
    fn step(&mut self) -> bool {
        // Not before they have hung up: to close a socket that something was sent to would cut short what it was told.
        let listens = |connection: &Connection| connection.rank.is_some();
        let told = self.told == self.all() && !self.connections.iter().flatten().any(listens);
        if self.phase == Phase::Failed && told {
            return false;
        }
        let waited = clock().saturating_duration_since(self.begun);
        let left = self.monitor.config.timeout.saturating_sub(waited);
        if left.is_zero() && self.phase != Phase::Joined {
            if self.phase == Phase::Failed {
                return false;
            }
            let missing = graph::ranks(self.all() & !self.ready);
            self.fail(JoinFault::Missing { missing, waited });
        }
        let timeout = (self.phase != Phase::Joined).then(|| timespec(left));
        let Some(sources) = self.poll(timeout.as_ref()) else { return false };
        for source in sources {
            match source {
                Source::Stop => return false,
                Source::Listener => self.accept(),
                Source::Connection(at) => self.hear(at),
                Source::Child(rank) => self.child_ended(rank),
            }
        }
        true
    }

    /// What is ready; `None` if polling is impossible.
    fn poll(&self, timeout: Option<&rustix::event::Timespec>) -> Option<Vec<Source>> {
        let mut polled = vec![(&*self.monitor.stop, Source::Stop)];
        polled.extend(self.monitor.listener.iter().map(|socket| (socket, Source::Listener)));
        for (at, connection) in self.connections.iter().enumerate() {
            let Some(connection) = connection else { continue };
            polled.push((&connection.socket, Source::Connection(at)));
            polled.extend(connection.process.iter().map(|end| (end, Source::Connection(at))));
        }
        for (rank, child) in self.monitor.children.iter().enumerate() {
            polled.extend(child.iter().map(|child| (child, Source::Child(rank))));
        }
        let mut ready: Vec<PollFd<'_>> =
            polled.iter().map(|(file, _)| PollFd::new(*file, PollFlags::IN)).collect();
        match poll(&mut ready, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        let sources = polled.iter().zip(&ready).filter(|(_, ready)| !ready.revents().is_empty());
        Some(sources.map(|((_, source), _)| *source).collect())
    }

    /// Takes in a process that connects, if it is of the same user.
    fn accept(&mut self) {
        let Some(listener) = &self.monitor.listener else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Whoever connected and is gone again, or cannot be served for lack of files, counts as not having come.
        let Ok(socket) = rustix::net::accept_with(listener, flags) else { return };
        let Ok(peer) = sockopt::socket_peercred(&socket) else { return };
        if peer.uid != rustix::process::geteuid() {
            return;
        }
        // If the process is gone by now, its socket is at its end whosever number it is.
        let process = pidfd_open(peer.pid, PidfdFlags::empty()).ok();
        self.connections.push(Some(Connection { socket, process, rank: None }));
    }

    /// A connection has said something, or is at its end.
    fn hear(&mut self, at: usize) {
        let Some(connection) = &self.connections[at] else { return };
        let words = match wire::receive(&connection.socket) {
            Ok((words, _)) if !words.is_empty() => words,
            // The end of its process, seen before its socket's.
            Err(Errno::AGAIN) if connection.has_ended() => return self.lose(at),
            Err(Errno::AGAIN | Errno::INTR) => return,
            _ => return self.lose(at),
        };
        match (self.phase, connection.rank) {
            (Phase::Gathering | Phase::Mapping, None) => self.greet(at, &words),
            (Phase::Mapping, Some(rank)) if words == wire::READY => self.make_ready(rank),
            (Phase::Failed, None) => {
                let connection = self.connections[at].as_mut().expect("heard from");
                connection.rank = Some(wire::sender(&words));
                self.tell_fault(at);
            }
            // Nothing more is to be said. It is still there, so it is not lost.
            (Phase::Joined | Phase::Failed, _) => {}
            (Phase::Gathering | Phase::Mapping, Some(_)) => self.lose(at),
        }
    }

    /// Judges a hello.
    fn greet(&mut self, at: usize, words: &[u64]) {
        let rank = wire::sender(words);
        self.connections[at].as_mut().expect("heard from").rank = Some(rank);
        let ranks = self.monitor.config.ranks;
        let fault = wire::difference(words, &self.monitor.config).or_else(|| {
            if rank.index() >= ranks {
                return Some(JoinFault::Outside { rank, ranks });
            }
            (self.came & bit(rank) != 0).then_some(JoinFault::Twice { rank })
        });
        if let Some(fault) = fault {
            return self.fail(fault);
        }
        self.came |= bit(rank);
        if self.came == self.all() {
            self.phase = Phase::Mapping;
            self.tell_all(&Answer::Welcome);
        }
    }

    /// A rank has mapped the memory and is alive.
    fn make_ready(&mut self, rank: Rank) {
        self.ready |= bit(rank);
        if self.ready != self.all() {
            return;
        }
        if let Some(fault) = self.check_headers() {
            return self.fail(fault);
        }
        // Before the ranks go on: whoever hears of them finds the world joined.
        self.phase = Phase::Joined;
        self.monitor.progress.set(Ok(()));
        (self.monitor.file, self.monitor.listener) = (None, None);
        self.tell_all(&Answer::Go);
    }

    /// The first header that is not as it should be.
    fn check_headers(&self) -> Option<JoinFault> {
        let config = &self.monitor.config;
        let words = [
            (Header::Magic, "magic", MAGIC),
            (Header::Version, "version", VERSION),
            (Header::Nonce, "nonce", config.nonce),
            (Header::Config, "config hash", config.hash()),
        ];
        (0..config.ranks as u16).map(Rank).find_map(|rank| {
            words.iter().find_map(|(word, setting, ours)| {
                let (theirs, ours) = (self.monitor.memory.header(rank, *word), *ours);
                (theirs != ours).then_some(JoinFault::Differs { rank, setting, theirs, ours })
            })
        })
    }

    fn tell_all(&mut self, answer: &Answer) {
        let file = matches!(answer, Answer::Welcome).then_some(self.monitor.file.as_ref());
        for connection in self.connections.iter().flatten().filter(|c| c.rank.is_some()) {
            let file = file.flatten().map(OwnedFd::as_fd);
            // Whoever cannot be told is at its end, which the next poll reports.
            let _ = wire::send(&connection.socket, &answer.encode(), file);
        }
    }

    /// Tells everybody that nobody joins.
    fn fail(&mut self, fault: JoinFault) {
        if matches!(self.phase, Phase::Joined | Phase::Failed) {
            return;
        }
        self.phase = Phase::Failed;
        self.monitor.progress.set(Err(CommError::Join(fault.clone())));
        self.fault = Some(fault);
        (0..self.connections.len()).for_each(|at| self.tell_fault(at));
    }

    /// Tells one that has said hello.
    fn tell_fault(&mut self, at: usize) {
        let Some(fault) = &self.fault else { return };
        let Some(Connection { socket, rank: Some(rank), .. }) = &self.connections[at] else {
            return;
        };
        let _ = wire::send(socket, &Answer::Fault(fault.clone()).encode(), None);
        if rank.index() < self.monitor.config.ranks {
            self.told |= bit(*rank);
        }
    }

    /// A connection is at its end.
    fn lose(&mut self, at: usize) {
        let Some(Connection { rank: Some(rank), .. }) = self.connections[at].take() else { return };
        if self.phase == Phase::Joined {
            let (memory, lanes) = (&self.monitor.memory, self.monitor.config.lanes);
            if memory.state(rank) != RankState::Closed {
                memory.set_state(rank, RankState::Lost, lanes);
            }
        } else {
            self.fail(JoinFault::Ended { rank });
        }
    }

    /// A process that was started has ended. If it came, its connection tells the rest.
    fn child_ended(&mut self, rank: usize) {
        self.monitor.children[rank] = None;
        let rank = Rank(rank as u16);
        if self.came & bit(rank) == 0 {
            self.told |= bit(rank);
            self.fail(JoinFault::Ended { rank });
        }
    }
}

impl Connection {
    /// Whether the process has ended.
    fn has_ended(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let mut ready = [PollFd::new(process, PollFlags::IN)];
        let at_once = timespec(std::time::Duration::ZERO);
        matches!(poll(&mut ready, Some(&at_once)), Ok(1))
    }
}
