//! Operations between processes against the oracle, and joining with different settings.

use crate::rank::{self, PATIENCE, Role};
use flexdit_comm::check::{Schedule, Trial, Work};
use flexdit_comm::transport::process::join;
use flexdit_comm::{Collectives as _, CommError, DType, JoinFault, WorldConfig};
use flexdit_core::{Group, Rank};

/// Small windows, so that payloads are larger.
pub fn small(ranks: usize) -> WorldConfig {
    WorldConfig {
        window_bytes: 8 << 10,
        piece_bytes: 2 << 10,
        arena_bytes: 4 << 20,
        lend_bytes: 1 << 10,
        timeout: PATIENCE,
        nonce: 7,
        ..WorldConfig::new(ranks)
    }
}

/// Every operation at several sizes: none, one byte, odd, more than a piece, more than a window.
fn works(degree: usize, config: &WorldConfig) -> Vec<Work> {
    let sizes = [0, 1, 37, config.piece_bytes + 1, 2 * config.window_bytes + 13];
    let mut works = vec![Work::Barrier];
    let ragged = |at: usize| (0..degree).map(|i| 700 * ((i + at) % 5)).collect::<Vec<_>>();
    works.push(Work::AllGather { counts: ragged(1) });
    works.push(Work::AllToAll { counts: (0..degree).map(ragged).collect() });
    for (at, bytes) in sizes.into_iter().enumerate() {
        works.push(Work::Broadcast { root: at % degree, bytes });
        works.push(Work::AllGather { counts: vec![bytes; degree] });
        works.push(Work::AllToAll { counts: vec![vec![bytes; degree]; degree] });
        works.push(Work::RingShift { by: at, bytes: vec![bytes; degree] });
        works.push(Work::PutGet { from: at % degree, to: (at + 1) % degree, bytes });
        for dtype in [DType::F32, DType::Bf16, DType::F16] {
            let elements = bytes / dtype.size();
            works.push(Work::ReduceScatter { dtype, elements: elements / degree });
            works.push(Work::AllReduce { dtype, elements });
        }
    }
    works
}

/// All, all reversed, every other one, and pairs of neighbours.
fn groups(ranks: u16) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![
        (0..ranks).map(Rank).collect(),
        (0..ranks).rev().map(Rank).collect(),
        (0..ranks).step_by(2).map(Rank).collect(),
    ];
    groups.extend((1..ranks).map(|rank| [Rank(rank), Rank(rank - 1)].into_iter().collect()));
    groups.retain(|group: &Group| group.len() > 1);
    groups
}

pub fn trials() {
    for ranks in [2, 4, 8, 16] {
        rank::run(&small(ranks), "trials", &[ranks as u64]);
    }
}

pub fn trials_rank(role: &Role<'_>) {
    let ranks = role.number(0) as usize;
    let config = small(ranks);
    let mut endpoint = role.join(&config);
    let lane = endpoint.lane(1);
    let mut sequence = 0;
    for group in groups(ranks as u16) {
        for work in works(group.len(), &config) {
            sequence += 1;
            if group.contains(&role.rank) {
                let member = lane.member(&group).expect("a member");
                lane.begin(sequence).expect("in order");
                let trial = Trial::new(work, group.len(), sequence);
                let outcome = trial.run(&mut lane.on(&member));
                outcome.unwrap_or_else(|wrong| panic!("{}: {wrong}", role.rank));
            }
        }
    }
}

pub fn schedules() {
    for seed in 0..24 {
        rank::run(Schedule::draw(seed).config(), "schedule", &[seed]);
    }
}

pub fn schedule_rank(role: &Role<'_>) {
    let schedule = Schedule::draw(role.number(0));
    let endpoint = role.join(schedule.config());
    let tally = schedule.run_rank(endpoint).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(tally.operations > 0 || schedule.config().ranks > 1);
}

pub fn heap() {
    rank::run(&small(3), "heap", &[]);
}

/// Tensors of many windows, lent to the others where they lie, changed as soon as an operation returns.
pub fn heap_rank(role: &Role<'_>) {
    const BYTES: usize = 300_000;
    let mut endpoint = role.join(&small(3));
    let mut mine = endpoint.allocate(BYTES).expect("room");
    let mut all = endpoint.allocate(3 * BYTES).expect("room");
    let too_much = endpoint.allocate(4 << 20).expect_err("no room");
    assert!(matches!(too_much, CommError::BadWorld(_)), "{too_much}");
    let group: Group = [2, 0, 1].into_iter().map(Rank).collect();
    let lane = endpoint.lane(0);
    let member = lane.member(&group).expect("a member");
    for round in 1..20_u8 {
        lane.begin(round.into()).expect("in order");
        mine.fill(round ^ role.rank.0 as u8);
        lane.on(&member).all_gather(&mine, &mut all).expect("gathered");
        mine.fill(0xff);
        for (share, from) in all.chunks(BYTES).zip(group.iter()) {
            let expected = round ^ from.0 as u8;
            assert!(share.iter().all(|byte| *byte == expected), "{} round {round}", role.rank);
        }
        // What was received is lent on.
        all.rotate_left(BYTES);
        let mut back = vec![0; 3 * BYTES];
        lane.on(&member).all_to_all(&all, &mut back).expect("exchanged");
        for (index, share) in back.chunks(BYTES).enumerate() {
            let from = group[(member.index() + 1) % 3];
            let expected = round ^ from.0 as u8;
            assert!(share.iter().all(|byte| *byte == expected), "{} {index}", role.rank);
        }
    }
}

pub fn mismatch() {
    let config = small(4);
    let mut launcher = rank::launch(&config, "mismatch", &[2], |_| {});
    let fault = launcher.joined().expect_err("a mismatch");
    let (theirs, ours) = (config.piece_bytes as u64 * 2, config.piece_bytes as u64);
    let differs = JoinFault::Differs { rank: Rank(2), setting: "piece_bytes", theirs, ours };
    assert_eq!(fault, CommError::Join(differs));
    assert_eq!(
        fault.to_string(),
        "nobody joined: rank 2 has piece_bytes 4096, but the launcher has 2048"
    );
    let ended = launcher.wait(PATIENCE).expect("waited");
    assert!(ended.iter().all(|status| status.is_some_and(|status| status.success())), "{ended:?}");
}

pub fn mismatch_rank(role: &Role<'_>) {
    let mut config = small(4);
    if u64::from(role.rank.0) == role.number(0) {
        config.piece_bytes *= 2;
    }
    let error = join(role.address, role.rank, &config).expect_err("a mismatch");
    let CommError::Join(JoinFault::Differs { rank, setting, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!((u64::from(rank.0), setting), (role.number(0), "piece_bytes"));
}
