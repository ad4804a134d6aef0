//! The operations that add: f32 sums in group order, rounded once, so all members have the same bits.
//!
//! Every member receives the parts of its share from all others, a buffer's worth at a time, and adds them in group
//! order. An all-reduce then gathers the shares; a short one sends everything to everybody and adds it everywhere, which
//! saves a round.
//!
//! Invariant: each element is added by the same code in the same order wherever that happens.

use super::Communicator;
use super::ops::{equal, parts};
use super::progress::{Receiving, Sending};
use flexdit_comm::{Collectives, CommError, DType, Op, reduce};

/// Up to so many bytes to receive, an all-reduce adds everything everywhere.
pub(super) const SHORT_BYTES: usize = 128 << 10;

/// Checks what is to be added.
pub(super) fn check(op: Op, dtype: DType, bytes: usize) -> Result<(), CommError> {
    if dtype == DType::Bytes {
        let (got, expected) = (dtype as u64, DType::F32 as u64);
        return Err(CommError::BadArgument { op, what: "element type of a sum", got, expected });
    }
    equal(op, "bytes beyond the last whole element", bytes % dtype.size(), 0)
}

impl Communicator {
    pub(super) fn sum_and_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        let (op, own, degree) = (Op::ReduceScatter, self.index(), self.degree());
        check(op, dtype, receive.len())?;
        let bytes = receive.len();
        equal(op, "length of the buffer to send", send.len(), bytes.saturating_mul(degree))?;
        self.begin()?;
        if degree == 1 {
            receive.copy_from_slice(send);
            return Ok(());
        }
        let chunk = self.config.buffer_bytes;
        for index in 0..bytes.div_ceil(chunk).max(1) {
            let cut = index * chunk..((index + 1) * chunk).min(bytes);
            let part = |member: usize| &send[member * bytes..][cut.clone()];
            self.receive_parts(op, index as u32, dtype, bytes, part)?;
            self.add(dtype, part(own));
            reduce::round(dtype, &self.sums, &mut receive[cut]);
        }
        Ok(())
    }

    pub(super) fn sum_for_all(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        let (op, own, degree, bytes) = (Op::AllReduce, self.index(), self.degree(), data.len());
        check(op, dtype, bytes)?;
        self.begin()?;
        if degree == 1 {
            return Ok(());
        }
        let chunk = self.config.buffer_bytes;
        if bytes <= chunk && bytes * (degree - 1) <= SHORT_BYTES {
            self.receive_parts(op, 0, dtype, bytes, |_| data)?;
            self.add(dtype, data);
            reduce::round(dtype, &self.sums, data);
            return Ok(());
        }
        let shares = shares(bytes / dtype.size(), degree).map(|elements| elements * dtype.size());
        let shares: Vec<usize> = shares.collect();
        let chunks = shares[0].div_ceil(chunk);
        for index in 0..chunks {
            let cut = |member: usize| {
                let begin: usize = shares[..member].iter().sum();
                let within = |at: usize| begin + at.min(shares[member]);
                within(index * chunk)..within((index + 1) * chunk)
            };
            self.receive_parts(op, index as u32, dtype, bytes, |member| &data[cut(member)])?;
            self.add(dtype, &data[cut(own)]);
            reduce::round(dtype, &self.sums, &mut data[cut(own)]);
        }
        let index = chunks as u32;
        let tag = self.tag(op, index, dtype, bytes);
        let (mut mine, mut receives) = (&[][..], Vec::with_capacity(degree));
        for (member, part) in parts(data, &shares).enumerate() {
            if member == own {
                mine = part;
            } else {
                receives.push(Receiving::new(member, tag, part));
            }
        }
        let mut sends: Vec<_> = self.others().map(|to| Sending::new(to, &tag, mine)).collect();
        self.step(op, index, &mut sends, &mut receives)
    }

    /// Sends every other member its part, and receives theirs, as long as the own one, into the buffers.
    fn receive_parts<'a>(
        &mut self,
        op: Op,
        index: u32,
        dtype: DType,
        bytes: usize,
        part: impl Fn(usize) -> &'a [u8],
    ) -> Result<(), CommError> {
        let tag = self.tag(op, index, dtype, bytes);
        let (own, length) = (self.index(), part(self.index()).len());
        let mut sends: Vec<_> = self.others().map(|to| Sending::new(to, &tag, part(to))).collect();
        let mut buffers = std::mem::take(&mut self.parts);
        // The room is there since the creation; the first use pays for touching it.
        buffers.resize(self.config.buffer_bytes * self.degree(), 0);
        let mut receives: Vec<_> = buffers
            .chunks_exact_mut(self.config.buffer_bytes)
            .enumerate()
            .filter(|(from, _)| *from != own)
            .map(|(from, buffer)| Receiving::new(from, tag, &mut buffer[..length]))
            .collect();
        let result = self.step(op, index, &mut sends, &mut receives);
        self.parts = buffers;
        result
    }

    /// Adds what was received and the own part, in group order.
    fn add(&mut self, dtype: DType, mine: &[u8]) {
        let own = self.membership.index();
        self.sums.clear();
        self.sums.resize(mine.len() / dtype.size(), 0.0);
        let sums = &mut self.sums[..];
        for member in 0..self.membership.degree() {
            let theirs = member * self.config.buffer_bytes;
            let part = if member == own { mine } else { &self.parts[theirs..][..mine.len()] };
            reduce::accumulate(dtype, sums, part);
        }
    }
}

/// How many elements each member adds for all: as equal as can be, the first have one more.
pub(super) fn shares(elements: usize, degree: usize) -> impl Iterator<Item = usize> {
    (0..degree).map(move |member| elements / degree + usize::from(member < elements % degree))
}
