//! Long runs without a pause: thousands of barriers, a chain of puts and gets, lanes side by side.

mod common;

use common::{MakeWorld, TRANSPORTS, attempt, group, member, on_all, on_lanes, tiny};
use flexdit_comm::check::{Dice, Trial, Work};
use flexdit_comm::{Collectives as _, DType, Patience, WorldConfig};
use std::sync::atomic::{AtomicU64, Ordering};

/// Barriers that see whether anybody leaves one before all have come.
fn barriers(make: MakeWorld, config: &WorldConfig, count: u64) {
    let everybody: Vec<u16> = (0..config.ranks as u16).collect();
    let all = group(&everybody);
    let come: Vec<AtomicU64> = everybody.iter().map(|_| AtomicU64::new(0)).collect();
    on_lanes(make, config, |rank, lane| {
        let member = member(lane, &all);
        let mut dice = Dice::new(5, u64::from(rank));
        for round in 1..=count {
            if dice.once_in(20) {
                std::thread::yield_now();
            }
            // The barrier alone makes others see this.
            come[usize::from(rank)].store(round, Ordering::Relaxed);
            lane.begin(round).expect("in order");
            lane.on(&member).barrier().expect("a barrier");
            for (other, come) in come.iter().enumerate() {
                let seen = come.load(Ordering::Relaxed);
                assert!(
                    seen == round || seen == round + 1,
                    "rank {rank} left barrier {round} when rank {other} had come to {seen}"
                );
            }
        }
    });
}

#[test]
fn nobody_leaves_a_barrier_before_all_have_come() {
    for &make in TRANSPORTS {
        for (ranks, depth, count) in [(2, 1, 20_000), (2, 8, 20_000), (3, 2, 5000), (8, 1, 1000)] {
            barriers(make, &WorldConfig { depth, ..tiny(ranks) }, count);
        }
        let asleep = Patience { spins: 0, yields: 0 };
        barriers(make, &WorldConfig { patience: asleep, ..tiny(4) }, 500);
    }
}

#[test]
fn tokens_go_round_a_chain_of_puts_and_gets() {
    for &make in TRANSPORTS {
        for lend_bytes in [usize::MAX, 0] {
            let config = WorldConfig { lend_bytes, ..tiny(5) };
            on_lanes(make, &config, |rank, lane| {
                let all = group(&[0, 1, 2, 3, 4]);
                let member = member(lane, &all);
                let (next, last) = ((usize::from(rank) + 1) % 5, (usize::from(rank) + 4) % 5);
                for round in 1..400_u64 {
                    // Longer than the window now and then.
                    let bytes = 8 + (round as usize * 37) % 300;
                    let mut token = vec![round as u8; bytes];
                    lane.begin(round).expect("in order");
                    let mut on = lane.on(&member);
                    if rank == 0 {
                        on.put(next, &token).expect("a put");
                        on.get(last, &mut token).expect("a get");
                        assert_eq!(token[1..], vec![round as u8; bytes - 1]);
                        assert_eq!(token[0], (round as u8).wrapping_add(4));
                    } else {
                        token.fill(0);
                        on.get(last, &mut token).expect("a get");
                        token[0] = token[0].wrapping_add(1);
                        on.put(next, &token).expect("a put");
                    }
                }
            });
        }
    }
}

#[test]
fn one_rank_sends_far_ahead_and_the_other_never_misses_a_message() {
    for &make in TRANSPORTS {
        for depth in [1, 4] {
            let config = WorldConfig { depth, window_bytes: 320, ..tiny(2) };
            on_lanes(make, &config, |rank, lane| {
                let member = member(lane, &group(&[1, 0]));
                let mut dice = Dice::new(3, 3);
                for round in 1..6000_u64 {
                    let bytes = dice.below(200);
                    lane.begin(round).expect("in order");
                    if rank == 0 {
                        let data = vec![round as u8; bytes];
                        lane.on(&member).put(0, &data).expect("a put");
                    } else {
                        let mut data = vec![!(round as u8); bytes];
                        lane.on(&member).get(1, &mut data).expect("a get");
                        assert!(data.iter().all(|byte| *byte == round as u8), "message {round}");
                    }
                }
            });
        }
    }
}

#[test]
fn lanes_of_one_rank_work_side_by_side_on_threads_of_their_own() {
    for &make in TRANSPORTS {
        let config = WorldConfig { lanes: 3, ..tiny(3) };
        on_all(make, &config, |mut end| {
            let lanes = end.take_lanes();
            std::thread::scope(|scope| {
                for mut lane in lanes {
                    scope.spawn(move || {
                        // Each lane has an order of its own.
                        let mut dice = Dice::new(8, lane.index() as u64);
                        for sequence in 1..400 {
                            let mut ranks = [0, 1, 2];
                            dice.shuffle(&mut ranks);
                            let degree = 2 + dice.below(2);
                            let elements = dice.below(120);
                            let work = match dice.below(3) {
                                0 => Work::AllReduce { dtype: DType::Bf16, elements },
                                1 => {
                                    Work::AllToAll { counts: vec![vec![elements; degree]; degree] }
                                }
                                _ => Work::RingShift { by: 1, bytes: vec![elements; degree] },
                            };
                            let trial = Trial::new(work, degree, dice.bits());
                            attempt(&mut lane, sequence, &group(&ranks[..degree]), &trial);
                        }
                    });
                }
            });
        });
    }
}
