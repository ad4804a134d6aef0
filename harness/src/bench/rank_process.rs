//! A rank that is a process of its own: joins its world, asks the benchmark what to do, does it, and says what it found.
//!
//! Linux only. It says everything over the socket and prints nothing.

use super::communicator::CommunicatorRank;
use super::contender::Contender;
use super::group_free::GroupFreeRank;
use super::launch::Contestant;
use super::machine;
use super::measure::{RankError, RankSamples, measure};
use super::wire::{self, Down, Job, SocketGate, Up};
use anyhow::{Context as _, bail};
use flexdit_comm::WorldConfig;
use flexdit_comm::transport::process;
use flexdit_core::Rank;
use std::io::BufReader;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

/// What a rank process is told on its command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct RankArgs {
    /// Whose rank it is
    #[arg(long)]
    pub contestant: Contestant,
    /// Where the benchmark listens
    #[arg(long)]
    pub control: String,
    /// Which rank it is; under a launcher that knows, left out
    #[arg(long)]
    pub rank: Option<u16>,
    /// Where the world is: the launcher's address or the store's
    #[arg(long)]
    pub world: Option<String>,
}

/// The connection of a rank to the benchmark.
struct Line {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

/// Runs as a rank to the end.
///
/// # Errors
/// If the benchmark cannot be reached. What goes wrong later it is told instead.
pub fn run(args: &RankArgs) -> anyhow::Result<()> {
    // Before anything else, since pinning changes what the system says of cores.
    let cores = machine::cores().len();
    if args.contestant == Contestant::Mpi {
        return mpi(args);
    }
    let rank = Rank(args.rank.context("a rank without a number")?);
    let (mut line, job) = Line::open(&args.control, rank)?;
    let world = args.world.as_deref().context("a rank without a world")?;
    match args.contestant {
        Contestant::GroupFreeProcess => {
            let config = world_config(job.plan.world, cores);
            line.follow(&job, rank, || Ok(GroupFreeRank::new(process::join(world, rank, &config)?)))
        }
        Contestant::CommunicatorTcpProcess => {
            let store = world.parse().context("the address of the store")?;
            line.follow(&job, rank, || Ok(CommunicatorRank::join(rank, job.plan.world, store)?))
        }
        one => bail!("{} has no rank processes", one.words()),
    }
}

/// The settings of a world of rank processes: the same in all, whatever they are pinned to.
pub fn world_config(world: usize, cores: usize) -> WorldConfig {
    let patience = flexdit_comm::Patience::for_cores(world, cores);
    WorldConfig { patience, ..WorldConfig::new(world) }
}

impl Line {
    fn open(control: &str, rank: Rank) -> anyhow::Result<(Self, Job)> {
        let address = SocketAddr::from_abstract_name(control).context("the benchmark's address")?;
        let to = UnixStream::connect_addr(&address).context("connecting to the benchmark")?;
        let mut from = BufReader::new(to.try_clone()?);
        wire::send(&to, &Up::Hello(rank.index()))?;
        match wire::receive(&mut from)? {
            Down::Job(job) => Ok((Self { to, from }, *job)),
            _ => bail!("the benchmark gave up"),
        }
    }

    /// Joins, runs the plan, and reports.
    fn follow<C: Contender>(
        &mut self,
        job: &Job,
        rank: Rank,
        join: impl FnOnce() -> Result<C, RankError>,
    ) -> anyhow::Result<()> {
        let pinned = job.core.is_some_and(machine::pin);
        let mut gate = SocketGate::new(&self.to, &mut self.from);
        let samples = join().and_then(|mut contender| {
            measure(&job.plan, rank, job.crowded, &mut contender, &mut gate)
        });
        let report = match samples {
            Ok(samples) => Up::Done(RankSamples { pinned, samples }),
            Err(RankError::Stopped) => Up::Failed(None),
            Err(error) => Up::Failed(Some(error.to_string())),
        };
        Ok(wire::send(&self.to, &report)?)
    }
}

#[cfg(feature = "mpi")]
fn mpi(args: &RankArgs) -> anyhow::Result<()> {
    let world = flexdit_baselines::communicator::MpiWorld::start()?;
    let rank = world.rank();
    let (mut line, job) = Line::open(&args.control, rank)?;
    line.follow(&job, rank, || Ok(super::mpi::MpiRank::new(&world)))
}

#[cfg(not(feature = "mpi"))]
fn mpi(_: &RankArgs) -> anyhow::Result<()> {
    bail!("this program was built without the feature `mpi`")
}
