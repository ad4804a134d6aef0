//! Watches the steps of a run and notes everything that must not happen.

use super::artifacts::Artifacts;
use flexdit_core::{
    Command, Event, Nanos, Rank, Request, RequestId, Span, Stage, Task, TaskId, TransferId,
};
use flexdit_sim::Observer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Position in a trajectory: stages done, then steps done of the denoise stage.
type Position = (u8, u32);

const DONE: Position = (3, 0);

fn after(request: &Request, at: Position, task: &Task) -> Position {
    match task.stage {
        Stage::TextEncode => (1, 0),
        Stage::Denoise if at.1 + task.steps < request.shape.steps => (1, at.1 + task.steps),
        Stage::Denoise => (2, 0),
        Stage::VaeDecode => DONE,
    }
}

struct Live {
    request: Request,
    /// After the last launched task.
    issued: Position,
    /// After the last finished task.
    done: Position,
    /// A rank went down, or a task failed, since the last launch: it may go back.
    shaken: bool,
    in_flight: BTreeMap<TaskId, Flight>,
    cancelled: bool,
}

struct Flight {
    task: Task,
    launched: Nanos,
    left: usize,
    failed: bool,
}

#[derive(Default)]
struct RankBook {
    down: bool,
    /// Tasks in its inbox, in order.
    inbox: VecDeque<TaskId>,
    last_end: Nanos,
}

/// Checks a stream of steps; knows nothing of the system that makes it.
pub struct Checker {
    ranks: Vec<RankBook>,
    live: BTreeMap<RequestId, Live>,
    ended: BTreeSet<RequestId>,
    arrived: BTreeSet<RequestId>,
    transfers: BTreeMap<TransferId, (RequestId, Vec<Rank>)>,
    owner: BTreeMap<TaskId, RequestId>,
    artifacts: Option<Artifacts>,
    /// Requests that ended in this step.
    ending: Vec<RequestId>,
    /// Instants are those at which a dispatcher heard of something: later than what happened.
    measured: bool,
    sequence: u64,
    now: Nanos,
    /// Computing time of tasks that finished on all their ranks.
    busy: Nanos,
    wrong: Vec<String>,
}

impl Checker {
    /// A checker of a world; with `artifacts` it also follows which rank holds what.
    pub fn new(world: u16, artifacts: bool) -> Self {
        Self {
            ranks: (0..world).map(|_| RankBook::default()).collect(),
            live: BTreeMap::new(),
            ended: BTreeSet::new(),
            arrived: BTreeSet::new(),
            transfers: BTreeMap::new(),
            owner: BTreeMap::new(),
            artifacts: artifacts.then(Artifacts::default),
            ending: Vec::new(),
            measured: false,
            sequence: 0,
            now: Nanos::ZERO,
            busy: Nanos::ZERO,
            wrong: Vec::new(),
        }
    }

    /// A checker of a run with a real clock: arrivals may be taken late, and an end is heard of after it happened.
    pub fn measured(world: u16, artifacts: bool) -> Self {
        Self { measured: true, ..Self::new(world, artifacts) }
    }

    /// Everything noted of a run that was stopped: what must not happen at any time.
    pub fn stop(self) -> Vec<String> {
        self.wrong
    }

    /// Everything noted, once the run is over, with the rank-time that was computing.
    pub fn finish(mut self, requests: usize) -> (Vec<String>, Nanos) {
        if self.ended.len() != requests {
            self.note(format!("{} of {requests} requests ended", self.ended.len()));
        }
        if let Some(rank) = self.ranks.iter().position(|rank| !rank.inbox.is_empty()) {
            self.note(format!("rank {rank} has tasks that never ended"));
        }
        if !self.transfers.is_empty() {
            self.note(format!("{} transfers never ended", self.transfers.len()));
        }
        (self.wrong, self.busy)
    }

