//! Earliest deadline first, each request as narrow as its deadline allows, the rest of the ranks
//! widening the most urgent.

use super::params::{ParamInfo, ParamKind, Params};
use super::registry::PolicyInfo;
use super::{edf_key, holders};
use crate::ids::RequestId;
use crate::parallelism::Parallelism;
use crate::scheduler::{Key, Plan, Policy, RequestView, View};
use crate::task::Stage;
use crate::units::Nanos;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The registry's entry.
pub const INFO: PolicyInfo = PolicyInfo {
    name: "edf-best-fit",
    doc: "earliest deadline first; the narrowest degree that meets it, then widen the most urgent",
    params: &[ParamInfo {
        name: "hopeless-last",
        kind: ParamKind::Flag { default: false },
        unit: "",
        doc: "serve requests that miss their deadline at any degree after all others",
    }],
    build: |params: &Params, _| Ok(Box::new(EdfBestFit::new(params.flag("hopeless-last")))),
};

/// A request that this decision runs.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: RequestId,
    /// Index of its degree among the request's step costs; `None` for a single-rank stage.
    choice: Option<usize>,
    degree: u16,
    done: bool,
}

/// The headline policy of GF-DiT: fit first, then widen.
///
/// Order: (deadline, priority, arrival). *Fit*: with the free ranks as budget, a single-rank stage
/// takes one; a denoise chunk the narrowest degree that meets the deadline, else the one with the
/// soonest finish; without a deadline the widest that is not slower than a narrower one. *Widen*: while
/// budget remains, the most urgent denoise entry takes its next larger degree that fits and strictly
/// lowers its finish. *Place*: requests whose ranks are all free keep them, then the others prefer
/// the ranks that hold their data.
///
/// Widening restarts at the most urgent entry after each step in the paper. An entry that cannot be widened
/// with a budget cannot be with a smaller one, so widening each entry in turn until it cannot gives
/// the same result in one walk.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy edf-best-fit
///      world 4
///      shape S 100 60 35
///      at 0 S steps=4 due=320
///      at 0 S steps=4 due=450",
/// );
/// // Two ranks each meet both deadlines; nobody needs four.
/// assert_eq!(
///     report,
///     "S0: 0 encode {0}; 10 denoise u2 {0,1} x4; 250 decode {0}; done 260 in time\n\
///      S1: 0 encode {1}; 10 denoise u2 {2,3} x4; 250 decode {2}; done 260 in time\n"
/// );
/// ```
///
/// # Source
/// GF-DiT (arXiv 2606.13501); `hopeless-last` is an addition, off by default.
#[derive(Clone, Debug, Default)]
pub struct EdfBestFit {
    hopeless_last: bool,
    entries: Vec<Entry>,
    hopeless: Vec<RequestId>,
}

impl EdfBestFit {
    /// The policy; with `hopeless_last`, requests that miss their deadline at any degree go last.
    pub fn new(hopeless_last: bool) -> Self {
        Self { hopeless_last, ..Self::default() }
    }

    /// Fits requests in order until the budget is used up; returns what is left of it.
    fn fit(&mut self, view: &View<'_>, mut budget: u16) -> u16 {
        let now = view.now();
        for request in view.ready() {
            if budget == 0 {
                return 0;
            }
            if self.hopeless_last && is_hopeless(&request, now) {
                self.hopeless.push(request.id());
            } else if let Some(entry) = fit_one(&request, now, budget) {
                budget -= entry.degree;
                self.entries.push(entry);
            }
        }
        for &id in &self.hopeless {
            if budget == 0 {
                return 0;
            }
            let entry = view.request(id).and_then(|request| fit_one(&request, now, budget));
            if let Some(entry) = entry {
                budget -= entry.degree;
                self.entries.push(entry);
            }
        }
        budget
    }

    /// Spends the rest of the budget on the most urgent entries that gain from it.
    fn widen(&mut self, view: &View<'_>, mut budget: u16) {
        for entry in &mut self.entries {
            if budget == 0 {
                return;
            }
            let (Some(choice), Some(request)) = (&mut entry.choice, view.request(entry.id)) else {
                continue;
            };
            let steps = &request.costs().steps;
            for (wider, cost) in steps.iter().enumerate().skip(*choice + 1) {
                let extra = cost.degree - entry.degree;
                if extra > budget {
                    break;
                }
                if cost.time < steps[*choice].time {
                    budget -= extra;
                    entry.degree = cost.degree;
                    *choice = wider;
                }
            }
        }
    }

    fn place(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        for entry in &mut self.entries {
            let Some(request) = view.request(entry.id) else { continue };
            let sticky = entry.choice.is_some() && request.degree() == entry.degree;
            if sticky && let Some(grant) = plan.take_exact(request.group()) {
                plan.run(entry.id, grant, parallelism(&request, entry));
                entry.done = true;
            }
        }
        for entry in self.entries.iter().filter(|entry| !entry.done) {
            let Some(request) = view.request(entry.id) else { continue };
            if let Some(grant) = plan.take(entry.degree, holders(&request)) {
                plan.run(entry.id, grant, parallelism(&request, entry));
            }
        }
    }
}

impl Policy for EdfBestFit {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        Some(edf_key(request))
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        if plan.free() == 0 {
            return;
        }
        self.entries.clear();
        self.hopeless.clear();
        let left = self.fit(view, plan.free());
        self.widen(view, left);
        self.place(view, plan);
    }
}

fn parallelism(request: &RequestView<'_>, entry: &Entry) -> Parallelism {
    entry.choice.map_or(Parallelism::SINGLE, |choice| request.costs().steps[choice].parallelism)
}

/// Whether the deadline is missed at the best degree of all.
fn is_hopeless(request: &RequestView<'_>, now: Nanos) -> bool {
    let best = request.costs().best_step().and_then(|cost| request.remaining(cost.degree));
    best.is_some_and(|best| now.saturating_add(best) > request.deadline())
}

/// The request's place within `budget` free ranks; `None` when no degree fits.
fn fit_one(request: &RequestView<'_>, now: Nanos, budget: u16) -> Option<Entry> {
    let id = request.id();
    if request.next_stage()? != Stage::Denoise {
        return Some(Entry { id, choice: None, degree: 1, done: false });
    }
    let steps = &request.costs().steps;
    let fitting = steps.iter().take_while(|cost| cost.degree <= budget);
    let choice = if request.request().deadline.is_some() {
        let slack = request.deadline().saturating_sub(now);
        let left = u64::from(request.steps_left());
        let tail = request.costs().decode_single().unwrap_or(Nanos::MAX);
        let meets = |time: Nanos| tail.saturating_add(time * left) <= slack;
        // A deadline that has passed leaves a slack of zero, which no remaining time meets.
        let meeting = steps.iter().take_while(|c| c.degree <= budget).position(|c| meets(c.time));
        meeting.or_else(|| fitting.enumerate().min_by_key(|(_, cost)| cost.time).map(|(i, _)| i))
    } else {
        // `<=` on a running minimum: the last degree that is not slower than a narrower one.
        let mut best: Option<(usize, Nanos)> = None;
        for (i, cost) in fitting.enumerate() {
            if best.is_none_or(|(_, time)| cost.time <= time) {
                best = Some((i, cost.time));
            }
        }
        best.map(|(i, _)| i)
    }?;
    Some(Entry { id, choice: Some(choice), degree: steps[choice].degree, done: false })
}
