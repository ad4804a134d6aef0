//! All-reduce: small data goes whole to every member, and each adds it up; large data is reduced in shares, which are then
//! gathered. Every element is added in group order either way, so the bits are the same.

use super::{all_gather, check_elements};
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Sum;
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;
use flexdit_core::Group;
use smallvec::SmallVec;

/// From this size on, shares are reduced apart.
const LARGE: usize = 16 << 10;

pub(crate) fn run<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    data: &mut [u8],
) -> Result<(), CommError> {
    check_elements(call.op, call.dtype, data.len())?;
    let (member, dtype) = (call.member, call.dtype);
    if member.degree() == 1 {
        lane.check_usable()?;
        return Ok(());
    }
    if data.len() < LARGE {
        let mut mine = std::mem::take(&mut lane.addend);
        mine.clear();
        mine.extend_from_slice(data);
        let others = member.mask() & !bit(lane.me);
        let mut sum = Sum::new(member, dtype, Some(&mine), data);
        let result = lane.exchange(call, &mut [Out::new(others, &mine)], &mut sum);
        lane.addend = mine;
        return result;
    }
    let degree = member.degree();
    let counts = shares(data.len() / dtype.size(), degree, dtype.size());
    reduce_shares(lane, call, &counts, data)?;
    all_gather::in_place(lane, call, &counts[..degree], data)
}

/// Replaces this member's share by its sum.
fn reduce_shares<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    counts: &[usize],
    data: &mut [u8],
) -> Result<(), CommError> {
    let member = call.member;
    let mut outs: SmallVec<[Out<'_>; 8]> = SmallVec::new();
    let mut own: &mut [u8] = &mut [];
    let mut rest = data;
    for (index, peer) in member.group().iter().enumerate() {
        let (share, tail) = rest.split_at_mut(counts[index]);
        rest = tail;
        if index == member.index() {
            own = share;
        } else {
            outs.push(Out::new(bit(*peer), share));
        }
    }
    lane.exchange(call, &mut outs, &mut Sum::new(member, call.dtype, None, own))
}

/// Bytes of every member's share of `elements` elements: as equal as can be, the longer ones first.
fn shares(elements: usize, degree: usize, size: usize) -> [usize; Group::MAX] {
    let mut counts = [0; Group::MAX];
    for (index, count) in counts.iter_mut().take(degree).enumerate() {
        *count = (elements / degree + usize::from(index < elements % degree)) * size;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_elements() {
        assert_eq!(shares(11, 4, 2)[..5], [6, 6, 6, 4, 0]);
        assert_eq!(shares(1, 3, 4)[..3], [4, 0, 0]);
    }
}
