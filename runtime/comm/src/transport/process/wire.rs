//! What ranks and their launcher say to each other: short records of 64-bit words, one per message of the socket.
//!
//! Both run on one machine, so words have its byte order.

use crate::config::WorldConfig;
use crate::error::JoinFault;
use crate::graph;
use crate::layout::{MAGIC, VERSION};
use flexdit_core::{Group, Rank};
use rustix::io::{Errno, Result};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What must be the same on both sides, by name.
const COMPARED: usize = WorldConfig::SHARED + 3;

/// Magic and version come first in every version of the record.
fn compared(config: &WorldConfig) -> [(&'static str, u64); COMPARED] {
    let mut all = [("", 0); COMPARED];
    (all[0], all[1]) = (("magic", MAGIC), ("version", VERSION));
    all[2..COMPARED - 1].copy_from_slice(&config.shared());
    all[COMPARED - 1] = ("config hash", config.hash());
    all
}

/// Named instead of a setting if the record has another length.
const LENGTH: &str = "words of hello";

/// Words of any record, and then some, so that a longer one is noticed.
pub(super) const MOST: usize = 32;

/// Words of a rank's hello: magic, version, rank, process id, and the rest of what is compared.
const HELLO: usize = COMPARED + 2;

/// What a rank says when it comes.
pub(super) fn hello(rank: Rank, process: u32, config: &WorldConfig) -> [u64; HELLO] {
    let mut words = [0; HELLO];
    let values = compared(config).map(|(_, value)| value);
    words[..2].copy_from_slice(&values[..2]);
    (words[2], words[3]) = (rank.0.into(), process.into());
    words[4..].copy_from_slice(&values[2..]);
    words
}

/// The rank that a hello comes from, as far as it can be told.
pub(super) fn sender(words: &[u64]) -> Rank {
    let rank = words.get(2).and_then(|rank| u16::try_from(*rank).ok());
    Rank(rank.unwrap_or(u16::MAX))
}

/// The first difference of a hello to the launcher's own settings.
pub(super) fn difference(words: &[u64], config: &WorldConfig) -> Option<JoinFault> {
    let rank = sender(words);
    let differs = |setting, theirs, ours| Some(JoinFault::Differs { rank, setting, theirs, ours });
    for (at, (setting, ours)) in compared(config).into_iter().enumerate() {
        let at = if at < 2 { at } else { at + 2 };
        match words.get(at) {
            Some(theirs) if *theirs == ours => {}
            Some(theirs) => return differs(setting, *theirs, ours),
            None => return differs(LENGTH, words.len() as u64, HELLO as u64),
        }
    }
    if words.len() == HELLO { None } else { differs(LENGTH, words.len() as u64, HELLO as u64) }
}

/// What a rank says once it has mapped the memory and is alive.
pub(super) const READY: [u64; 1] = [MAGIC];

/// What the launcher answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All settings agree. The memory comes with it.
    Welcome,
    /// All ranks are ready.
    Go,
    /// Nobody joins.
    Fault(JoinFault),
}

/// Words of an answer.
pub(super) const ANSWER: usize = 6;

impl Answer {
    pub(super) fn encode(&self) -> [u64; ANSWER] {
        match self {
            Self::Welcome => [1, 0, 0, 0, 0, 0],
            Self::Go => [2, 0, 0, 0, 0, 0],
            Self::Fault(fault) => match fault {
                JoinFault::Differs { rank, setting, theirs, ours } => {
                    let names = compared(&WorldConfig::new(1)).map(|(name, _)| name);
                    let name = names.iter().position(|name| name == setting);
                    let name = name.unwrap_or(names.len()) as u64;
                    [3, 1, rank.0.into(), name, *theirs, *ours]
                }
                JoinFault::Twice { rank } => [3, 2, rank.0.into(), 0, 0, 0],
                JoinFault::Outside { rank, ranks } => [3, 3, rank.0.into(), *ranks as u64, 0, 0],
                JoinFault::Ended { rank } => [3, 4, rank.0.into(), 0, 0, 0],
                JoinFault::Missing { missing, waited } => {
                    let mask = missing.iter().fold(0, |mask, rank| mask | 1_u64 << rank.0);
                    [3, 5, mask, waited.as_millis() as u64, 0, 0]
                }
            },
        }
    }

