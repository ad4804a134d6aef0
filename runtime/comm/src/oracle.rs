//! What every operation must give, computed from all members' inputs at once: slow and obviously right.
//!
//! For tests of either side of the comparison. Index i of every argument and result belongs to member i.

use crate::dtype::DType;
use half::{bf16, f16};

/// All-gather, equal or ragged: everybody has everything.
pub fn all_gather(mine: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![mine.concat(); mine.len()]
}

/// All-to-all, equal or ragged: `counts[i][j]` bytes go from member i to member j.
pub fn all_to_all(send: &[Vec<u8>], counts: &[Vec<usize>]) -> Vec<Vec<u8>> {
    let share = |from: usize, to: usize| {
        let begin: usize = counts[from][..to].iter().sum();
        send[from][begin..begin + counts[from][to]].to_vec()
    };
    let received = |to| (0..send.len()).map(|from| share(from, to)).collect::<Vec<_>>().concat();
    (0..send.len()).map(received).collect()
}

/// Broadcast: everybody has the root's.
pub fn broadcast(data: &[Vec<u8>], root: usize) -> Vec<Vec<u8>> {
    vec![data[root].clone(); data.len()]
}

/// Ring shift: member i has what member i - `by` had.
pub fn ring_shift(send: &[Vec<u8>], by: usize) -> Vec<Vec<u8>> {
    let degree = send.len();
    (0..degree).map(|to| send[(to + degree - by % degree) % degree].clone()).collect()
}

/// All-reduce: everybody has the sum, in group order, in f32, rounded once.
pub fn all_reduce(dtype: DType, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let size = dtype.size();
    let mut total = Vec::new();
    for at in (0..data[0].len()).step_by(size) {
        let mut addends = data.iter().map(|data| read(dtype, &data[at..at + size]));
        let first = addends.next().expect("a member");
        write(dtype, addends.fold(first, |sum, addend| sum + addend), &mut total);
    }
    vec![total; data.len()]
}

/// Reduce-scatter: member i has the i-th equal share of the sum.
pub fn reduce_scatter(dtype: DType, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let share = data[0].len() / data.len();
    let sums = all_reduce(dtype, data);
    (0..data.len()).map(|i| sums[i][i * share..(i + 1) * share].to_vec()).collect()
}

fn read(dtype: DType, bytes: &[u8]) -> f32 {
    match dtype {
        DType::Bytes => panic!("bytes have no sum"),
        DType::F32 => f32::from_ne_bytes(bytes.try_into().expect("four bytes")),
        DType::Bf16 => bf16::from_ne_bytes(bytes.try_into().expect("two bytes")).to_f32(),
        DType::F16 => f16::from_ne_bytes(bytes.try_into().expect("two bytes")).to_f32(),
    }
}

fn write(dtype: DType, value: f32, into: &mut Vec<u8>) {
    match dtype {
        DType::Bytes => panic!("bytes have no sum"),
        DType::F32 => into.extend(value.to_ne_bytes()),
        DType::Bf16 => into.extend(bf16::from_f32(value).to_ne_bytes()),
        DType::F16 => into.extend(f16::from_f32(value).to_ne_bytes()),
    }
}
