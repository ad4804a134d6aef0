//! A contestant for tests: messages through one mailbox, slow and obviously right, or wrong on demand.

use super::contender::{Body, Contender};
use flexdit_comm::{Collectives, CommError, DType, Op};
use flexdit_core::{Group, Rank};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

/// (sequence, operation's ordinal, from, to).
type Address = (u64, u32, u16, u16);

/// The world: what was sent and not yet received.
#[derive(Debug, Default)]
pub struct Post {
    letters: Mutex<BTreeMap<Address, Vec<u8>>>,
    come: Condvar,
}

impl Post {
    fn send(&self, to: Address, data: &[u8]) {
        self.letters.lock().unwrap().insert(to, data.to_vec());
        self.come.notify_all();
    }

    fn receive(&self, address: Address) -> Vec<u8> {
        let mut letters = self.letters.lock().unwrap();
        loop {
            if let Some(letter) = letters.remove(&address) {
                return letter;
            }
            letters = self.come.wait(letters).unwrap();
        }
    }
}

/// One rank.
#[derive(Debug)]
pub struct Fake {
    post: Arc<Post>,
    rank: Rank,
    groups: BTreeMap<usize, Group>,
    spoil: bool,
}

impl Fake {
    /// The ranks of a world; `spoil` makes the last one get its first received byte wrong.
    pub fn world(ranks: usize, spoil: bool) -> Vec<Self> {
        let post = Arc::new(Post::default());
        let rank = |rank: usize| Self {
            post: post.clone(),
            rank: Rank(rank as u16),
            groups: BTreeMap::new(),
            spoil: spoil && rank + 1 == ranks,
        };
        (0..ranks).map(rank).collect()
    }
}

impl Contender for Fake {
    fn form(&mut self, id: usize, group: &Group) -> Result<(), CommError> {
        self.groups.insert(id, group.clone());
        Ok(())
    }

    fn form_many(&mut self, _: &Group, _: u32) -> Result<bool, CommError> {
        Ok(true)
    }

    fn run(&mut self, id: usize, sequence: u64, body: &mut Body<'_>) -> Result<(), CommError> {
        let group = &self.groups[&id];
        let index = group.iter().position(|rank| *rank == self.rank).unwrap();
        let Self { post, spoil, .. } = self;
        body(&mut FakeGroup { post, group, index, sequence, ordinal: 0, pairs: 0, spoil: *spoil })
    }

    fn release(&mut self, id: usize) -> Result<(), CommError> {
        self.groups.remove(&id);
        Ok(())
    }
}

struct FakeGroup<'a> {
    post: &'a Post,
    group: &'a Group,
    index: usize,
    sequence: u64,
    ordinal: u32,
    /// Operations of pairs, which the other members do not count.
    pairs: u32,
    spoil: bool,
}

impl FakeGroup<'_> {
    fn exchange(&mut self, to: &[(usize, &[u8])], from: &[usize]) -> Vec<Vec<u8>> {
        self.ordinal += 1;
        self.letters(self.ordinal, to, from)
    }

    fn pair(&mut self, to: &[(usize, &[u8])], from: &[usize]) -> Vec<Vec<u8>> {
        self.pairs += 1;
        self.letters(self.pairs | 1 << 31, to, from)
    }

    fn letters(&self, ordinal: u32, to: &[(usize, &[u8])], from: &[usize]) -> Vec<Vec<u8>> {
        let mine = self.group[self.index].0;
        for (to, data) in to {
            let address = (self.sequence, ordinal, mine, self.group[*to].0);
            self.post.send(address, data);
        }
        let receive =
            |from: &usize| self.post.receive((self.sequence, ordinal, self.group[*from].0, mine));
        let mut letters: Vec<Vec<u8>> = from.iter().map(receive).collect();
        if let Some(byte) = letters.first_mut().and_then(|letter| letter.first_mut()) {
            *byte ^= u8::from(self.spoil);
        }
        letters
    }

    fn everybody(&self) -> Vec<usize> {
        (0..self.group.len()).collect()
    }

    fn spread(&mut self, data: &[u8]) -> Vec<Vec<u8>> {
        let all = self.everybody();
        let to: Vec<(usize, &[u8])> = all.iter().map(|&to| (to, data)).collect();
        self.exchange(&to, &all)
    }
}

