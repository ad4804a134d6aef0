//! The operations that move data, over a communicator's connections.
//!
//! A barrier takes ceil(log2 n) rounds (dissemination). All-gather and all-to-all are one step in which everybody talks to
//! everybody. A broadcast goes down a binomial tree in segments, so inner members pass on while they receive.
//!
//! Invariant: arguments are checked before a message is sent or a counter moves.

use super::Communicator;
use super::progress::{Receiving, Sending};
use flexdit_comm::{Collectives, CommError, DType, Op, Tag};

/// What a broadcast passes on at a time.
const SEGMENT_BYTES: usize = 256 << 10;

impl Collectives for Communicator {
    fn index(&self) -> usize {
        self.membership.index()
    }

    fn degree(&self) -> usize {
        self.membership.degree()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        self.begin()?;
        let (own, degree) = (self.index(), self.degree());
        let (mut distance, mut round) = (1, 0);
        while distance < degree {
            let tag = self.tag(Op::Barrier, round, DType::Bytes, 0);
            let to = (own + distance) % degree;
            let from = (own + degree - distance) % degree;
            let mut send = [Sending::new(to, &tag, &[])];
            let mut receive = [Receiving::new(from, tag, &mut [])];
            self.step(Op::Barrier, round, &mut send, &mut receive)?;
            (distance, round) = (distance * 2, round + 1);
        }
        Ok(())
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        check_member(Op::Broadcast, "root's place in the group", root, self.degree())?;
        self.begin()?;
        let (own, degree) = (self.index(), self.degree());
        let absolute = |place: usize| (place + root) % degree;
        let place = (own + degree - root) % degree;
        // The parent is one set bit less; children have one more bit, below the lowest set one.
        let lowest =
            if place == 0 { degree.next_power_of_two() } else { place & place.wrapping_neg() };
        let parent = (place != 0).then(|| absolute(place - lowest));
        let bits = std::iter::successors(Some(lowest >> 1), |bit| Some(bit >> 1));
        let children: Vec<usize> = bits
            .take_while(|bit| *bit > 0)
            .filter(|bit| place + bit < degree)
            .map(|bit| absolute(place + bit))
            .collect();
        let bytes = data.len();
        let segments = bytes.div_ceil(SEGMENT_BYTES).max(1);
        let base = self.tag(Op::Broadcast, 0, DType::Bytes, bytes);
        let tag = |segment: usize| Tag { index: segment as u32, ..base };
        let cut = |segment: usize| (segment * SEGMENT_BYTES).min(bytes);
        // A member with a parent sends a segment while it receives the next.
        let lag = usize::from(parent.is_some());
        for step in 0..segments + lag {
            let (old, new) = data.split_at_mut(cut(step));
            let (current, _) = new.split_at_mut(cut(step + 1) - cut(step));
            let (outgoing, incoming) = match parent {
                None => (&*current, None),
                Some(parent) => (&old[cut(step.saturating_sub(1))..], Some((parent, current))),
            };
            let incoming = incoming.filter(|_| step < segments);
            let receive = |(parent, segment)| Receiving::new(parent, tag(step), segment);
            let mut receives: Vec<_> = incoming.map(receive).into_iter().collect();
            let begun = if step < lag { &[] } else { &children[..] };
            let send = |child: &usize| Sending::new(*child, &tag(step - lag), outgoing);
            let mut sends: Vec<_> = begun.iter().map(send).collect();
            self.step(Op::Broadcast, step as u32, &mut sends, &mut receives)?;
        }
        Ok(())
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        counts: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        let (op, own) = (Op::AllGather, self.index());
        check_counts(op, counts, all.len(), self.degree())?;
        equal(op, "length of the own share", mine.len(), counts[own])?;
        self.begin()?;
        let tag = self.tag(op, 0, DType::Bytes, mine.len());
        let mut sends: Vec<_> = self.others().map(|to| Sending::new(to, &tag, mine)).collect();
        let mut receives = Vec::with_capacity(counts.len());
        for (from, part) in parts(all, counts).enumerate() {
            if from == own {
                part.copy_from_slice(mine);
            } else {
                let tag = self.tag(op, 0, DType::Bytes, part.len());
                receives.push(Receiving::new(from, tag, part));
            }
        }
        self.step(op, 0, &mut sends, &mut receives)
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        send_counts: &[usize],
        receive: &mut [u8],
        receive_counts: &[usize],
    ) -> Result<(), CommError> {
        let (op, own) = (Op::AllToAll, self.index());
        check_counts(op, send_counts, send.len(), self.degree())?;
        check_counts(op, receive_counts, receive.len(), self.degree())?;
        equal(op, "own share to receive", receive_counts[own], send_counts[own])?;
        self.begin()?;
        let mut starts = Vec::with_capacity(send_counts.len());
        let mut start = 0;
        for count in send_counts {
            starts.push(start);
            start += count;
        }
        let share = |to: usize| &send[starts[to]..starts[to] + send_counts[to]];
        let mut sends: Vec<_> = self
            .others()
            .map(|to| {
                let tag = self.tag(op, 0, DType::Bytes, send_counts[to]);
                Sending::new(to, &tag, share(to))
            })
            .collect();
        let mut receives = Vec::with_capacity(receive_counts.len());
        for (from, part) in parts(receive, receive_counts).enumerate() {
            if from == own {
                part.copy_from_slice(share(own));
            } else {
                let tag = self.tag(op, 0, DType::Bytes, part.len());
                receives.push(Receiving::new(from, tag, part));
            }
        }
        self.step(op, 0, &mut sends, &mut receives)
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let (op, own, degree) = (Op::RingShift, self.index(), self.degree());
        let by = by % degree;
        if by == 0 {
            equal(op, "length of the buffer to receive", receive.len(), send.len())?;
        }
        self.begin()?;
        if by == 0 {
            receive.copy_from_slice(send);
            return Ok(());
        }
        let tag = self.tag(op, 0, DType::Bytes, send.len());
        let mut sends = [Sending::new((own + by) % degree, &tag, send)];
        let tag = self.tag(op, 0, DType::Bytes, receive.len());
        let mut receives = [Receiving::new((own + degree - by) % degree, tag, receive)];
        self.step(op, 0, &mut sends, &mut receives)
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        self.sum_and_scatter(dtype, send, receive)
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        self.sum_for_all(dtype, data)
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        self.check_peer("member to put to", to)?;
        let index = self.puts[to];
        let tag = self.tag(Op::PutGet, index, DType::Bytes, data.len());
        self.step(Op::PutGet, index, &mut [Sending::new(to, &tag, data)], &mut [])?;
        self.puts[to] += 1;
        Ok(())
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        self.check_peer("member to get from", from)?;
        let index = self.gets[from];
        let tag = self.tag(Op::PutGet, index, DType::Bytes, data.len());
        self.step(Op::PutGet, index, &mut [], &mut [Receiving::new(from, tag, data)])?;
        self.gets[from] += 1;
        Ok(())
    }
}

