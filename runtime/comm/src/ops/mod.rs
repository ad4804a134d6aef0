//! The operations, one file each: what moves, how many bytes, and what is checked before anything is sent.

pub(crate) mod all_gather;
pub(crate) mod all_reduce;
pub(crate) mod all_to_all;
pub(crate) mod barrier;
pub(crate) mod broadcast;
pub(crate) mod put_get;
pub(crate) mod reduce_scatter;
pub(crate) mod ring_shift;

use crate::dtype::DType;
use crate::error::CommError;
use crate::tag::Op;

/// Fails unless an argument is what the operation needs.
pub(crate) fn check(
    op: Op,
    what: &'static str,
    got: usize,
    expected: usize,
) -> Result<(), CommError> {
    if got == expected {
        return Ok(());
    }
    Err(CommError::BadArgument { op, what, got: got as u64, expected: expected as u64 })
}

/// The sum of counts; one too large for any buffer if it overflows.
pub(crate) fn total(counts: &[usize]) -> usize {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// Fails if an index is not below its limit.
pub(crate) fn check_index(
    op: Op,
    what: &'static str,
    got: usize,
    limit: usize,
) -> Result<(), CommError> {
    if got < limit {
        return Ok(());
    }
    let expected = limit.saturating_sub(1) as u64;
    Err(CommError::BadArgument { op, what, got: got as u64, expected })
}

/// Fails unless `bytes` are whole elements of a type that can be added.
pub(crate) fn check_elements(op: Op, dtype: DType, bytes: usize) -> Result<(), CommError> {
    if dtype == DType::Bytes {
        return check(op, "element type (bytes cannot be added)", 0, 1);
    }
    let whole = bytes - bytes % dtype.size();
    check(op, "length of a buffer of whole elements", bytes, whole)
}
