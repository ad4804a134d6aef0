//! Turns the stream of steps of one run into its record, in one pass and bounded memory.

use super::bounds::ShapeBound;
use super::rank_clock::RankClocks;
use super::timeline::Timeline;
use crate::record::{IdleCause, MigrationRecord, Outcome, RequestRecord, RunRecord, SpanRecord};
use flexdit_core::{
    Bytes, Command, Counters, Event, Group, Nanos, Rank, Request, RequestId, Shape, Span, Stage,
    Task, TaskId, Transfer, TransferId,
};
use std::collections::{BTreeMap, VecDeque};

/// Consecutive tasks with at most this gap between them merge into one span.
const MERGE_GAP: Nanos = Nanos::from_millis(1);

/// What a recorder keeps beside requests and totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// Spans, transfers and changes of the idle cause kept, each. With more of any kind, all kinds
    /// are dropped: a cut-off timeline would mislead.
    pub timeline: usize,
    /// Merge consecutive tasks of a stage on an unchanged placement into one span.
    pub merge: bool,
}

impl Default for RecorderOptions {
    /// Two million merged spans: about 300 MB.
    fn default() -> Self {
        Self { timeline: 2_000_000, merge: true }
    }
}

/// What a run's record states beside what its log tells.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    /// The system's name in the experiment.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// Index of the sweep point.
    pub point: usize,
    /// The system's own bookkeeping.
    pub counters: Counters,
    /// Weights of all models plus the largest need of a single task; 0 when not modelled.
    pub peak_rank_memory: Bytes,
    /// Whether any charged price was extrapolated.
    pub extrapolated: bool,
    /// Load that the workload offered, realised over this seed; `None` where it is not defined.
    pub offered_load_realised: Option<f64>,
    /// Whether requests are sent when others end, so that arrivals depend on the system.
    pub closed_loop: bool,
    /// Whether noise may have made tasks shorter than their price.
    pub jittered: bool,
}

/// A launched task that has not been reported by all its ranks.
#[derive(Debug)]
struct Flight {
    span: SpanRecord,
    /// Ranks that have not reported.
    pending: usize,
}

/// A transfer on its way.
#[derive(Debug)]
struct Moving {
    request: RequestId,
    bytes: Bytes,
    sources: Group,
    destinations: Group,
}

/// What is known of a live request beside its record.
#[derive(Debug, Default)]
struct Live {
    in_flight: u32,
    ended: bool,
    /// The span that the next task may extend.
    open: Option<SpanRecord>,
    /// Ranks of the last denoise task; empty before the first.
    denoised_on: Group,
}

/// Records one run: feed it every step in order, then [`Recorder::finish`] gives the record.
///
/// Cost: O(ranks of the group) for a task, O(edges) for a transfer, O(log n) at a request's ends.
/// Memory: one record a request, the live state, and the timeline as far as [`RecorderOptions`]
/// allow.
///
/// ```
/// use flexdit::metrics::{Recorder, RecorderOptions, RunInfo};
/// let recorder = Recorder::new(4, RecorderOptions::default());
/// let run = recorder.finish(RunInfo { system: "idle".into(), ..RunInfo::default() });
/// assert_eq!(run.requests.len(), 0);
/// ```
#[derive(Debug)]
pub struct Recorder {
    merge: bool,
    world: u16,
    clocks: RankClocks,
    last: Nanos,
    bounds: BTreeMap<Shape, ShapeBound>,
    requests: Vec<Option<RequestRecord>>,
    /// Per request, its place in `live` while it lives.
    place: Vec<u32>,
    live: Vec<Live>,
    vacant: Vec<u32>,
    /// Requests arrived and not ended, and those of them with nothing in flight.
    unended: u64,
    waiting: u64,
    cause: IdleCause,
    /// Tasks in flight by sequence number, the first being `first_task`.
    flights: VecDeque<Option<Flight>>,
    first_task: u64,
    moving: BTreeMap<TransferId, Moving>,
    timeline: Timeline,
    migrated: Bytes,
    migration_time: Nanos,
    group_setups: u64,
}

const NOWHERE: u32 = u32::MAX;

impl Recorder {
    /// A recorder for a run on `world` ranks that has not begun.
    pub fn new(world: u16, options: RecorderOptions) -> Self {
        Self {
            merge: options.merge,
            world,
            clocks: RankClocks::new(world),
            last: Nanos::ZERO,
            bounds: BTreeMap::new(),
            requests: vec![],
            place: vec![],
            live: vec![],
            vacant: vec![],
            unended: 0,
            waiting: 0,
            cause: IdleCause::NoWork,
            flights: VecDeque::new(),
            first_task: 0,
            moving: BTreeMap::new(),
            timeline: Timeline::new(options.timeline),
            migrated: Bytes::ZERO,
            migration_time: Nanos::ZERO,
            group_setups: 0,
        }
    }

