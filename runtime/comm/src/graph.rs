//! Who waits for whom, from what every rank publishes while it waits.

use crate::memory::{Memory, Signal, Word};
use crate::tag::Op;
use flexdit_core::{Group, Rank};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// What a rank waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub sequence: u64,
    pub op: Op,
    pub index: u32,
    /// Missing ranks as bits, never 0.
    pub missing: u64,
    /// Names the broadcast whose root the rank waits for; 0 if it waits for anything else.
    pub for_root: u64,
}

/// Publishes what `me` waits for.
pub(crate) fn publish<M: Memory>(memory: &M, me: Rank, lane: usize, wait: Wait) {
    let word = |word| memory.signal(me, lane, Signal::Waits { word });
    word(0).store(wait.sequence, Ordering::Relaxed);
    word(1).store(u64::from(wait.index) << 8 | wait.op as u64, Ordering::Relaxed);
    word(3).store(wait.for_root, Ordering::Relaxed);
    word(2).store(wait.missing, Ordering::Release);
}

/// Says that `me` no longer waits.
pub(crate) fn withdraw<M: Memory>(memory: &M, me: Rank, lane: usize) {
    memory.signal(me, lane, Signal::Waits { word: 2 }).store(0, Ordering::Release);
}

/// What `rank` waits for. Read while it may change: good for a message to people, nothing else.
fn read<M: Memory>(memory: &M, rank: Rank, lane: usize) -> Option<Wait> {
    let word = |word| memory.signal(rank, lane, Signal::Waits { word });
    let missing = word(2).load(Ordering::Acquire);
    let sequence = word(0).load(Ordering::Relaxed);
    let kind = word(1).load(Ordering::Relaxed);
    let op = Op::ALL.into_iter().find(|op| *op as u64 == kind & 0xff)?;
    let (index, for_root) = ((kind >> 8) as u32, word(3).load(Ordering::Relaxed));
    (missing != 0).then_some(Wait { sequence, op, index, missing, for_root })
}

/// Whether `rank` waits, or has waited, for a root in this very broadcast.
pub(crate) fn waits_for_root<M: Memory>(
    memory: &M,
    rank: Rank,
    lane: usize,
    broadcast: u64,
) -> bool {
    let word = memory.signal(rank, lane, Signal::Waits { word: 3 });
    broadcast != 0 && word.load(Ordering::Relaxed) == broadcast
}

/// The ranks of a set of bits, in order.
pub(crate) fn ranks(mut mask: u64) -> Group {
    let mut group = Group::default();
    while mask != 0 {
        group.push(Rank(mask.trailing_zeros() as u16));
        mask &= mask - 1;
    }
    group
}

/// One line per rank that waits, and the cycle if there is one.
pub(crate) fn render<M: Memory>(memory: &M, world: usize, lane: usize) -> String {
    let waits: Vec<Option<Wait>> =
        (0..world).map(|rank| read(memory, Rank(rank as u16), lane)).collect();
    let mut text = String::from("who waits for whom:");
    for (rank, wait) in waits.iter().enumerate() {
        if let Some(Wait { sequence, op, index, missing, .. }) = wait {
            let (op, missing) = (op.name(), ranks(*missing));
            let _ = write!(text, "\n  rank {rank} in {op} {sequence}.{index} waits for {missing}");
        }
    }
    if let Some(cycle) = find_cycle(&waits) {
        let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
        let _ = write!(text, "\n  a cycle: {}", names.join(" -> "));
    }
    text
}

/// Ranks that wait for each other in a ring, the first one repeated at the end.
fn find_cycle(waits: &[Option<Wait>]) -> Option<Vec<usize>> {
    (0..waits.len()).find_map(|start| {
        let mut path = vec![start];
        extend(waits, &mut path, &mut vec![false; waits.len()]).then_some(path)
    })
}

/// Extends a path until it comes back to its start.
fn extend(waits: &[Option<Wait>], path: &mut Vec<usize>, seen: &mut [bool]) -> bool {
    let last = path[path.len() - 1];
    let Some(wait) = waits[last] else { return false };
    for next in ranks(wait.missing).iter().map(|rank| rank.index()) {
        if next == path[0] {
            path.push(next);
            return true;
        }
        if next < waits.len() && !std::mem::replace(&mut seen[next], true) {
            path.push(next);
            if extend(waits, path, seen) {
                return true;
            }
            path.pop();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn waits(missing: &[u64]) -> Vec<Option<Wait>> {
        let wait = |missing| Wait { sequence: 1, op: Op::Barrier, index: 0, missing, for_root: 0 };
        missing.iter().map(|missing| (*missing != 0).then(|| wait(*missing))).collect()
    }

    #[test]
    fn a_triangle_is_a_cycle_and_a_chain_is_none() {
        assert_eq!(find_cycle(&waits(&[0b100, 0b001, 0b010])), Some(vec![0, 2, 1, 0]));
        assert_eq!(find_cycle(&waits(&[0b010, 0b100, 0])), None);
        assert_eq!(find_cycle(&waits(&[0b1000, 0b100, 0b010, 0])), Some(vec![1, 2, 1]));
    }

    /// Which ranks can be reached from each, by following who waits for whom.
    fn reach(missing: &[u64]) -> Vec<u64> {
        let mut reach = missing.to_vec();
        for _ in missing {
            for reached in &mut reach {
                let known = *reached;
                let next = (0..missing.len()).filter(|next| known >> next & 1 != 0);
                *reached = next.fold(known, |mask, next| mask | missing[next]);
            }
        }
        reach
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(2),
            ..ProptestConfig::with_cases(1000)
        })]
        #[test]
        fn a_cycle_is_found_exactly_if_a_rank_can_be_reached_from_itself(
            missing in prop::collection::vec(0_u64..64, 0..7), sparse in any::<u64>(),
        ) {
            let world = missing.len() as u64;
            let keep = |(rank, mask): (usize, &u64)| {
                // Few waits each, none for oneself, now and then one for a rank outside the world.
                mask & (sparse >> (rank * 6)) & !(1 << rank)
            };
            let missing: Vec<u64> = missing.iter().enumerate().map(keep).collect();
            let reaches_itself = |(rank, mask): (usize, &u64)| mask >> rank & 1 != 0;
            let cyclic = reach(&missing).iter().enumerate().any(reaches_itself);
            match find_cycle(&waits(&missing)) {
                None => prop_assert!(!cyclic, "{missing:?}"),
                Some(cycle) => {
                    prop_assert!(cycle.len() > 2 && cycle.first() == cycle.last());
                    for pair in cycle.windows(2) {
                        prop_assert!(missing[pair[0]] >> pair[1] & 1 != 0, "{cycle:?}");
                        prop_assert!((pair[1] as u64) < world);
                    }
                }
            }
        }

        #[test]
        fn a_set_of_ranks_is_its_bits_in_order(mask in any::<u64>()) {
            let group = ranks(mask);
            prop_assert!(group.is_sorted() && group.len() == mask.count_ones() as usize);
            prop_assert_eq!(group.iter().fold(0, |mask, rank| mask | 1 << rank.0), mask);
        }
    }
}
