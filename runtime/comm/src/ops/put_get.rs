//! Put and get: one message between two members. The others take no part.

use super::{check, check_index};
use crate::error::CommError;
use crate::exchange::Out;
use crate::intake::Copies;
use crate::lane::{Call, LaneOf};
use crate::membership::bit;
use crate::memory::Memory;
use crate::rules::Rules;

/// Fails unless `peer` is another member.
fn check_peer(call: Call<'_>, peer: usize) -> Result<(), CommError> {
    check_index(call.op, "member", peer, call.member.degree())?;
    check(call.op, "member that is oneself (0 no, 1 yes)", (peer == call.member.index()).into(), 0)
}

pub(crate) fn put<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    to: usize,
    data: &[u8],
) -> Result<(), CommError> {
    check_peer(call, to)?;
    let to = bit(call.member.rank_at(to));
    lane.exchange(call, &mut [Out::new(to, data)], &mut Copies::default())
}

pub(crate) fn get<M: Memory, R: Rules>(
    lane: &mut LaneOf<M, R>,
    call: Call<'_>,
    from: usize,
    data: &mut [u8],
) -> Result<(), CommError> {
    check_peer(call, from)?;
    let mut copies = Copies::default();
    copies.expect(call.member.rank_at(from), data);
    lane.exchange(call, &mut [], &mut copies)
}
