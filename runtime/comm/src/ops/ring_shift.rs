//! Ring shift: to the member `by` places on, from the member `by` places back, in one operation. "Receive, then send" as two
//! operations would dead-lock.

use super::check;
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
    by: usize,
    send: &[u8],
    receive: &mut [u8],
) -> Result<(), CommError> {
    let (degree, own) = (call.member.degree(), call.member.index());
    let by = by % degree;
    let mut copies = Copies::default();
    if by == 0 {
        check(call.op, "length of what comes back to its sender", receive.len(), send.len())?;
        receive.copy_from_slice(send);
        return lane.exchange(call, &mut [], &mut copies);
    }
    let to = call.member.rank_at((own + by) % degree);
    let from = call.member.rank_at((own + degree - by) % degree);
    copies.expect(from, receive);
    lane.exchange(call, &mut [Out::new(bit(to), send)], &mut copies)
}
