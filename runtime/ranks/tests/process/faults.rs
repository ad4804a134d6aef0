//! What goes wrong inside processes that live on, or before a run begins.

use crate::bench::{self, Dice};
use crate::restless::restless;
use crate::role::{self, Spec};
use crate::tidiness::Traces;
use flexdit_core::{Command as Order, Event, FailReason, Nanos, Rank, RequestId, Workload};
use flexdit_ranks::GroupFree;
use flexdit_ranks::process::{Processes, Settings, SharedWorld, StartError, World as _};
use std::process::Command;
use std::sync::Arc;

pub fn panics() {
    let mut failed = 0;
    for seed in 0..6 {
        let world = [1, 2, 3, 4, 6, 8][seed as usize % 6];
        let requests = bench::requests(&mut Dice::new(seed), 25, Nanos::from_micros(300));
        let workload = Workload { requests: requests.clone(), ..Workload::default() };
        let spec = Spec { work: 0, seed, panics: 2, exits: 0 };
        let processes = role::start(world, &spec.text(), false).expect("a world");
        let before = role::numbers(&processes, world);
        let mut system = restless(world, seed, (seed % 3) as u8);
        let options = bench::options(world);
        let ran = role::run(&mut system, &processes, options, workload, &mut |_, events, _| {
            let down = events.iter().any(|event| matches!(event, Event::RankDown(_)));
            assert!(!down, "a panic loses no rank");
        });
        let ran = ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(ran.images.len(), requests.len(), "seed {seed}");
        ran.check(&requests, &mut restless(world, seed, (seed % 3) as u8));
        assert!(ran.outcome.ranks.iter().all(|rank| !rank.lost));
        assert_eq!(before, role::numbers(&processes, world), "the same processes");
        assert!(processes.peaks().iter().all(Option::is_some), "each ended as it should");
        failed += ran.outcome.failed_tasks;
        let told = &ran.outcome.failures;
        let panicked = |one: &String| one.contains("the compute panicked: drawn");
        assert_eq!(told.iter().any(panicked), ran.outcome.failed_tasks > 0, "{told:?}");
    }
    assert!(failed > 10, "{failed} tasks failed");
}

pub fn cancelled() {
    let mut cancelled = 0;
    for seed in 0..6 {
        let world = [1, 2, 4][seed as usize % 3];
        let mut dice = Dice::new(seed);
        let requests = bench::requests(&mut dice, 30, Nanos::from_micros(300));
        let mut cancellations: Vec<(Nanos, RequestId)> = requests
            .iter()
            .filter(|request| request.id.0 % 2 == 0)
            .map(|request| (request.arrival + Nanos(dice.range(0, 2_000_000)), request.id))
            .collect();
        cancellations.sort_unstable();
        let workload = Workload { requests: requests.clone(), cancellations, concurrency: None };
        let spec = Spec { work: 50_000, ..Spec::default() };
        let processes = role::start(world, &spec.text(), false).expect("a world");
        let mut system = restless(world, seed, (seed % 3) as u8);
        let mut rejected = 0;
        let options = bench::options(world);
        let ran =
            role::run(&mut system, &processes, options, workload, &mut |_, events, commands| {
                let reject = |order: &&Order| matches!(order, Order::Reject { .. });
                rejected += commands.iter().filter(reject).count();
                let why = |event: &Event| match event {
                    Event::Failed { why, .. } => Some(*why),
                    _ => None,
                };
                let stopped = |why| matches!(why, FailReason::Cancelled | FailReason::Input);
                assert!(events.iter().filter_map(why).all(stopped), "{events:?}");
            });
        let ran = ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(ran.images.len() + rejected, requests.len(), "each request ends once");
        assert_eq!((ran.outcome.failed_tasks, ran.outcome.resets), (0, 0));
        ran.check(&requests, &mut restless(world, seed, (seed % 3) as u8));
        cancelled += rejected;
    }
    assert!(cancelled > 10, "{cancelled} cancelled");
}

pub fn refused() {
    let error = role::start(3, "nonsense", false).map(drop).expect_err("it cannot compute");
    assert_eq!(error.to_string(), "rank 0: not four numbers: nonsense");
    let start = |program: &str| {
        let shared = SharedWorld::new(2, &GroupFree::default());
        let settings = Settings { world: 2, pin: false, spec: Spec::default().text() };
        let local = Arc::new(bench::synthetic());
        let started = Processes::start(&settings, local, Arc::new(shared), |rank| match rank {
            Rank(0) => role::command(role::RANK),
            _ => Command::new(program),
        });
        started.map(drop).expect_err("no rank")
    };
    let error = start("/nowhere/at/all");
    let doing = "start its process";
    assert!(
        matches!(&error, StartError::System { rank: Rank(1), doing: what, .. } if *what == doing),
        "{error}"
    );
    let error = start("/bin/true");
    assert!(matches!(error, StartError::Ended { rank: Rank(1) }), "{error}");
}

/// However long ranks take to load, nobody waits for them in the world meanwhile: it is not there yet.
pub fn opened() {
    let before = Traces::look();
    let shared = SharedWorld::new(2, &GroupFree::default());
    assert_eq!(Traces::look(), before, "no memory, no thread whose time-out runs");
    let address = shared.open().expect("a world");
    assert_ne!(Traces::look(), before);
    assert_eq!(shared.open(), Ok(address), "the same world");
    let none = SharedWorld::new(0, &GroupFree::default());
    let settings = Settings { world: 1, pin: false, spec: Spec::default().text() };
    let local = Arc::new(bench::synthetic());
    let started = Processes::start(&settings, local, Arc::new(none), |_| role::command(role::RANK));
    let error = started.map(drop).expect_err("no world");
    assert!(matches!(&error, StartError::World(_)), "{error}");
}
