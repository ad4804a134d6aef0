//! Earliest deadline first, each task on the fastest degree that fits right now.

use super::params::{ParamError, Params};
use super::registry::PolicyInfo;
use super::{edf_key, holders};
use crate::parallelism::Parallelism;
use crate::scheduler::{Grant, Key, Plan, Policy, RequestView, View};
use crate::task::Stage;
use alloc::boxed::Box;

/// The registry's entry.
pub const INFO: PolicyInfo = PolicyInfo {
    name: "edf-greedy",
    doc: "earliest deadline first; each chunk at the fastest degree that fits the free ranks",
    params: &[],
    build: |_: &Params, _| Ok::<Box<dyn Policy>, ParamError>(Box::new(EdfGreedy)),
};

/// Walks the ready requests by (deadline, priority, arrival) and gives each the degree with the
/// shortest next task among those that fit, ties narrower.
///
/// A single-rank stage runs where its data is if that rank is free. A denoise chunk keeps its ranks
/// when the degree stays and all are free, and takes the lowest free ranks otherwise. Everything is
/// decided anew at every task boundary, so an urgent request takes all ranks and the others wait.
///
/// ```
/// use flexdit_core::policy::scenario;
/// let report = scenario::run(
///     "policy edf-greedy
///      world 2
///      shape S 100 60
///      at 0 S steps=2 due=900
///      at 0 S steps=2 due=400",
/// );
/// assert_eq!(
///     report,
///     "S0: 0 encode {1}; 130 denoise 1 {1} x1; 230 denoise u2 {0,1} x1; 290 decode {0}; done 300 in time\n\
///      S1: 0 encode {0}; 10 denoise u2 {0,1} x2; 130 decode {0}; done 140 in time\n"
/// );
/// ```
///
/// # Source
/// The greedy policy of GF-DiT (arXiv 2606.13501).
#[derive(Clone, Copy, Debug, Default)]
pub struct EdfGreedy;

impl Policy for EdfGreedy {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        Some(edf_key(request))
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        for request in view.ready() {
            if plan.free() == 0 {
                return;
            }
            if let Some((grant, parallelism)) = place(&request, plan) {
                plan.run(request.id(), grant, parallelism);
            }
        }
    }
}

fn place(request: &RequestView<'_>, plan: &mut Plan<'_>) -> Option<(Grant, Parallelism)> {
    if request.next_stage()? != Stage::Denoise {
        return Some((plan.take(1, holders(request))?, Parallelism::SINGLE));
    }
    let fitting = request.costs().steps.iter().filter(|cost| cost.degree <= plan.free());
    let fastest = fitting.min_by_key(|cost| cost.time)?;
    let keeps = request.degree() == fastest.degree;
    let kept = if keeps { plan.take_exact(request.group()) } else { None };
    let grant = match kept {
        Some(grant) => grant,
        None => plan.take(fastest.degree, &[])?,
    };
    Some((grant, fastest.parallelism))
}
