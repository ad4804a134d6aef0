//! One operation of one group on made-up data, and what must come of it.

use super::dice::Dice;
use crate::collectives::Collectives;
use crate::dtype::DType;
use crate::error::CommError;
use crate::oracle;
use half::{bf16, f16};
use std::fmt;

/// An operation of a group and its sizes. Index i of a list belongs to member i.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as the arguments of the operations are")]
pub enum Work {
    /// [`Collectives::barrier`].
    Barrier,
    /// [`Collectives::broadcast`].
    Broadcast { root: usize, bytes: usize },
    /// [`Collectives::all_gather`] if all counts are equal, else [`Collectives::all_gather_ragged`].
    AllGather { counts: Vec<usize> },
    /// [`Collectives::all_to_all`] if all counts are equal, else [`Collectives::all_to_all_ragged`];
    /// `counts[i][j]` bytes go from member i to member j.
    AllToAll { counts: Vec<Vec<usize>> },
    /// [`Collectives::ring_shift`]; member i sends `bytes[i]` bytes.
    RingShift { by: usize, bytes: Vec<usize> },
    /// [`Collectives::reduce_scatter`]; every member gets `elements`.
    ReduceScatter { dtype: DType, elements: usize },
    /// [`Collectives::all_reduce`] of `elements`.
    AllReduce { dtype: DType, elements: usize },
    /// [`Collectives::put`] at one member and [`Collectives::get`] at another.
    PutGet { from: usize, to: usize, bytes: usize },
}

impl Work {
    /// Whether member `index` takes part.
    pub fn involves(&self, index: usize) -> bool {
        match self {
            Self::PutGet { from, to, .. } => index == *from || index == *to,
            _ => true,
        }
    }

    /// Bytes that member `index` of `degree` puts in.
    fn input_bytes(&self, index: usize, degree: usize) -> usize {
        match self {
            Self::Barrier => 0,
            Self::Broadcast { root, bytes } => {
                if *root == index {
                    *bytes
                } else {
                    0
                }
            }
            Self::AllGather { counts } => counts[index],
            Self::AllToAll { counts } => counts[index].iter().sum(),
            Self::RingShift { bytes, .. } => bytes[index],
            Self::ReduceScatter { dtype, elements } => dtype.size() * elements * degree,
            Self::AllReduce { dtype, elements } => dtype.size() * elements,
            Self::PutGet { from, bytes, .. } => {
                if *from == index {
                    *bytes
                } else {
                    0
                }
            }
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Self::ReduceScatter { dtype, .. } | Self::AllReduce { dtype, .. } => *dtype,
            _ => DType::Bytes,
        }
    }
}

/// Why a trial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The operation returned an error.
    Failed(CommError),
    /// It returned, with other bytes than the oracle's.
    Differs(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}"),
            Self::Differs(how) => write!(f, "{how}"),
        }
    }
}

impl From<CommError> for Wrong {
    fn from(error: CommError) -> Self {
        Self::Failed(error)
    }
}

/// An operation with the inputs and, from the oracle, the results of all members.
///
/// ```
/// use flexdit_comm::check::{Trial, Work};
///
/// let trial = Trial::new(Work::RingShift { by: 1, bytes: vec![3, 5] }, 2, 7);
/// assert_eq!(trial.expected(0).len(), 5);
/// ```
#[derive(Clone, Debug)]
pub struct Trial {
    work: Work,
    inputs: Vec<Vec<u8>>,
    expected: Vec<Vec<u8>>,
}

impl Trial {
    /// The operation among `degree` members on data of `seed`.
    pub fn new(work: Work, degree: usize, seed: u64) -> Self {
        let inputs: Vec<Vec<u8>> = (0..degree)
            .map(|index| {
                let bytes = work.input_bytes(index, degree);
                data(work.dtype(), bytes, &mut Dice::new(seed, index as u64))
            })
            .collect();
        let expected = match &work {
            Work::Barrier => vec![Vec::new(); degree],
            Work::Broadcast { root, .. } => oracle::broadcast(&inputs, *root),
            Work::AllGather { .. } => oracle::all_gather(&inputs),
            Work::AllToAll { counts } => oracle::all_to_all(&inputs, counts),
            Work::RingShift { by, .. } => oracle::ring_shift(&inputs, *by),
            Work::ReduceScatter { dtype, .. } => oracle::reduce_scatter(*dtype, &inputs),
            Work::AllReduce { dtype, .. } => oracle::all_reduce(*dtype, &inputs),
            Work::PutGet { from, .. } => vec![inputs[*from].clone(); degree],
        };
        Self { work, inputs, expected }
    }

