//! What a run leaves behind, as computed from its log alone; every metric, table and plot reads this.

use flexdit_core::{
    Bytes, ClassId, Counters, Group, Nanos, Parallelism, RejectReason, RequestId, Stage,
};
use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its result went out at this instant.
    Completed(Nanos),
    /// It ended without a result at this instant.
    Rejected(Nanos, RejectReason),
    /// It was still unfinished when the run ended.
    Unfinished,
}

/// One request's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Ordinal in the workload.
    pub id: RequestId,
    /// Class in the workload.
    pub class: ClassId,
    /// When it arrived.
    pub arrival: Nanos,
    /// When it was due.
    pub deadline: Option<Nanos>,
    /// Its latency alone on one rank; the unit of slowdown.
    pub t_single: Option<Nanos>,
    /// When its first task began.
    pub first_start: Option<Nanos>,
    /// How it ended.
    pub outcome: Outcome,
    /// Sum of duration x ranks occupied over its finished tasks, overhead and held ranks included.
    pub gpu_time: Nanos,
    /// Rank-time inside `gpu_time` that was computing.
    pub busy: Nanos,
    /// Least rank-time that any layout of the charged prices needs for it; `None` when not priced.
    pub least_work: Option<Nanos>,
    /// Least latency that any layout of the charged prices allows on this world.
    pub least_latency: Option<Nanos>,
    /// Changes of its rank set between consecutive denoise tasks.
    pub reconfigurations: u32,
    /// Transfers made for it.
    pub migrations: u32,
    /// Its tasks that paid for forming a group.
    pub group_setups: u32,
}

impl RequestRecord {
    /// Completion minus arrival, if it completed.
    pub fn latency(&self) -> Option<Nanos> {
        match self.outcome {
            Outcome::Completed(at) => Some(at.saturating_sub(self.arrival)),
            _ => None,
        }
    }

    /// Whether it carries a deadline and completed by it; `None` without a deadline.
    pub fn attained(&self) -> Option<bool> {
        let deadline = self.deadline?;
        Some(matches!(self.outcome, Outcome::Completed(at) if at <= deadline))
    }
}

/// A run of consecutive tasks of one request's stage on an unchanged placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanRecord {
    /// Whose work.
    pub request: RequestId,
    /// Which stage.
    pub stage: Stage,
    /// First denoising step.
    pub first_step: u32,
    /// Denoising steps done.
    pub steps: u32,
    /// Tasks merged into this record.
    pub tasks: u32,
    /// How the work was split.
    pub parallelism: Parallelism,
    /// Ranks occupied; the first `parallelism.degree()` computed.
    pub group: Group,
    /// When the first task began.
    pub started: Nanos,
    /// When the last task ended.
    pub ended: Nanos,
    /// Time inside, per rank, that its tasks took, overhead included; the rest are short gaps.
    pub occupied: Nanos,
    /// Time inside, per computing rank, that was group set-up.
    pub setup: Nanos,
    /// Time inside, per computing rank, that was launch overhead.
    pub launch: Nanos,
    /// Whether the span's work was lost (its tasks failed).
    pub failed: bool,
}

/// One transfer as it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MigrationRecord {
    /// Whose state moved.
    pub request: RequestId,
    /// When the first copy began.
    pub started: Nanos,
    /// When the last copy was in place.
    pub ended: Nanos,
    /// Bytes over links.
    pub bytes: Bytes,
    /// Ranks that pulled.
    pub destinations: Group,
}

/// Why a rank without work was idle, from the state of the whole system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdleCause {
    /// No request in the system.
    #[default]
    NoWork,
    /// Some live request had nothing in flight: the policy left the rank free.
    Waiting,
    /// Every live request had something in flight.
    Drain,
}

