//! A world whose ranks are processes: starts them, is their barrier, and collects what they found. Linux only.
//!
//! The benchmark listens under an abstract name and speaks only with processes of its own user. A rank that ends
//! without a word stops the run; dropping the world ends its processes.

use super::clock::Moment;
use super::gate::{Doorman, SOCKET_LEAD_NS, Seat, Stopped};
use super::launch::{BenchError, Contestant, Setting};
use super::measure::{RankError, RankSamples};
use super::plan::Plan;
use super::threads::collect;
use super::wire::{self, Down, Job, Up};
use super::{machine, rank_process};
use flexdit_baselines::communicator::Store;
use flexdit_comm::transport::process::Launcher;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::hash::{BuildHasher as _, RandomState};
use std::io::BufReader;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

/// Ranks that have not come after so long do not come.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Whatever ends the processes when it is dropped.
enum Started {
    Launcher(#[expect(dead_code, reason = "kept for its drop")] Launcher),
    Children(Vec<Child>),
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Self::Children(children) = self {
            for child in children {
                // Both do nothing for a process that was waited for.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn setup(doing: &str) -> impl Fn(std::io::Error) -> BenchError {
    move |error| BenchError::Setup(format!("{doing}: {error}"))
}

/// Runs `plan` on one process a rank.
///
/// # Errors
/// If the world does not start, or the first failure of a rank that is not the consequence of another's.
pub fn run(
    contestant: Contestant,
    plan: &Plan,
    setting: &Setting,
) -> Result<Vec<RankSamples>, BenchError> {
    let name = format!(
        "flexdit-bench-{}-{:016x}",
        std::process::id(),
        RandomState::new().hash_one(plan.seed)
    );
    let address = SocketAddr::from_abstract_name(&name).map_err(setup("naming a socket"))?;
    let listener = UnixListener::bind_addr(&address).map_err(setup("listening for ranks"))?;
    let store = match contestant {
        Contestant::CommunicatorTcpProcess => {
            let store = Store::serve("127.0.0.1:0");
            Some(store.map_err(|error| BenchError::Setup(format!("the store: {error}")))?)
        }
        _ => None,
    };
    let command = Ranks { contestant, name: &name, setting };
    let started = match (contestant, &store) {
        (Contestant::Mpi, _) => Started::Children(vec![command.mpirun(plan.world)?]),
        (_, Some(store)) => Started::Children(command.each(plan.world, &store.address())?),
        _ => command.launcher(plan.world)?,
    };
    let lines = accept(&listener, plan.world)?;
    let samples = attend(plan, setting, lines);
    drop(started);
    samples
}

/// How ranks are started.
struct Ranks<'a> {
    contestant: Contestant,
    name: &'a str,
    setting: &'a Setting,
}

impl Ranks<'_> {
    fn program(&self) -> Result<std::path::PathBuf, BenchError> {
        match &self.setting.program {
            Some(program) => Ok(program.clone()),
            None => std::env::current_exe().map_err(setup("finding this program")),
        }
    }

    /// What every rank's command line has.
    fn arguments(&self) -> Vec<String> {
        let contestant = clap::ValueEnum::to_possible_value(&self.contestant);
        let contestant = contestant.expect("every contestant has a name");
        ["bench-rank", "--contestant", contestant.get_name(), "--control", self.name]
            .map(str::to_owned)
            .into()
    }

    fn rank(&self, rank: usize, world: &str) -> Result<Command, BenchError> {
        let mut command = Command::new(self.program()?);
        command.args(self.arguments()).args(["--rank", &rank.to_string(), "--world", world]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    fn launcher(&self, world: usize) -> Result<Started, BenchError> {
        let config = rank_process::world_config(world, machine::cores().len());
        let mut failed = None;
        let launcher = Launcher::start(&config, |rank, bootstrap| {
            self.rank(rank.index(), bootstrap.address()).unwrap_or_else(|error| {
                failed = Some(error);
                Command::new("false")
            })
        });
        match failed {
            Some(error) => Err(error),
            None => launcher
                .map(Started::Launcher)
                .map_err(|error| BenchError::Setup(format!("the launcher: {error}"))),
        }
    }

    fn each(&self, world: usize, store: &std::net::SocketAddr) -> Result<Vec<Child>, BenchError> {
        let start = |rank| {
            let mut command = self.rank(rank, &store.to_string())?;
            command.spawn().map_err(setup("starting a rank"))
        };
        (0..world).map(start).collect()
    }

    /// Ranks under OpenMPI's launcher, which neither binds them nor minds how many there are.
    fn mpirun(&self, world: usize) -> Result<Child, BenchError> {
        let mut command = Command::new("mpirun");
        command.args(["-n", &world.to_string(), "--oversubscribe", "--bind-to", "none"]);
        if rustix::process::geteuid().is_root() {
            command.arg("--allow-run-as-root");
        }
        if world > self.setting.cores.len() {
            command.args(["--mca", "mpi_yield_when_idle", "1"]);
        }
        command.arg(self.program()?).args(self.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().map_err(setup("starting mpirun"))
    }
}

/// One connection from each rank, in rank order.
fn accept(
    listener: &UnixListener,
    world: usize,
) -> Result<Vec<(UnixStream, BufReader<UnixStream>)>, BenchError> {
    let mut lines: Vec<Option<_>> = (0..world).map(|_| None).collect();
    while lines.iter().any(Option::is_none) {
        let mut polled = [PollFd::new(listener, PollFlags::IN)];
        let come =
            poll(&mut polled, Some(&PATIENCE)).map_err(|error| setup("waiting")(error.into()))?;
        if come == 0 {
            return Err(BenchError::Setup("a rank did not come within a minute".to_owned()));
        }
        let (stream, _) = listener.accept().map_err(setup("accepting a rank"))?;
        let peer = rustix::net::sockopt::socket_peercred(&stream);
        if !peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid()) {
            continue;
        }
        let reader = stream.try_clone().map_err(setup("accepting a rank"))?;
        let mut reader = BufReader::new(reader);
        match wire::receive(&mut reader).map_err(setup("hearing a rank"))? {
            Up::Hello(rank) if rank < world && lines[rank].is_none() => {
                lines[rank] = Some((stream, reader));
            }
            _ => return Err(BenchError::Setup("a rank came twice".to_owned())),
        }
    }
    Ok(lines.into_iter().flatten().collect())
}

struct Socket(UnixStream);

impl Seat for Socket {
    fn call(&self, call: Result<Moment, Stopped>) {
        // A rank that is gone is noticed by who listens to it.
        let _ = match call {
            Ok(start) => wire::send(&self.0, &Down::Go(start)),
            Err(Stopped) => wire::send(&self.0, &Down::Stop),
        };
    }
}

/// Gives every rank its job and is its barrier until it is done.
fn attend(
    plan: &Plan,
    setting: &Setting,
    lines: Vec<(UnixStream, BufReader<UnixStream>)>,
) -> Result<Vec<RankSamples>, BenchError> {
    let crowded = plan.world > setting.cores.len();
    let mut seats: Vec<Box<dyn Seat>> = Vec::new();
    for (rank, (stream, _)) in lines.iter().enumerate() {
        let job = Job { plan: plan.clone(), core: setting.core_of(rank), crowded };
        wire::send(stream, &Down::Job(Box::new(job))).map_err(setup("telling a rank"))?;
        let stream = stream.try_clone().map_err(setup("telling a rank"))?;
        seats.push(Box::new(Socket(stream)));
    }
    let doorman = Doorman::new(plan, setting.lead_ns.max(SOCKET_LEAD_NS), seats);
    let listen = |rank: usize, mut reader: BufReader<UnixStream>| {
        let ended = loop {
            match wire::receive(&mut reader) {
                Ok(Up::Come(turn)) => doorman.come(rank, turn),
                Ok(Up::Leave(turn)) => doorman.leave(turn),
                Ok(Up::Done(samples)) => return Ok(samples),
                Ok(Up::Failed(Some(message))) => break message,
                Ok(Up::Failed(None)) => {
                    doorman.stop();
                    return Err(RankError::Stopped);
                }
                Ok(Up::Hello(_)) => break "it came twice".to_owned(),
                Err(_) => break "it ended without a word".to_owned(),
            }
        };
        doorman.stop();
        Err(RankError::Process(ended))
    };
    let listen = &listen;
    let ended = std::thread::scope(|scope| {
        let spawn = |(rank, (_, reader))| scope.spawn(move || listen(rank, reader));
        let threads: Vec<_> = lines.into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    collect(ended)
}
