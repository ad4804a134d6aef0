//! Tests of the scheduler: what is illegal is refused, what a rank took with it is forgotten.

use super::cursor::Cursor;
use super::*;
use crate::command::RejectReason;
use crate::cost::{DegreeCost, ShapeCosts};
use crate::event::{FailReason, Span};
use crate::ids::{ClassId, Rank, TaskId};
use crate::migration::StateSpec;
use crate::parallelism::Parallelism;
use crate::request::{Request, Shape};
use crate::task::{Stage, Task};
use crate::units::Bytes;
use alloc::vec;

struct Costs;

impl Estimator for Costs {
    fn costs(&self, _: &Shape) -> ShapeCosts {
        let cost = |degree: u8| DegreeCost {
            degree: degree.into(),
            parallelism: Parallelism::ulysses(degree),
            time: Nanos(100),
        };
        ShapeCosts {
            encode: Some(Nanos(10)),
            steps: vec![cost(1), cost(2)],
            decodes: vec![cost(1)],
            state: StateSpec { grid: [1, 4, 4], bytes_per_token: 4, embedding: Bytes(8) },
        }
    }
}

/// Decides by a function of (view, plan, number of the decision).
struct By<F>(F, u32);

impl<F: FnMut(&View<'_>, &mut Plan<'_>, u32) + Send> Policy for By<F> {
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        self.1 += 1;
        (self.0)(view, plan, self.1);
    }
}

fn scheduler(by: impl FnMut(&View<'_>, &mut Plan<'_>, u32) + Send + 'static) -> Scheduler {
    Scheduler::new(SchedulerConfig::new(4), Box::new(By(by, 0)), Box::new(Costs))
}

fn arrival() -> Event {
    Event::Arrived(Request {
        id: RequestId(0),
        class: ClassId(0),
        shape: Shape { steps: 3, ..Shape::default() },
        chunk_steps: 1,
        priority: 0,
        preemptible: false,
        arrival: Nanos::ZERO,
        deadline: None,
        t_single: None,
    })
}

fn step(system: &mut Scheduler, now: u64, events: &[Event]) -> Vec<Command> {
    let mut out = Vec::new();
    system.step(Nanos(now), events, &mut out);
    out
}

fn launched(commands: &[Command]) -> Task {
    let task = |command: &Command| match command {
        Command::Launch(task) => Some(task.clone()),
        _ => None,
    };
    commands.iter().find_map(task).expect("a task is launched")
}

fn finished(task: &Task) -> Vec<Event> {
    let report = |&rank| Event::Finished { task: task.id, rank, span: Span::default() };
    task.group.iter().map(report).collect()
}

fn failed(task: TaskId, rank: u16) -> Event {
    Event::Failed { task, rank: Rank(rank), why: FailReason::RankDown }
}

const ID: RequestId = RequestId(0);

#[test]
fn a_request_that_is_shed_or_paused_does_not_run_in_the_same_plan() {
    let mut system = scheduler(|_, plan, _| {
        plan.pause(ID);
        let grant = plan.take(1, &[]).expect("free");
        plan.run(ID, grant, Parallelism::SINGLE);
        plan.shed(ID);
        plan.chunk(ID, 2);
        plan.resume(ID);
    });
    let commands = step(&mut system, 0, &[arrival()]);
    assert_eq!(commands, [Command::Reject { request: ID, why: RejectReason::Shed }]);
    let counters = system.counters();
    assert_eq!((counters.illegal, counters.live, counters.claims), (3, 0, 0));
}

#[test]
fn a_grant_is_good_for_its_own_plan_only() {
    let mut kept = None;
    let mut system = scheduler(move |_, plan, decision| match decision {
        1 => {
            let grant = plan.take_exact(&Group::single(Rank(0))).expect("free");
            plan.run(ID, grant, Parallelism::SINGLE);
            kept = plan.take_exact(&Group::single(Rank(1)));
            assert!(plan.take_exact(&[Rank(2), Rank(2)].into_iter().collect()).is_none());
            assert!(plan.is_free(Rank(2)));
        }
        2 => {
            let grant = kept.take().expect("kept");
            assert!(plan.run(ID, grant, Parallelism::SINGLE));
        }
        _ => {}
    });
    let task = launched(&step(&mut system, 0, &[arrival()]));
    let mut events = vec![Event::RankDown(Rank(1))];
    events.extend(finished(&task));
    assert_eq!(step(&mut system, 10, &events), []);
    assert_eq!((system.counters().illegal, system.counters().claims), (1, 0));
}

