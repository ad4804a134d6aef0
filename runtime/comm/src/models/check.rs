//! Running a model: it must hold in every execution, or must fail in one, and say why.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

thread_local! {
    /// Failures of the model that this thread expects to fail, in order.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Tries all executions with at most so many preemptions, if there is a bound; returns how many there were.
pub(super) fn explore(
    preemptions: Option<usize>,
    model: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    count.load(Ordering::Relaxed)
}

/// Tries executions until one fails, and checks that it first failed with one of `reasons`.
pub(super) fn refute(
    reasons: &[&str],
    preemptions: Option<usize>,
    model: impl Fn() + Send + Sync + 'static,
) {
    listen();
    HEARD.set(Some(Vec::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(|| explore(preemptions, model)));
    let heard = HEARD.take().expect("set above");
    assert!(result.is_err(), "the model holds in all {} executions", result.unwrap_or_default());
    let first = heard.first().map_or("", String::as_str);
    assert!(
        reasons.iter().any(|reason| first.contains(reason)),
        "expected one of {reasons:?}, but the model failed with: {first}"
    );
}

/// Keeps failures that are expected off the terminal, and remembers what they say.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let expected = HEARD.with_borrow_mut(|heard| {
                // What is no text ends threads that have not failed.
                heard.as_mut().map(|heard| heard.extend(info.payload_as_str().map(str::to_owned)))
            });
            if expected.is_none() {
                before(info);
            }
        }));
    });
}
