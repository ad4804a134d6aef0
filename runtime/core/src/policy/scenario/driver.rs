//! The virtual time of a scenario: tasks take what is believed, everything else takes none.

use super::text::{Script, Shapes};
use crate::command::{Command, RejectReason};
use crate::cost::Estimator;
use crate::event::{Event, FailReason, Span};
use crate::ids::{Rank, RequestId, TransferId};
use crate::scheduler::Scheduler;
use crate::system::System;
use crate::task::{Stage, Task};
use crate::units::Nanos;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Tasks of one stage that followed each other on the same ranks.
struct Piece {
    task: Task,
    started: Nanos,
    chunks: u32,
    failed: bool,
}

enum Outcome {
    Open,
    Done(Nanos),
    Rejected(Nanos, RejectReason),
}

struct History {
    name: String,
    shape: crate::request::Shape,
    deadline: Option<Nanos>,
    pieces: Vec<Piece>,
    outcome: Outcome,
}

struct Running {
    task: Task,
    started: Nanos,
    ends: Nanos,
}

pub(super) struct Driver {
    scheduler: Scheduler,
    shapes: Shapes,
    now: Nanos,
    /// Events from outside, latest first.
    outside: Vec<(Nanos, Event)>,
    running: Vec<Running>,
    arrived_transfers: Vec<TransferId>,
    rank_free: Vec<Nanos>,
    wake: Option<Nanos>,
    histories: Vec<History>,
}

/// The order of events of one instant.
fn order(event: &Event) -> u8 {
    match event {
        Event::RankDown(_) => 0,
        Event::Failed { .. } => 1,
        Event::RankUp(_) => 2,
        Event::Finished { .. } => 3,
        Event::Migrated { .. } => 4,
        Event::Cancelled(_) => 5,
        Event::Arrived(_) => 6,
    }
}

impl Driver {
    pub fn new(scheduler: Scheduler, script: &Script<'_>) -> Self {
        let histories = script.events.iter().filter_map(|(_, event)| match event {
            Event::Arrived(request) => Some(History {
                name: script.names[request.id.index()].clone(),
                shape: request.shape,
                deadline: request.deadline,
                pieces: Vec::new(),
                outcome: Outcome::Open,
            }),
            _ => None,
        });
        Self {
            scheduler,
            shapes: script.shapes.clone(),
            now: Nanos::ZERO,
            outside: script.events.iter().rev().cloned().collect(),
            running: Vec::new(),
            arrived_transfers: Vec::new(),
            rank_free: alloc::vec![Nanos::ZERO; usize::from(script.world)],
            wake: None,
            histories: histories.collect(),
        }
    }

    pub fn run(mut self) -> String {
        let mut out = Vec::new();
        while let Some(now) = self.next() {
            self.now = now;
            let events = self.due();
            self.wake = self.scheduler.step(now, &events, &mut out);
            for command in out.drain(..) {
                self.apply(command);
            }
        }
        let counters = self.scheduler.counters();
        let mut text: String = self.histories.iter().enumerate().map(line).collect();
        if counters.illegal > 0 {
            text += &format!("{} illegal decisions\n", counters.illegal);
        }
        if counters.live == 0 {
            assert_eq!(counters.claims, 0, "claims are left when no request lives");
        }
        text
    }

    /// The next instant at which something happens.
    fn next(&self) -> Option<Nanos> {
        if !self.arrived_transfers.is_empty() {
            return Some(self.now);
        }
        let ends = self.running.iter().map(|running| running.ends);
        let outside = self.outside.last().map(|(time, _)| *time);
        ends.chain(outside).chain(self.wake).min()
    }

