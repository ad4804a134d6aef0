//! Small worlds of threads for the sanitizers: every operation staged and lent, failures, withdrawals, resets and heap
//! buffers. `.ci/sanitize` runs them under Miri and ThreadSanitizer; they hold without, too.

use flexdit_comm::check::{Trial, Work};
use flexdit_comm::transport::thread;
use flexdit_comm::{
    Collectives as _, CommError, DType, Endpoint, Membership, Patience, WorldConfig,
};
use flexdit_core::{Group, Rank};

/// Tiny windows; ranks that soon sleep.
fn config(ranks: usize, lend_bytes: usize) -> WorldConfig {
    WorldConfig {
        lanes: 1,
        depth: 2,
        window_bytes: 192,
        piece_bytes: 64,
        arena_bytes: 4096,
        lend_bytes,
        patience: Patience { spins: 2, yields: 2 },
        ..WorldConfig::new(ranks)
    }
}

fn member(ranks: &[u16], endpoint: &Endpoint) -> Membership {
    let group: Group = ranks.iter().map(|rank| Rank(*rank)).collect();
    Membership::new(&group, endpoint.rank(), endpoint.config().ranks).expect("a good group")
}

/// Runs `body` on every rank of a world.
fn together(config: &WorldConfig, body: impl Fn(Endpoint) + Sync) {
    let world = thread::world(config).expect("a good world");
    std::thread::scope(|scope| {
        for endpoint in world {
            scope.spawn(|| body(endpoint));
        }
    });
}

fn works() -> [Work; 8] {
    [
        Work::Barrier,
        Work::Broadcast { root: 1, bytes: 200 },
        Work::AllGather { counts: vec![70, 0, 3] },
        Work::AllToAll { counts: vec![vec![1, 70, 0], vec![65, 2, 3], vec![0, 130, 64]] },
        Work::RingShift { by: 1, bytes: vec![100, 1, 64] },
        Work::ReduceScatter { dtype: DType::F32, elements: 20 },
        Work::AllReduce { dtype: DType::Bf16, elements: 50 },
        Work::PutGet { from: 2, to: 0, bytes: 150 },
    ]
}

#[test]
fn every_operation_staged_and_lent() {
    for lend_bytes in [usize::MAX, 0] {
        together(&config(3, lend_bytes), |mut endpoint| {
            let member = member(&[2, 0, 1], &endpoint);
            for (task, work) in (1..).zip(works()) {
                let trial = Trial::new(work, 3, task);
                let lane = endpoint.lane(0);
                lane.begin(task).expect("numbers increase");
                trial.run(&mut lane.on(&member)).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
        });
    }
}

#[test]
fn large_reductions_go_in_shares() {
    let config = WorldConfig { window_bytes: 8192, piece_bytes: 4096, ..config(2, usize::MAX) };
    together(&config, |mut endpoint| {
        let member = member(&[0, 1], &endpoint);
        let trial = Trial::new(Work::AllReduce { dtype: DType::F32, elements: 4100 }, 2, 1);
        let lane = endpoint.lane(0);
        lane.begin(1).expect("numbers increase");
        trial.run(&mut lane.on(&member)).unwrap_or_else(|wrong| panic!("{wrong}"));
    });
}

#[test]
fn overlapping_groups_reuse_room() {
    let groups: [&[u16]; 6] = [&[0, 1], &[1, 2], &[2, 0, 1], &[0, 1], &[2, 0], &[1, 0, 2]];
    for lend_bytes in [usize::MAX, 0] {
        together(&config(3, lend_bytes), |mut endpoint| {
            for (task, group) in (1..).zip(groups) {
                if !group.contains(&endpoint.rank().0) {
                    continue;
                }
                let member = member(group, &endpoint);
                let counts = vec![100; group.len()];
                let trial = Trial::new(Work::AllGather { counts }, group.len(), task);
                let lane = endpoint.lane(0);
                lane.begin(task).expect("numbers increase");
                trial.run(&mut lane.on(&member)).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
        });
    }
}

#[test]
fn who_gives_up_withdraws_what_it_lent_and_begins_anew() {
    for round in 0..4_u64 {
        together(&config(2, 0), |mut endpoint| {
            let member = member(&[0, 1], &endpoint);
            let (rank, aborter) = (endpoint.rank(), endpoint.aborter());
            let lane = endpoint.lane(0);
            lane.begin(1).expect("numbers increase");
            if rank == Rank(0) {
                let mut data = vec![7; 3000];
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        (0..round * 3).for_each(|_| std::thread::yield_now());
                        aborter.abort(0);
                    });
                    let result = lane.on(&member).put(1, &data);
                    assert!(matches!(result, Ok(()) | Err(CommError::Aborted { .. })));
                });
                // Nobody reads it any more.
                data.fill(0xff);
            } else {
                let mut data = vec![0; 3000];
                match lane.on(&member).get(0, &mut data) {
                    Ok(()) => assert_eq!(data, vec![7; 3000]),
                    Err(error) => assert!(matches!(error, CommError::Aborted { .. }), "{error}"),
                }
            }
            lane.reset(&member).expect("both come");
            lane.begin(2).expect("numbers increase");
            lane.on(&member).barrier().expect("a new beginning");
        });
    }
}

#[test]
fn a_mismatch_is_an_error_on_both_ends() {
    together(&config(2, usize::MAX), |mut endpoint| {
        let member = member(&[0, 1], &endpoint);
        let rank = endpoint.rank();
        let lane = endpoint.lane(0);
        lane.begin(1 + u64::from(rank.0)).expect("numbers increase");
        let error = lane.on(&member).barrier().expect_err("different tasks");
        assert!(matches!(error, CommError::Mismatch { .. } | CommError::Aborted { .. }));
        assert!(lane.is_poisoned());
    });
}

#[test]
fn heap_buffers_are_read_where_they_lie() {
    together(&config(2, 0), |mut endpoint| {
        let member = member(&[1, 0], &endpoint);
        let mine = endpoint.rank().0 as u8;
        let mut buffer = endpoint.allocate(100).expect("room in the arena");
        for task in 1..4 {
            buffer.fill(mine + 2 * task as u8);
            let mut got = [0; 200];
            let lane = endpoint.lane(0);
            lane.begin(task).expect("numbers increase");
            lane.on(&member).all_gather(&buffer, &mut got).expect("both come");
            let (one, zero) = (1 + 2 * task as u8, 2 * task as u8);
            assert_eq!(got[..], [[one; 100], [zero; 100]].concat());
        }
    });
}
