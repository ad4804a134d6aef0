//! First come, first served without any cleverness: what runs when a policy has failed.

use super::holders;
use super::registry::PolicyInfo;
use crate::ids::{Rank, RequestId};
use crate::parallelism::Parallelism;
use crate::scheduler::phase::{Phase, RankPhase};
use crate::scheduler::{Key, Plan, Policy, RequestView, View};
use crate::task::Stage;
use crate::units::Nanos;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// The registry's entry.
pub const INFO: PolicyInfo = PolicyInfo {
    name: "fallback",
    doc: "first come, first served, each request as narrow as feasible; replaces a failed policy",
    params: &[],
    build: |_, _| Ok(Box::new(Fallback::default())),
};

/// Serves requests by arrival, each on one rank or its narrowest feasible degree.
///
/// It can take over from any policy in the middle of a run: requests that the other kept in queues of
/// its own are found once, at its first decision. A request that does not fit the free ranks lets
/// narrower ones pass, but only until enough ranks are free at one instant.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy fallback
///      world 1
///      shape S 100
///      at 0 S steps=1 due=900
///      at 5 S steps=1 due=200",
/// );
/// assert_eq!(
///     report,
///     "S0: 0 encode {0}; 10 denoise 1 {0} x1; 110 decode {0}; done 120 in time\n\
///      S1: 120 encode {0}; 130 denoise 1 {0} x1; 230 decode {0}; done 240 late\n"
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Fallback {
    started: bool,
    /// Requests that an earlier policy kept out of the ready queue, by arrival.
    inherited: Vec<(Nanos, RequestId)>,
}

impl Fallback {
    fn take_over(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        let ready: BTreeSet<RequestId> = view.ready().map(|request| request.id()).collect();
        for paused in view.requests().filter(|request| request.phase() == Phase::Paused) {
            plan.resume(paused.id());
        }
        let held = |rank: &Rank| {
            matches!(view.rank_phase(*rank), RankPhase::Reserved | RankPhase::Draining)
        };
        for rank in (0..view.world()).map(Rank).filter(held) {
            // Free for the next decision.
            plan.unreserve(rank);
            plan.wake_at(view.now() + Nanos(1));
        }
        let others = view.requests().filter(|r| r.is_ready() && !ready.contains(&r.id()));
        let mut others: Vec<_> = others.map(|r| (r.request().arrival, r.id())).collect();
        others.sort_unstable();
        self.inherited = others;
        self.started = true;
    }
}

impl Policy for Fallback {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        Some([request.request().arrival.0, 0, 0])
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        if !self.started {
            self.take_over(view, plan);
        }
        let mut inherited = core::mem::take(&mut self.inherited).into_iter().peekable();
        let mut ready = view.ready().peekable();
        while plan.free() > 0 {
            let head = ready.peek().map(|request| (request.request().arrival, request.id()));
            let older = inherited.next_if(|old| head.is_none_or(|head| *old < head));
            match (older, head) {
                // Whatever runs once comes back through the ready queue.
                (Some((arrival, id)), _) => {
                    let waiting = view.request(id).filter(RequestView::is_ready);
                    if waiting.is_some_and(|request| !run(&request, plan)) {
                        self.inherited.push((arrival, id));
                    }
                }
                (None, Some(_)) => {
                    ready.next().map(|request| run(&request, plan));
                }
                (None, None) => break,
            }
        }
        self.inherited.extend(inherited);
    }
}

fn run(request: &RequestView<'_>, plan: &mut Plan<'_>) -> bool {
    let (degree, parallelism) = match request.next_stage() {
        Some(Stage::Denoise) => match request.costs().steps.first() {
            Some(cost) => (cost.degree, cost.parallelism),
            None => return false,
        },
        _ => (1, Parallelism::SINGLE),
    };
    plan.take(degree, holders(request))
        .is_some_and(|grant| plan.run(request.id(), grant, parallelism))
}
