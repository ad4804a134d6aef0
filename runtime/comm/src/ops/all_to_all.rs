//! All-to-all: to every other member the share that is its own. Each member sends and receives all but its own share.

use super::{check, total};
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Copies;
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;
use smallvec::SmallVec;

/// What one member sends and receives: buffers, and bytes per member.
#[derive(Debug)]
pub(crate) struct Shares<'a> {
    pub send: &'a [u8],
    pub send_counts: &'a [usize],
    pub receive: &'a mut [u8],
    pub receive_counts: &'a [usize],
}

pub(crate) fn run<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    shares: Shares<'_>,
) -> Result<(), CommError> {
    let Shares { send, send_counts, receive, receive_counts } = shares;
    let (member, op) = (call.member, call.op);
    let (degree, own) = (member.degree(), member.index());
    check(op, "number of counts to send", send_counts.len(), degree)?;
    check(op, "number of counts to receive", receive_counts.len(), degree)?;
    check(op, "length of what is sent", send.len(), total(send_counts))?;
    check(op, "length of the result", receive.len(), total(receive_counts))?;
    check(op, "bytes received from itself", receive_counts[own], send_counts[own])?;
    let mut copies = Copies::default();
    let mut outs: SmallVec<[Out<'_>; 8]> = SmallVec::new();
    let (mut unsent, mut rest) = (send, receive);
    for (index, peer) in member.group().iter().enumerate() {
        let (out, unsent_tail) = unsent.split_at(send_counts[index]);
        let (into, tail) = rest.split_at_mut(receive_counts[index]);
        (unsent, rest) = (unsent_tail, tail);
        if index == own {
            copies.copy_own(out, into);
        } else {
            outs.push(Out::new(bit(*peer), out));
            copies.expect(*peer, into);
        }
    }
    // Each member begins with the one after it, so that not all read from the same.
    outs.rotate_left(own.min(degree - 1));
    lane.exchange(call, &mut outs, &mut copies)
}
