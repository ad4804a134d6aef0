//! The driver: what a run needs, what it leaves, and why it may not go on.

mod alarm;
mod begin;
mod control;
mod desk;
mod dispatch;
mod execute;
mod fleet;
mod hung;
mod mail;
mod reports;
mod resets;
#[cfg(test)]
mod tests;

pub use control::Control;

use crate::artifact::Shard;
use crate::compute::Compute;
use crate::histogram::Histogram;
use crate::peers::Fabric;
use crate::stats::Measured;
use crate::worker::Before;
use desk::Desk;
pub(crate) use desk::Reports;
use dispatch::Dispatcher;
use fleet::Fleet;
use flexdit_core::{
    Bytes, Counters, Nanos, Observer, Parallelism, Rank, Request, Shape, Stage, System, Workload,
};
pub(crate) use mail::Mail;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

/// Settings of a run that neither system nor workload knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ranks, 1 to 64.
    pub world: u16,
    /// Whether rank threads keep to one core each; what the system refuses is reported, not fatal.
    pub pin: bool,
    /// Bytes of artifacts that a rank may hold; a task that needs more fails.
    pub rank_memory: Option<Bytes>,
    /// Items a rank's inbox holds; a system that queues more is refused.
    pub inbox: usize,
    /// How long a rank may be silent after others gave up a task since it did not come in time, or after the run's end. Then it is
    /// taken to hang: if it is a process it is ended, and lost.
    pub patience: Nanos,
}

impl Options {
    /// Pinned ranks without a memory limit, 1024 items in an inbox, patience for 30 s.
    pub const fn new(world: u16) -> Self {
        let patience = Nanos::from_millis(30_000);
        Self { world, pin: true, rank_memory: None, inbox: 1024, patience }
    }
}

/// A completed request's result, as its decoding ranks left it.
#[derive(Debug)]
pub struct Completed {
    /// The request.
    pub request: Request,
    /// How the decode was split.
    pub parallelism: Parallelism,
    /// One part for each shard of the decode, in order. Keeping them keeps the ranks' memory in use.
    pub parts: Vec<Arc<Shard>>,
}

/// Takes results.
pub trait Sink: Send {
    /// A request is complete. Called by whichever thread steps the system, a rank's too; it and the system wait.
    fn completed(&mut self, completed: Completed);
}

impl Sink for () {
    fn completed(&mut self, _: Completed) {}
}

impl<F: FnMut(Completed) + Send> Sink for F {
    fn completed(&mut self, completed: Completed) {
        self(completed);
    }
}

/// What one rank says of the run.
#[derive(Clone, Debug)]
pub struct RankReport {
    /// The rank.
    pub rank: Rank,
    /// Its core, or why it is not pinned.
    pub pinned: Result<usize, String>,
    /// Whether it was lost: its thread died, or its process ended unasked.
    pub lost: bool,
    /// When the driver noticed; `None` for a rank that is not lost, and for one that was lost when the run was over.
    pub lost_at: Option<Nanos>,
    /// The most bytes of artifacts it held at one time.
    pub peak: Bytes,
    /// Bytes of artifacts that it holds still. 0, unless results are kept or the run was interrupted.
    pub held: Bytes,
}

