//! Reduce-scatter: to every other member the elements that are its share; each adds its own in group order.

use super::{check, check_elements};
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Sum;
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;
use smallvec::SmallVec;

pub(crate) fn run<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    send: &[u8],
    receive: &mut [u8],
) -> Result<(), CommError> {
    let (member, share) = (call.member, receive.len());
    check_elements(call.op, call.dtype, share)?;
    check(call.op, "length of what is added", send.len(), share * member.degree())?;
    if member.degree() == 1 {
        lane.check_usable()?;
        receive.copy_from_slice(send);
        return Ok(());
    }
    let part = |index: usize| &send[index * share..(index + 1) * share];
    let mut outs: SmallVec<[Out<'_>; 8]> = SmallVec::new();
    for (index, peer) in member.group().iter().enumerate() {
        if index != member.index() {
            outs.push(Out::new(bit(*peer), part(index)));
        }
    }
    let own = part(member.index());
    lane.exchange(call, &mut outs, &mut Sum::new(member, call.dtype, Some(own), receive))
}
