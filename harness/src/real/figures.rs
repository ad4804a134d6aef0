//! What real runs measure beside their logs: the control plane, migration, memory of ranks, what went wrong.

use super::others::Taken;
use super::ranks::Ranks;
use super::run::Run;
use crate::bench::machine::Machine;
use crate::experiment::CollectiveKind;
use crate::log::Step;
use flexdit_core::{Bytes, Command, Event, FailReason, Nanos, RequestId, TaskId};
use flexdit_ranks::{Histogram, Measured, Outcome, RankReport};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What one run left beside its log.
#[derive(Clone, Debug)]
pub struct RealRun {
    /// Index of the sweep point.
    pub point: usize,
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// How its ranks talked to each other.
    pub collectives: CollectiveKind,
    /// What the driver measured.
    pub outcome: Outcome,
    /// Bytes of the kernels' buffers on each rank: the most that its tasks used.
    pub scratch: Vec<Bytes>,
    /// Bytes of weights, which all ranks share that are threads, and each has that is a process.
    pub weights: Bytes,
    /// The most memory of each rank's process, unless that was lost; empty for threads.
    pub processes: Vec<Option<Bytes>>,
    /// What lost ranks did to requests.
    pub struck: Struck,
    /// What others took of the cores while it ran.
    pub others: Taken,
}

impl RealRun {
    pub(super) fn new(
        run: &Run<'_>,
        ranks: &Ranks,
        struck: Struck,
        others: Taken,
        outcome: Outcome,
    ) -> Self {
        let scratch = outcome.ranks.iter().map(|rank| ranks.compute.kept(rank.rank)).collect();
        Self {
            point: run.key.point,
            system: run.key.system.to_owned(),
            seed: run.key.seed,
            collectives: run.collectives,
            weights: run.dit.weight_bytes(),
            processes: ranks.peaks(),
            struck,
            scratch,
            others,
            outcome,
        }
    }
}

/// Requests that lost ranks interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Struck {
    /// Requests of which a task failed because a rank was lost.
    pub requests: usize,
    /// Those of them that completed all the same, on other ranks.
    pub completed: usize,
}

impl Struck {
    /// What the steps of a run say.
    pub(super) fn of(steps: &[Step]) -> Self {
        let commands = || steps.iter().flat_map(|step| &step.commands);
        let launched: BTreeMap<TaskId, RequestId> = commands()
            .filter_map(|command| match command {
                Command::Launch(task) => Some((task.id, task.request)),
                _ => None,
            })
            .collect();
        let failed = steps.iter().flat_map(|step| &step.events).filter_map(|event| match event {
            Event::Failed { task, why: FailReason::RankDown, .. } => launched.get(task).copied(),
            _ => None,
        });
        let struck: BTreeSet<RequestId> = failed.collect();
        let complete =
            |command: &&Command| matches!(command, Command::Complete(id) if struck.contains(id));
        Self { requests: struck.len(), completed: commands().filter(complete).count() }
    }
}

/// What a campaign of real runs left beside its logs.
#[derive(Clone, Debug)]
pub struct RealRuns {
    /// The machine.
    pub machine: Machine,
    /// Whether the campaign was stopped before its end: its results are partial.
    pub interrupted: bool,
    /// Every run that took place and is to be trusted, ordered by (point, system, seed).
    pub runs: Vec<RealRun>,
    /// Every run that could not go on, or is not to be trusted, in the same order: there are no figures of it.
    pub failed: Vec<FailedRun>,
}

/// A run of which there are no figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedRun {
    /// Index of the sweep point.
    pub point: usize,
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub why: String,
}

/// A distribution of durations in microseconds; `None` where nothing was timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: Option<f64>,
    /// What half of them do not pass (at most 1/32 too high).
    pub p50_us: Option<f64>,
    /// What 99 of 100 do not pass (at most 1/32 too high).
    pub p99_us: Option<f64>,
    /// The longest.
    pub max_us: Option<f64>,
}

impl Spread {
    fn of(histogram: &Histogram) -> Self {
        let us = |time: Option<Nanos>| time.map(|time| time.0 as f64 / 1e3);
        Self {
            count: histogram.count(),
            mean_us: us(histogram.mean()),
            p50_us: us(histogram.percentile(50.0)),
            p99_us: us(histogram.percentile(99.0)),
            max_us: us(histogram.max()),
        }
    }
}

