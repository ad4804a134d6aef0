//! What goes wrong: panicking kernels, lost ranks, cancelled requests, full memories, a run that is stopped.

use crate::bench::{self, Dice, Log, Ran};
use crate::restless::{Chain, restless};
use flexdit_core::{
    Bytes, Command, Event, FailReason, Nanos, Rank, RejectReason, Request, RequestId, Stage,
    System, Task, Workload,
};
use flexdit_ranks::synthetic::{Hook, Synthetic};
use flexdit_ranks::{ComputeError, Driver, GroupFree, LoseRank, Options, RunError};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Fails in `percent` of all (task, rank, step), and of all (task, rank) after the last exchange, in one of three ways; loses up to
/// `losses` ranks.
fn faulty(seed: u64, percent: u64, losses: u64) -> Synthetic {
    let lost = Arc::new(AtomicU64::new(0));
    let hook = |seed: u64| -> Hook {
        let lost = Arc::clone(&lost);
        Arc::new(move |task: &Task, rank: Rank, step: u32| {
            let mut dice =
                Dice::new(seed ^ task.id.0 << 24 ^ u64::from(rank.0) << 12 ^ u64::from(step));
            if !dice.chance(percent) {
                return Ok(());
            }
            match dice.range(0, 2) {
                0 => Err(ComputeError::Kernel("drawn".into())),
                1 if lost.fetch_add(1, Ordering::Relaxed) < losses => {
                    resume_unwind(Box::new(LoseRank))
                }
                _ => resume_unwind(Box::new("drawn")),
            }
        })
    };
    bench::synthetic().with_hook(hook(seed)).with_late_hook(hook(!seed))
}

struct Case {
    seed: u64,
    world: u16,
    percent: u64,
    losses: u64,
    cancels: u32,
    count: u32,
}

fn survive(case: &Case, make: &dyn Fn() -> Box<dyn System>) -> Ran {
    let Case { seed, world, percent, losses, cancels, count } = *case;
    let mut dice = Dice::new(seed);
    let requests = bench::requests(&mut dice, count, Nanos::from_micros(300));
    let last = requests.last().expect("requests").arrival.0;
    let mut cancellations: Vec<(Nanos, RequestId)> = (0..cancels)
        .map(|_| {
            let id = dice.range(0, u64::from(count) - 1) as u32;
            let arrival = requests[id as usize].arrival.0;
            // Soon after it came, or any time.
            let soon = arrival + dice.range(0, 1_000_000);
            let at = if dice.chance(50) { soon } else { dice.range(0, last + 5_000_000) };
            (Nanos(at), RequestId(id))
        })
        .collect();
    cancellations.sort_unstable();
    let workload = Workload { requests: requests.clone(), cancellations, concurrency: None };
    let compute = Arc::new(faulty(seed, percent, losses));
    let ran = bench::run(&mut *make(), bench::options(world), compute, workload);
    let ran = ran.unwrap_or_else(|error| panic!("seed {seed}, world {world}: {error}"));
    assert!(!ran.outcome.interrupted);
    let lost = ran.outcome.ranks.iter().filter(|rank| rank.lost).count() as u64;
    assert!(lost <= losses, "{lost} ranks lost");
    let rejected = rejections(&ran.log);
    assert!(rejected.iter().all(|(_, why)| *why == RejectReason::Cancelled || percent > 0));
    assert_eq!(ran.images.len() + rejected.len(), requests.len(), "each request ends once");
    ran.check(&requests, &mut *make());
    ran
}

fn rejections(log: &Log) -> Vec<(RequestId, RejectReason)> {
    let commands = log.0.iter().flat_map(|(_, _, commands)| commands);
    let reject = |command: &Command| match command {
        Command::Reject { request, why } => Some((*request, *why)),
        _ => None,
    };
    commands.filter_map(reject).collect()
}

fn failures(log: &Log) -> Vec<FailReason> {
    let events = log.0.iter().flat_map(|(_, events, _)| events);
    let failed = |event: &Event| match event {
        Event::Failed { why, .. } => Some(*why),
        _ => None,
    };
    events.filter_map(failed).collect()
}

