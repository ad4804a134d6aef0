//! Every operation, type, shape of group and size around those where something begins anew, against the oracle, bit by
//! bit; with settings so tiny that messages go in pieces, rings and windows run full, and ranks outnumber cores.

mod common;

use common::{LONG, MakeWorld, TRANSPORTS, attempt, group, on_all, tiny};
use flexdit_comm::check::{Dice, Trial, Work};
use flexdit_comm::{DType, Patience, WorldConfig};
use flexdit_core::Group;

/// Runs all trials, each in a task of its own, with nothing in between.
fn run(make: MakeWorld, config: &WorldConfig, trials: &[(Group, Trial)]) {
    on_all(make, config, |mut end| {
        let lane = end.lane(0);
        for (sequence, (group, trial)) in (1..).zip(trials) {
            attempt(lane, sequence, group, trial);
        }
    });
}

/// Full, reversed, with gaps, single, and pairs that overlap.
fn shapes(world: u16) -> Vec<Group> {
    let all: Vec<u16> = (0..world).collect();
    let mut shapes = vec![all.clone(), all.iter().rev().copied().collect(), vec![world - 1]];
    if world > 2 {
        shapes.extend([
            all.iter().copied().step_by(2).collect(),
            vec![world - 1, 0],
            vec![1, 2, 0],
            vec![0, 1],
            vec![2, 1],
        ]);
        let mut mixed = all;
        Dice::new(u64::from(world), 9).shuffle(&mut mixed);
        shapes.push(mixed[..(world as usize).div_ceil(2) + 1].to_vec());
    }
    shapes.iter().map(|shape| group(shape)).collect()
}

/// Nothing, odd, prime, one piece and its neighbours, one window and its neighbours, several windows.
fn sizes(config: &WorldConfig) -> Vec<usize> {
    let (piece, window) = (config.piece_bytes, config.window_bytes);
    vec![0, 1, 3, 31, piece - 1, piece, piece + 1, window - 1, window, window + 1, 4 * window + 37]
}

/// Every operation among `degree` members at the given sizes.
fn works(degree: usize, sizes: &[usize], dice: &mut Dice) -> Vec<Work> {
    let mut works = vec![Work::Barrier];
    for (at, &bytes) in sizes.iter().enumerate() {
        let ragged = |dice: &mut Dice| -> Vec<usize> {
            (0..degree).map(|_| if dice.once_in(3) { 0 } else { dice.below(bytes + 1) }).collect()
        };
        works.push(Work::Broadcast { root: at % degree, bytes });
        works.push(Work::AllGather { counts: vec![bytes; degree] });
        works.push(Work::AllGather { counts: ragged(dice) });
        works.push(Work::AllToAll { counts: vec![vec![bytes; degree]; degree] });
        works.push(Work::AllToAll { counts: (0..degree).map(|_| ragged(dice)).collect() });
        works.push(Work::RingShift { by: at, bytes: vec![bytes; degree] });
        works.push(Work::RingShift { by: degree - 1, bytes: ragged(dice) });
        for dtype in [DType::F32, DType::Bf16, DType::F16] {
            let elements = bytes / dtype.size();
            works.push(Work::ReduceScatter { dtype, elements });
            works.push(Work::AllReduce { dtype, elements });
        }
        if degree > 1 {
            let (from, by) = (at % degree, 1 + at % (degree - 1));
            works.push(Work::PutGet { from, to: (from + by) % degree, bytes });
        }
    }
    works
}

fn trials(config: &WorldConfig, shapes: &[Group], sizes: &[usize]) -> Vec<(Group, Trial)> {
    let mut dice = Dice::new(config.ranks as u64, 0);
    let mut trials = Vec::new();
    for group in shapes {
        for work in works(group.len(), sizes, &mut dice) {
            trials.push((group.clone(), Trial::new(work, group.len(), dice.bits())));
        }
    }
    // Groups follow each other in any order, so that edges and windows are handed on between them.
    dice.shuffle(&mut trials);
    trials
}

/// Rings of one and of more messages, staged and lent, spinning and sleeping, windows that wrap unevenly.
fn settings(ranks: usize) -> Vec<WorldConfig> {
    let tiny = tiny(ranks);
    vec![
        WorldConfig { depth: 1, ..tiny.clone() },
        WorldConfig { piece_bytes: 128, window_bytes: 448, ..tiny.clone() },
        WorldConfig { depth: 4, lend_bytes: 0, ..tiny.clone() },
        WorldConfig { lend_bytes: 100, patience: Patience { spins: 0, yields: 0 }, ..tiny },
        WorldConfig {
            piece_bytes: 1024,
            window_bytes: 4096,
            timeout: LONG,
            ..WorldConfig::new(ranks)
        },
    ]
}

#[test]
fn every_operation_gives_what_the_oracle_gives_in_small_worlds() {
    for &make in TRANSPORTS {
        for ranks in [1, 2, 3, 4, 5] {
            for config in settings(ranks) {
                let trials = trials(&config, &shapes(ranks as u16), &sizes(&config));
                run(make, &config, &trials);
            }
        }
    }
}

#[test]
fn every_operation_gives_what_the_oracle_gives_when_ranks_outnumber_cores() {
    for &make in TRANSPORTS {
        for ranks in [8, 16] {
            for config in settings(ranks) {
                let sizes = [0, 3, config.window_bytes + 62];
                run(make, &config, &trials(&config, &shapes(ranks as u16), &sizes));
            }
        }
    }
}

#[test]
fn groups_of_32_and_64_ranks_give_what_the_oracle_gives() {
    for &make in TRANSPORTS {
        let config = WorldConfig { timeout: LONG * 2, ..tiny(64) };
        let all: Vec<u16> = (0..64).collect();
        let backwards: Vec<u16> = (0..64).rev().collect();
        let odd: Vec<u16> = (0..64).filter(|rank| rank % 2 == 1).collect();
        let shapes = [group(&all), group(&odd), group(&backwards)];
        run(make, &config, &trials(&config, &shapes, &[1, 130]));
    }
}

#[test]
fn large_sums_are_made_in_shares_and_give_the_same_bits() {
    for &make in TRANSPORTS {
        for (ranks, lend_bytes) in [(2, usize::MAX), (3, 4096), (5, usize::MAX)] {
            let config = WorldConfig {
                piece_bytes: 4096,
                window_bytes: 3 * 4096,
                lend_bytes,
                ..tiny(ranks)
            };
            let degree = ranks;
            let shape = group(&(0..ranks as u16).rev().collect::<Vec<_>>());
            let mut trials = Vec::new();
            for dtype in [DType::F32, DType::Bf16, DType::F16] {
                // Around the length from which shares are reduced apart, and beyond the window.
                for elements in [4095, 4096, 4097, 8191, 8192, 8193, 30_001] {
                    let work = Work::AllReduce { dtype, elements };
                    trials.push((shape.clone(), Trial::new(work, degree, elements as u64)));
                    let work = Work::ReduceScatter { dtype, elements };
                    trials.push((shape.clone(), Trial::new(work, degree, elements as u64)));
                }
            }
            run(make, &config, &trials);
        }
    }
}
