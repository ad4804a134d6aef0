//! A world whose ranks are threads of this process.

use super::contender::Contender;
use super::gate::{Doorman, ThreadGate};
use super::launch::{BenchError, Setting};
use super::machine;
use super::measure::{RankError, RankSamples, measure};
use super::plan::Plan;
use flexdit_core::Rank;

/// Runs `plan` on one thread a rank; `contenders` are the ranks in order.
///
/// # Errors
/// The first failure of a rank, in rank order, that is not the consequence of another's.
pub fn run<C: Contender + Send>(
    plan: &Plan,
    setting: &Setting,
    contenders: Vec<C>,
) -> Result<Vec<RankSamples>, BenchError> {
    assert_eq!(contenders.len(), plan.world, "a contender for every rank");
    let (doorman, gates) = ThreadGate::world(plan, setting.lead_ns);
    let crowded = plan.world > setting.cores.len();
    let rank = |rank: usize, mut gate: ThreadGate, mut contender: C| {
        let alarm = Alarm(&doorman);
        let pinned = setting.core_of(rank).is_some_and(machine::pin);
        let samples = measure(plan, Rank(rank as u16), crowded, &mut contender, &mut gate);
        if samples.is_ok() {
            std::mem::forget(alarm);
        }
        samples.map(|samples| RankSamples { pinned, samples })
    };
    let rank = &rank;
    let ended: Vec<_> = std::thread::scope(|scope| {
        let spawn = |(index, (gate, contender))| scope.spawn(move || rank(index, gate, contender));
        let sides = gates.into_iter().zip(contenders);
        let threads: Vec<_> = sides.enumerate().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank does not panic")).collect()
    });
    collect(ended)
}

/// Gives the run up when a rank fails or panics, so that no other waits for it.
struct Alarm<'a>(&'a Doorman);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// All samples, or the failure that came first in rank order and is nobody else's consequence.
pub fn collect(ended: Vec<Result<RankSamples, RankError>>) -> Result<Vec<RankSamples>, BenchError> {
    let mut samples = Vec::with_capacity(ended.len());
    let mut failed = None;
    for (rank, ended) in ended.into_iter().enumerate() {
        match ended {
            Ok(one) => samples.push(one),
            Err(RankError::Stopped) => {}
            Err(error) => {
                failed.get_or_insert(BenchError::Rank { rank, message: error.to_string() });
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None if samples.is_empty() => Err(BenchError::Setup("every rank was stopped".to_owned())),
        None => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fake::{Failing, Fake};
    use crate::bench::plan::{Act, Operation};
    use flexdit_core::Group;

    /// Forms two groups and runs every operation on both.
    fn plan() -> Plan {
        let mut plan = Plan::new(3, 7);
        for group in [vec![2, 0], vec![1, 2, 0]] {
            let group: Group = group.into_iter().map(Rank).collect();
            let degree = group.len();
            let id = plan.group(group);
            plan.turn(id, Act::Form);
            for op in Operation::ALL {
                let bytes = op.rounded(96, degree);
                for warm in [false, true] {
                    plan.turn(id, Act::Run { op, bytes, count: 3, warm });
                }
            }
        }
        let stream = Act::Stream {
            op: Operation::AllToAll,
            bytes: 48,
            groups: vec![0, 1, 0, 1, 1],
            form: true,
        };
        plan.turn(1, stream);
        plan
    }

    #[test]
    fn every_turn_has_a_sample_of_each_member_and_every_byte_is_checked() {
        let plan = plan();
        let ranks = run(&plan, &Setting::default(), Fake::world(3, false)).unwrap();
        let turns: Vec<usize> = ranks.iter().map(|rank| rank.samples.len()).collect();
        assert_eq!(turns, [35, 18, 35]);
        let samples = || ranks.iter().flat_map(|rank| &rank.samples);
        assert_eq!(samples().map(|sample| sample.wrong).sum::<u64>(), 0);
        // 2 x 3 x (2 + 2 + 2 + 1 + 2 + 1 + 2) buffers of 96 for two, the same in thirds for three; then the stream.
        let pair = 6 * 96 * (4 * 2 + 1 + 1 + 2);
        let trio = 6 * 96 * (4 * 3 + 1 + 1 + 3);
        let stream = 48 * (2 * 2 + 3 * 3);
        assert_eq!(samples().map(|sample| sample.checked).sum::<u64>(), pair + trio + stream);
    }

    #[test]
    fn wrong_bytes_are_counted() {
        let ranks = run(&plan(), &Setting::default(), Fake::world(3, true)).unwrap();
        let wrong = |rank: usize| ranks[rank].samples.iter().map(|s| s.wrong).sum::<u64>();
        assert_eq!((wrong(0), wrong(1)), (0, 0));
        assert!(wrong(2) > 30, "{}", wrong(2));
    }

    #[test]
    fn a_rank_that_fails_ends_the_run_with_its_message() {
        let mut plan = Plan::new(2, 7);
        for rank in [0, 1] {
            let id = plan.group(Group::single(Rank(rank)));
            plan.prepare(id, Operation::Barrier, 0, 1);
        }
        let error = run(&plan, &Setting::default(), vec![Failing, Failing]).unwrap_err();
        assert_eq!(error.to_string(), "rank 0: barrier: test is 1, expected 2");
    }
}