impl Collectives for FakeGroup<'_> {
    fn index(&self) -> usize {
        self.index
    }

    fn degree(&self) -> usize {
        self.group.len()
    }

    fn barrier(&mut self) -> Result<(), CommError> {
        self.spread(&[]);
        Ok(())
    }

    fn broadcast(&mut self, root: usize, data: &mut [u8]) -> Result<(), CommError> {
        let all = self.everybody();
        let to: Vec<(usize, &[u8])> = match self.index == root {
            true => all.iter().map(|&to| (to, &*data)).collect(),
            false => Vec::new(),
        };
        let letter = self.exchange(&to, &[root]);
        data.copy_from_slice(&letter[0]);
        Ok(())
    }

    fn all_gather_ragged(
        &mut self,
        mine: &[u8],
        _: &[usize],
        all: &mut [u8],
    ) -> Result<(), CommError> {
        all.copy_from_slice(&self.spread(mine).concat());
        Ok(())
    }

    fn all_to_all_ragged(
        &mut self,
        send: &[u8],
        counts: &[usize],
        receive: &mut [u8],
        _: &[usize],
    ) -> Result<(), CommError> {
        let all = self.everybody();
        let begins = counts.iter().scan(0, |at, count| {
            *at += count;
            Some(*at - count)
        });
        let parts: Vec<&[u8]> =
            begins.zip(counts).map(|(at, count)| &send[at..][..*count]).collect();
        let to: Vec<(usize, &[u8])> = all.iter().copied().zip(parts).collect();
        receive.copy_from_slice(&self.exchange(&to, &all).concat());
        Ok(())
    }

    fn ring_shift(&mut self, by: usize, send: &[u8], receive: &mut [u8]) -> Result<(), CommError> {
        let degree = self.group.len();
        let (to, from) = ((self.index + by) % degree, (self.index + degree - by) % degree);
        let letter = self.exchange(&[(to, send)], &[from]);
        receive.copy_from_slice(&letter[0]);
        Ok(())
    }

    fn reduce_scatter(
        &mut self,
        dtype: DType,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), CommError> {
        let mut sum = send.to_vec();
        self.all_reduce(dtype, &mut sum)?;
        receive.copy_from_slice(&sum[self.index * receive.len()..][..receive.len()]);
        Ok(())
    }

    fn all_reduce(&mut self, dtype: DType, data: &mut [u8]) -> Result<(), CommError> {
        let mut sum = vec![0.0; data.len() / dtype.size()];
        for part in self.spread(data) {
            flexdit_comm::reduce::accumulate(dtype, &mut sum, &part);
        }
        flexdit_comm::reduce::round(dtype, &sum, data);
        Ok(())
    }

    fn put(&mut self, to: usize, data: &[u8]) -> Result<(), CommError> {
        self.pair(&[(to, data)], &[]);
        Ok(())
    }

    fn get(&mut self, from: usize, data: &mut [u8]) -> Result<(), CommError> {
        let letter = self.pair(&[], &[from]);
        data.copy_from_slice(&letter[0]);
        Ok(())
    }
}

/// A rank that fails at its first operation.
#[derive(Debug)]
pub struct Failing;

impl Contender for Failing {
    fn form(&mut self, _: usize, _: &Group) -> Result<(), CommError> {
        Ok(())
    }

    fn run(&mut self, _: usize, _: u64, _: &mut Body<'_>) -> Result<(), CommError> {
        Err(CommError::BadArgument { op: Op::Barrier, what: "test", got: 1, expected: 2 })
    }

    fn release(&mut self, _: usize) -> Result<(), CommError> {
        Ok(())
    }
}
