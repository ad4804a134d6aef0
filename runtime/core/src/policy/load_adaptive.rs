//! The degree is chosen at admission by the load: narrow lanes when busy, wide ones when quiet.

use super::importance;
use super::params::{ParamInfo, ParamKind, Params};
use super::registry::PolicyInfo;
use crate::group::Group;
use crate::ids::{Rank, RequestId};
use crate::parallelism::Parallelism;
use crate::rank_set::RankSet;
use crate::scheduler::{Key, Plan, Policy, RequestView, View};
use crate::task::Stage;
use crate::units::Nanos;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

const DAY: Nanos = Nanos::from_secs(86_400);

/// The registry's entry.
pub const INFO: PolicyInfo = PolicyInfo {
    name: "load-adaptive",
    doc: "the degree is fixed at admission: the narrowest under high load, else the widest",
    params: &[
        ParamInfo {
            name: "interarrival",
            kind: ParamKind::Duration {
                min: Nanos::ZERO,
                max: DAY,
                default: Nanos::from_secs(120),
            },
            unit: "",
            doc: "a gap between arrivals up to this long means high load",
        },
        ParamInfo {
            name: "backlog",
            kind: ParamKind::Integer { min: 1, max: 1 << 20, default: 2 },
            unit: "requests",
            doc: "this many requests in flight mean high load",
        },
        ParamInfo {
            name: "cool-down",
            kind: ParamKind::Duration { min: Nanos::ZERO, max: DAY, default: Nanos::from_secs(60) },
            unit: "",
            doc: "how long the load counts as high after it was",
        },
        ParamInfo {
            name: "priority",
            kind: ParamKind::Flag { default: false },
            unit: "",
            doc: "the waiting queue goes by priority and deadline before submission",
        },
    ],
    build: |params: &Params, world| {
        let load = Load {
            interarrival: params.duration("interarrival"),
            backlog: params.integer("backlog"),
            cool_down: params.duration("cool-down"),
            priority: params.flag("priority"),
        };
        Ok(Box::new(LoadAdaptive::new(load, world)))
    },
};

/// What counts as high load, and how the queue is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// A gap to the previous arrival up to this long is high load.
    pub interarrival: Nanos,
    /// This many live requests, the new one not counted, are high load.
    pub backlog: u64,
    /// How long the load stays high after it was.
    pub cool_down: Nanos,
    /// Order the waiting queue by (priority, deadline, submission) instead of submission.
    pub priority: bool,
}

/// A live request here.
#[derive(Clone, Debug)]
struct Member {
    key: Key,
    degree: u16,
    /// The ranks it holds from its first task to its last.
    lane: Option<Group>,
}

/// Decides the degree once, at admission; elastic between requests, not within one.
///
/// The load is high from an arrival that follows the previous one within `interarrival`, or that finds
/// `backlog` requests in flight, until `cool_down` later. A request admitted then gets the narrowest
/// lane it can run on, otherwise the widest. Lanes of degree d are the aligned runs of d ranks. The head
/// of the queue waits for its lane and lets nobody pass, so wide requests are not starved.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy load-adaptive
///      world 2
///      shape S 100 60
///      at 0 S steps=1
///      at 5 S steps=1",
/// );
/// // The second follows closely, so it is admitted to one rank; it waits for the wide lane to end.
/// assert_eq!(
///     report,
///     "S0: 0 encode {0,1}; 10 denoise u2 {0,1} x1; 70 decode {0,1}; done 80\n\
///      S1: 80 encode {0}; 90 denoise 1 {0} x1; 190 decode {0}; done 200\n"
/// );
/// ```
///
/// # Source
/// The load-adaptive admission of the GF-DiT simulator (arXiv 2606.13501).
#[derive(Clone, Debug)]
pub struct LoadAdaptive {
    load: Load,
    world: u16,
    last_arrival: Option<Nanos>,
    high_until: Nanos,
    members: BTreeMap<RequestId, Member>,
    waiting: BTreeSet<(Key, RequestId)>,
    /// Requests between two tasks on the lane they hold.
    between: Vec<RequestId>,
    /// Ranks of all lanes that are held: nobody else's, even while free between two tasks.
    held: RankSet,
}

impl LoadAdaptive {
    /// The policy under these thresholds, on lanes of `world` ranks.
    pub fn new(load: Load, world: u16) -> Self {
        Self {
            load,
            world,
            last_arrival: None,
            high_until: Nanos::ZERO,
            members: BTreeMap::new(),
            waiting: BTreeSet::new(),
            between: Vec::new(),
            held: RankSet::EMPTY,
        }
    }