#[test]
fn panicking_kernels_fail_their_tasks_and_nothing_else() {
    let mut failed = 0;
    for seed in 0..24 {
        let world = [1, 2, 3, 4, 6, 8][seed as usize % 6];
        let case = Case { seed, world, percent: 2, losses: 0, cancels: 0, count: 40 };
        let ran = survive(&case, &|| Box::new(restless(world, seed, (seed % 3) as u8)));
        assert_eq!(rejections(&ran.log), [], "seed {seed}");
        failed += ran.outcome.failed_tasks;
        assert!(!failures(&ran.log).contains(&FailReason::RankDown));
    }
    assert!(failed > 50, "{failed} tasks failed");
}

#[test]
fn requests_of_lost_ranks_resume_elsewhere() {
    let mut lost = 0;
    for seed in 0..24 {
        let world = [3, 4, 8][seed as usize % 3];
        let case =
            Case { seed, world, percent: 2, losses: u64::from(world) - 1, cancels: 0, count: 40 };
        let ran = survive(&case, &|| Box::new(restless(world, seed, (seed % 3) as u8)));
        assert_eq!(rejections(&ran.log), [], "seed {seed}");
        lost += ran.outcome.ranks.iter().filter(|rank| rank.lost).count();
    }
    assert!(lost > 24, "{lost} ranks lost");
}

#[test]
fn cancelled_requests_end_at_a_step_and_leave_nothing() {
    let mut cancelled = 0;
    for seed in 0..24 {
        let world = [1, 2, 4, 8][seed as usize % 4];
        let case = Case { seed, world, percent: 0, losses: 0, cancels: 30, count: 40 };
        let ran = survive(&case, &|| Box::new(restless(world, seed, (seed % 3) as u8)));
        let stopped = |why: &FailReason| matches!(why, FailReason::Cancelled | FailReason::Input);
        assert!(failures(&ran.log).iter().all(stopped), "{:?}", failures(&ran.log));
        assert_eq!((ran.outcome.failed_tasks, ran.outcome.resets), (0, 0));
        cancelled += rejections(&ran.log).len();
    }
    assert!(cancelled > 24, "{cancelled} cancelled");
}

#[test]
fn everything_at_once_under_every_policy() {
    for (at, policy) in ["edf-greedy", "edf-best-fit", "fcfs", "srtf"].into_iter().enumerate() {
        for seed in 0..6 {
            let (world, seed) = ([2, 5, 8][seed as usize % 3], seed * 7 + at as u64);
            let case = Case { seed, world, percent: 1, losses: 1, cancels: 10, count: 40 };
            survive(&case, &|| Box::new(bench::elastic(policy, world, seed)));
        }
    }
}

/// Thousands of requests in one world that shrinks: nothing is left of any, and the ranks' memory is used again.
#[test]
fn thousands_of_requests_leave_nothing() {
    let (mut ended, mut cancelled, mut failed, mut lost) = (0, 0, 0, 0);
    for (seed, world) in [(1, 8), (2, 4), (3, 6)] {
        let case = Case { seed, world, percent: 1, losses: 2, cancels: 300, count: 1000 };
        let ran = survive(&case, &|| Box::new(restless(world, seed, (seed % 3) as u8)));
        ended += ran.images.len();
        cancelled += rejections(&ran.log).len();
        failed += ran.outcome.failed_tasks;
        lost += ran.outcome.ranks.iter().filter(|rank| rank.lost).count();
    }
    assert!(ended > 2000 && cancelled > 20, "{ended} ended, {cancelled} cancelled");
    assert!(failed > 50 && lost > 3, "{failed} tasks failed, {lost} ranks lost");
}

#[test]
fn a_queued_pipeline_survives_too() {
    for seed in 0..8 {
        let world = [1, 2, 4][seed as usize % 3];
        let case = Case { seed, world, percent: 1, losses: 0, cancels: 10, count: 40 };
        survive(&case, &|| Box::new(Chain::new(world, 5)));
    }
}