    /// Everything that happens now, in the order of events.
    fn due(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while self.outside.last().is_some_and(|(time, _)| *time <= self.now) {
            events.extend(self.outside.pop().map(|(_, event)| event));
        }
        for i in 0..events.len() {
            if let Event::RankDown(rank) = events[i] {
                self.fail(rank, &mut events);
            }
        }
        let transfers = self.arrived_transfers.drain(..);
        events.extend(transfers.map(|transfer| Event::Migrated { transfer, started: self.now }));
        let now = self.now;
        for ended in self.running.extract_if(.., |running| running.ends <= now) {
            let span = Span { started: ended.started, ..Span::default() };
            let task = ended.task.id;
            let finished = |&rank: &Rank| Event::Finished { task, rank, span };
            events.extend(ended.task.group.iter().map(finished));
        }
        events.sort_by_key(order);
        events
    }

    /// Ends every task that needs the rank, and the ones queued behind them.
    fn fail(&mut self, down: Rank, events: &mut Vec<Event>) {
        let mut lost: Vec<RequestId> = Vec::new();
        for i in 0..self.running.len() {
            if self.running[i].task.group.contains(&down) {
                lost.push(self.running[i].task.request);
            }
        }
        for failed in self.running.extract_if(.., |r| lost.contains(&r.task.request)) {
            let (task, why) = (failed.task.id, FailReason::RankDown);
            events.extend(failed.task.group.iter().map(|&rank| Event::Failed { task, rank, why }));
            for rank in failed.task.group.iter() {
                self.rank_free[rank.index()] = self.now;
            }
            let pieces = &mut self.histories[failed.task.request.index()].pieces;
            if let Some(piece) = pieces.last_mut() {
                piece.failed = true;
            }
        }
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Launch(task) => self.launch(task),
            Command::Migrate(transfer) => self.arrived_transfers.push(transfer.id),
            Command::Release { .. } => {}
            Command::Complete(id) => self.histories[id.index()].outcome = Outcome::Done(self.now),
            Command::Reject { request, why } => {
                self.histories[request.index()].outcome = Outcome::Rejected(self.now, why);
            }
        }
    }

    fn launch(&mut self, task: Task) {
        let history = &mut self.histories[task.request.index()];
        let costs = self.shapes.costs(&history.shape);
        let time = match task.stage {
            Stage::TextEncode => costs.encode,
            Stage::Denoise => {
                costs.step(task.parallelism.degree()).map(|time| time * u64::from(task.steps))
            }
            Stage::VaeDecode => costs.decode_single(),
        };
        let free = task.group.iter().map(|rank| self.rank_free[rank.index()]).max();
        let started = free.unwrap_or_default().max(self.now);
        let ends = started + time.expect("a launched task has a price");
        for rank in task.group.iter() {
            self.rank_free[rank.index()] = ends;
        }
        let joins = |piece: &&mut Piece| {
            let last = &piece.task;
            !piece.failed
                && last.stage == task.stage
                && last.parallelism == task.parallelism
                && last.group == task.group
        };
        match history.pieces.last_mut().filter(joins) {
            Some(piece) => piece.chunks += 1,
            None => {
                let task = task.clone();
                history.pieces.push(Piece { task, started, chunks: 1, failed: false });
            }
        }
        self.running.push(Running { task, started, ends });
    }
}

fn line((id, history): (usize, &History)) -> String {
    let mut text = format!("{}{id}:", history.name);
    for Piece { task, started, chunks, failed } in &history.pieces {
        let group = &task.group;
        text += &format!(" {}", started.as_millis_f64());
        text += &match task.stage {
            Stage::TextEncode => format!(" encode {group}"),
            Stage::Denoise => format!(" denoise {} {group} x{chunks}", task.parallelism),
            Stage::VaeDecode => format!(" decode {group}"),
        };
        text += if *failed { " lost;" } else { ";" };
    }
    text += &match (&history.outcome, history.deadline) {
        (Outcome::Open, _) => " unfinished".into(),
        (Outcome::Done(at), None) => format!(" done {}", at.as_millis_f64()),
        (Outcome::Done(at), Some(due)) => {
            let how = if *at <= due { "in time" } else { "late" };
            format!(" done {} {how}", at.as_millis_f64())
        }
        (Outcome::Rejected(at, why), _) => format!(" rejected {} {why:?}", at.as_millis_f64()),
    };
    text + "\n"
}