    fn is_high(&mut self, now: Nanos) -> bool {
        let gap = self.last_arrival.map(|last| now.saturating_sub(last));
        self.last_arrival = Some(now);
        let busy = self.members.len() as u64 >= self.load.backlog;
        if busy || gap.is_some_and(|gap| gap <= self.load.interarrival) {
            self.high_until = now.saturating_add(self.load.cool_down).max(self.high_until);
            return true;
        }
        now < self.high_until
    }

    /// Goes on with requests that hold a lane; one whose lane was lost waits for another.
    fn resume(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        for id in core::mem::take(&mut self.between) {
            let (Some(member), Some(request)) = (self.members.get_mut(&id), view.request(id))
            else {
                continue;
            };
            let grant = member.lane.as_ref().and_then(|lane| plan.take_exact(lane));
            match (grant, parallelism(&request, member.degree)) {
                (Some(grant), Some(parallelism)) => {
                    plan.run(id, grant, parallelism);
                }
                (grant, _) => {
                    if let Some(grant) = grant {
                        plan.give_back(grant);
                    }
                    release(&mut self.held, member.lane.take());
                    self.waiting.insert((member.key, id));
                }
            }
        }
    }

    /// Starts waiting requests in order until the head finds no lane.
    fn start(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        while let Some(&(key, id)) = self.waiting.first() {
            let (Some(member), Some(request)) = (self.members.get_mut(&id), view.request(id))
            else {
                self.waiting.pop_first();
                continue;
            };
            let lane = free_lane(member.degree, view.world(), plan, &self.held);
            let Some(lane) = lane else { return };
            self.waiting.remove(&(key, id));
            let Some(parallelism) = parallelism(&request, member.degree) else {
                plan.shed(id);
                continue;
            };
            if let Some(grant) = plan.take_exact(&lane) {
                for &rank in lane.iter() {
                    self.held.insert(rank);
                }
                member.lane = Some(lane);
                plan.run(id, grant, parallelism);
            }
        }
    }
}

impl Policy for LoadAdaptive {
    fn key(&self, _request: &RequestView<'_>) -> Option<Key> {
        None
    }

    fn admitted(&mut self, view: &View<'_>, id: RequestId) {
        let Some(request) = view.request(id) else { return };
        let steps = &request.costs().steps;
        let cost = if self.is_high(view.now()) { steps.first() } else { steps.last() };
        // Without a price at any degree it is shed when its turn comes.
        let degree = cost.map_or(1, |cost| cost.degree);
        let arrival = request.request().arrival.0;
        let key = match self.load.priority {
            true => [importance(&request), request.deadline().0, arrival],
            false => [arrival, 0, 0],
        };
        self.members.insert(id, Member { key, degree, lane: None });
        self.waiting.insert((key, id));
    }

    fn boundary(&mut self, _view: &View<'_>, id: RequestId) {
        self.between.push(id);
    }

    fn ended(&mut self, _view: &View<'_>, id: RequestId) {
        if let Some(member) = self.members.remove(&id) {
            self.waiting.remove(&(member.key, id));
            release(&mut self.held, member.lane);
        }
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        self.resume(view, plan);
        self.start(view, plan);
    }

    /// Lanes never lie elsewhere, so they are static like those of the other lane policies.
    fn prebuilt(&self) -> Vec<Group> {
        (2..=self.world).flat_map(|degree| lanes(degree, self.world)).collect()
    }
}

fn parallelism(request: &RequestView<'_>, degree: u16) -> Option<Parallelism> {
    match request.next_stage()? {
        Stage::Denoise => Some(request.costs().step_entry(degree)?.parallelism),
        Stage::TextEncode | Stage::VaeDecode => Some(Parallelism::SINGLE),
    }
}

fn release(held: &mut RankSet, lane: Option<Group>) {
    for &rank in lane.iter().flat_map(|lane| lane.iter()) {
        held.remove(rank);
    }
}

/// The lowest aligned run of `degree` ranks that is free.
fn free_lane(degree: u16, world: u16, plan: &Plan<'_>, held: &RankSet) -> Option<Group> {
    if plan.free() < degree {
        return None;
    }
    lanes(degree, world)
        .find(|lane| lane.iter().all(|&rank| plan.is_free(rank) && !held.contains(rank)))
}

/// The aligned runs of `degree` ranks.
fn lanes(degree: u16, world: u16) -> impl Iterator<Item = Group> {
    (0..world / degree).map(move |i| Group::consecutive(Rank(i * degree), usize::from(degree)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::registry;
    use alloc::string::ToString;

    #[test]
    fn every_lane_is_declared_as_ready_made() {
        let policy = registry::build("load-adaptive", &Params::default(), 4).unwrap();
        let lanes: Vec<_> = policy.prebuilt().iter().map(ToString::to_string).collect();
        assert_eq!(lanes, ["{0,1}", "{2,3}", "{0,1,2}", "{0,1,2,3}"]);
    }
}
