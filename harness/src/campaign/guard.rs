//! A policy that panics does not end a run: the fallback takes over, and the report says so.

use flexdit_core::policy::registry;
use flexdit_core::scheduler::{Key, Plan, Policy, RequestView, View};
use flexdit_core::{Group, RequestId};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Name of the policy that takes over.
const FALLBACK: &str = "fallback";

/// Runs a policy until it panics, then the fallback.
pub struct Guard {
    policy: Box<dyn Policy>,
    replaced: Option<String>,
    /// A panic of [`Policy::key`], which cannot replace the policy itself.
    key_failed: RefCell<Option<String>>,
}

impl Guard {
    /// Guards `policy`.
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self { policy, replaced: None, key_failed: RefCell::new(None) }
    }

    /// Calls the policy; on a panic replaces it and returns `None`.
    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Policy) -> T) -> Option<T> {
        if let Some(text) = self.key_failed.take() {
            self.replace(text);
        }
        let policy = &mut *self.policy;
        match catch_unwind(AssertUnwindSafe(|| work(policy))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.replace(message(&*panic));
                None
            }
        }
    }

    fn replace(&mut self, text: String) {
        assert!(self.replaced.is_none(), "the fallback policy panicked: {text}");
        self.replaced = Some(format!("the policy panicked: {text}"));
        let params = Default::default();
        self.policy = registry::build(FALLBACK, &params, 1).expect("registered, no parameter");
    }
}

/// The text of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

impl Policy for Guard {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        let key = catch_unwind(AssertUnwindSafe(|| self.policy.key(request)));
        key.unwrap_or_else(|panic| {
            self.key_failed.borrow_mut().get_or_insert(message(&*panic));
            // The fallback walks the ready queue, so the request must be in it.
            Some([request.request().arrival.0, 0, 0])
        })
    }

    fn admitted(&mut self, view: &View<'_>, id: RequestId) {
        self.call(|policy| policy.admitted(view, id));
    }

    fn boundary(&mut self, view: &View<'_>, id: RequestId) {
        self.call(|policy| policy.boundary(view, id));
    }

    fn ended(&mut self, view: &View<'_>, id: RequestId) {
        self.call(|policy| policy.ended(view, id));
    }

    fn world_changed(&mut self, view: &View<'_>) {
        self.call(|policy| policy.world_changed(view));
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        if self.call(|policy| policy.decide(view, plan)).is_none() {
            plan.clear();
            self.call(|policy| policy.decide(view, plan));
        }
    }

    fn prebuilt(&self) -> Vec<Group> {
        self.policy.prebuilt()
    }

    fn fallback(&self) -> Option<&str> {
        self.replaced.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Case;
    use flexdit_core::Nanos;
    use flexdit_core::cost::TableEstimator;
    use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
    use flexdit_sim::{FaultModel, Simulation};
    use std::panic::resume_unwind;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum At {
        Key,
        Admitted,
        Boundary,
        Ended,
        Decide,
    }

    /// Works as `edf-best-fit`, holds a rank back for ever, and panics at the second call of one kind.
    struct Faulty {
        inner: Box<dyn Policy>,
        at: At,
        calls: RefCell<u32>,
    }

    impl Faulty {
        fn new(at: At) -> Self {
            let inner = registry::build("edf-best-fit", &Default::default(), 4).expect("listed");
            Self { inner, at, calls: RefCell::new(0) }
        }

        fn call(&self, at: At) {
            *self.calls.borrow_mut() += u32::from(at == self.at);
            if at == self.at && *self.calls.borrow() == 2 {
                // Unlike `panic!`, prints nothing.
                resume_unwind(Box::new(format!("at {at:?}")));
            }
        }
    }

    impl Policy for Faulty {
        fn key(&self, request: &RequestView<'_>) -> Option<Key> {
            self.call(At::Key);
            self.inner.key(request)
        }
        fn admitted(&mut self, view: &View<'_>, id: RequestId) {
            self.call(At::Admitted);
            self.inner.admitted(view, id);
        }
        fn boundary(&mut self, view: &View<'_>, id: RequestId) {
            self.call(At::Boundary);
            self.inner.boundary(view, id);
        }
        fn ended(&mut self, view: &View<'_>, id: RequestId) {
            self.call(At::Ended);
            self.inner.ended(view, id);
        }
        fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
            for rank in view.free_ranks().skip(1) {
                plan.reserve(rank, Nanos::MAX);
            }
            self.inner.decide(view, plan);
            self.call(At::Decide);
        }
    }

    #[test]
    fn a_policy_that_panics_anywhere_is_replaced_and_the_run_ends() {
        let case = (0..)
            .map(Case::draw)
            .find(|case| case.workload.requests.len() > 8 && case.workload.concurrency.is_none());
        let case = case.expect("some seed");
        for at in [At::Key, At::Admitted, At::Boundary, At::Ended, At::Decide] {
            let guard = Guard::new(Box::new(Faulty::new(at)));
            let estimator = TableEstimator::new((*case.book).clone(), 4);
            let config = SchedulerConfig::new(4);
            let mut system = Scheduler::new(config, Box::new(guard), Box::new(estimator));
            let (workload, cost) = (case.workload.clone(), case.book.clone());
            let (charges, faults) = (case.charges.clone(), FaultModel::default());
            let run = Simulation::new(&mut system, 4, workload, cost, charges, faults, 1);
            let counters = run.run(&mut ()).expect("the fallback serves everything").counters;
            assert_eq!((counters.live, counters.claims), (0, 0));
            let expected = format!("the policy panicked: at {at:?}");
            assert_eq!(counters.fallback, Some(expected));
        }
    }
}
