//! Data of collectives under test: every byte of every repetition is known beforehand and differs from that of others.
//!
//! A stream of words follows from (seed, repetition, sender, receiver). Reductions add small whole numbers in f32, so
//! their sums are exact in any order and their check is bit by bit as well.

use super::plan::Operation;

/// One repetition of an operation as one member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// Which operation.
    pub op: Operation,
    /// Its size in bytes, a multiple of 4 x `degree`; 0 for a barrier.
    pub bytes: usize,
    /// Number of members.
    pub degree: usize,
    /// This member.
    pub index: usize,
    /// Distinguishes the data of repetitions.
    pub seed: u64,
}

impl Repetition {
    /// Bytes of the buffer that the member sends from; 0 where it works in place or sends nothing.
    pub fn sends(&self) -> usize {
        let Self { op, bytes, degree, index, .. } = *self;
        match op {
            Operation::Barrier | Operation::Broadcast | Operation::AllReduce => 0,
            Operation::AllGather => bytes / degree,
            Operation::AllToAll | Operation::RingShift | Operation::ReduceScatter => bytes,
            Operation::PutGet => {
                if index == 0 {
                    bytes
                } else {
                    0
                }
            }
        }
    }

    /// Bytes of the buffer that holds the member's result.
    pub fn receives(&self) -> usize {
        let Self { op, bytes, degree, index, .. } = *self;
        match op {
            Operation::Barrier => 0,
            Operation::ReduceScatter => bytes / degree,
            Operation::PutGet => {
                if index == 1 {
                    bytes
                } else {
                    0
                }
            }
            _ => bytes,
        }
    }

    /// Fills both buffers for the call: what is sent, and `receive` as [`spoil`](Self::spoil) does.
    pub fn fill(&self, send: &mut [u8], receive: &mut [u8]) {
        let Self { op, degree, index, .. } = *self;
        match op {
            Operation::ReduceScatter => self.numbers(index, 0, send),
            Operation::AllToAll => {
                let share = self.bytes / degree;
                for to in 0..degree {
                    self.words(index, to, &mut send[to * share..(to + 1) * share]);
                }
            }
            _ => self.words(index, 0, send),
        }
        self.spoil(receive);
    }

