//! Which group a request is bound to.

use flexdit_core::Nanos;

/// How requests are spread over the groups that serve their class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Routing {
    /// The group with the least estimated unfinished time, ties the lowest.
    #[default]
    LeastWork,
    /// Each group in turn.
    RoundRobin,
}

impl Routing {
    /// Every routing.
    pub const ALL: [Self; 2] = [Self::LeastWork, Self::RoundRobin];

    /// The name used in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastWork => "least-work",
            Self::RoundRobin => "round-robin",
        }
    }

    /// Picks one of `groups` that is up; `work` gives its unfinished time, or `None` if it is lost.
    /// `turn` is the caller's cursor of the round-robin, in positions of `groups`.
    pub(crate) fn pick(
        self,
        groups: &[usize],
        turn: &mut usize,
        work: impl Fn(usize) -> Option<Nanos>,
    ) -> Option<usize> {
        match self {
            Self::LeastWork => groups
                .iter()
                .filter_map(|&group| work(group).map(|time| (time, group)))
                .min()
                .map(|(_, group)| group),
            Self::RoundRobin => {
                let count = groups.len();
                let next = (0..count)
                    .map(|i| (*turn + i) % count)
                    .find(|&at| work(groups[at]).is_some())?;
                *turn = (next + 1) % count;
                Some(groups[next])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_work_takes_the_lowest_of_equals_and_skips_lost_groups() {
        let work = [None, Some(Nanos(5)), Some(Nanos(3)), Some(Nanos(3))];
        let pick = Routing::LeastWork.pick(&[0, 1, 2, 3], &mut 0, |group| work[group]);
        assert_eq!(pick, Some(2));
    }

    #[test]
    fn round_robin_goes_on_after_the_last_group_it_used() {
        let mut turn = 0;
        let mut pick = |lost: usize| {
            Routing::RoundRobin
                .pick(&[4, 5, 6], &mut turn, |group| (group != lost).then_some(Nanos::ZERO))
        };
        assert_eq!([pick(9), pick(5), pick(9), pick(9)], [Some(4), Some(6), Some(4), Some(5)]);
    }

    #[test]
    fn nothing_is_picked_when_every_group_is_lost() {
        for routing in Routing::ALL {
            assert_eq!(routing.pick(&[0, 1], &mut 0, |_| None), None);
        }
    }
}
