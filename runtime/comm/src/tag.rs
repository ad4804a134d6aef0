//! What a message says of itself, so that a stray, reordered or wrongly sized collective is found at first contact.

use crate::dtype::DType;
use std::fmt;

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Op {
    /// Nobody leaves before all have come.
    Barrier = 1,
    /// Every member gets the shares of all.
    AllGather = 2,
    /// Every member gets its share from all.
    AllToAll = 3,
    /// All get the root's data.
    Broadcast = 4,
    /// One member's data goes to another: `put` there, `get` here.
    PutGet = 5,
    /// Data moves round the group by a number of places.
    RingShift = 6,
    /// Every member gets its share of the sum.
    ReduceScatter = 7,
    /// Every member gets the sum.
    AllReduce = 8,
    /// The ranks of a failed lane agree to begin anew.
    Reset = 9,
}

impl Op {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Barrier,
        Self::AllGather,
        Self::AllToAll,
        Self::Broadcast,
        Self::PutGet,
        Self::RingShift,
        Self::ReduceScatter,
        Self::AllReduce,
        Self::Reset,
    ];

    /// `all_gather` and the like.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::AllGather => "all_gather",
            Self::AllToAll => "all_to_all",
            Self::Broadcast => "broadcast",
            Self::PutGet => "put_get",
            Self::RingShift => "ring_shift",
            Self::ReduceScatter => "reduce_scatter",
            Self::AllReduce => "all_reduce",
            Self::Reset => "reset",
        }
    }
}

/// Names one message of one operation. Sender and receiver make it apart and must agree in every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The task's global sequence number.
    pub sequence: u64,
    /// The operation's ordinal within the task.
    pub index: u32,
    /// Kind of the operation.
    pub op: Op,
    /// Element type.
    pub dtype: DType,
    /// Bytes of the whole message on this edge.
    pub bytes: u64,
    /// The key of the ordered group.
    pub key: u64,
}

impl fmt::Display for Tag {
    /// `all_to_all 17.3 of 4096 bytes (f32) in group 8f..`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, index, op, dtype, bytes, key } = self;
        let (op, dtype) = (op.name(), dtype.name());
        write!(f, "{op} {sequence}.{index} of {bytes} bytes ({dtype}) in group {key:016x}")
    }
}