/// Where rank-time went; the parts sum to world x makespan exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankTime {
    /// Computing.
    pub busy: Nanos,
    /// Idle: no request in the system.
    pub no_work: Nanos,
    /// Idle while some request waits: the policy left the rank free (for a wider set, or none fits).
    pub waiting: Nanos,
    /// Idle while every live request is already running: not enough work to spread, or the tail.
    pub drain: Nanos,
    /// Held by a task on fewer ranks than its group (text encode, VAE decode of a fixed group).
    pub held: Nanos,
    /// Pulling or sending state, with nothing to compute meanwhile.
    pub migration: Nanos,
    /// Forming groups.
    pub group_setup: Nanos,
    /// Launch overhead, control-plane latency, and waiting for the other ranks of a task.
    pub control_plane: Nanos,
    /// Occupied by tasks that failed or never ended: their work was lost.
    pub lost: Nanos,
    /// Down.
    pub down: Nanos,
}

impl RankTime {
    /// Name and value of every part, in the order of the tables; `busy` first.
    pub fn parts(&self) -> [(&'static str, Nanos); 10] {
        [
            ("busy", self.busy),
            ("no work", self.no_work),
            ("work waiting", self.waiting),
            ("drain", self.drain),
            ("held", self.held),
            ("migration", self.migration),
            ("group set-up", self.group_setup),
            ("control plane", self.control_plane),
            ("lost work", self.lost),
            ("rank down", self.down),
        ]
    }

    /// Sum of all parts.
    pub fn total(&self) -> Nanos {
        self.parts().into_iter().map(|(_, time)| time).sum()
    }
}

/// One run: one system, one seed, one point of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The system's name in the experiment.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// Index into [`Campaign::points`].
    pub point: usize,
    /// Ranks.
    pub world: u16,
    /// Instant of the last event or command.
    pub makespan: Nanos,
    /// Every request that arrived, in ordinal order.
    pub requests: Vec<RequestRecord>,
    /// Spans by start; all of them, or none when they were not kept or too many.
    pub spans: Vec<SpanRecord>,
    /// Transfers by start, kept and dropped with the spans.
    pub migrations: Vec<MigrationRecord>,
    /// From when on free ranks idled for which cause, kept and dropped with the spans.
    pub idle_causes: Vec<(Nanos, IdleCause)>,
    /// Bytes that all transfers put on links.
    pub migrated: Bytes,
    /// Sum of the durations of all transfers.
    pub migration_time: Nanos,
    /// Where rank-time went.
    pub rank_time: RankTime,
    /// Tasks that ended and paid for forming a group; the time of failed ones is lost work.
    pub group_setups: u64,
    /// Weights of all models plus the largest need of a single task; state of waiting requests is
    /// not counted. 0 when not modelled.
    pub peak_rank_memory: Bytes,
    /// Whether any charged price was extrapolated outside its source's range.
    pub extrapolated: bool,
    /// The system's own bookkeeping.
    pub counters: Counters,
    /// Load that the workload offered, realised over this seed; `None` where it is not defined.
    pub offered_load_realised: Option<f64>,
    /// Whether requests were sent when others ended, so that arrivals depend on the system.
    pub closed_loop: bool,
    /// Whether noise may have made tasks shorter than their price.
    pub jittered: bool,
}

/// One point of a sweep: the values of the swept keys, `(key, value as written)`; empty without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint(pub Vec<(String, String)>);

/// All runs of one experiment, with the names that records refer to by index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// The experiment's name.
    pub name: String,
    /// Request class names, by [`ClassId`].
    pub classes: Vec<String>,
    /// System names in the experiment's order.
    pub systems: Vec<String>,
    /// Seeds in the experiment's order.
    pub seeds: Vec<u64>,
    /// Sweep points; exactly one, empty, without a sweep.
    pub points: Vec<SweepPoint>,
    /// Every run, ordered by (point, system, seed).
    pub runs: Vec<RunRecord>,
}

impl Campaign {
    /// The runs of one system at one sweep point, in seed order.
    pub fn runs_of(&self, point: usize, system: &str) -> impl Iterator<Item = &RunRecord> {
        let system = system.to_owned();
        self.runs.iter().filter(move |run| run.point == point && run.system == system)
    }
}
