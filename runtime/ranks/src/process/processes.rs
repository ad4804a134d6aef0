//! The driver's side: starts a process for every rank, is the seam to their arithmetic and their groups, and ends them.
//!
//! Invariant: after it is dropped, none of its processes is left, running or dead.

use super::World;
use super::remote::{self, Remote};
use super::seat::Seat;
use super::watch::Watch;
use super::words::{Down, Setup, Up};
use crate::artifact::State;
use crate::compute::{Compute, ComputeError, Job, Output};
use crate::memory::{Buffer, RankMemory};
use crate::peers::{Fabric, Groups, Peers};
use crate::tokens::Tokens;
use flexdit_comm::CommError;
use flexdit_core::{Bytes, Rank, Request, Shape};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Why a world of processes did not begin. None of them is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refused something.
    #[error("{rank}: {doing}: {source}")]
    System {
        /// For which rank.
        rank: Rank,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The world in which ranks find each other cannot be made.
    #[error(transparent)]
    World(#[from] CommError),
    /// A process ended, or said something else than was asked.
    #[error("{rank}: its process ended before the run began")]
    Ended {
        /// Whose.
        rank: Rank,
    },
    /// A process cannot compute or not join.
    #[error("{rank}: {why}")]
    Refused {
        /// Whose.
        rank: Rank,
        /// What it said.
        why: String,
    },
}

/// What processes are started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ranks, 1 to 64.
    pub world: u16,
    /// Whether each process keeps to one core; what the system refuses is reported, not fatal.
    pub pin: bool,
    /// What each computes with, in the words of the program that calls [`serve`](super::serve).
    pub spec: String,
}

/// Ranks that are processes. It ends them when it is dropped.
///
/// A [`Driver`](crate::Driver) takes it both as its arithmetic and as its fabric, for one run:
///
/// ```no_run
/// # use flexdit_core::{System, Workload};
/// # use flexdit_core::model::model;
/// use flexdit_ranks::process::{Processes, Settings, SharedWorld, serve};
/// use flexdit_ranks::synthetic::Synthetic;
/// use flexdit_ranks::{Compute, Driver, GroupFree, Options};
/// use std::{process::Command, sync::Arc};
///
/// # fn run(system: &mut dyn System, workload: Workload) -> Result<(), Box<dyn std::error::Error>> {
/// let compute = || Arc::new(Synthetic::new(vec![model("qwen-image").expect("listed")], 4)) as Arc<dyn Compute>;
/// // One program, two roles: `this rank` is a rank.
/// let mut arguments = std::env::args();
/// let this = arguments.next().expect("a name");
/// if arguments.next().is_some_and(|role| role == "rank") {
///     let join = |address: &str, rank, world| GroupFree::default().join(address, rank, world);
///     return Ok(serve(|_| Ok(compute()), join)?);
/// }
/// let settings = Settings { world: 2, pin: true, spec: String::new() };
/// let shared = Arc::new(SharedWorld::new(2, &GroupFree::default()));
/// let ranks = Processes::start(&settings, compute(), shared, |_| {
///     let mut command = Command::new(&this);
///     command.arg("rank");
///     command
/// })?;
/// let ranks = Arc::new(ranks);
/// let driver = Driver::new(Options::new(2), Arc::clone(&ranks) as Arc<dyn Compute>, &*ranks);
/// driver.run(system, workload, &mut (), &mut ())?;
/// # Ok(())
/// # }
/// ```
pub struct Processes {
    seats: Vec<Arc<Seat>>,
    /// What needs no process: shapes, noise.
    local: Arc<dyn Compute>,
    _watch: Watch,
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("seats", &self.seats).finish_non_exhaustive()
    }
}

