//! A policy that panics does not end a run: the fallback takes over, and the report says so.

use flexdit_core::policy::registry;
use flexdit_core::scheduler::{Key, Plan, Policy, RequestView, View};
use flexdit_core::{Group, RequestId};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Name of the policy that takes over.
const FALLBACK: &str = "fallback";

/// Runs a policy until it panics, then the fallback.
pub struct Guard {
    policy: Box<dyn Policy>,
    replaced: Option<String>,
}

impl Guard {
    /// Guards `policy`.
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self { policy, replaced: None }
    }

    /// Calls the policy; on a panic replaces it and returns `None`.
    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Policy) -> T) -> Option<T> {
        let policy = &mut *self.policy;
        match catch_unwind(AssertUnwindSafe(|| work(policy))) {
            Ok(value) => Some(value),
            Err(panic) => {
                assert!(self.replaced.is_none(), "the fallback policy panicked");
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                self.replaced = Some(format!("the policy panicked: {text}"));
                let info = registry::find(FALLBACK).expect("the fallback is registered");
                let params = Default::default();
                self.policy =
                    registry::build(info.name, &params, 1).expect("it takes no parameter");
                None
            }
        }
    }
}

impl Policy for Guard {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        // The fallback walks the ready queue, so everything must be in it once it may take over.
        let key = catch_unwind(AssertUnwindSafe(|| self.policy.key(request)));
        key.unwrap_or(Some([request.request().arrival.0, 0, 0]))
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