    pub(super) fn decode(words: &[u64]) -> Option<Self> {
        let [kind, fault, a, b, c, d] = *words else { return None };
        let rank = Rank(a as u16);
        let fault = match (kind, fault) {
            (1, _) => return Some(Self::Welcome),
            (2, _) => return Some(Self::Go),
            (3, 1) => {
                let names = compared(&WorldConfig::new(1)).map(|(name, _)| name);
                let setting = names.get(b as usize).copied().unwrap_or(LENGTH);
                JoinFault::Differs { rank, setting, theirs: c, ours: d }
            }
            (3, 2) => JoinFault::Twice { rank },
            (3, 3) => JoinFault::Outside { rank, ranks: b as usize },
            (3, 4) => JoinFault::Ended { rank },
            (3, 5) => {
                let missing: Group = graph::ranks(a);
                JoinFault::Missing { missing, waited: Duration::from_millis(b) }
            }
            _ => return None,
        };
        Some(Self::Fault(fault))
    }
}

/// Sends a record, and maybe a file with it. Records are far smaller than a socket's buffer.
pub(super) fn send(socket: impl AsFd, words: &[u64], file: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = file.map(|file| [file]);
    if let Some(files) = &files {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    let data = [IoSlice::new(bytemuck::cast_slice(words))];
    rustix::net::sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next record, empty if the other end is closed, and the file that came with it.
pub(super) fn receive(socket: impl AsFd) -> Result<(Vec<u64>, Option<OwnedFd>)> {
    let mut words = [0_u64; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let data = &mut [IoSliceMut::new(bytemuck::cast_slice_mut(&mut words))];
    let got = rustix::net::recvmsg(socket, data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    if got.flags.contains(ReturnFlags::TRUNC) || !got.bytes.is_multiple_of(8) {
        return Err(Errno::BADMSG);
    }
    Ok((words[..got.bytes / 8].to_vec(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_their_words() {
        let (rank, ranks) = (Rank(7), 4);
        let missing = [Rank(0), Rank(63)].into_iter().collect();
        let faults = [
            JoinFault::Differs { rank, setting: "piece_bytes", theirs: 64, ours: 128 },
            JoinFault::Differs { rank, setting: LENGTH, theirs: 3, ours: 12 },
            JoinFault::Twice { rank },
            JoinFault::Outside { rank, ranks },
            JoinFault::Ended { rank },
            JoinFault::Missing { missing, waited: Duration::from_millis(2500) },
        ];
        let answers = faults.map(Answer::Fault).into_iter().chain([Answer::Welcome, Answer::Go]);
        for answer in answers {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Answer::decode(&[]), None);
    }

    #[test]
    fn every_setting_that_differs_is_named() {
        let ours = WorldConfig::new(4);
        let hello = hello(Rank(2), 99, &ours);
        assert_eq!(difference(&hello, &ours), None);
        let names = compared(&ours).map(|(name, _)| name);
        let at = (0..HELLO).filter(|at| *at != 2 && *at != 3);
        for (at, name) in at.zip(names) {
            let mut wrong = hello;
            wrong[at] ^= 1;
            let Some(JoinFault::Differs { rank, setting, .. }) = difference(&wrong, &ours) else {
                panic!("{name} was not compared");
            };
            assert_eq!((rank, setting), (Rank(2), name));
        }
        for short in [&hello[..1], &hello[..HELLO - 1]] {
            let found = difference(short, &ours);
            assert!(matches!(found, Some(JoinFault::Differs { setting: LENGTH, .. })));
        }
    }
}