    /// The operation.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// What member `index` puts in.
    pub fn input(&self, index: usize) -> &[u8] {
        &self.inputs[index]
    }

    /// What member `index` must have in the end.
    pub fn expected(&self, index: usize) -> &[u8] {
        &self.expected[index]
    }

    /// Runs this member's part, if it has one, and compares what came of it.
    ///
    /// # Errors
    ///
    /// The operation's error, or where its result differs from the oracle's.
    pub fn run(&self, on: &mut dyn Collectives) -> Result<(), Wrong> {
        let index = on.index();
        if !self.work.involves(index) {
            return Ok(());
        }
        // Room that already held the right bytes would hide that nothing came.
        let mut got: Vec<u8> = self.expected[index].iter().map(|byte| !byte).collect();
        self.operate(on, &mut got)?;
        let expected = &self.expected[index];
        match got.iter().zip(expected).position(|(got, expected)| got != expected) {
            None => Ok(()),
            Some(at) => Err(Wrong::Differs(format!(
                "member {index} of {}: {:?}: byte {at} of {} is {:#04x}, expected {:#04x}",
                on.degree(),
                self.work,
                expected.len(),
                got[at],
                expected[at]
            ))),
        }
    }

    /// The operation itself; the result goes to `got`.
    fn operate(&self, on: &mut dyn Collectives, got: &mut [u8]) -> Result<(), CommError> {
        let (index, degree) = (on.index(), on.degree());
        let input = &self.inputs[index];
        match &self.work {
            Work::Barrier => on.barrier(),
            Work::Broadcast { root, .. } => {
                if *root == index {
                    got.copy_from_slice(input);
                }
                on.broadcast(*root, got)
            }
            Work::AllGather { counts } if all_equal(counts) => on.all_gather(input, got),
            Work::AllGather { counts } => on.all_gather_ragged(input, counts, got),
            Work::AllToAll { counts } if all_equal(&counts.concat()) => on.all_to_all(input, got),
            Work::AllToAll { counts } => {
                let from: Vec<usize> = (0..degree).map(|peer| counts[peer][index]).collect();
                on.all_to_all_ragged(input, &counts[index], got, &from)
            }
            Work::RingShift { by, .. } => on.ring_shift(*by, input, got),
            Work::ReduceScatter { dtype, .. } => on.reduce_scatter(*dtype, input, got),
            Work::AllReduce { dtype, .. } => {
                got.copy_from_slice(input);
                on.all_reduce(*dtype, got)
            }
            Work::PutGet { to, .. } if *to != index => {
                on.put(*to, input)?;
                got.copy_from_slice(input);
                Ok(())
            }
            Work::PutGet { from, .. } => on.get(*from, got),
        }
    }
}

fn all_equal(counts: &[usize]) -> bool {
    counts.windows(2).all(|pair| pair[0] == pair[1])
}

/// Random elements whose sum depends on the order in which they are added.
fn data(dtype: DType, bytes: usize, dice: &mut Dice) -> Vec<u8> {
    let mut data = Vec::with_capacity(bytes + 8);
    while data.len() < bytes {
        match dtype {
            DType::Bytes => data.extend(dice.bits().to_ne_bytes()),
            DType::F32 => data.extend(number(dice, 24).to_ne_bytes()),
            DType::Bf16 => data.extend(bf16::from_f32(number(dice, 8)).to_ne_bytes()),
            DType::F16 => data.extend(f16::from_f32(number(dice, 11)).to_ne_bytes()),
        }
    }
    data.truncate(bytes);
    data
}

/// A number of `digits` random binary digits and a random exponent; now and then a zero of either sign, an infinity or one
/// that is too small to be normal.
fn number(dice: &mut Dice, digits: u32) -> f32 {
    let bits = dice.bits();
    let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
    match bits >> 1 & 0xff {
        0..4 => return sign * 0.0,
        4 => return sign * f32::INFINITY,
        5..8 => return sign * f32::from_bits((bits >> 40) as u32 & 0xff),
        _ => {}
    }
    let mantissa = (bits >> 16 & ((1 << digits) - 1)) as f32 / (1_u32 << digits) as f32;
    let power = f32::from_bits((119 + (bits >> 48 & 0xf) as u32) << 23);
    sign * mantissa * power
}