    fn note(&mut self, what: String) {
        if self.wrong.len() < 10 {
            self.wrong.push(format!("at {}: {what}", self.now));
        }
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.note(what());
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Arrived(request) => self.arrive(request),
            Event::RankDown(rank) => {
                let up = !std::mem::replace(&mut self.ranks[rank.index()].down, true);
                self.must(up, || format!("{rank} goes down twice"));
                self.live.values_mut().for_each(|live| live.shaken = true);
            }
            Event::RankUp(rank) => {
                let book = &mut self.ranks[rank.index()];
                let down = std::mem::replace(&mut book.down, false) && book.inbox.is_empty();
                self.must(down, || format!("{rank} comes up without being down and empty"));
            }
            Event::Finished { task, rank, span } => self.report(*task, *rank, Some(*span)),
            Event::Failed { task, rank, .. } => self.report(*task, *rank, None),
            Event::Migrated { transfer, started } => self.migrated(*transfer, *started),
            Event::Cancelled(id) => {
                if let Some(live) = self.live.get_mut(id) {
                    live.cancelled = true;
                }
            }
        }
    }

    fn arrive(&mut self, request: &Request) {
        let fresh = self.arrived.insert(request.id);
        self.must(fresh, || format!("{} arrives twice", request.id));
        let on_time = request.arrival == self.now || (self.measured && request.arrival < self.now);
        self.must(on_time, || format!("{} arrives at another time", request.id));
        let live = Live {
            request: *request,
            issued: (0, 0),
            done: (0, 0),
            shaken: false,
            in_flight: BTreeMap::new(),
            cancelled: false,
        };
        self.live.insert(request.id, live);
    }

    /// One rank ends a task, with a span if it finished.
    fn report(&mut self, id: TaskId, rank: Rank, span: Option<Span>) {
        let (now, book) = (self.now, &mut self.ranks[rank.index()]);
        let (head, last, down) = (book.inbox.pop_front(), book.last_end, book.down);
        if let Some(span) = span {
            book.last_end = span.ended.unwrap_or(now);
        }
        let ended = span.and_then(|span| span.ended).unwrap_or(now);
        self.must(head == Some(id), || format!("{rank} ends {id} before {head:?}"));
        let Some(owner) = self.owner.get(&id).copied() else {
            return self.note(format!("{rank} ends {id}, which was never launched"));
        };
        if let Some(span) = span {
            self.must(!down, || format!("{rank} is down and finishes {id}"));
            self.must(span.started >= last, || format!("{rank} runs {id} while busy"));
            let overhead = span.started + span.setup + span.launch;
            self.must(overhead <= ended && ended <= now, || {
                format!("{id} computes for less than nothing")
            });
        }
        let Some(live) = self.live.get_mut(&owner) else {
            return self.note(format!("{id} ends after {owner} did"));
        };
        let Some(flight) = live.in_flight.get_mut(&id) else {
            return self.note(format!("{rank} ends {id}, which is not in flight"));
        };
        flight.left -= 1;
        flight.failed |= span.is_none();
        let early = span.is_some_and(|span| span.started < flight.launched);
        if let Some(span) = span.filter(|_| flight.task.active().contains(&rank)) {
            self.busy += ended.saturating_sub(span.started + span.setup + span.launch);
        }
        if flight.left == 0 {
            self.task_ended(owner, id);
        }
        self.must(!early, || format!("{id} starts before it was launched"));
    }

    fn task_ended(&mut self, owner: RequestId, id: TaskId) {
        let live = self.live.get_mut(&owner).expect("its task is in flight");
        let flight = live.in_flight.remove(&id).expect("its last report");
        if flight.failed {
            live.shaken = true;
            self.transfers.retain(|_, (request, _)| *request != owner);
        } else {
            live.done = after(&live.request, live.done, &flight.task);
        }
        if let Some(artifacts) = &mut self.artifacts {
            artifacts.ended(id);
            if flight.failed {
                artifacts.failed(owner);
            }
        }
    }

    fn migrated(&mut self, id: TransferId, started: Nanos) {
        let Some((_, ranks)) = self.transfers.remove(&id) else {
            return self.note(format!("{id} ends and is not in flight"));
        };
        for rank in ranks {
            let book = &mut self.ranks[rank.index()];
            // A copy is told of when the last rank has it, which may have gone on by then.
            let end = if self.measured { book.last_end } else { self.now };
            let (last, down) = (std::mem::replace(&mut book.last_end, end), book.down);
            let last = if self.measured { Nanos::ZERO } else { last };
            self.must(!down && started >= last, || format!("{rank} pulls {id} while busy or down"));
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Launch(task) => self.launch(task),
            Command::Migrate(transfer) => {
                self.next(transfer.id.0);
                let edges = &transfer.edges;
                let legal = edges.iter().all(|edge| edge.src != edge.dst && edge.bytes.0 > 0);
                let sorted = edges.is_sorted_by_key(|edge| (edge.dst, edge.src));
                self.must(legal && sorted, || format!("{} has odd edges", transfer.id));
                let mut ends = edges.iter().flat_map(|edge| [edge.src, edge.dst]);
                let up = ends.all(|rank| !self.ranks[rank.index()].down);
                self.must(up, || format!("{} touches a rank that is down", transfer.id));
                let request = transfer.artifact.request;
                let mut ranks: Vec<Rank> = edges.iter().map(|edge| edge.dst).collect();
                ranks.dedup();
                self.transfers.insert(transfer.id, (request, ranks));
                let live = self.live.contains_key(&request);
                self.must(live, || format!("{} moves for a request that ended", transfer.id));
            }
            Command::Release { .. } => {}
            Command::Complete(id) => self.end(*id, true),
            Command::Reject { request, .. } => self.end(*request, false),
        }
    }

    fn next(&mut self, sequence: u64) {
        let last = std::mem::replace(&mut self.sequence, sequence);
        self.must(sequence > last, || format!("sequence number {sequence} after {last}"));
    }

    fn launch(&mut self, task: &Task) {
        self.next(task.id.0);
        let distinct: BTreeSet<&Rank> = task.group.iter().collect();
        let wide = usize::from(task.parallelism.degree()) <= task.group.len();
        let sound = distinct.len() == task.group.len() && wide && !task.group.is_empty();
        self.must(sound, || format!("{} has an odd group", task.id));
        for rank in task.group.iter() {
            let book = &mut self.ranks[rank.index()];
            book.inbox.push_back(task.id);
            let down = book.down;
            self.must(!down, || format!("{} is launched on {rank}, which is down", task.id));
        }
        let Some(live) = self.live.get_mut(&task.request) else {
            return self.note(format!("{} is launched after its request ended", task.id));
        };
        let position = match task.stage {
            Stage::TextEncode => (0, 0),
            Stage::Denoise => (1, task.first_step),
            Stage::VaeDecode => (2, 0),
        };
        let back = live.shaken && position <= live.done && live.in_flight.is_empty();
        let steps = task.stage != Stage::Denoise
            || task.steps > 0 && task.first_step + task.steps <= live.request.shape.steps;
        let sound = (position == live.issued || back) && steps && !live.cancelled;
        let issued = live.issued;
        if live.in_flight.is_empty() {
            live.shaken = false;
            live.done = position;
        }
        live.issued = after(&live.request, position, task);
        let (left, launched) = (task.group.len(), self.now);
        let flight = Flight { task: task.clone(), launched, left, failed: false };
        live.in_flight.insert(task.id, flight);
        self.owner.insert(task.id, task.request);
        self.must(sound, || format!("{task:?} does not follow {issued:?}"));
    }

    fn end(&mut self, id: RequestId, completed: bool) {
        let fresh = self.ended.insert(id);
        self.must(fresh, || format!("{id} ends twice"));
        let Some(live) = self.live.remove(&id) else {
            return self.note(format!("{id} ends and is not live"));
        };
        self.ending.push(id);
        self.must(live.in_flight.is_empty(), || format!("{id} ends with tasks in flight"));
        self.must(!completed || live.done == DONE, || {
            format!("{id} completes at {:?}, short of its end", live.done)
        });
    }
}

impl Observer for Checker {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Command]) {
        self.must(now >= self.now, || format!("time goes back to {now}"));
        self.now = now;
        for event in events {
            if let Some(artifacts) = &mut self.artifacts {
                artifacts.event(event);
            }
            self.event(event);
        }
        for command in commands {
            let artifacts = self.artifacts.as_mut();
            if let Some(Err(what)) = artifacts.map(|artifacts| artifacts.command(command)) {
                self.note(what);
            }
            self.command(command);
        }
        for request in std::mem::take(&mut self.ending) {
            let artifacts = self.artifacts.as_mut();
            if let Some(Err(what)) = artifacts.map(|all| all.gone(request)) {
                self.note(what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_is_judged_by_what_it_did() {
        let steps = |times: &[u64]| {
            let mut checker = Checker::measured(1, false);
            for time in times {
                checker.step(Nanos(*time), &[], &[]);
            }
            checker
        };
        assert_eq!(steps(&[4, 5]).finish(1).0, ["at 5 ns: 0 of 1 requests ended"]);
        assert_eq!(steps(&[4, 5]).stop(), Vec::<String>::new());
        assert_eq!(steps(&[5, 4]).stop(), ["at 5 ns: time goes back to 4 ns"]);
    }
}