/// What one system's runs cost beside computing, all seeds of a sweep point pooled. *Measured.*
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverheadRow {
    /// The system.
    pub system: String,
    /// Gap between a task and the next on a rank, where that was queued by then.
    pub gap_queued: Spread,
    /// Gap where the rank had to wait for the system's decision, idle time included.
    pub gap_decided: Spread,
    /// From a task's entry into a waiting rank's inbox to its start.
    pub wake: Spread,
    /// A task's overhead before its computing.
    pub launch: Spread,
    /// Forming groups, tasks on several ranks only.
    pub setup: Spread,
    /// From the end of computing until the result can be read.
    pub publish: Spread,
    /// A call of the system.
    pub planning: Spread,
    /// Arrivals against the workload's times.
    pub lateness: Spread,
    /// A rank's part of a migration, waiting for the source included.
    pub pull: Spread,
    /// Bytes that migrations copied.
    pub pulled: u64,
    /// Bytes a second while copying.
    pub bandwidth: Option<f64>,
    /// Overhead of tasks and gaps between queued ones, relative to computing.
    pub overhead: Option<f64>,
}

/// One rank, all runs of a sweep point pooled. *Measured.*
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankRow {
    /// The rank.
    pub rank: u16,
    /// The core that it kept to; `None` if it was not pinned.
    pub core: Option<usize>,
    /// Most bytes of artifacts at one time.
    pub artifacts: Bytes,
    /// Most bytes of the kernels' buffers.
    pub scratch: Bytes,
    /// Times that its thread or process was lost.
    pub lost: u32,
    /// Most memory of its process, where ranks are processes; runs in which it was lost left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Bytes>,
}

impl RealRuns {
    /// The runs of a sweep point.
    pub fn at(&self, point: usize) -> impl Iterator<Item = &RealRun> {
        self.runs.iter().filter(move |run| run.point == point)
    }

    /// What each system cost beside computing at a sweep point, in the order of the runs.
    pub fn overheads(&self, point: usize) -> Vec<OverheadRow> {
        let mut names: Vec<&str> = self.at(point).map(|run| run.system.as_str()).collect();
        names.dedup();
        names.into_iter().map(|name| self.overhead(point, name)).collect()
    }

    fn overhead(&self, point: usize, system: &str) -> OverheadRow {
        let mut all = Measured::default();
        let (mut planning, mut lateness) = (Histogram::default(), Histogram::default());
        for run in self.at(point).filter(|run| run.system == system) {
            all.merge(&run.outcome.measured);
            planning.merge(&run.outcome.planning);
            lateness.merge(&run.outcome.lateness);
        }
        OverheadRow {
            system: system.to_owned(),
            gap_queued: Spread::of(&all.gap_queued),
            gap_decided: Spread::of(&all.gap_decided),
            wake: Spread::of(&all.wake),
            launch: Spread::of(&all.launch),
            setup: Spread::of(&all.setup),
            publish: Spread::of(&all.publish),
            planning: Spread::of(&planning),
            lateness: Spread::of(&lateness),
            pull: Spread::of(&all.pull),
            pulled: all.pulled.0,
            bandwidth: all.pull_bandwidth(),
            overhead: all.overhead(),
        }
    }

    /// Each rank at a sweep point.
    pub fn ranks(&self, point: usize) -> Vec<RankRow> {
        let mut rows: Vec<RankRow> = Vec::new();
        for run in self.at(point) {
            for (rank, scratch) in run.outcome.ranks.iter().zip(&run.scratch) {
                let at = rank.rank.index();
                if rows.len() <= at {
                    rows.push(RankRow { rank: rank.rank.0, ..RankRow::default() });
                    rows[at].core = rank.pinned.as_ref().ok().copied();
                }
                let row = &mut rows[at];
                row.core = row.core.filter(|core| rank.pinned.as_ref() == Ok(core));
                row.artifacts = row.artifacts.max(rank.peak);
                row.scratch = row.scratch.max(*scratch);
                row.lost += u32::from(rank.lost);
                row.process = row.process.max(run.processes.get(at).copied().flatten());
            }
        }
        rows
    }