#[test]
fn a_world_without_ranks_ends_the_run() {
    let requests = bench::requests(&mut Dice::new(1), 5, Nanos::from_micros(10));
    let workload = Workload { requests, ..Workload::default() };
    let hook: Hook = Arc::new(|_, _, _| resume_unwind(Box::new(LoseRank)));
    let compute = Arc::new(bench::synthetic().with_hook(hook));
    let mut system = bench::elastic("edf-greedy", 2, 1);
    let ran = bench::run(&mut system, bench::options(2), compute, workload).expect("an end");
    assert_eq!((ran.outcome.stranded, ran.outcome.unfinished), (true, 5));
}

#[test]
fn a_task_that_does_not_fit_fails_and_the_request_is_given_up() {
    let requests = bench::requests(&mut Dice::new(2), 3, Nanos::from_micros(10));
    let workload = Workload { requests, ..Workload::default() };
    let options = Options { rank_memory: Some(Bytes(500)), ..bench::options(2) };
    let mut system = bench::elastic("edf-greedy", 2, 1);
    let ran = bench::run(&mut system, options, Arc::new(bench::synthetic()), workload);
    let ran = ran.expect("a run");
    assert!(ran.images.is_empty());
    assert!(failures(&ran.log).contains(&FailReason::OutOfMemory));
    assert!(ran.outcome.failures[0].contains("do not fit"), "{:?}", ran.outcome.failures);
    assert!(ran.outcome.ranks.iter().all(|rank| rank.peak <= Bytes(500)));
}

/// Tells a driver something when the first task of a stage computes.
fn told(tell: impl FnOnce(&flexdit_ranks::Control) + Send + 'static) -> Ran {
    let requests = bench::requests(&mut Dice::new(4), 30, Nanos::from_micros(50));
    let workload = Workload { requests: requests.clone(), ..Workload::default() };
    let (send, control) = std::sync::mpsc::channel();
    let once = std::sync::Mutex::new(Some((tell, control)));
    let hook: Hook = Arc::new(move |task: &Task, _, _| {
        if task.stage == Stage::Denoise
            && let Some((tell, control)) = once.lock().expect("no panic").take()
        {
            tell(&control.recv().expect("sent before the run"));
        }
        Ok(())
    });
    let fabric = GroupFree::default();
    let compute = Arc::new(bench::synthetic().with_hook(hook));
    let driver = Driver::new(bench::options(2), compute, &fabric);
    send.send(driver.control()).expect("the hook waits");
    let (mut log, mut images) = (Log::default(), std::collections::BTreeMap::new());
    let mut sink = |done: flexdit_ranks::Completed| {
        images.insert(done.request.id.0, bench::synthetic().assemble(&done));
    };
    let mut system = bench::elastic("fcfs", 2, 1);
    let outcome = driver.run(&mut system, workload, &mut log, &mut sink).expect("a run");
    let ran = Ran { outcome, log, images };
    ran.results(&requests);
    ran
}

#[test]
fn a_stopped_run_says_so_and_keeps_what_was_done() {
    let ran = told(|control| assert!(control.stop()));
    assert!(ran.outcome.interrupted);
    assert_eq!(ran.outcome.unfinished, 30 - ran.images.len());
    assert!(ran.outcome.ranks.iter().all(|rank| rank.held == Bytes(0) && !rank.lost));
    ran.replay(&mut bench::elastic("fcfs", 2, 1));
}

#[test]
fn a_client_cancels_and_an_operator_takes_a_rank_down() {
    let ran = told(|control| {
        assert!(control.cancel(RequestId(29)) && control.cancel(RequestId(1_000_000)));
        assert!(control.lose(Rank(1)) && control.lose(Rank(77)));
    });
    assert!(!ran.outcome.interrupted && ran.outcome.ranks[1].lost);
    ran.replay(&mut bench::elastic("fcfs", 2, 1));
}

#[test]
fn shapes_that_cannot_be_computed_are_refused_before_the_run() {
    let mut requests: Vec<Request> = bench::requests(&mut Dice::new(4), 3, Nanos(1));
    requests[2].shape.height = 1;
    let workload = Workload { requests, ..Workload::default() };
    let mut system = bench::elastic("fcfs", 1, 1);
    let compute = Arc::new(bench::synthetic());
    let error = bench::run(&mut system, bench::options(1), compute, workload).map(|_| ());
    assert!(matches!(error, Err(RunError::Shape { request: RequestId(2), .. })), "{error:?}");
}
