//! One rank's part of a plan: the same function in a thread, in a child process and under a launcher.
//!
//! Data is filled before the barrier and checked after the clock was read, so neither is timed. Every repetition has
//! its own part of the buffers, so every byte of every repetition is checked.

use super::clock::{self, Moment};
use super::contender::Contender;
use super::gate::{Gate, LEAD_NS, Stopped};
use super::pattern::{Repetition, mix};
use super::plan::{Act, Operation, Plan, Turn};
use flexdit_comm::{Collectives, CommError, DType};
use flexdit_core::Rank;
use serde::{Deserialize, Serialize};

/// What one rank found out in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The turn, as a position in the plan's list.
    pub turn: u32,
    /// Time of everything that was done in it.
    pub nanos: u64,
    /// How much too late this rank started, by its own clock readings.
    pub late: u64,
    /// Bytes checked.
    pub checked: u64,
    /// Bytes that were wrong.
    pub wrong: u64,
}

/// What one rank found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankSamples {
    /// Whether it was pinned to a core.
    pub pinned: bool,
    /// Its turns, in order.
    pub samples: Vec<Sample>,
}

/// Why a rank gave up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// The collectives failed.
    #[error(transparent)]
    Comm(#[from] CommError),
    /// A rank process failed, in its own words.
    #[error("{0}")]
    Process(String),
    /// Another rank gave up.
    #[error("another rank gave up")]
    Stopped,
}

impl From<Stopped> for RankError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Runs `plan` as `rank`. `crowded` says whether ranks outnumber cores, so that waiting gives way.
///
/// # Errors
/// If a collective fails here or another rank gave up.
pub fn measure(
    plan: &Plan,
    rank: Rank,
    crowded: bool,
    contender: &mut dyn Contender,
    gate: &mut dyn Gate,
) -> Result<Vec<Sample>, RankError> {
    let mut worker = Worker { plan, rank, crowded, buffers: Buffers::default(), contender };
    let mut samples = Vec::new();
    let mut sequence = 1;
    for (at, turn) in plan.turns.iter().enumerate() {
        if plan.members(at).contains(&rank) {
            samples.push(worker.turn(at, sequence, gate)?);
        }
        sequence += match &turn.act {
            Act::Stream { groups, .. } => groups.len() as u64,
            _ => 1,
        };
    }
    Ok(samples)
}

/// Time from when the members of a warm run agree on an instant until it, so that all have heard of it.
const WARM_LEAD_NS: u64 = 20_000;

/// What was timed in a turn.
#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    nanos: u64,
    /// How much too late this rank started.
    late: u64,
}

struct Worker<'a> {
    plan: &'a Plan,
    rank: Rank,
    crowded: bool,
    buffers: Buffers,
    contender: &'a mut dyn Contender,
}

impl Worker<'_> {
    fn turn(&mut self, at: usize, sequence: u64, gate: &mut dyn Gate) -> Result<Sample, RankError> {
        let turn = &self.plan.turns[at];
        let repetitions = self.repetitions(turn, sequence);
        self.buffers.fill(&repetitions);
        let start = gate.enter(at)?;
        clock::wait_until(start, self.crowded);
        let Timed { nanos, late } = match turn.act {
            Act::Run { warm: true, .. } => self.warm_run(turn.group, sequence, &repetitions)?,
            _ => {
                let begun = clock::now();
                let counted = self.act(turn, sequence, &repetitions)?;
                let nanos = if counted { clock::now().since(begun) } else { 0 };
                Timed { nanos, late: begun.since(start) }
            }
        };
        gate.leave(at);
        let (checked, wrong) = self.buffers.check(&repetitions);
        Ok(Sample { turn: at as u32, nanos, late, checked, wrong })
    }

    /// Everything twice on the same buffers: once to warm them, the caches and the peers, and once timed. Results are spoilt
    /// in between, and the members agree on another instant.
    fn warm_run(
        &mut self,
        group: u32,
        sequence: u64,
        repetitions: &[Repetition],
    ) -> Result<Timed, CommError> {
        let Self { buffers, contender, crowded, .. } = self;
        let lead = if *crowded { LEAD_NS } else { WARM_LEAD_NS };
        let mut timed = Timed::default();
        contender.run(group as usize, sequence, &mut |group| {
            let mut parts = buffers.parts();
            repetitions.iter().try_for_each(|one| call(group, one, parts.next(one)))?;
            buffers.spoil(repetitions);
            // The slowest to spoil says when.
            group.barrier()?;
            let mut start = clock::now().after(lead).0.to_ne_bytes();
            group.broadcast(0, &mut start)?;
            let start = Moment(u64::from_ne_bytes(start));
            clock::wait_until(start.min(clock::now().after(LEAD_NS)), *crowded);
            let mut parts = buffers.parts();
            let begun = clock::now();
            repetitions.iter().try_for_each(|one| call(group, one, parts.next(one)))?;
            timed = Timed { nanos: clock::now().since(begun), late: begun.since(start) };
            Ok(())
        })?;
        Ok(timed)
    }

    /// The repetitions of a turn that this rank takes part in.
    fn repetitions(&self, turn: &Turn, sequence: u64) -> Vec<Repetition> {
        let data = |group: u32, op: Operation, bytes: u64, seed: u64| {
            let group = &self.plan.groups[group as usize];
            let index = group.iter().position(|rank| *rank == self.rank)?;
            let (bytes, degree) = (bytes as usize, group.len());
            Some(Repetition { op, bytes, degree, index, seed: mix(self.plan.seed ^ mix(seed)) })
        };
        match &turn.act {
            Act::Run { op, bytes, count, .. } => (0..u64::from(*count))
                .filter_map(|i| data(turn.group, *op, *bytes, sequence << 24 | i))
                .collect(),
            Act::Stream { op, bytes, groups, .. } => (sequence..)
                .zip(groups)
                .filter_map(|(sequence, group)| data(*group, *op, *bytes, sequence << 24))
                .collect(),
            Act::Form | Act::FormMany(_) | Act::Release => Vec::new(),
        }
    }

    /// Does what the turn asks; whether there was anything to do.
    fn act(
        &mut self,
        turn: &Turn,
        sequence: u64,
        repetitions: &[Repetition],
    ) -> Result<bool, CommError> {
        let id = turn.group as usize;
        let group = &self.plan.groups[id];
        match &turn.act {
            Act::Form => self.contender.form(id, group)?,
            Act::FormMany(count) => return self.contender.form_many(group, *count),
            Act::Release => self.contender.release(id)?,
            Act::Run { .. } => {
                let buffers = &mut self.buffers;
                self.contender.run(id, sequence, &mut |group| {
                    let mut parts = buffers.parts();
                    repetitions.iter().try_for_each(|one| call(group, one, parts.next(one)))
                })?;
            }
            Act::Stream { groups, form, .. } => {
                self.stream(groups, *form, sequence, repetitions)?;
            }
        }
        Ok(true)
    }

    fn stream(
        &mut self,
        groups: &[u32],
        form: bool,
        sequence: u64,
        repetitions: &[Repetition],
    ) -> Result<(), CommError> {
        let Self { plan, rank, buffers, contender, .. } = self;
        let mut parts = buffers.parts();
        let mut repetitions = repetitions.iter();
        for (sequence, &id) in (sequence..).zip(groups) {
            let id = id as usize;
            let group = &plan.groups[id];
            if !group.contains(rank) {
                continue;
            }
            let one = repetitions.next().expect("a repetition for every group with this rank");
            let mut part = Some(parts.next(one));
            if form {
                contender.form(id, group)?;
            }
            contender.run(id, sequence, &mut |group| {
                call(group, one, part.take().expect("the body runs once"))
            })?;
            if form {
                contender.release(id)?;
            }
        }
        Ok(())
    }
}