    /// What others took of the cores during the runs of a sweep point, all together.
    pub fn taken(&self, point: usize) -> Taken {
        self.at(point).fold(Taken::default(), |sum, run| sum.and(run.others))
    }

    /// Whether a run ended since nothing could run any more, or failed.
    pub fn is_stuck(&self) -> bool {
        !self.failed.is_empty() || self.runs.iter().any(|run| run.outcome.stranded)
    }

    /// What a reader must know before trusting the figures of a sweep point; one sentence each.
    pub fn warnings(&self, point: usize, asked_to_pin: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.interrupted {
            warnings.push(
                "The campaign was interrupted: runs are missing or end early, so no figure here is \
                 that of the whole experiment."
                    .to_owned(),
            );
        }
        for failed in self.failed.iter().filter(|failed| failed.point == point) {
            let FailedRun { system, seed, why, .. } = failed;
            warnings.push(format!(
                "{system}, seed {seed}: the run failed, and no figure here is of it: {why}."
            ));
        }
        let world = self.at(point).map(|run| run.outcome.ranks.len()).max().unwrap_or(0);
        let cores = self.machine.cores;
        if world > cores {
            warnings.push(format!(
                "{world} ranks share {cores} cores: times say little about ranks that have a core \
                 each. Pictures, commands and checks are as good as ever."
            ));
        }
        warnings.extend(self.taken(point).warning("the runs"));
        if cfg!(debug_assertions) {
            warnings.push(
                "The program was built without optimisation: its own times mean little.".to_owned(),
            );
        }
        if !asked_to_pin {
            warnings.push("Ranks were not pinned to cores, as the experiment asks.".to_owned());
        }
        let ranks = self.at(point).flat_map(|run| &run.outcome.ranks);
        let mut refused = ranks.filter_map(|rank| Some((rank.rank, rank.pinned.as_ref().err()?)));
        if let Some((rank, why)) = refused.next().filter(|_| asked_to_pin) {
            warnings.push(format!("Ranks were not pinned to cores; {rank}: {why}."));
        }
        for run in self.at(point) {
            warnings.extend(run.warnings());
        }
        warnings
    }
}

impl RealRun {
    fn warnings(&self) -> Vec<String> {
        let (outcome, mut warnings) = (&self.outcome, Vec::new());
        let name = format!("{}, seed {}", self.system, self.seed);
        let left = outcome.unfinished;
        if outcome.stranded {
            let left = format!("no rank was left that could take {left} of its requests");
            warnings.push(format!("{name}: {left}; they count as unfinished."));
        } else if outcome.interrupted {
            warnings.push(format!("{name}: interrupted with {left} requests unfinished."));
        }
        if outcome.failed_tasks > 0 {
            let first = outcome.failures.first();
            let first = first.map_or(String::new(), |first| format!("; first: {first}"));
            warnings.push(format!("{name}: failed tasks: {}{first}.", outcome.failed_tasks));
        }
        let lost: Vec<String> = outcome.ranks.iter().filter_map(lost_words).collect();
        if !lost.is_empty() {
            let Struck { requests, completed } = self.struck;
            warnings.push(format!(
                "{name}: {}. Requests that lost a task by this: {requests}; of these completed on other ranks: \
                 {completed}.",
                lost.join(", ")
            ));
        }
        if let Some(late) = outcome.lateness.percentile(99.0).filter(|late| *late > LATE) {
            warnings.push(format!("{name}: arrivals were up to {late} late (p99)."));
        }
        warnings
    }
}

/// `rank 1 was lost at 1.200 s`.
fn lost_words(rank: &RankReport) -> Option<String> {
    let when = rank
        .lost_at
        .map_or_else(|| "at the end".to_owned(), |at| format!("at {:.3} s", at.as_secs_f64()));
    rank.lost.then(|| format!("{} was lost {when}", rank.rank))
}