/// What a run leaves beside its log. All times are measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The last instant.
    pub end: Nanos,
    /// The system's bookkeeping at the end.
    pub counters: Counters,
    /// Whether the run ended before every request had: its results are partial.
    pub interrupted: bool,
    /// Whether it ended because nothing could run any more: its system cannot do without a rank that was lost.
    pub stranded: bool,
    /// Requests that have not ended; 0 unless interrupted.
    pub unfinished: usize,
    /// Every (shape, stage, layout) that ran.
    pub layouts: Vec<(Shape, Stage, Parallelism)>,
    /// Tasks that finished and formed a group of several ranks.
    pub group_setups: u64,
    /// Time of each call of the system.
    pub planning: Histogram,
    /// Lateness of arrivals against the workload.
    pub lateness: Histogram,
    /// What ranks measured.
    pub measured: Measured,
    /// Each rank.
    pub ranks: Vec<RankReport>,
    /// Why tasks failed: the first few, in order, and how many there were.
    pub failures: Vec<String>,
    /// Tasks that failed on any rank, cancelled ones left out.
    pub failed_tasks: u64,
    /// Times that collectives began anew after a failure.
    pub resets: u64,
}

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The world cannot be made.
    #[error("the world cannot be made: {0}")]
    World(String),
    /// The compute refuses a shape of the workload.
    #[error("{request}: {why}")]
    Shape {
        /// A request of that shape.
        request: flexdit_core::RequestId,
        /// What it said.
        why: String,
    },
    /// The system moves other parts of the state than the compute has: their sizes differ.
    #[error("{transfer}: the system's idea of the state is not the compute's: {why}")]
    State {
        /// The first such transfer.
        transfer: flexdit_core::TransferId,
        /// What differs.
        why: String,
    },
    /// The system queued more on a rank than an inbox holds.
    #[error("{rank} has {items} items in its inbox and gets one more")]
    InboxFull {
        /// The rank.
        rank: Rank,
        /// What an inbox holds.
        items: usize,
    },
    /// Collectives could not be made to work again.
    #[error("collectives do not work again after {attempts} resets of the whole world")]
    Collectives {
        /// How often it was tried.
        attempts: u32,
    },
    /// Work remains and nothing can run.
    #[error(
        "{count} requests are stranded at {at}: nothing is running and nothing will happen; first: {first}"
    )]
    Stranded {
        /// When.
        at: Nanos,
        /// How many.
        count: usize,
        /// The first ten, by ordinal.
        first: String,
    },
}

/// One run on real ranks.
///
/// Arrivals come in real time: for another pace stretch the workload's times first.
pub struct Driver<'a> {
    options: Options,
    compute: Arc<dyn Compute>,
    fabric: &'a dyn Fabric,
    mail: Arc<Mail>,
}

impl<'a> Driver<'a> {
    /// A run with this arithmetic, over these collectives.
    pub fn new(options: Options, compute: Arc<dyn Compute>, fabric: &'a dyn Fabric) -> Self {
        Self { options, compute, fabric, mail: Arc::new(Mail::new()) }
    }

    /// A handle by which others cancel requests, lose ranks, or stop the run.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.mail))
    }

    /// Runs until every request has ended, or the run is stopped. `observer` sees every step of the system, `sink` gets
    /// every result.
    ///
    /// # Errors
    /// [`RunError`]; the ranks are stopped then, too.
    pub fn run(
        self,
        system: &mut dyn System,
        workload: Workload,
        observer: &mut dyn Observer,
        sink: &mut dyn Sink,
    ) -> Result<Outcome, RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| RunError::World(error.to_string()))?;
        let _inside = runtime.enter();
        let shapes: BTreeSet<Shape> = workload.requests.iter().map(|one| one.shape).collect();
        let before = Before { groups: system.prebuilt(), shapes: shapes.into_iter().collect() };
        let (fleet, seats) = Fleet::new(&self)?;
        let dispatcher = Dispatcher::new(&self, fleet, system, workload, observer, sink)?;
        let desk = Desk::new(Arc::clone(&self.mail), dispatcher);
        let (result, ended) = std::thread::scope(|scope| {
            let dismissal = Dismissal(&desk);
            let ranks = fleet::start(scope, seats, &self, &desk, &before)?;
            let result = runtime.block_on(desk.serve());
            runtime.block_on(desk.drain());
            drop(dismissal);
            Ok((result, ranks.into_iter().map(ScopedJoinHandle::join).collect()))
        })?;
        result.map(|()| desk.into_dispatcher().outcome(ended))
    }
}

/// Lets the ranks end, so that they do not outlive the run, whatever ended it.
struct Dismissal<'a, 'b>(&'a Desk<'b>);

impl Drop for Dismissal<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().dismiss();
    }
}
