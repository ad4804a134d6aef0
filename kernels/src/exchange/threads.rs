//! A test double: a group whose members are threads of one process, joined by channels. Slow and simple; real
//! transports live elsewhere.

use super::{Exchange, ExchangeError};
use std::sync::mpsc::{Receiver, Sender, channel};

/// One member of a group of threads.
#[derive(Debug)]
pub struct Member {
    index: usize,
    to: Vec<Sender<Vec<f32>>>,
    from: Vec<Receiver<Vec<f32>>>,
}

/// The members of a group of `degree`; each may move to a thread of its own.
///
/// ```
/// use flexdit_kernels::exchange::{Exchange, members};
/// let threads = members(2).into_iter().map(|mut member| {
///     std::thread::spawn(move || {
///         let mut all = [0.0; 2];
///         member.all_gather(&[member.index() as f32], &[1, 1], &mut all).expect("both live");
///         all
///     })
/// });
/// for thread in threads.collect::<Vec<_>>() {
///     assert_eq!(thread.join().expect("no panic"), [0.0, 1.0]);
/// }
/// ```
pub fn members(degree: usize) -> Vec<Member> {
    let (mut to, mut from) = (Vec::new(), Vec::new());
    from.resize_with(degree, Vec::new);
    for _ in 0..degree {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..degree).map(|_| channel()).unzip();
        to.push(senders);
        for (list, receiver) in from.iter_mut().zip(receivers) {
            list.push(receiver);
        }
    }
    let pairs = to.into_iter().zip(from).enumerate();
    pairs.map(|(index, (to, from))| Member { index, to, from }).collect()
}

impl Member {
    fn send(&self, to: usize, data: &[f32]) -> Result<(), ExchangeError> {
        self.to[to].send(data.to_vec()).map_err(|_| format!("member {to} is gone").into())
    }

    fn receive(&self, from: usize, data: &mut [f32]) -> Result<(), ExchangeError> {
        let got = self.from[from].recv().map_err(|_| format!("member {from} is gone"))?;
        if got.len() != data.len() {
            let (sent, expected) = (got.len(), data.len());
            return Err(format!("member {from} sent {sent} elements, expected {expected}").into());
        }
        data.copy_from_slice(&got);
        Ok(())
    }
}

impl Exchange for Member {
    fn index(&self) -> usize {
        self.index
    }

    fn degree(&self) -> usize {
        self.to.len()
    }

    fn all_to_all(
        &mut self,
        mut send: &[f32],
        send_counts: &[usize],
        mut receive: &mut [f32],
        receive_counts: &[usize],
    ) -> Result<(), ExchangeError> {
        for (to, &count) in send_counts.iter().enumerate() {
            let (part, rest) = send.split_at(count);
            self.send(to, part)?;
            send = rest;
        }
        for (from, &count) in receive_counts.iter().enumerate() {
            let (part, rest) = receive.split_at_mut(count);
            self.receive(from, part)?;
            receive = rest;
        }
        Ok(())
    }

    fn all_gather(
        &mut self,
        mine: &[f32],
        counts: &[usize],
        mut all: &mut [f32],
    ) -> Result<(), ExchangeError> {
        for to in 0..self.degree() {
            self.send(to, mine)?;
        }
        for (from, &count) in counts.iter().enumerate() {
            let (part, rest) = all.split_at_mut(count);
            self.receive(from, part)?;
            all = rest;
        }
        Ok(())
    }

    fn ring_shift(
        &mut self,
        by: usize,
        send: &[f32],
        receive: &mut [f32],
    ) -> Result<(), ExchangeError> {
        let degree = self.degree();
        self.send((self.index + by) % degree, send)?;
        self.receive((self.index + degree - by % degree) % degree, receive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_comes_from_behind_and_ragged_parts_in_group_order() {
        let threads: Vec<_> = members(3)
            .into_iter()
            .map(|mut member| {
                std::thread::spawn(move || {
                    let me = member.index();
                    let mut shifted = [0.0];
                    member.ring_shift(1, &[me as f32], &mut shifted).expect("all live");
                    // Member i sends j + 1 elements of value i to member j.
                    let mut parts = vec![0.0; 3 * (me + 1)];
                    let counts = [me + 1; 3];
                    let send = [me as f32; 6];
                    member.all_to_all(&send, &[1, 2, 3], &mut parts, &counts).expect("all live");
                    (shifted, parts)
                })
            })
            .collect();
        for (me, thread) in threads.into_iter().enumerate() {
            let (shifted, parts) = thread.join().expect("no panic");
            assert_eq!(shifted, [((me + 2) % 3) as f32]);
            let expected: Vec<f32> =
                [0.0, 1.0, 2.0].iter().flat_map(|v| vec![*v; me + 1]).collect();
            assert_eq!(parts, expected);
        }
    }

    #[test]
    fn a_member_that_is_gone_is_an_error() {
        let mut group = members(2);
        drop(group.pop());
        let error = group[0].ring_shift(1, &[1.0], &mut [0.0]).unwrap_err();
        assert_eq!(error.to_string(), "member 1 is gone");
    }
}