/// Arrivals later than this are worth a warning.
const LATE: Nanos = Nanos::from_millis(10);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flexdit_core::{Counters, Rank};

    /// A run of the system `one` that ended as it should.
    pub(crate) fn run(seed: u64, ranks: u16, pinned: Result<usize, String>) -> RealRun {
        let rank = |rank| RankReport {
            rank: Rank(rank),
            pinned: pinned.clone(),
            lost: false,
            lost_at: None,
            peak: Bytes(100 * seed),
            held: Bytes::ZERO,
        };
        let mut lateness = Histogram::default();
        lateness.add(Nanos::from_millis(20 * seed));
        let outcome = Outcome {
            end: Nanos::ZERO,
            counters: Counters::default(),
            interrupted: false,
            stranded: false,
            unfinished: 0,
            layouts: Vec::new(),
            group_setups: 0,
            planning: Histogram::default(),
            lateness,
            measured: Measured::default(),
            ranks: (0..ranks).map(rank).collect(),
            failures: Vec::new(),
            failed_tasks: 0,
            resets: 0,
        };
        RealRun {
            point: 0,
            system: "one".into(),
            seed,
            collectives: CollectiveKind::GroupFree,
            outcome,
            scratch: vec![Bytes(7); usize::from(ranks)],
            weights: Bytes(1),
            processes: Vec::new(),
            struck: Struck::default(),
            others: Taken { others: 30 * seed, capacity: 300 },
        }
    }

    fn runs(runs: Vec<RealRun>) -> RealRuns {
        let machine = Machine { cores: 2, ..Machine::default() };
        RealRuns { machine, interrupted: false, runs, failed: Vec::new() }
    }

    #[test]
    fn seeds_are_pooled_and_the_peak_of_a_rank_is_that_of_its_hungriest_run() {
        let all = runs(vec![run(1, 2, Ok(0)), run(3, 2, Ok(0))]);
        let overheads = all.overheads(0);
        assert_eq!((overheads.len(), overheads[0].lateness.count), (1, 2));
        assert_eq!(overheads[0].gap_queued, Spread::default());
        let ranks = all.ranks(0);
        assert_eq!((ranks.len(), ranks[1].artifacts, ranks[1].core), (2, Bytes(300), Some(0)));
    }

    #[test]
    fn a_lost_rank_is_named_with_its_time_and_its_requests() {
        let mut one = run(1, 2, Ok(0));
        let rank = &mut one.outcome.ranks[1];
        (rank.lost, rank.lost_at) = (true, Some(Nanos::from_millis(1200)));
        one.struck = Struck { requests: 3, completed: 2 };
        one.processes = vec![Some(Bytes(9)), None];
        let all = runs(vec![one, run(2, 2, Ok(0))]);
        let found = all.warnings(0, true);
        let words = "one, seed 1: rank 1 was lost at 1.200 s. Requests that lost a task by this: 3; of these \
                     completed on other ranks: 2.";
        assert!(found.iter().any(|one| one == words), "{found:?}");
        let ranks = all.ranks(0);
        assert_eq!((ranks[0].process, ranks[1].process), (Some(Bytes(9)), None));
        assert_eq!((ranks[0].lost, ranks[1].lost), (0, 1));
    }

    #[test]
    fn a_reader_is_warned_of_what_weakens_the_figures() {
        let refused = runs(vec![run(1, 3, Err("not permitted".into()))]);
        let found = refused.warnings(0, true);
        let has = |words: &str| found.iter().any(|warning| warning.contains(words));
        assert!(has("3 ranks share 2 cores"), "{found:?}");
        let others =
            "The machine was not quiet: during the runs other programs, or its host, took 10 %";
        assert!(has(others), "{found:?}");
        assert!(has("Ranks were not pinned to cores; rank 0: not permitted."), "{found:?}");
        assert!(has("one, seed 1: arrivals were up to 20 ms late (p99)."), "{found:?}");
        let mut partial = runs(vec![run(0, 1, Ok(1))]);
        let why = "the run broke its contract: so".to_owned();
        partial.failed.push(FailedRun { point: 1, system: "a".into(), seed: 3, why });
        let names = |warning: &String| warning.contains("failed");
        assert!(partial.is_stuck() && !partial.warnings(0, true).iter().any(names));
        let said = "a, seed 3: the run failed, and no figure here is of it: the run broke its contract: so.";
        assert_eq!(partial.warnings(1, true)[0], said);
        let stopped = RealRuns { interrupted: true, ..runs(vec![run(0, 1, Ok(1))]) };
        assert!(stopped.warnings(0, true)[0].starts_with("The campaign was interrupted"));
        assert!(stopped.warnings(0, false).iter().any(|one| one.ends_with("the experiment asks.")));
    }
}
