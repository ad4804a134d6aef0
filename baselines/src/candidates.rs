//! Every static layout worth trying on a workload: what a best-static search runs and ranks.

use crate::layout::{Layout, LayoutError, Pool};
use crate::offer::ClassOffer;
use crate::routing::Routing;
use flexdit_core::ClassId;
use std::collections::BTreeMap;

/// Order in which a lane takes its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LanePolicy {
    /// First come, first served.
    Fcfs,
    /// Shortest job first, not preemptive.
    Sjf,
    /// Shortest remaining time first, decided anew at every task boundary.
    Srtf,
}

impl LanePolicy {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::Fcfs, Self::Sjf, Self::Srtf];

    /// The name of the policy in the scheduler's registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Sjf => "sjf",
            Self::Srtf => "srtf",
        }
    }
}

/// A static way to serve a workload: the degree of a request never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticLayout {
    /// Equal groups that run a request from text encode to VAE decode.
    FixedPipeline {
        /// Ranks of each group.
        degree: u16,
        /// How requests are spread over groups.
        routing: Routing,
        /// Whether all ranks run text encode and VAE decode.
        replicated: bool,
    },
    /// Equal groups, each class on its own groups.
    ClassMap {
        /// Ranks of each group.
        degree: u16,
        /// Groups of each class.
        map: BTreeMap<ClassId, Vec<usize>>,
        /// Whether all ranks run text encode and VAE decode.
        replicated: bool,
    },
    /// Equal lanes that run one task at a time.
    Lanes {
        /// Order of the requests.
        policy: LanePolicy,
        /// Ranks of each lane.
        degree: u16,
    },
    /// Groups of two degrees: the classes with less work on the narrow ones, the others on the wide.
    Pools {
        /// The two pools, narrow first.
        pools: Vec<Pool>,
        /// Names of the classes of each pool.
        names: Vec<String>,
    },
    /// Each class at its best static degree if one group of each fits, the world cut by offered work.
    Rssp {
        /// Whether all ranks run text encode and VAE decode.
        replicated: bool,
    },
}

impl StaticLayout {
    /// The layout's name in tables: `fixed-pipeline(sp4, least-work)`, `srtf(sp1)`, `rssp`.
    ///
    /// ```
    /// use flexdit_baselines::{LanePolicy, StaticLayout};
    /// let layout = StaticLayout::Lanes { policy: LanePolicy::Srtf, degree: 2 };
    /// assert_eq!(layout.name(), "srtf(sp2)");
    /// ```
    pub fn name(&self) -> String {
        let all = |replicated: bool| if replicated { ", replicated" } else { "" };
        match self {
            Self::FixedPipeline { degree, routing, replicated } => {
                format!("fixed-pipeline(sp{degree}, {}{})", routing.name(), all(*replicated))
            }
            Self::ClassMap { degree, replicated, .. } => {
                format!("fixed-pipeline(sp{degree}, class-map{})", all(*replicated))
            }
            Self::Lanes { policy, degree } => format!("{}(sp{degree})", policy.name()),
            Self::Pools { pools, names } => {
                let part = |(pool, names): (&Pool, &String)| {
                    format!("{}xsp{} for {names}", pool.groups, pool.degree)
                };
                let parts: Vec<String> = pools.iter().zip(names).map(part).collect();
                format!("pools({})", parts.join(", "))
            }
            Self::Rssp { replicated: false } => "rssp".to_owned(),
            Self::Rssp { replicated: true } => "rssp(replicated)".to_owned(),
        }
    }

    /// The groups of a fixed pipeline; `None` for lanes, which the scheduler's policies run.
    ///
    /// # Errors
    /// As the constructors of [`Layout`].
    pub fn groups(&self, world: u16, offers: &[ClassOffer]) -> Option<Result<Layout, LayoutError>> {
        match self {
            Self::FixedPipeline { degree, .. } => Some(Layout::uniform(world, *degree)),
            Self::ClassMap { degree, map, .. } => {
                let layout = Layout::uniform(world, *degree);
                Some(layout.map(|layout| layout.with_class_map(map.clone())))
            }
            Self::Pools { pools, .. } => Some(Layout::pools(world, pools)),
            Self::Rssp { .. } => Some(Layout::rssp(world, offers, None)),
            Self::Lanes { .. } => None,
        }
    }
}

/// Every static layout of a world at the given degrees, narrow before wide; those that some class
/// cannot run or that do not divide the world are left out.
///
/// Layouts that can only repeat another one are left out as well: other routings with a single
/// group, `replicated` with single ranks.
pub fn static_candidates(world: u16, degrees: &[u16], offers: &[ClassOffer]) -> Vec<StaticLayout> {
    let usable = |degree: u16| {
        Layout::uniform(world, degree).is_ok()
            && offers.iter().all(|offer| offer.time(degree).is_some())
    };
    let mut degrees: Vec<u16> = degrees.iter().copied().filter(|&d| usable(d)).collect();
    degrees.sort_unstable();
    degrees.dedup();
    let variants = |degree: u16| if degree > 1 { vec![false, true] } else { vec![false] };
    let mut all = Vec::new();
    for &degree in &degrees {
        let groups = usize::from(world / degree);
        for replicated in variants(degree) {
            for routing in if groups > 1 { &Routing::ALL[..] } else { &[Routing::LeastWork] } {
                all.push(StaticLayout::FixedPipeline { degree, routing: *routing, replicated });
            }
            if let Some(map) = class_map(groups, degree, offers) {
                all.push(StaticLayout::ClassMap { degree, map, replicated });
            }
        }
    }
    all.extend(mixed_pools(world, &degrees, offers));
    for policy in LanePolicy::ALL {
        all.extend(degrees.iter().map(|&degree| StaticLayout::Lanes { policy, degree }));
    }
    if Layout::rssp(world, offers, None).is_ok() {
        all.push(StaticLayout::Rssp { replicated: false });
        if degrees.iter().any(|&d| d > 1) {
            all.push(StaticLayout::Rssp { replicated: true });
        }
    }
    all
}

