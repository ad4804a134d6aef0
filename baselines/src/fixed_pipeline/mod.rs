//! The fixed-pipeline engine: groups made once, a request's whole pipeline queued at once on its group.
//!
//! Owns admission, routing, the first-in-first-out queue of each group and its one running request.
//! It plans nothing at task boundaries: what a group's ranks run next was decided when the request
//! began. Invariant: a group is given a request only when all reports of the one before it are in.

mod chain;
mod group;

use crate::layout::Layout;
use crate::routing::Routing;
use chain::{Chain, Sequence};
use flexdit_core::cost::{Estimator, ShapeCosts};
use flexdit_core::{
    ArtifactId, Command, Counters, Event, FailReason, Group, Nanos, Rank, RejectReason, Request,
    RequestId, Shape, System, TaskId,
};
use group::{Ended, GroupState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a fixed pipeline can be told beside its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How requests are spread over the groups of their class.
    pub routing: Routing,
    /// All ranks of a group run text encode and VAE decode, as SPMD engines do, instead of the
    /// first alone: the same time, every rank computing, nothing to broadcast.
    pub replicated: bool,
    /// Requests admitted and not ended; arrivals beyond are rejected.
    pub max_live: usize,
    /// How often a request that lost its group starts again before it is given up.
    pub max_retries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { routing: Routing::LeastWork, replicated: false, max_live: 1 << 20, max_retries: 3 }
    }
}

/// A request that was admitted and has not ended.
struct Live {
    request: Request,
    /// The group it is queued or running on.
    group: usize,
    /// Its whole time there, as estimated; never unknown once bound.
    estimate: Nanos,
    retries: u32,
    /// Version of its latest artifact, counted on over restarts.
    version: u32,
    cancelled: bool,
}

/// A set of groups that each run one request at a time from text encode to VAE decode.
///
/// # Example
/// ```
/// use flexdit_baselines::{FixedPipeline, Layout, Options};
/// use flexdit_core::System;
/// use flexdit_core::cost::{CostBook, TableEstimator};
/// let estimator = std::sync::Arc::new(TableEstimator::new(CostBook::default(), 4));
/// let system = FixedPipeline::new(Layout::uniform(4, 2).unwrap(), Options::default(), estimator);
/// assert_eq!(system.prebuilt().len(), 2); // its communicators exist before the first request
/// ```
pub struct FixedPipeline {
    options: Options,
    layout: Layout,
    estimator: Arc<dyn Estimator>,
    costs: BTreeMap<Shape, Arc<ShapeCosts>>,
    groups: Vec<GroupState>,
    group_of: Vec<Option<usize>>,
    rank_up: Vec<bool>,
    live: BTreeMap<RequestId, Live>,
    /// Requests none of whose groups is up.
    homeless: Vec<RequestId>,
    /// Requests to bind once all events of this step are in: new, displaced, or homeless until now.
    unbound: Vec<RequestId>,
    /// Cursor of the round-robin over each list of groups; classes with the same groups share it.
    turns: BTreeMap<Vec<usize>, usize>,
    /// Groups that may be able to start a request.
    dirty: Vec<usize>,
    sequence: Sequence,
    decisions: u64,
}

impl FixedPipeline {
    /// A pipeline on the groups of `layout`; `estimator` is what it believes about costs.
    pub fn new(layout: Layout, options: Options, estimator: Arc<dyn Estimator>) -> Self {
        let world = usize::from(layout.world());
        let groups: Vec<_> = layout.groups().iter().cloned().map(GroupState::new).collect();
        let mut group_of = vec![None; world];
        for (index, group) in layout.groups().iter().enumerate() {
            for rank in group.iter() {
                group_of[rank.index()] = Some(index);
            }
        }
        Self {
            options,
            layout,
            estimator,
            costs: BTreeMap::new(),
            groups,
            group_of,
            rank_up: vec![true; world],
            live: BTreeMap::new(),
            homeless: Vec::new(),
            unbound: Vec::new(),
            turns: BTreeMap::new(),
            dirty: Vec::new(),
            sequence: Sequence::default(),
            decisions: 0,
        }
    }

    /// The engine's name with its cut: `fixed-pipeline(2xsp4, least-work)`.
    pub fn name(&self) -> String {
        let replicated = if self.options.replicated { ", replicated" } else { "" };
        let routing = self.options.routing.name();
        format!("fixed-pipeline({}, {routing}{replicated})", self.layout.name())
    }

