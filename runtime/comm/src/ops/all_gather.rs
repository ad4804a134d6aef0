//! All-gather: every member's share to every other; staged once, read by all. Each member receives the sum of the others' shares.

use super::{check, total};
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Copies;
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;

pub(crate) fn run<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    mine: &[u8],
    counts: &[usize],
    all: &mut [u8],
) -> Result<(), CommError> {
    let member = call.member;
    check(call.op, "number of counts", counts.len(), member.degree())?;
    check(call.op, "length of the own share", mine.len(), counts[member.index()])?;
    check(call.op, "length of the result", all.len(), total(counts))?;
    let others = member.mask() & !bit(lane.me);
    let mut copies = Copies::default();
    let mut rest = all;
    for (index, (peer, count)) in member.group().iter().zip(counts).enumerate() {
        let (share, tail) = rest.split_at_mut(*count);
        rest = tail;
        if index == member.index() {
            copies.copy_own(mine, share);
        } else {
            copies.expect(*peer, share);
        }
    }
    lane.exchange(call, &mut [Out::new(others, mine)], &mut copies)
}

/// The same in place: `all` holds the own share already.
pub(crate) fn in_place<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    counts: &[usize],
    all: &mut [u8],
) -> Result<(), CommError> {
    let member = call.member;
    let others = member.mask() & !bit(lane.me);
    let mut copies = Copies::default();
    let mut own: &[u8] = &[];
    let mut rest = all;
    for (index, (peer, count)) in member.group().iter().zip(counts).enumerate() {
        let (share, tail) = rest.split_at_mut(*count);
        rest = tail;
        if index == member.index() {
            own = share;
        } else {
            copies.expect(*peer, share);
        }
    }
    lane.exchange(call, &mut [Out::new(others, own)], &mut copies)
}
