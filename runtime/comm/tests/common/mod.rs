//! What the tests of the collectives share: worlds, groups, and running one body on every rank.
//!
//! Tests go through [`TRANSPORTS`], so that every transport whose ranks can be threads is put to all of them.

#![allow(dead_code, reason = "each test uses its part")]

use flexdit_comm::check::Trial;
use flexdit_comm::transport::{process, thread};
use flexdit_comm::{Endpoint, Lane, Membership, Patience, WorldConfig};
use flexdit_core::{Group, Rank};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// All ends of a world, and what keeps it alive.
pub struct World {
    pub ends: Vec<Endpoint>,
    pub keeper: Option<process::Launcher>,
}

/// Makes a world whose ranks are threads of this process.
pub type MakeWorld = fn(&WorldConfig) -> World;

/// The transports: process heaps, and the shared mapping that processes use.
pub const TRANSPORTS: &[MakeWorld] =
    if cfg!(target_os = "linux") { &[threads, mapping] } else { &[threads] };

/// The transport `thread`.
pub fn threads(config: &WorldConfig) -> World {
    World { ends: thread::world(config).expect("a world"), keeper: None }
}

/// The transport `process`, with all its ranks in this process. Joining has no patience when operations have none, so it
/// is tried again.
pub fn mapping(config: &WorldConfig) -> World {
    let attempt = || {
        let launcher = process::Launcher::listen(config)?;
        let address = launcher.bootstrap().address();
        let join = |rank| move || process::join(address, Rank(rank), config);
        let ends = std::thread::scope(|scope| {
            let ranks: Vec<_> =
                (0..config.ranks as u16).map(|rank| scope.spawn(join(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect::<Result<_, _>>()
        })?;
        Ok::<_, flexdit_comm::CommError>(World { ends, keeper: Some(launcher) })
    };
    (0..20).find_map(|_| attempt().ok()).unwrap_or_else(|| attempt().expect("a world"))
}

/// For operations that must succeed: far beyond what a busy machine takes.
pub const LONG: Duration = Duration::from_secs(60);

/// For operations that must time out.
pub const SHORT: Duration = Duration::from_millis(200);

/// The ordered group of some ranks.
pub fn group(ranks: &[u16]) -> Group {
    ranks.iter().map(|rank| Rank(*rank)).collect()
}

/// A world with the smallest window: two pieces of one line. Everything above 64 bytes goes in pieces, everything
/// above 128 waits for room.
pub fn tiny(ranks: usize) -> WorldConfig {
    WorldConfig {
        depth: 2,
        piece_bytes: 64,
        window_bytes: 128,
        lend_bytes: usize::MAX,
        timeout: LONG,
        patience: Patience { spins: 32, yields: 4 },
        ..WorldConfig::new(ranks)
    }
}

/// As [`tiny`], but waiting is given up soon.
pub fn hasty(ranks: usize) -> WorldConfig {
    WorldConfig { timeout: SHORT, ..tiny(ranks) }
}

/// Runs `body` on every rank of a new world of the given transport; the results, by rank.
pub fn on_all<T: Send>(
    make: MakeWorld,
    config: &WorldConfig,
    body: impl Fn(Endpoint) -> T + Sync,
) -> Vec<T> {
    let body = &body;
    let World { ends, keeper: _keeper } = make(config);
    std::thread::scope(|scope| {
        let run = |end| scope.spawn(move || body(end));
        let ranks: Vec<_> = ends.into_iter().map(run).collect();
        let join = |rank: std::thread::ScopedJoinHandle<'_, T>| {
            rank.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        ranks.into_iter().map(join).collect()
    })
}

/// As [`on_all`], with the rank's number and its first lane. Ranks stay until all have returned, so that nobody's
/// leaving is mistaken for what the test is about.
pub fn on_lanes<T: Send>(
    make: MakeWorld,
    config: &WorldConfig,
    body: impl Fn(u16, &mut Lane) -> T + Sync,
) -> Vec<T> {
    let everybody = std::sync::Barrier::new(config.ranks);
    on_all(make, config, |mut end| {
        let rank = end.rank().0;
        let result = catch_unwind(AssertUnwindSafe(|| body(rank, end.lane(0))));
        everybody.wait();
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs a trial in a task of its own, if the rank is of the group.
pub fn attempt(lane: &mut Lane, sequence: u64, group: &Group, trial: &Trial) {
    if !group.contains(&lane.rank()) {
        return;
    }
    let member = lane.member(group).expect("a member");
    lane.begin(sequence).expect("in order");
    if let Err(wrong) = trial.run(&mut lane.on(&member)) {
        panic!("{}, task {sequence} of {group}: {wrong}", lane.rank());
    }
}

/// The place of a rank in a group that has it.
pub fn member(lane: &Lane, group: &Group) -> Membership {
    lane.member(group).expect("a member")
}