    fn costs_of(&mut self, shape: &Shape) -> Arc<ShapeCosts> {
        if let Some(costs) = self.costs.get(shape) {
            return Arc::clone(costs);
        }
        let costs = Arc::new(self.estimator.costs(shape));
        self.costs.insert(*shape, Arc::clone(&costs));
        costs
    }

    /// Time of the whole request on a group of `degree` ranks.
    fn estimate(&mut self, request: &Request, degree: usize) -> Option<Nanos> {
        let costs = self.costs_of(&request.shape);
        costs.remaining(request.shape.steps, true, true, degree as u16)
    }

    fn arrive(&mut self, request: Request, out: &mut Vec<Command>) {
        let reject = |why| Command::Reject { request: request.id, why };
        if self.live.len() >= self.options.max_live {
            return out.push(reject(RejectReason::QueueFull));
        }
        let candidates = self.layout.groups_of(request.class).to_vec();
        if !candidates.iter().any(|&g| self.estimate_on(&request, g).is_some()) {
            return out.push(reject(RejectReason::Infeasible));
        }
        let live = Live {
            request,
            group: 0,
            estimate: Nanos::ZERO,
            retries: 0,
            version: 0,
            cancelled: false,
        };
        self.live.insert(request.id, live);
        self.unbound.push(request.id);
    }

    fn estimate_on(&mut self, request: &Request, group: usize) -> Option<Nanos> {
        let degree = self.groups[group].ranks.len();
        self.estimate(request, degree)
    }

    /// Binds, first come first, what no group has yet: the events of a step are all in, so groups
    /// that came up in one instant share the load, and what a lost group ran precedes what it queued.
    fn bind_all(&mut self, now: Nanos) {
        let mut unbound = std::mem::take(&mut self.unbound);
        unbound.sort_unstable_by_key(|id| (self.live[id].request.arrival, *id));
        for id in unbound.drain(..) {
            self.bind(now, id);
        }
        self.unbound = unbound;
    }

    /// Queues a live request on a group that is up and can run it; without one it waits for a rank.
    fn bind(&mut self, now: Nanos, id: RequestId) {
        self.decisions += 1;
        let request = self.live[&id].request;
        let costs = self.costs_of(&request.shape);
        let groups = &self.groups;
        let candidates = self.layout.groups_of(request.class);
        let mut first = 0;
        let turn = match self.options.routing {
            Routing::LeastWork => &mut first,
            Routing::RoundRobin => {
                if !self.turns.contains_key(candidates) {
                    self.turns.insert(candidates.to_vec(), 0);
                }
                self.turns.get_mut(candidates).expect("just inserted")
            }
        };
        let estimate = |group: usize| {
            let degree = groups[group].ranks.len() as u16;
            costs.remaining(request.shape.steps, true, true, degree)
        };
        let picked = self.options.routing.pick(candidates, turn, |group| {
            let work = groups[group].unfinished(now)?;
            estimate(group).map(|_| work)
        });
        let Some((group, estimate)) = picked.and_then(|group| Some((group, estimate(group)?)))
        else {
            return self.homeless.push(id);
        };
        let live = self.live.get_mut(&id).expect("the caller binds live requests");
        live.group = group;
        live.estimate = estimate;
        self.groups[group].push(id, estimate);
        self.dirty.push(group);
    }

    fn cancel(&mut self, id: RequestId, out: &mut Vec<Command>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let group = &mut self.groups[live.group];
        if group.runs(id) {
            // Queued tasks cannot be recalled: the request ends when their reports are in.
            live.cancelled = true;
            return;
        }
        let waits = |list: &mut Vec<RequestId>| {
            let at = list.iter().position(|&waiting| waiting == id);
            at.map(|at| list.swap_remove(at)).is_some()
        };
        if !waits(&mut self.homeless) && !waits(&mut self.unbound) {
            group.forget(live.estimate);
        }
        self.live.remove(&id);
        out.push(Command::Reject { request: id, why: RejectReason::Cancelled });
    }

    fn rank_down(&mut self, rank: Rank) {
        if !std::mem::replace(&mut self.rank_up[rank.index()], false) {
            return;
        }
        let Some(group) = self.group_of[rank.index()] else { return };
        let queue = self.groups[group].lose_rank();
        self.unbound.extend(queue.into_iter().filter(|id| self.live.contains_key(id)));
    }

