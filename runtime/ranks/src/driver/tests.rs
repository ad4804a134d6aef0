//! Tests of the dispatcher alone: ranks that do nothing, messages in the order that a test wants.

use super::dispatch::Dispatcher;
use super::fleet::Fleet;
use super::{Driver, Options, RunError};
use crate::artifact::Shard;
use crate::memory::RankMemory;
use crate::message::{Item, Message};
use crate::peers::GroupFree;
use crate::synthetic::Synthetic;
use crate::tokens::Tokens;
use flexdit_core::migration::{Located, StateSpec, migration};
use flexdit_core::model::model;
use flexdit_core::{
    ArtifactId, Bytes, ClassId, Command, Counters, Event, FailReason, Group, ModelId, Nanos,
    Observer, Parallelism, Rank, Request, RequestId, Route, Shape, Span, Stage, System, Task,
    TaskId, Transfer, TransferId, Workload,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Says what it was told to say, one step after the other.
#[derive(Default)]
struct Script(VecDeque<Vec<Command>>);

impl System for Script {
    fn step(&mut self, _: Nanos, _: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        out.extend(self.0.pop_front().unwrap_or_default());
        None
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// What the system was told, but for arrivals.
#[derive(Default)]
struct Told(Vec<String>);

impl Observer for Told {
    fn step(&mut self, _: Nanos, events: &[Event], _: &[Command]) {
        self.0.extend(events.iter().filter_map(|event| match event {
            Event::Finished { task, rank, .. } => Some(format!("#{} done {}", task.0, rank.0)),
            Event::Failed { task, rank, why } => {
                Some(format!("#{} failed {} {why:?}", task.0, rank.0))
            }
            Event::Migrated { transfer, .. } => Some(format!("#{} moved", transfer.0)),
            Event::RankDown(rank) => Some(format!("down {}", rank.0)),
            Event::Cancelled(request) => Some(format!("cancelled {}", request.0)),
            _ => None,
        }));
    }
}

fn request() -> Request {
    let side = 64;
    let shape =
        Shape { model: ModelId(0), height: side, width: side, frames: 1, ..Shape::default() };
    Request {
        id: RequestId(0),
        class: ClassId(0),
        shape: Shape { text_tokens: 16, steps: 4, ..shape },
        chunk_steps: 1,
        priority: 0,
        preemptible: true,
        arrival: Nanos::ZERO,
        deadline: None,
        t_single: None,
    }
}

fn launch(id: u64, degree: u8, ranks: u16, version: u32) -> Command {
    Command::Launch(Task {
        id: TaskId(id),
        request: RequestId(0),
        stage: Stage::Denoise,
        first_step: version,
        steps: 1,
        parallelism: Parallelism::ulysses(degree),
        group: Group::consecutive(Rank(0), usize::from(ranks)),
        input: version,
        output: ArtifactId { request: RequestId(0), version: version + 1 },
    })
}

/// What a task on all of three ranks left goes to the first two.
fn narrow(id: u64, version: u32) -> Command {
    let spec = StateSpec { grid: [1, 4, 4], bytes_per_token: 4, embedding: Bytes(4) };
    let ranks = Group::consecutive(Rank(0), 3);
    let from = Located::after(None, Stage::Denoise, Parallelism::ulysses(3), &ranks);
    let layout = Parallelism::ulysses(2);
    let edges = migration(&spec, &from, Stage::Denoise, layout, &ranks[..2]);
    let to = Located::after(Some(&from), Stage::Denoise, layout, &ranks[..2]);
    let artifact = ArtifactId { request: RequestId(0), version };
    let route = Box::new(Route { from, to });
    Command::Migrate(Transfer { id: TransferId(id), artifact, edges, route })
}

fn done(sequence: u64, rank: u16) -> Message {
    Message::Finished { rank: Rank(rank), sequence, span: Span::default() }
}

fn pulled(sequence: u64, rank: u16) -> Message {
    Message::Pulled { rank: Rank(rank), sequence, started: Nanos(1), complete: true }
}

fn failed(sequence: u64, rank: u16, why: FailReason) -> Message {
    Message::Failed { rank: Rank(rank), sequence, why, what: None, late: false }
}

fn reset(rank: u16, id: u64, done: bool) -> Message {
    Message::Reset { rank: Rank(rank), id, done }
}

/// Feeds batches of messages, `look` at the dispatcher and step the system after each; returns what the system was told.
fn feed(
    script: Vec<Vec<Command>>,
    batches: Vec<Vec<Message>>,
    look: &mut dyn FnMut(&Dispatcher<'_>),
) -> Vec<String> {
    feed_world(3, script, batches, look)
}

/// As [`feed`], with so many ranks.
fn feed_world(
    world: u16,
    script: Vec<Vec<Command>>,
    batches: Vec<Vec<Message>>,
    look: &mut dyn FnMut(&Dispatcher<'_>),
) -> Vec<String> {
    let (mut system, mut observer, mut sink) = (Script(script.into()), Told::default(), ());
    let compute = Synthetic::new(vec![model("qwen-image").expect("listed")], 1);
    let fabric = GroupFree::default();
    let options = Options { pin: false, ..Options::new(world) };
    let driver = Driver::new(options, Arc::new(compute), &fabric);
    let workload = Workload { requests: vec![request()], ..Workload::default() };
    let (fleet, _seats) = Fleet::new(&driver).expect("a world");
    let dispatcher =
        Dispatcher::new(&driver, fleet, &mut system, workload, &mut observer, &mut sink);
    let mut dispatcher = dispatcher.expect("shapes of the model");
    dispatcher.step().expect("a legal command");
    for batch in batches {
        for message in batch {
            dispatcher.on_message(message).expect("a legal message");
        }
        look(&dispatcher);
        dispatcher.step().expect("a legal command");
        look(&dispatcher);
    }
    drop(dispatcher);
    observer.0
}

fn told(script: Vec<Vec<Command>>, batches: Vec<Vec<Message>>) -> Vec<String> {
    feed(script, batches, &mut |_| {})
}

#[test]
fn a_transfer_that_is_early_is_told_after_the_task_that_made_it() {
    let script = vec![vec![launch(1, 3, 3, 0), narrow(2, 1), launch(3, 2, 3, 1)]];
    let early = vec![done(1, 0), done(1, 1), pulled(2, 0), pulled(2, 1)];
    let told = told(script, vec![early, vec![done(1, 2)]]);
    assert_eq!(told, ["#1 done 0", "#1 done 1", "#1 done 2", "#2 moved"]);
}

#[test]
fn what_a_lost_rank_had_made_does_not_count() {
    let script = vec![vec![launch(1, 3, 3, 0)]];
    let lost = Message::Lost { rank: Rank(0) };
    let told = told(script, vec![vec![done(1, 0)], vec![lost], vec![done(1, 1), done(1, 2)]]);
    let expected = ["#1 done 0", "down 0", "#1 failed 1 RankDown", "#1 failed 2 RankDown"];
    assert_eq!(told, expected);
}

#[test]
fn a_failed_rank_is_told_when_the_collectives_work_again() {
    let script = vec![vec![launch(1, 3, 3, 0)]];
    let kernel = FailReason::Kernel;
    let batches = vec![
        // Rank 0 came through and is free at once.
        vec![done(1, 0), failed(1, 1, kernel)],
        vec![failed(1, 2, kernel)],
        // The first reset fails on one of its members; the second takes everybody.
        vec![reset(0, 1, true), reset(1, 1, true), reset(2, 1, false)],
        vec![reset(0, 2, true), reset(1, 2, true)],
    ];
    assert_eq!(told(script.clone(), batches), ["#1 done 0"]);
    let batches = vec![
        vec![done(1, 0), failed(1, 1, kernel), failed(1, 2, kernel)],
        vec![reset(0, 1, true), reset(1, 1, true), reset(2, 1, true)],
    ];
    let expected = ["#1 done 0", "#1 failed 1 Kernel", "#1 failed 2 Kernel"];
    assert_eq!(told(script, batches), expected);
}

#[test]
fn what_was_queued_behind_a_failed_task_does_not_count() {
    // Rank 1 fails after its last exchange: rank 0 came through and is done with the next task before it could hear of that.
    let Command::Launch(ahead) = launch(2, 1, 2, 1) else { unreachable!("a launch") };
    let ahead = Command::Launch(Task { stage: Stage::VaeDecode, steps: 0, ..ahead });
    let script = vec![vec![launch(1, 2, 2, 0), ahead], vec![], vec![], vec![launch(3, 1, 1, 0)]];
    let batches = vec![
        vec![done(1, 0), done(2, 0), failed(1, 1, FailReason::Kernel)],
        vec![done(2, 1)],
        vec![reset(0, 1, true), reset(1, 1, true)],
        vec![done(3, 0)],
    ];
    let (mut seen, memory) = (Vec::new(), RankMemory::new(Rank(0), None));
    feed(script, batches, &mut |dispatcher| {
        let live = &dispatcher.live[&RequestId(0)];
        if seen.is_empty() {
            let shard =
                Shard { tokens: Tokens::none(), tensors: vec![memory.zeroed(4).expect("room")] };
            live.flow.publish(Rank(0), 0, shard);
        }
        seen.push((live.flow.copies(Rank(0), 0).len(), live.version));
    });
    // What the system goes back to is there until something was made of it.
    let kept = (1, 0);
    assert_eq!(seen, [kept, kept, kept, kept, kept, kept, (0, 1), (0, 1)]);
}

#[test]
fn losses_do_not_use_up_the_attempts_at_a_reset() {
    const WORLD: u16 = 9;
    let script = vec![vec![launch(1, 2, 2, 0)]];
    let mut batches =
        vec![vec![failed(1, 0, FailReason::Kernel), failed(1, 1, FailReason::Kernel)]];
    // The first reset is of two, the others are of all that are left; each loses its last member.
    batches.push(vec![reset(0, 1, false), Message::Lost { rank: Rank(1) }]);
    for (id, lost) in (2..).zip((2..WORLD).rev()) {
        let members = (0..lost).filter(|rank| *rank != 1);
        let mut batch: Vec<Message> = members.map(|rank| reset(rank, id, false)).collect();
        batch.push(Message::Lost { rank: Rank(lost) });
        batches.push(batch);
    }
    batches.push(vec![reset(0, u64::from(WORLD), true)]);
    let told = feed_world(WORLD, script, batches, &mut |_| {});
    assert_eq!(told.last().map(String::as_str), Some("#1 failed 0 Kernel"), "{told:?}");
}

#[test]
fn a_reset_that_cannot_be_told_to_all_is_called_off_for_those_who_were() {
    let (mut system, mut observer, mut sink) = (Script::default(), Told::default(), ());
    let compute = Synthetic::new(vec![model("qwen-image").expect("listed")], 1);
    let fabric = GroupFree::default();
    let options = Options { pin: false, inbox: 1, ..Options::new(2) };
    let driver = Driver::new(options, Arc::new(compute), &fabric);
    let workload = Workload { requests: vec![request()], ..Workload::default() };
    let (fleet, _seats) = Fleet::new(&driver).expect("a world");
    let dispatcher =
        Dispatcher::new(&driver, fleet, &mut system, workload, &mut observer, &mut sink);
    let mut dispatcher = dispatcher.expect("shapes of the model");
    while dispatcher.fleet.push(Rank(1), Item::Lose) {}
    let pair = Group::consecutive(Rank(0), 2);
    let full = dispatcher.reset(RequestId(0), pair, Group::default(), 0);
    assert!(matches!(full, Err(RunError::InboxFull { rank: Rank(1), .. })), "{full:?}");
    assert!(!dispatcher.resets.is_empty(), "whoever ends the run voids it");
}

#[test]
fn what_clients_want_before_the_clock_starts_is_kept() {
    let (mut system, mut observer, mut sink) = (Script::default(), Told::default(), ());
    let compute = Synthetic::new(vec![model("qwen-image").expect("listed")], 1);
    let fabric = GroupFree::default();
    let driver = Driver::new(Options::new(1), Arc::new(compute), &fabric);
    let workload = Workload { requests: vec![request()], ..Workload::default() };
    let (fleet, _seats) = Fleet::new(&driver).expect("a world");
    let dispatcher =
        Dispatcher::new(&driver, fleet, &mut system, workload, &mut observer, &mut sink);
    let mut dispatcher = dispatcher.expect("shapes of the model");
    assert!(driver.control().cancel(RequestId(0)));
    let pinned = Err("not asked to".to_owned());
    driver.mail.leave(Message::Ready { rank: Rank(0), pinned, world: Ok(()) });
    assert!(dispatcher.is_ready());
    dispatcher.begin().expect("all are there");
    dispatcher.step().expect("a legal step");
    dispatcher.step().expect("a legal step");
    drop(dispatcher);
    assert_eq!(observer.0, ["cancelled 0"]);
}

#[test]
fn a_reset_goes_on_without_a_member_that_is_lost() {
    let script = vec![vec![launch(1, 3, 3, 0)]];
    let kernel = FailReason::Kernel;
    let batches = vec![
        vec![done(1, 0), failed(1, 1, kernel), failed(1, 2, kernel)],
        vec![reset(0, 1, false), Message::Lost { rank: Rank(2) }, reset(1, 1, false)],
        vec![reset(0, 2, true), reset(1, 2, true)],
    ];
    let expected = ["#1 done 0", "down 2", "#1 failed 2 Kernel", "#1 failed 1 Kernel"];
    assert_eq!(told(script, batches), expected);
}

#[test]
fn a_request_that_begins_anew_goes_on_beside_the_reset_for_a_lost_rank() {
    let Command::Launch(task) = launch(2, 1, 1, 0) else { unreachable!("a launch") };
    let anew = Command::Launch(Task { group: Group::consecutive(Rank(1), 1), ..task });
    let script = vec![vec![launch(1, 3, 3, 0)], vec![], vec![anew]];
    // Nobody failed in the collective but the lost one: the system has heard everything while the others reset.
    let batches = vec![vec![Message::Lost { rank: Rank(0) }], vec![done(1, 1), done(1, 2)]];
    let mut seen = Vec::new();
    feed(script, batches, &mut |dispatcher| {
        let broken = dispatcher.live[&RequestId(0)].flow.broken().is_some();
        seen.push((broken, dispatcher.resets.is_empty()));
    });
    assert_eq!(seen, [(true, true), (true, true), (true, false), (false, false)]);
}

#[test]
fn a_request_goes_on_beside_a_reset_whose_failed_rank_is_lost() {
    let Command::Launch(task) = launch(2, 1, 1, 0) else { unreachable!("a launch") };
    let anew = Command::Launch(Task { group: Group::consecutive(Rank(1), 1), ..task });
    let script = vec![vec![launch(1, 3, 3, 0)], vec![], vec![anew]];
    let kernel = FailReason::Kernel;
    let fails = vec![done(1, 1), done(1, 2), failed(1, 0, kernel)];
    // Held back for the reset of all three, and lost before that is over.
    let batches = vec![fails, vec![Message::Lost { rank: Rank(0) }]];
    let mut seen = Vec::new();
    feed(script, batches, &mut |dispatcher| {
        let live = &dispatcher.live[&RequestId(0)];
        seen.push((live.repairs, dispatcher.resets.is_empty()));
    });
    assert_eq!(seen, [(1, false), (1, false), (0, false), (0, false)]);
}

#[test]
fn what_is_queued_behind_an_untold_failure_finds_the_request_broken() {
    // Tasks 1 and 2 run, fail, and are reset; 3 is queued before the system hears of that, 4 begins anew.
    let script =
        vec![vec![launch(1, 2, 2, 0)], vec![launch(3, 2, 2, 1)], vec![], vec![launch(4, 1, 1, 0)]];
    let kernel = FailReason::Kernel;
    let batches = vec![
        vec![failed(1, 0, kernel), failed(1, 1, kernel)],
        vec![failed(3, 0, FailReason::Input), failed(3, 1, FailReason::Input)],
        vec![reset(0, 1, true), reset(1, 1, true), reset(0, 2, true), reset(1, 2, true)],
    ];
    let (mut seen, mut looks) = (Vec::new(), 0);
    feed(script, batches, &mut |dispatcher| {
        let flow = &dispatcher.live[&RequestId(0)].flow;
        looks += 1;
        if looks == 1 {
            flow.break_with(kernel);
        }
        seen.push(flow.broken().is_some());
    });
    assert_eq!(seen, [true, true, true, true, true, false]);
}