/// One call of one operation.
fn call(
    group: &mut dyn Collectives,
    one: &Repetition,
    (send, receive): (&[u8], &mut [u8]),
) -> Result<(), CommError> {
    match one.op {
        Operation::Barrier => group.barrier(),
        Operation::AllGather => group.all_gather(send, receive),
        Operation::AllToAll => group.all_to_all(send, receive),
        Operation::Broadcast => group.broadcast(0, receive),
        Operation::PutGet => match one.index {
            0 => group.put(1, send),
            1 => group.get(0, receive),
            _ => Ok(()),
        },
        Operation::RingShift => group.ring_shift(1, send, receive),
        Operation::ReduceScatter => group.reduce_scatter(DType::F32, send, receive),
        Operation::AllReduce => group.all_reduce(DType::F32, receive),
    }
}

/// What is sent, what is received, and room to make what should have been received. Parts begin at cache lines
/// of each buffer.
#[derive(Debug, Default)]
struct Buffers {
    send: Vec<u8>,
    receive: Vec<u8>,
    scratch: Vec<u8>,
}

/// Hands out the parts of the buffers in order.
struct Parts<'a> {
    send: &'a [u8],
    receive: &'a mut [u8],
}

const LINE: usize = 64;

impl Buffers {
    fn fill(&mut self, repetitions: &[Repetition]) {
        let total = |size: fn(&Repetition) -> usize| -> usize {
            repetitions.iter().map(|one| size(one).next_multiple_of(LINE)).sum()
        };
        let largest = repetitions.iter().map(Repetition::receives).max().unwrap_or(0);
        grow(&mut self.send, total(Repetition::sends));
        grow(&mut self.receive, total(Repetition::receives));
        grow(&mut self.scratch, largest);
        let (mut send, mut receive) = (0, 0);
        for one in repetitions {
            let (sends, receives) = (one.sends(), one.receives());
            let out = &mut self.send[send..send + sends];
            one.fill(out, &mut self.receive[receive..receive + receives]);
            send += sends.next_multiple_of(LINE);
            receive += receives.next_multiple_of(LINE);
        }
    }

    /// Spoils the results, for another time on the same buffers.
    fn spoil(&mut self, repetitions: &[Repetition]) {
        let mut at = 0;
        for one in repetitions {
            one.spoil(&mut self.receive[at..at + one.receives()]);
            at += one.receives().next_multiple_of(LINE);
        }
    }

    /// Bytes checked, and of those wrong.
    fn check(&mut self, repetitions: &[Repetition]) -> (u64, u64) {
        let (mut at, mut checked, mut wrong) = (0, 0, 0);
        for one in repetitions {
            let bytes = one.receives();
            wrong += one.wrong(&self.receive[at..at + bytes], &mut self.scratch[..bytes]);
            checked += bytes as u64;
            at += bytes.next_multiple_of(LINE);
        }
        (checked, wrong)
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts { send: &self.send, receive: &mut self.receive }
    }
}

impl<'a> Parts<'a> {
    fn next(&mut self, one: &Repetition) -> (&'a [u8], &'a mut [u8]) {
        let (sends, receives) = (one.sends(), one.receives());
        let (send, rest) = self.send.split_at(sends.next_multiple_of(LINE));
        self.send = rest;
        let all = std::mem::take(&mut self.receive);
        let (receive, rest) = all.split_at_mut(receives.next_multiple_of(LINE));
        self.receive = rest;
        (&send[..sends], &mut receive[..receives])
    }
}

fn grow(buffer: &mut Vec<u8>, bytes: usize) {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
}
