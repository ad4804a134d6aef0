//! Broadcast: the root's data to every other member; staged once, read by all.
//!
//! Members that name different roots are found out at once: of two that take themselves for the root, one finds the other's
//! message; one that waits for a root which waits itself sees that it does. Longer rings of such end with the time-out.

use super::check_index;
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Copies;
use crate::lane::{Call, LaneOf, Part};
use crate::membership::{bit, mix};
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
        lane.part = Part::Root;
        let result = lane.exchange(call, &mut [Out::new(others, data)], &mut copies);
        lane.part = Part::None;
        result?;
        // The fence after this rank's own message lets one of two such members see the other's.
        return match lane.rival(call) {
            None => Ok(()),
            Some(peer) => {
                let error = lane.another_root(call, peer);
                lane.fail(call, &error);
                Err(error)
            }
        };
    }
    copies.expect(call.member.rank_at(root), data);
    lane.part = Part::ForRoot(name(lane.sequence, call));
    let result = lane.exchange(call, &mut [], &mut copies);
    lane.part = Part::None;
    result
}

/// A name for this very broadcast, never 0. Different ones have different names but for a chance of 2^-63.
fn name(sequence: u64, call: Call<'_>) -> u64 {
    mix(mix(sequence ^ call.member.key()) ^ u64::from(call.index)) | 1
}