    /// Gives the least work and latency of the shapes that will arrive.
    pub fn with_bounds(mut self, bounds: BTreeMap<Shape, ShapeBound>) -> Self {
        self.bounds = bounds;
        self
    }

    /// Records one step: what the system was told at `now` and what it answered.
    ///
    /// # Panics
    /// If a rank is outside the world.
    pub fn record(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        if events.is_empty() && commands.is_empty() {
            return;
        }
        self.last = self.last.max(now);
        self.clocks.advance(now);
        for event in events {
            self.event(now, event);
        }
        for command in commands {
            self.command(now, command);
        }
        let cause = match (self.unended, self.waiting) {
            (0, _) => IdleCause::NoWork,
            (_, 0) => IdleCause::Drain,
            _ => IdleCause::Waiting,
        };
        if cause != self.cause {
            self.cause = cause;
            self.clocks.set_cause(cause);
            self.timeline.cause(now, cause);
        }
    }

    /// Tasks that began before their rank's previous one had ended: 0 for a correct driver.
    pub fn overlaps(&self) -> u64 {
        self.clocks.overlaps
    }

    /// Ends the run at its last event or command.
    pub fn finish(mut self, info: RunInfo) -> RunRecord {
        for place in 0..self.live.len() {
            if let Some(span) = self.live[place].open.take() {
                self.timeline.span(span);
            }
        }
        self.timeline.sort();
        RunRecord {
            system: info.system,
            seed: info.seed,
            point: info.point,
            world: self.world,
            makespan: self.last,
            requests: self.requests.into_iter().flatten().collect(),
            spans: self.timeline.spans,
            migrations: self.timeline.migrations,
            idle_causes: self.timeline.causes,
            migrated: self.migrated,
            migration_time: self.migration_time,
            rank_time: self.clocks.close(),
            group_setups: self.group_setups,
            peak_rank_memory: info.peak_rank_memory,
            extrapolated: info.extrapolated,
            counters: info.counters,
            offered_load_realised: info.offered_load_realised,
            closed_loop: info.closed_loop,
            jittered: info.jittered,
        }
    }

    fn event(&mut self, now: Nanos, event: &Event) {
        match event {
            Event::Finished { task, rank, span } => self.reported(now, *task, *rank, Some(span)),
            Event::Failed { task, rank, .. } => {
                // What was on its way for a request whose task failed never arrives.
                if !self.moving.is_empty() {
                    let request = self.flight(*task).map(|flight| flight.span.request);
                    self.void(|moving| Some(moving.request) == request);
                }
                self.reported(now, *task, *rank, None);
            }
            Event::Migrated { transfer, started } => self.migrated(now, *transfer, *started),
            Event::Arrived(request) => self.arrived(now, request),
            Event::RankDown(rank) => {
                let hit = |moving: &Moving| {
                    moving.sources.contains(rank) || moving.destinations.contains(rank)
                };
                let requests: Vec<RequestId> =
                    self.moving.values().filter(|moving| hit(moving)).map(|m| m.request).collect();
                self.clocks.set_down(rank.index(), true);
                self.void(|moving| requests.contains(&moving.request));
            }
            Event::RankUp(rank) => self.clocks.set_down(rank.index(), false),
            Event::Cancelled(_) => {}
        }
    }

    fn command(&mut self, now: Nanos, command: &Command) {
        match command {
            Command::Launch(task) => self.launched(task),
            Command::Migrate(transfer) => self.migrating(transfer),
            Command::Release { .. } => {}
            Command::Complete(request) => self.ended(*request, Outcome::Completed(now)),
            Command::Reject { request, why } => self.ended(*request, Outcome::Rejected(now, *why)),
        }
    }

