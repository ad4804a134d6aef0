//! Broadcast: the root's data to every other member; staged once, read by all.

use super::check_index;
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
    root: usize,
    data: &mut [u8],
) -> Result<(), CommError> {
    check_index(call.op, "root", root, call.member.degree())?;
    let mut copies = Copies::default();
    if call.member.index() == root {
        let others = call.member.mask() & !bit(lane.me);
        return lane.exchange(call, &mut [Out::new(others, data)], &mut copies);
    }
    copies.expect(call.member.rank_at(root), data);
    lane.exchange(call, &mut [], &mut copies)
}