    fn rank_up(&mut self, rank: Rank) {
        if std::mem::replace(&mut self.rank_up[rank.index()], true) {
            return;
        }
        let Some(group) = self.group_of[rank.index()] else { return };
        if self.groups[group].regain_rank() {
            self.dirty.push(group);
            self.unbound.append(&mut self.homeless);
        }
    }

    /// Counts one report; ends the group's request with the last one.
    fn report(
        &mut self,
        (task, rank): (TaskId, Rank),
        failed: Option<FailReason>,
        out: &mut Vec<Command>,
    ) {
        let Some(group) = self.group_of[rank.index()] else { return };
        let Some(ended) = self.groups[group].report(task, failed) else { return };
        self.dirty.push(group);
        self.end(group, ended, out);
    }

    fn end(&mut self, group: usize, ended: Ended, out: &mut Vec<Command>) {
        let id = ended.request;
        let live = self.live.get_mut(&id).expect("a running request is live");
        let first = live.version + 1;
        live.version += chain::VERSIONS;
        if ended.failed.is_none() {
            let release = |(artifact, ranks)| Command::Release { artifact, ranks };
            out.extend(ended.releases.into_iter().map(release));
        } else {
            // How far it got is not known here: free whatever it may have made.
            let ranks = &self.groups[group].ranks;
            out.extend((first..=live.version).map(|version| Command::Release {
                artifact: ArtifactId { request: id, version },
                ranks: ranks.clone(),
            }));
        }
        let reject = |why| Command::Reject { request: id, why };
        let end = match ended.failed {
            _ if live.cancelled => reject(RejectReason::Cancelled),
            None => Command::Complete(id),
            // What does not fit into a rank's memory will not fit the next time.
            Some(FailReason::OutOfMemory) => reject(RejectReason::Failed),
            Some(_) if live.retries >= self.options.max_retries => reject(RejectReason::Failed),
            Some(_) => {
                live.retries += 1;
                debug_assert_eq!(live.group, group);
                return self.unbound.push(id);
            }
        };
        self.live.remove(&id);
        out.push(end);
    }

    /// Starts the next request of `group` if it is up and free.
    fn start(&mut self, now: Nanos, group: usize, out: &mut Vec<Command>) {
        let live = &self.live;
        let Some(id) = self.groups[group].pop(|id| live.get(&id).is_some_and(|l| l.group == group))
        else {
            return;
        };
        let live = &self.live[&id];
        let (request, version, estimate) = (live.request, live.version, live.estimate);
        let costs = self.costs_of(&request.shape);
        let ranks = self.groups[group].ranks.clone();
        let chain = Chain { request: &request, ranks: &ranks, replicated: self.options.replicated };
        let running = chain.queue(&costs, version, &mut self.sequence, out);
        self.groups[group].begin(id, now + estimate, estimate, running);
    }
}

impl System for FixedPipeline {
    fn step(&mut self, now: Nanos, events: &[Event], out: &mut Vec<Command>) -> Option<Nanos> {
        for event in events {
            match event {
                Event::RankDown(rank) => self.rank_down(*rank),
                Event::RankUp(rank) => self.rank_up(*rank),
                Event::Failed { task, rank, why } => {
                    self.report((*task, *rank), Some(*why), out);
                }
                Event::Finished { task, rank, .. } => self.report((*task, *rank), None, out),
                // Ranks execute in sequence order, so a task that needs a transfer waits for it there.
                Event::Migrated { .. } => {}
                Event::Cancelled(id) => self.cancel(*id, out),
                Event::Arrived(request) => self.arrive(*request, out),
            }
        }
        self.bind_all(now);
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        for group in dirty.drain(..) {
            self.start(now, group, out);
        }
        self.dirty = dirty;
        None
    }

    fn prebuilt(&self) -> Vec<Group> {
        self.layout.groups().iter().filter(|group| group.len() > 1).cloned().collect()
    }

    fn counters(&self) -> Counters {
        Counters {
            live: self.live.len() as u64,
            claims: self.groups.iter().map(GroupState::claims).sum(),
            decisions: self.decisions,
            illegal: 0,
            fallback: None,
        }
    }
}

#[cfg(test)]
mod tests;