impl Communicator {
    /// The other members, from the next one on, so that not all begin with the same.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (own, degree) = (self.membership.index(), self.membership.degree());
        (1..degree).map(move |distance| (own + distance) % degree)
    }

    /// Checks the partner of a `put` or `get`, which move no counter of collectives.
    fn check_peer(&self, what: &'static str, index: usize) -> Result<(), CommError> {
        check_partner(what, index, self.membership.index(), self.membership.degree())?;
        if self.poisoned {
            return Err(CommError::Poisoned { rank: self.own_rank(), lane: 0 });
        }
        Ok(())
    }
}

/// Counts must be as many as members and add up to the buffer's length.
pub(super) fn check_counts(
    op: Op,
    counts: &[usize],
    bytes: usize,
    degree: usize,
) -> Result<(), CommError> {
    equal(op, "number of counts", counts.len(), degree)?;
    let sum = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
    equal(op, "length of a buffer", bytes, sum.unwrap_or(usize::MAX))
}

/// A position must be in the group.
pub(super) fn check_member(
    op: Op,
    what: &'static str,
    index: usize,
    degree: usize,
) -> Result<(), CommError> {
    if index < degree {
        return Ok(());
    }
    let (got, expected) = (index as u64, degree as u64 - 1);
    Err(CommError::BadArgument { op, what, got, expected })
}

/// The partner of a `put` or `get` must be another member.
pub(super) fn check_partner(
    what: &'static str,
    index: usize,
    own: usize,
    degree: usize,
) -> Result<(), CommError> {
    check_member(Op::PutGet, what, index, degree)?;
    if index != own {
        return Ok(());
    }
    let (got, expected) = (own as u64, (own as u64 + 1) % degree as u64);
    Err(CommError::BadArgument { op: Op::PutGet, what, got, expected })
}

/// An argument that must be something.
pub(super) fn equal(
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

/// Consecutive parts of a buffer.
pub(super) fn parts<'a>(
    mut data: &'a mut [u8],
    counts: &[usize],
) -> impl Iterator<Item = &'a mut [u8]> {
    counts.iter().map(move |count| {
        let (part, rest) = std::mem::take(&mut data).split_at_mut(*count);
        data = rest;
        part
    })
}
