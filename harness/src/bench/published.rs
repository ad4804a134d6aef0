//! What others have published about forming groups; never mixed with what is measured here.

use super::statistics::time;
use crate::report::Table;

/// A published figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// What was timed.
    pub what: &'static str,
    /// The least of it in nanoseconds.
    pub nanos: f64,
    /// The most, where a range is given.
    pub to: Option<f64>,
    /// Who says so, and where.
    pub source: &'static str,
}

/// Setting a communication group up with NCCL, as the GF-DiT paper measured it.
pub const COMMUNICATOR: Published = Published {
    what: "a group with communicators (NCCL)",
    nanos: 778e6,
    to: None,
    source: "GF-DiT, arXiv 2606.13501",
};

/// The same with that paper's group-free collectives.
pub const GROUP_FREE: Published = Published {
    what: "a group with group-free collectives",
    nanos: 60e3,
    to: None,
    source: "GF-DiT, arXiv 2606.13501",
};

/// Every published figure.
pub const PUBLISHED: [Published; 6] = [
    COMMUNICATOR,
    GROUP_FREE,
    Published {
        what: "first point-to-point transfer of a pair (NCCL)",
        nanos: 300e6,
        to: Some(1_200e6),
        source: "reports of users, such as NVIDIA/nccl issue 1487: about 700 ms on two H100",
    },
    Published {
        what: "ncclCommSplit",
        nanos: 150e6,
        to: None,
        source: "reports of users of PyTorch",
    },
    Published {
        what: "a communicator of 8 ranks (NCCL, V100)",
        nanos: 2e9,
        to: None,
        source: "NVIDIA/nccl issue 534: 8 of them in 16.3 s",
    },
    Published {
        what: "first all-reduce of a new group of 8 (NCCL through PyTorch)",
        nanos: 4.5e9,
        to: None,
        source: "NVIDIA/nccl issue 587",
    },
];

impl Published {
    /// The figure or range in words.
    pub fn shown(&self) -> String {
        match self.to {
            None => time(self.nanos),
            Some(to) => format!("{} to {}", time(self.nanos), time(to)),
        }
    }
}

/// The figures as a table.
pub fn table() -> Table {
    let caption = "Published figures, for scale: other hardware, other libraries, other operations";
    let mut table = Table::new(caption, &["what", "#published", "source"]);
    for one in PUBLISHED {
        table.row(vec![one.what.into(), one.shown().into(), one.source.into()]);
    }
    table
}