    /// Fills the buffer of the result: with what is worked on in place, or else the opposite of the result, so that a byte
    /// that is not written is seen.
    pub fn spoil(&self, receive: &mut [u8]) {
        let Self { op, index, .. } = *self;
        match op {
            Operation::Broadcast if index == 0 => self.expect(receive),
            Operation::AllReduce => self.numbers(index, 0, receive),
            _ => {
                self.expect(receive);
                receive.iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
    }

    /// How many bytes of the result are wrong. `scratch` is as long as the result.
    pub fn wrong(&self, receive: &[u8], scratch: &mut [u8]) -> u64 {
        self.expect(scratch);
        if receive == scratch {
            return 0;
        }
        receive.iter().zip(scratch).filter(|(a, b)| a != b).count() as u64
    }

    /// Writes the right result.
    fn expect(&self, out: &mut [u8]) {
        let Self { op, bytes, degree, index, .. } = *self;
        match op {
            Operation::Barrier => {}
            Operation::AllGather | Operation::AllToAll => {
                let share = bytes / degree;
                let to = if op == Operation::AllToAll { index } else { 0 };
                for from in 0..degree {
                    self.words(from, to, &mut out[from * share..(from + 1) * share]);
                }
            }
            Operation::Broadcast | Operation::PutGet => self.words(0, 0, out),
            Operation::RingShift => self.words((index + degree - 1) % degree, 0, out),
            Operation::ReduceScatter => self.sums(index * bytes / degree / 4, out),
            Operation::AllReduce => self.sums(0, out),
        }
    }

    fn stream(&self, from: usize, to: usize) -> u64 {
        mix(mix(self.seed ^ ((from as u64) << 32)) ^ to as u64)
    }

    /// The bytes that `from` has for `to`.
    fn words(&self, from: usize, to: usize, out: &mut [u8]) {
        let start = self.stream(from, to);
        let (words, _) = out.as_chunks_mut::<4>();
        for (place, word) in words.iter_mut().enumerate() {
            *word = word_at(start, place).to_ne_bytes();
        }
    }

    /// The elements from `first` on that `from` adds: whole numbers below 32.
    fn numbers(&self, from: usize, first: usize, out: &mut [u8]) {
        let start = self.stream(from, 0);
        let (words, _) = out.as_chunks_mut::<4>();
        for (place, word) in words.iter_mut().enumerate() {
            *word = number_at(start, first + place).to_ne_bytes();
        }
    }

    /// The sum over all members, elements from `first` on.
    fn sums(&self, first: usize, out: &mut [u8]) {
        let (words, _) = out.as_chunks_mut::<4>();
        words.iter_mut().for_each(|word| *word = 0_f32.to_ne_bytes());
        for from in 0..self.degree {
            let start = self.stream(from, 0);
            for (place, word) in words.iter_mut().enumerate() {
                let sum = f32::from_ne_bytes(*word) + number_at(start, first + place);
                *word = sum.to_ne_bytes();
            }
        }
    }
}

fn word_at(start: u64, place: usize) -> u32 {
    let word = start.wrapping_add((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (word >> 32) as u32 ^ word as u32
}

fn number_at(start: u64, place: usize) -> f32 {
    (word_at(start, place) >> 27) as f32
}

/// Scatters the bits of a word: the finaliser of MurmurHash3.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op: Operation, index: usize) -> Repetition {
        Repetition { op, bytes: 48, degree: 3, index, seed: 5 }
    }

    /// What the members have before and after an operation that was done right, by hand.
    fn buffers(op: Operation) -> Vec<(Vec<u8>, Vec<u8>)> {
        let fill = |index| {
            let one = of(op, index);
            let (mut send, mut receive) = (vec![0; one.sends()], vec![0; one.receives()]);
            one.fill(&mut send, &mut receive);
            (send, receive)
        };
        (0..3).map(fill).collect()
    }

    fn wrong(op: Operation, index: usize, result: &[u8]) -> u64 {
        of(op, index).wrong(result, &mut vec![0; result.len()])
    }

    #[test]
    fn what_all_sent_is_what_everybody_expects() {
        let sent = |op| -> Vec<Vec<u8>> { buffers(op).into_iter().map(|(send, _)| send).collect() };
        let gathered = sent(Operation::AllGather).concat();
        let shares = sent(Operation::AllToAll);
        let turned = sent(Operation::RingShift);
        for index in 0..3 {
            assert_eq!(wrong(Operation::AllGather, index, &gathered), 0);
            let mine: Vec<u8> =
                shares.iter().flat_map(|send| send[index * 16..][..16].to_vec()).collect();
            assert_eq!(wrong(Operation::AllToAll, index, &mine), 0);
            assert_eq!(wrong(Operation::RingShift, index, &turned[(index + 2) % 3]), 0);
        }
        let root = &buffers(Operation::Broadcast)[0].1;
        assert_eq!(wrong(Operation::Broadcast, 2, root), 0);
        assert_eq!(wrong(Operation::PutGet, 1, &sent(Operation::PutGet)[0]), 0);
    }

    #[test]
    fn sums_are_those_of_the_numbers_given() {
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|word| f32::from_ne_bytes(*word)).collect()
        };
        let given: Vec<Vec<f32>> =
            buffers(Operation::ReduceScatter).iter().map(|(send, _)| floats(send)).collect();
        let sums: Vec<u8> = (0..12)
            .flat_map(|i| given.iter().map(|given| given[i]).sum::<f32>().to_ne_bytes())
            .collect();
        assert_eq!(wrong(Operation::AllReduce, 1, &sums), 0);
        assert_eq!(wrong(Operation::ReduceScatter, 1, &sums[16..32]), 0);
        assert_eq!(floats(&buffers(Operation::AllReduce)[2].1), given[2]);
        assert!(given.iter().flatten().any(|number| *number > 0.0));
    }

    #[test]
    fn bytes_that_are_not_written_and_bytes_of_another_repetition_are_wrong() {
        for op in Operation::ALL {
            let (_, untouched) = &buffers(op)[1];
            let in_place = op == Operation::AllReduce;
            let count = wrong(op, 1, untouched);
            assert!(if in_place { count > 0 } else { count == untouched.len() as u64 }, "{op:?}");
        }
        let mut other = vec![0; 48];
        Repetition { seed: 6, ..of(Operation::AllGather, 0) }.expect(&mut other);
        assert!(wrong(Operation::AllGather, 0, &other) > 40);
    }
}