    fn arrived(&mut self, now: Nanos, request: &Request) {
        let index = request.id.index();
        if self.requests.len() <= index {
            self.requests.resize(index + 1, None);
            self.place.resize(index + 1, NOWHERE);
        }
        let bound = self.bounds.get(&request.shape);
        self.requests[index] = Some(RequestRecord {
            id: request.id,
            class: request.class,
            arrival: request.arrival.min(now),
            deadline: request.deadline,
            t_single: request.t_single,
            first_start: None,
            outcome: Outcome::Unfinished,
            gpu_time: Nanos::ZERO,
            busy: Nanos::ZERO,
            least_work: bound.map(|bound| bound.work),
            least_latency: bound.map(|bound| bound.latency),
            reconfigurations: 0,
            migrations: 0,
            group_setups: 0,
        });
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.live.push(Live::default());
            self.live.len() as u32 - 1
        });
        self.place[index] = place;
        self.unended += 1;
        self.waiting += 1;
    }

    fn live(&mut self, request: RequestId) -> Option<&mut Live> {
        let place = *self.place.get(request.index())?;
        self.live.get_mut(place as usize)
    }

    fn record_of(&mut self, request: RequestId) -> Option<&mut RequestRecord> {
        self.requests.get_mut(request.index())?.as_mut()
    }

    /// Something of the request is on its way.
    fn depart(&mut self, request: RequestId) {
        if let Some(live) = self.live(request) {
            live.in_flight += 1;
            let waited = live.in_flight == 1 && !live.ended;
            self.waiting -= u64::from(waited);
        }
    }

    /// Something of the request has ended.
    fn settle(&mut self, request: RequestId) {
        if let Some(live) = self.live(request) {
            live.in_flight -= 1;
            let (idle, ended) = (live.in_flight == 0, live.ended);
            self.waiting += u64::from(idle && !ended);
            if idle && ended {
                self.forget(request);
            }
        }
    }

    fn ended(&mut self, request: RequestId, outcome: Outcome) {
        if let Some(record) = self.record_of(request) {
            record.outcome = outcome;
        }
        if let Some(live) = self.live(request).filter(|live| !live.ended) {
            live.ended = true;
            let idle = live.in_flight == 0;
            self.unended -= 1;
            self.waiting -= u64::from(idle);
            if idle {
                self.forget(request);
            }
        }
    }

    fn forget(&mut self, request: RequestId) {
        let place = std::mem::replace(&mut self.place[request.index()], NOWHERE);
        let live = std::mem::take(&mut self.live[place as usize]);
        self.vacant.push(place);
        if let Some(span) = live.open {
            self.timeline.span(span);
        }
    }

    fn launched(&mut self, task: &Task) {
        for rank in task.group.iter() {
            self.clocks.enqueue(rank.index());
        }
        self.depart(task.request);
        if self.flights.is_empty() {
            self.first_task = task.id.0;
        }
        let index = task.id.0.saturating_sub(self.first_task) as usize;
        while self.flights.len() <= index {
            self.flights.push_back(None);
        }
        self.flights[index] = Some(Flight {
            span: SpanRecord {
                request: task.request,
                stage: task.stage,
                first_step: task.first_step,
                steps: task.steps,
                tasks: 1,
                parallelism: task.parallelism,
                group: task.group.clone(),
                started: Nanos::MAX,
                ended: Nanos::ZERO,
                occupied: Nanos::ZERO,
                setup: Nanos::ZERO,
                launch: Nanos::ZERO,
                failed: false,
            },
            pending: task.group.len(),
        });
    }

    fn flight_index(&self, task: TaskId) -> usize {
        task.0.wrapping_sub(self.first_task) as usize
    }

    fn flight(&self, task: TaskId) -> Option<&Flight> {
        self.flights.get(self.flight_index(task))?.as_ref()
    }

    /// One rank of a task reported; without a span, that it failed.
    fn reported(&mut self, now: Nanos, task: TaskId, rank: Rank, span: Option<&Span>) {
        let index = self.flight_index(task);
        let Some(flight) = self.flights.get_mut(index).and_then(Option::as_mut) else { return };
        let entry = &mut flight.span;
        let request = entry.request;
        if let Some(span) = span {
            let position = entry.group.iter().position(|member| *member == rank);
            let computing = position.is_some_and(|at| at < usize::from(entry.parallelism.degree()));
            let occupied = self.clocks.finish(rank.index(), span, computing);
            let ended = span.ended.unwrap_or(now).min(now);
            entry.started = entry.started.min(ended.saturating_sub(occupied));
            entry.ended = entry.ended.max(ended);
            entry.setup = entry.setup.max(span.setup);
            entry.launch = entry.launch.max(span.launch);
            if let Some(record) = self.requests.get_mut(request.index()).and_then(Option::as_mut) {
                record.gpu_time += occupied;
                if computing {
                    record.busy += occupied.saturating_sub(span.setup + span.launch);
                }
            }
        } else {
            self.clocks.fail(rank.index());
            entry.failed = true;
            entry.ended = now;
        }
        flight.pending -= 1;
        if flight.pending == 0 {
            let done = self.flights[index].take();
            while let Some(None) = self.flights.front() {
                self.flights.pop_front();
                self.first_task += 1;
            }
            if let Some(flight) = done {
                self.completed(now, flight.span);
            }
            self.settle(request);
        }
    }

    /// Every rank of a task has reported.
    fn completed(&mut self, now: Nanos, mut span: SpanRecord) {
        span.started = span.started.min(now);
        span.ended = span.ended.max(span.started);
        span.occupied = span.ended - span.started;
        let setup = u32::from(span.setup > Nanos::ZERO);
        self.group_setups += u64::from(setup);
        let Some(place) = self.place.get(span.request.index()).map(|place| *place as usize) else {
            return;
        };
        let Some(live) = self.live.get_mut(place) else { return };
        let mut moved = 0;
        if span.stage == Stage::Denoise && !span.failed && live.denoised_on != span.group {
            let first = live.denoised_on.is_empty();
            moved = u32::from(!first && !live.denoised_on.same_ranks(&span.group));
            live.denoised_on = span.group.clone();
        }
        if let Some(record) = self.requests[span.request.index()].as_mut() {
            record.group_setups += setup;
            record.reconfigurations += moved;
            if !span.failed {
                let first = record.first_start.unwrap_or(Nanos::MAX);
                record.first_start = Some(first.min(span.started));
            }
        }
        match live.open.as_mut().filter(|open| self.merge && extends(open, &span)) {
            Some(open) => {
                open.steps += span.steps;
                open.tasks += 1;
                open.ended = span.ended;
                open.occupied += span.occupied;
                open.setup += span.setup;
                open.launch += span.launch;
            }
            None => {
                if let Some(open) = live.open.replace(span) {
                    self.timeline.span(open);
                }
            }
        }
    }

    fn migrating(&mut self, transfer: &Transfer) {
        let request = transfer.artifact.request;
        let (mut sources, mut destinations) = (Group::default(), Group::default());
        for edge in &transfer.edges {
            if !sources.contains(&edge.src) {
                sources.push(edge.src);
            }
            if !destinations.contains(&edge.dst) {
                destinations.push(edge.dst);
            }
        }
        for rank in sources.iter().chain(destinations.iter()) {
            self.clocks.enqueue(rank.index());
        }
        let bytes = transfer.edges.iter().map(|edge| edge.bytes).sum();
        self.depart(request);
        self.moving.insert(transfer.id, Moving { request, bytes, sources, destinations });
    }

    /// Transfers that a lost rank took with it: nothing reports them.
    fn void(&mut self, lost: impl Fn(&Moving) -> bool) {
        let lost = self.moving.extract_if(.., |_, moving| lost(moving));
        for (_, moving) in lost.collect::<Vec<_>>() {
            for rank in moving.sources.iter().chain(moving.destinations.iter()) {
                self.clocks.fail(rank.index());
            }
            self.settle(moving.request);
        }
    }

    fn migrated(&mut self, now: Nanos, transfer: TransferId, started: Nanos) {
        let Some(moving) = self.moving.remove(&transfer) else { return };
        for rank in moving.sources.iter().chain(moving.destinations.iter()) {
            self.clocks.transferred(rank.index(), started);
        }
        self.migrated += moving.bytes;
        self.migration_time += now.saturating_sub(started);
        if let Some(record) = self.record_of(moving.request) {
            record.migrations += 1;
        }
        self.timeline.migration(MigrationRecord {
            request: moving.request,
            started: started.min(now),
            ended: now,
            bytes: moving.bytes,
            destinations: moving.destinations,
        });
        self.settle(moving.request);
    }
}

/// Whether `next` continues `open` with nothing between them that a timeline must show.
fn extends(open: &SpanRecord, next: &SpanRecord) -> bool {
    open.stage == next.stage
        && open.first_step + open.steps == next.first_step
        && open.parallelism == next.parallelism
        && open.group == next.group
        && !open.failed
        && !next.failed
        && next.started.saturating_sub(open.ended) <= MERGE_GAP
}

/// A request record with nothing in it.
#[cfg(test)]
pub(crate) fn blank_request(id: u32) -> RequestRecord {
    RequestRecord {
        id: RequestId(id),
        class: flexdit_core::ClassId(0),
        arrival: Nanos::ZERO,
        deadline: None,
        t_single: None,
        first_start: None,
        outcome: Outcome::Unfinished,
        gpu_time: Nanos::ZERO,
        busy: Nanos::ZERO,
        least_work: None,
        least_latency: None,
        reconfigurations: 0,
        migrations: 0,
        group_setups: 0,
    }
}

#[cfg(test)]
#[path = "recorder_test.rs"]
pub(crate) mod tests;
