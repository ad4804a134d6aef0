//! The rules, each taken away once. A mutant that no model refutes would mean a rule without a reason, or models that do
//! not look.

use crate::rules::Rules;
use std::sync::atomic::Ordering;

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident: $rule:ident is $type:ty = $value:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub(super) struct $name;

            impl Rules for $name {
                const $rule: $type = $value;
            }
        )*
    };
}

mutants! {
    /// Labels are stored without order.
    Publish: PUBLISH is Ordering = Ordering::Relaxed;
    /// Labels are read without order.
    Observe: OBSERVE is Ordering = Ordering::Relaxed;
    /// Acknowledgements are stored without order.
    Acknowledge: ACKNOWLEDGE is Ordering = Ordering::Relaxed;
    /// Acknowledgements are read without order.
    Acknowledged: ACKNOWLEDGED is Ordering = Ordering::Relaxed;
    /// Slots are written although their message was not acknowledged.
    Credit: CREDIT is bool = false;
    /// Room is reused although its readers have not acknowledged.
    Room: ROOM is bool = false;
    /// Data is used whatever the tag says.
    Tags: TAGS is bool = false;
    /// Any label counts as the next.
    Counts: COUNTS is bool = false;
    /// Sleepers and wakers do not look for each other.
    Announce: ANNOUNCE is bool = false;
    /// Failed lanes go on.
    Poison: POISON is bool = false;
    /// Lenders that give up do not wait for readers.
    Revoke: REVOKE is bool = false;
}
