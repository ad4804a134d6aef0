//! Newtype identifiers. Dense integers: they index vectors and order ties.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq,
            Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The identifier as an index into a vector.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// Global index of a rank: one device or one worker.
    Rank(u16), "rank "
);
id!(
    /// A request's ordinal in its workload: dense from 0, in order of arrival.
    RequestId(u32), "request "
);
id!(
    /// A request class of the workload (S, M, L, ..): index into the workload's class table.
    ClassId(u16), "class "
);
id!(
    /// A model of the experiment: index into the experiment's model table.
    ModelId(u8), "model "
);
id!(
    /// A task's global sequence number. Tasks and transfers share one increasing counter, and each
    /// rank executes in that order; it is also part of the tag of every collective.
    TaskId(u64), "task "
);
id!(
    /// A transfer's global sequence number, from the counter that tasks use.
    TransferId(u64), "transfer "
);

/// One immutable version of a request's state: the output of its task number `version`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ArtifactId {
    /// The request the state belongs to.
    pub request: RequestId,
    /// 0 is the request as it arrived (nothing computed); each task makes the next version.
    pub version: u32,
}