/// Encodes on rank 0, then denoises on ranks 1 and 2, then does nothing.
fn denoising() -> (Scheduler, Task) {
    let mut system = scheduler(|_, plan, decision| {
        let (ranks, degree): (&[u16], u8) = match decision {
            1 => (&[0], 1),
            2 => (&[1, 2], 2),
            _ => return,
        };
        let group = ranks.iter().copied().map(Rank).collect();
        let grant = plan.take_exact(&group).expect("free");
        plan.run(ID, grant, Parallelism::ulysses(degree));
    });
    let encode = launched(&step(&mut system, 0, &[arrival()]));
    let commands = step(&mut system, 10, &finished(&encode));
    let task = launched(&commands);
    assert_eq!(task.stage, Stage::Denoise);
    let Command::Migrate(transfer) = &commands[0] else { panic!("{commands:?}") };
    let migrated = Event::Migrated { transfer: transfer.id, started: Nanos(10) };
    let released = step(&mut system, 20, &[migrated]);
    assert!(matches!(&released[..], [Command::Release { ranks, .. }] if **ranks == [Rank(0)]));
    (system, task)
}

#[test]
fn a_lost_shard_leaves_the_text_and_a_lost_replica_is_forgotten_though_its_rank_is_back() {
    let (mut system, task) = denoising();
    // Rank 0 holds a replica of the text: it goes and comes back while the task runs.
    step(&mut system, 30, &[Event::RankDown(Rank(0)), Event::RankUp(Rank(0))]);
    let events = [Event::RankDown(Rank(2)), failed(task.id, 1), failed(task.id, 2)];
    assert_eq!(step(&mut system, 40, &events), []);
    let slot = system.state.slot(ID).expect("it lives");
    let live = system.state.get(slot);
    let place = live.located.as_ref().expect("the text survives on rank 1");
    assert_eq!((&*place.active, &*place.embeddings), (&[Rank(1)][..], &[Rank(1)][..]));
    assert_eq!((live.done, live.degree), (Cursor::ENCODED, 0));
    assert!(live.gone.is_empty());
}

#[test]
fn no_version_is_named_twice_though_work_is_done_again() {
    let mut system = scheduler(|view, plan, _| {
        if view.ready_len() > 0 {
            let grant = plan.take(1, &[]).expect("free");
            plan.run(ID, grant, Parallelism::SINGLE);
        }
    });
    let mut versions = Vec::new();
    let mut task = launched(&step(&mut system, 0, &[arrival()]));
    for now in 1..4 {
        versions.push(task.output.version);
        task = launched(&step(&mut system, now, &finished(&task)));
    }
    // Everything was on one rank: it starts again from the text, under new names.
    versions.push(task.output.version);
    let rank = task.group[0];
    let commands = step(&mut system, 5, &[Event::RankDown(rank), failed(task.id, rank.0)]);
    let again = launched(&commands);
    assert_eq!((again.stage, again.output.version), (Stage::TextEncode, 5));
    versions.push(again.output.version);
    let next = launched(&step(&mut system, 6, &finished(&again)));
    versions.push(next.output.version);
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn nothing_is_released_on_ranks_that_go_down_at_that_instant() {
    let (mut system, task) = denoising();
    system.config.retries = 0;
    let events = [
        Event::RankDown(Rank(1)),
        failed(task.id, 1),
        failed(task.id, 2),
        Event::RankDown(Rank(2)),
    ];
    let commands = step(&mut system, 40, &events);
    let rejected = Command::Reject { request: ID, why: RejectReason::Failed };
    assert_eq!(commands[0], rejected);
    assert!(
        matches!(&commands[1..], [Command::Release { ranks, .. }] if **ranks == [Rank(0)]),
        "{commands:?}"
    );
}