/// Splits of the world tried for two degrees, at most.
const MAX_SPLITS: u16 = 7;

/// Every use of the whole world by groups of two degrees, with every cut of the classes by work: those
/// below it on the narrow groups. Of many splits an even choice is taken.
fn mixed_pools(world: u16, degrees: &[u16], offers: &[ClassOffer]) -> Vec<StaticLayout> {
    let mut classes: Vec<&ClassOffer> = offers.iter().collect();
    classes.sort_by_key(|offer| (offer.degrees().next().and_then(|d| offer.time(d)), offer.class));
    let mut all = Vec::new();
    for (i, &narrow) in degrees.iter().enumerate() {
        for &wide in &degrees[i + 1..] {
            let most = (world - 1) / wide;
            let stride = most.div_ceil(MAX_SPLITS).max(1);
            let fits = |wides: &u16| (world - wides * wide).is_multiple_of(narrow);
            for wides in (1..=most).filter(fits).step_by(usize::from(stride)) {
                let groups = [(narrow, (world - wides * wide) / narrow), (wide, wides)];
                for cut in 1..classes.len() {
                    let served = [&classes[..cut], &classes[cut..]];
                    let pool = |((degree, groups), served): ((u16, u16), &[&ClassOffer])| Pool {
                        degree,
                        groups,
                        classes: served.iter().map(|offer| offer.class).collect(),
                    };
                    let names = |served: &&[&ClassOffer]| {
                        let names: Vec<&str> = served.iter().map(|o| o.name.as_str()).collect();
                        names.join("+")
                    };
                    all.push(StaticLayout::Pools {
                        pools: groups.into_iter().zip(served).map(pool).collect(),
                        names: served.iter().map(names).collect(),
                    });
                }
            }
        }
    }
    all
}

/// Groups for each class in proportion to the work it offers, one at least; `None` with fewer
/// groups than classes, or a single class.
pub fn class_map(
    groups: usize,
    degree: u16,
    offers: &[ClassOffer],
) -> Option<BTreeMap<ClassId, Vec<usize>>> {
    if offers.len() < 2 || groups < offers.len() {
        return None;
    }
    let mut counts = vec![1_usize; offers.len()];
    for _ in offers.len()..groups {
        let pressure = |at: usize| offers[at].work(degree) / counts[at] as f64;
        let neediest = (0..counts.len()).max_by(|&a, &b| pressure(a).total_cmp(&pressure(b)))?;
        counts[neediest] += 1;
    }
    let mut first = 0;
    let share = |(offer, count): (&ClassOffer, usize)| {
        let range = first..first + count;
        first = range.end;
        (offer.class, range.collect())
    };
    Some(offers.iter().zip(counts).map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::qwen_offers;

    #[test]
    fn every_static_layout_of_four_ranks_is_listed_once() {
        let all = static_candidates(4, &[4, 2, 1, 3], &qwen_offers());
        let names: Vec<String> = all.iter().map(StaticLayout::name).collect();
        assert_eq!(
            names,
            [
                "fixed-pipeline(sp1, least-work)",
                "fixed-pipeline(sp1, round-robin)",
                "fixed-pipeline(sp1, class-map)",
                "fixed-pipeline(sp2, least-work)",
                "fixed-pipeline(sp2, round-robin)",
                "fixed-pipeline(sp2, least-work, replicated)",
                "fixed-pipeline(sp2, round-robin, replicated)",
                "fixed-pipeline(sp4, least-work)",
                "fixed-pipeline(sp4, least-work, replicated)",
                "pools(2xsp1 for S, 1xsp2 for M+L)",
                "pools(2xsp1 for S+M, 1xsp2 for L)",
                "fcfs(sp1)",
                "fcfs(sp2)",
                "fcfs(sp4)",
                "sjf(sp1)",
                "sjf(sp2)",
                "sjf(sp4)",
                "srtf(sp1)",
                "srtf(sp2)",
                "srtf(sp4)",
                "rssp",
                "rssp(replicated)",
            ]
        );
        assert!(all.iter().all(|l| l.groups(4, &qwen_offers()).is_none_or(|g| g.is_ok())));
    }

    #[test]
    fn a_class_map_gives_the_most_groups_to_the_class_with_the_most_work() {
        let map = class_map(8, 1, &qwen_offers()).unwrap();
        let counts: Vec<usize> = map.values().map(Vec::len).collect();
        assert_eq!(counts.iter().sum::<usize>(), 8);
        assert_eq!(counts, [1, 2, 5]);
    }

    #[test]
    fn one_rank_has_one_layout_of_each_kind() {
        let names: Vec<_> =
            static_candidates(1, &[1, 2], &qwen_offers()).iter().map(StaticLayout::name).collect();
        assert_eq!(
            names,
            ["fixed-pipeline(sp1, least-work)", "fcfs(sp1)", "sjf(sp1)", "srtf(sp1)", "rssp"]
        );
    }
}
