//! Who does what of a leg, and in which order.
//!
//! Invariant: groups get the same work as far as it divides, so that they end together and nobody's last task runs beside idle
//! ranks for long; a request's own tasks keep their order; the rest is shuffled, for each group anew and always alike for one
//! round.

use super::tour::{Leg, Part};
use crate::workload::stream::Stream;
use flexdit_core::{Group, Parallelism, Rank, RequestId, Stage};

/// What a leg has to do for one request.
pub(super) struct Duty {
    pub request: RequestId,
    /// One after the other: stage, layout, denoising steps.
    pub tasks: Vec<(Stage, Parallelism, u32)>,
    pub counts: bool,
}

/// Deals duties to groups of ranks.
pub(super) struct Dealer {
    world: u16,
    dice: Stream,
}

impl Dealer {
    pub fn new(world: u16, round: u32) -> Self {
        Self { world, dice: Stream::new(u64::from(round), "tour") }
    }

    /// A leg of as many groups of this degree as there are; `None` if there is nothing to do. Duties go round, so with as
    /// many of a kind as there are ranks, every rank that is alone has one of each.
    ///
    /// # Panics
    /// If the degree is wider than the world.
    pub fn leg(&mut self, degree: u16, duties: Vec<Duty>) -> Option<Leg> {
        let groups = usize::from(self.world / degree);
        assert!(groups > 0, "a layout of {degree} ranks in a world of {}", self.world);
        let mut dealt: Vec<Vec<Duty>> = (0..groups).map(|_| Vec::new()).collect();
        for (at, duty) in duties.into_iter().enumerate() {
            dealt[at % groups].push(duty);
        }
        dealt.retain(|duties| !duties.is_empty());
        let firsts = (0..).step_by(degree.into()).map(Rank);
        let lists = firsts.zip(dealt).map(|(first, duties)| {
            let ranks = Group::consecutive(first, degree.into());
            self.list(&ranks, &duties)
        });
        let lists: Vec<Vec<Part>> = lists.collect();
        (!lists.is_empty()).then_some(Leg { lists })
    }

    /// The tasks of some duties in an order drawn from all that keep each duty's own.
    fn list(&mut self, ranks: &Group, duties: &[Duty]) -> Vec<Part> {
        let turns = |(at, duty): (usize, &Duty)| std::iter::repeat_n(at, duty.tasks.len());
        let mut turns: Vec<usize> = duties.iter().enumerate().flat_map(turns).collect();
        for last in (1..turns.len()).rev() {
            turns.swap(last, (self.dice.unit() * (last + 1) as f64) as usize);
        }
        let mut done = vec![0; duties.len()];
        let part = |at: usize| {
            let duty = &duties[at];
            let (stage, layout, steps) = duty.tasks[done[at]];
            done[at] += 1;
            let (request, counts) = (duty.request, duty.counts);
            Part { request, stage, ranks: ranks.clone(), layout, steps, counts }
        };
        turns.into_iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duties(count: u32, tasks: usize) -> Vec<Duty> {
        let tasks = vec![(Stage::Denoise, Parallelism::SINGLE, 1); tasks];
        let duty = |id| Duty { request: RequestId(id), tasks: tasks.clone(), counts: true };
        (0..count).map(duty).collect()
    }

    fn requests(list: &[Part]) -> Vec<u32> {
        list.iter().map(|part| part.request.0).collect()
    }

    #[test]
    fn groups_take_duties_in_turn_and_ranks_that_fill_no_group_stay_out() {
        let leg = Dealer::new(5, 0).leg(2, duties(5, 1)).expect("work");
        assert_eq!(leg.lists.len(), 2);
        for (at, list) in leg.lists.iter().enumerate() {
            let first = Rank(2 * at as u16);
            assert!(list.iter().all(|part| part.ranks == Group::consecutive(first, 2)));
            assert!(requests(list).iter().all(|request| *request as usize % 2 == at));
        }
        assert_eq!(leg.lists.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(Dealer::new(5, 0).leg(2, duties(0, 1)), None);
        assert_eq!(Dealer::new(5, 0).leg(2, duties(1, 1)).expect("work").lists.len(), 1);
    }

    #[test]
    fn orders_are_of_the_round_and_of_the_group() {
        let lists = |round| Dealer::new(2, round).leg(1, duties(24, 2)).expect("work").lists;
        let [first, second] = &lists(3)[..] else { panic!("two ranks") };
        let halves = |list: &[Part]| -> Vec<u32> {
            requests(list).iter().map(|request| request / 2).collect()
        };
        assert_ne!(halves(first), halves(second));
        assert_eq!(lists(3), lists(3));
        assert_ne!(lists(3), lists(4));
    }
}
