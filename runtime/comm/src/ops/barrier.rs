//! Barrier: an empty message from every member to every other; d - 1 lines written and read by each of d members.

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
) -> Result<(), CommError> {
    let others = call.member.mask() & !bit(lane.me);
    let mut copies = Copies::default();
    for peer in call.member.group().iter().filter(|peer| **peer != lane.me) {
        copies.expect(*peer, &mut []);
    }
    lane.exchange(call, &mut [Out::new(others, &[])], &mut copies)
}