impl Processes {
    /// Starts a process for every rank with the command given for it, and returns when all have loaded their models and joined
    /// their world. A command's standard input and output are set here; its process is in a group of its own, so a signal from the
    /// terminal reaches the driver alone.
    ///
    /// `local` is asked for what needs no process: the state of shapes, and rows of noise.
    ///
    /// # Errors
    /// [`StartError`]; no process is left then.
    pub fn start(
        settings: &Settings,
        local: Arc<dyn Compute>,
        world: Arc<dyn World>,
        mut command: impl FnMut(Rank) -> Command,
    ) -> Result<Self, StartError> {
        let mut seats = Vec::with_capacity(usize::from(settings.world));
        let mut ends = Vec::with_capacity(seats.capacity());
        for rank in (0..settings.world).map(Rank) {
            let begun = begin(rank, command(rank), &world);
            let (end, seat) =
                begun.map_err(|(doing, source)| StartError::System { rank, doing, source })?;
            let seat = Arc::new(seat);
            ends.push((end, Arc::clone(&seat)));
            seats.push(seat);
        }
        for seat in &seats {
            let Settings { world, pin, spec } = settings.clone();
            say(seat, &Down::Setup(Setup { rank: seat.rank, world, pin, spec }))?;
        }
        for seat in &seats {
            match hear(seat)? {
                Up::Loaded(loaded) => loaded.map_err(|why| refused(seat, why))?,
                _ => return Err(StartError::Ended { rank: seat.rank }),
            }
        }
        // Only now: nobody's time-out runs while another one loads.
        let address = world.open()?;
        for seat in &seats {
            say(seat, &Down::Join(address.clone()))?;
        }
        for seat in &seats {
            match hear(seat)? {
                Up::Joined { world, pinned } => {
                    world.map_err(|why| refused(seat, why))?;
                    seat.pinned.get_or_init(|| pinned);
                }
                _ => return Err(StartError::Ended { rank: seat.rank }),
            }
        }
        let watch = Watch::start(ends).map_err(|source| StartError::System {
            rank: Rank(0),
            doing: "watch the processes",
            source,
        })?;
        Ok(Self { seats, local, _watch: watch })
    }

    /// The number of a rank's process. Once the rank is lost or the run is over, the system may give it to another.
    pub fn process(&self, rank: Rank) -> u32 {
        self.seats[rank.index()].process()
    }

    /// Sends a rank's process SIGKILL, whatever it does. Nothing happens to one that has ended.
    ///
    /// # Errors
    /// What the system said.
    pub fn kill(&self, rank: Rank) -> io::Result<()> {
        self.seats[rank.index()].kill()
    }

    /// The most memory that a rank's process had (its high-water mark), by rank, once the run is over; `None` for one that was
    /// lost, or where the system does not tell.
    pub fn peaks(&self) -> Vec<Option<Bytes>> {
        self.seats.iter().map(|seat| seat.peak.get().copied()).collect()
    }
}

type Refusal = (&'static str, io::Error);

/// Starts one process; also returns the connection once more, to be watched.
fn begin(
    rank: Rank,
    mut command: Command,
    world: &Arc<dyn World>,
) -> Result<(OwnedFd, Seat), Refusal> {
    let (here, there) = UnixStream::pair().map_err(|error| ("make a socket", error))?;
    let end = here.try_clone().map_err(|error| ("copy a socket", error))?;
    command.stdin(Stdio::from(OwnedFd::from(there))).stdout(Stdio::null()).process_group(0);
    let child = command.spawn().map_err(|error| ("start its process", error))?;
    Ok((end.into(), Seat::new(rank, here, child, Arc::clone(world))))
}

fn say(seat: &Seat, words: &Down) -> Result<(), StartError> {
    seat.tell(words).map_err(|_| StartError::Ended { rank: seat.rank })
}

fn hear(seat: &Seat) -> Result<Up, StartError> {
    seat.line().receive().map_err(|_| StartError::Ended { rank: seat.rank })
}

fn refused(seat: &Seat, why: String) -> StartError {
    StartError::Refused { rank: seat.rank, why }
}

impl Fabric for Processes {
    fn ranks(&self, world: u16) -> Result<Vec<Box<dyn Groups>>, CommError> {
        if usize::from(world) != self.seats.len() {
            let count = self.seats.len();
            return Err(CommError::BadWorld(format!("{count} processes for a world of {world}")));
        }
        let remote = |seat: &Arc<Seat>| Box::new(Remote::new(Arc::clone(seat))) as Box<dyn Groups>;
        Ok(self.seats.iter().map(remote).collect())
    }
}

impl Compute for Processes {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        self.local.state(shape)
    }

    fn run(&self, job: &Job<'_>, peers: &mut Peers<'_>) -> Result<Output, ComputeError> {
        remote::run(&self.seats[job.rank.index()], job, peers)
    }

    fn initial(
        &self,
        request: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        self.local.initial(request, tokens, memory)
    }

    fn warm_up(&self, rank: Rank, shapes: &[Shape]) -> Result<(), ComputeError> {
        remote::warm_up(&self.seats[rank.index()], shapes)
    }

    fn kept(&self, rank: Rank) -> Bytes {
        self.seats[rank.index()].kept()
    }
}
