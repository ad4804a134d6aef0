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

/// Set in the first word of the key of a request that goes last; no deadline is that far away.
const LATE: u64 = 1 << 63;

/// Most requests that one decision moves to the end; the others are found again by the next.
const DEMOTIONS: usize = 256;

/// A request that this decision found hopeless.
#[derive(Clone, Copy, Debug)]
struct Found {
    key: Key,
    id: RequestId,
    runs: bool,
}

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
/// With `hopeless-last`, a request that misses its deadline at its best degree goes behind all others, to stay.
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
    /// Whether a request was found hopeless, by ordinal. It stays so: waiting improves nothing.
    late: Vec<bool>,
    /// Requests that this decision found hopeless, in order.
    found: Vec<Found>,
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
            if self.hopeless_last {
                if self.is_late(request.id()) {
                    break;
                }
                if is_hopeless(&request, now) {
                    let (key, id) = (late_key(&request), request.id());
                    self.found.push(Found { key, id, runs: false });
                    continue;
                }
            }
            budget -= self.add(&request, now, budget);
        }
        if self.hopeless_last { self.fit_hopeless(view, budget) } else { budget }
    }

    /// Fits the hopeless in order: those found in this walk, and those that already went to the end.
    fn fit_hopeless(&mut self, view: &View<'_>, mut budget: u16) -> u16 {
        let mut known = view.ready_from([LATE, 0, 0]).peekable();
        let mut next = 0;
        while budget > 0 {
            let old = known.peek().map(|request| (late_key(request), request.id()));
            let new = self.found.get(next).map(|found| (found.key, found.id));
            let newly = new.filter(|new| old.is_none_or(|old| *new < old));
            let request = newly.map_or_else(|| known.next(), |(_, id)| view.request(id));
            let Some(request) = request else { break };
            let taken = self.add(&request, view.now(), budget);
            budget -= taken;
            if newly.is_some() {
                self.found[next].runs = taken > 0;
                next += 1;
            }
        }
        budget
    }

    /// Adds the request if a degree fits; returns the ranks it takes.
    fn add(&mut self, request: &RequestView<'_>, now: Nanos, budget: u16) -> u16 {
        let Some(entry) = fit_one(request, now, budget) else { return 0 };
        self.entries.push(entry);
        entry.degree
    }

    fn is_late(&self, id: RequestId) -> bool {
        self.late.get(id.index()).copied().unwrap_or(false)
    }

    /// Moves what was found hopeless to the end of the queue, where later walks do not meet it.
    fn demote(&mut self, plan: &mut Plan<'_>) {
        for &Found { id, runs, .. } in self.found.iter().take(DEMOTIONS) {
            if self.late.len() <= id.index() {
                self.late.resize(id.index() + 1, false);
            }
            self.late[id.index()] = true;
            if !runs {
                // Leaving and entering the queue asks for the key again.
                plan.pause(id);
                plan.resume(id);
            }
        }
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
        match self.hopeless_last {
            false => Some(edf_key(request)),
            true if self.is_late(request.id()) => Some(late_key(request)),
            true => {
                let [deadline, importance, arrival] = edf_key(request);
                Some([deadline.min(LATE - 1), importance, arrival])
            }
        }
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        if plan.free() == 0 {
            return;
        }
        self.entries.clear();
        self.found.clear();
        let left = self.fit(view, plan.free());
        self.widen(view, left);
        self.demote(plan);
        self.place(view, plan);
    }
}

/// The key of a request that goes last, in the order of deadlines among those.
fn late_key(request: &RequestView<'_>) -> Key {
    let [deadline, importance, arrival] = edf_key(request);
    [LATE | deadline, importance, arrival]
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
