//! Moves the messages of one step of an operation: all sends and all receives at once, over nonblocking sockets.
//!
//! Every transfer is tried; what would block is retried when `poll` says that it may go on. So large messages flow both
//! ways whatever order the members are in, without helper threads.
//!
//! Invariant: a step ends, with all transfers done or with a [`Fault`]; a byte of a payload is accepted only behind a
//! header that is the expected one.

use super::clock::Patience;
use super::frame::{self, Frame, HEADER_BYTES, Header};
use flexdit_comm::{Cause, Tag};
use flexdit_core::Rank;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use rustix::thread::sched_yield;
use std::io::{IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::time::Duration;

/// One end of the connection to a peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    /// A message was begun and not ended: no other frame may follow.
    pub(super) inside_message: bool,
}

/// A message to a member.
pub(super) struct Sending<'a> {
    /// The member's position.
    pub(super) to: usize,
    header: Header,
    payload: &'a [u8],
    done: usize,
    ready: bool,
}

/// A message that is expected from a member.
pub(super) struct Receiving<'a> {
    /// The member's position.
    pub(super) from: usize,
    tag: Tag,
    header: Header,
    into: &'a mut [u8],
    done: usize,
    ready: bool,
}

/// Why a step failed. Peers are positions in the group.
#[derive(Debug)]
pub(super) enum Fault {
    /// A peer is in another operation.
    Mismatch { peer: usize, mine: Tag, theirs: Tag },
    /// A peer says that a rank gave up.
    Aborted { by: Rank, cause: Cause },
    /// A peer's connection ended.
    Lost { peer: usize },
    /// Nothing moved for too long; these peers owe something.
    Late { missing: Vec<usize>, waited: Duration },
    /// The system refused something.
    System { doing: String, message: String },
}

impl<'a> Sending<'a> {
    /// A message with `tag` as header.
    pub(super) fn new(to: usize, tag: &Tag, payload: &'a [u8]) -> Self {
        Self { to, header: frame::of_message(tag), payload, done: 0, ready: true }
    }

    fn is_done(&self) -> bool {
        self.done == HEADER_BYTES + self.payload.len()
    }

    /// Writes what the socket takes with one call.
    fn advance(&mut self, link: &mut Link) -> Result<bool, Fault> {
        self.ready = false;
        let header = &self.header[self.done.min(HEADER_BYTES)..];
        let payload = &self.payload[self.done.saturating_sub(HEADER_BYTES)..];
        let both = [IoSlice::new(header), IoSlice::new(payload)];
        let parts = if header.is_empty() { &both[1..] } else { &both[..] };
        let mut nothing = SendAncillaryBuffer::default();
        match sendmsg(&link.stream, parts, &mut nothing, SendFlags::NOSIGNAL) {
            Ok(count) => {
                self.done += count;
                link.inside_message = !self.is_done();
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => {
                self.ready = true;
                Ok(false)
            }
            Err(error) => Err(last_words(link, self.to, error)),
        }
    }
}

impl<'a> Receiving<'a> {
    /// A message that must have `tag` as header and fills `into`.
    pub(super) fn new(from: usize, tag: Tag, into: &'a mut [u8]) -> Self {
        Self { from, tag, header: [0; HEADER_BYTES], into, done: 0, ready: true }
    }

    fn is_done(&self) -> bool {
        self.done == HEADER_BYTES + self.into.len()
    }

    /// Reads what is there with one call, the payload straight to its place.
    fn advance(&mut self, link: &Link) -> Result<bool, Fault> {
        self.ready = false;
        let header = &mut self.header[self.done.min(HEADER_BYTES)..];
        let into = &mut self.into[self.done.saturating_sub(HEADER_BYTES)..];
        let whole = header.is_empty();
        let mut both = [IoSliceMut::new(header), IoSliceMut::new(into)];
        let parts = if whole { &mut both[1..] } else { &mut both[..] };
        match rustix::io::readv(&link.stream, parts) {
            Ok(0) => Err(Fault::Lost { peer: self.from }),
            Ok(count) => {
                self.done += count;
                if !whole && self.done >= HEADER_BYTES {
                    self.check()?;
                }
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => {
                self.ready = true;
                Ok(false)
            }
            Err(error) => Err(fault(self.from, error)),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        match frame::read(&self.header) {
            Some(Frame::Message(theirs)) if theirs == self.tag => Ok(()),
            Some(Frame::Message(theirs)) => {
                Err(Fault::Mismatch { peer: self.from, mine: self.tag, theirs })
            }
            Some(Frame::GivesUp { by, cause }) => Err(Fault::Aborted { by, cause }),
            None => Err(Fault::System {
                doing: "read a message".into(),
                message: "it has no header".into(),
            }),
        }
    }
}

/// Carries out all transfers. `links` are by position; own has none.
pub(super) fn exchange(
    links: &mut [Option<Link>],
    sends: &mut [Sending<'_>],
    receives: &mut [Receiving<'_>],
    timeout: Duration,
    spins: u32,
) -> Result<(), Fault> {
    let mut patience = Patience::new(timeout);
    let mut fruitless = 0;
    loop {
        let (mut moved, mut again, mut open) = (false, false, false);
        for send in sends.iter_mut().filter(|send| !send.is_done()) {
            if send.ready {
                moved |= send.advance(link(links, send.to))?;
            }
            again |= send.ready;
            open |= !send.is_done();
        }
        for receive in receives.iter_mut().filter(|receive| !receive.is_done()) {
            if receive.ready {
                moved |= receive.advance(link(links, receive.from))?;
            }
            again |= receive.ready;
            open |= !receive.is_done();
        }
        if !open {
            return Ok(());
        }
        if moved {
            patience.renew();
            fruitless = 0;
        }
        if again {
            continue;
        }
        if fruitless < spins {
            fruitless += 1;
            sends.iter_mut().for_each(|send| send.ready = true);
            receives.iter_mut().for_each(|receive| receive.ready = true);
            sched_yield();
        } else {
            sleep(links, sends, receives, &mut patience)?;
        }
    }
}

fn link(links: &mut [Option<Link>], peer: usize) -> &mut Link {
    links[peer].as_mut().expect("a member sends nothing to itself")
}

/// Waits until a transfer can go on, and marks it ready.
fn sleep(
    links: &[Option<Link>],
    sends: &mut [Sending<'_>],
    receives: &mut [Receiving<'_>],
    patience: &mut Patience,
) -> Result<(), Fault> {
    let stream = |peer: usize| &links[peer].as_ref().expect("a peer").stream;
    let sending = || sends.iter().filter(|send| !send.is_done());
    let receiving = || receives.iter().filter(|receive| !receive.is_done());
    let Some(left) = patience.left() else {
        let mut missing: Vec<usize> = receiving().map(|receive| receive.from).collect();
        missing.extend(sending().map(|send| send.to));
        missing.sort_unstable();
        missing.dedup();
        return Err(Fault::Late { missing, waited: patience.waited() });
    };
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    // The end of what a peer sends matters to a sender too: who still has to read has no reason to end.
    let out = PollFlags::OUT | PollFlags::RDHUP;
    let mut events: Vec<PollFd<'_>> = sending()
        .map(|send| PollFd::new(stream(send.to), out))
        .chain(receiving().map(|receive| PollFd::new(stream(receive.from), PollFlags::IN)))
        .collect();
    match poll(&mut events, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => {
            return Err(Fault::System {
                doing: "wait for peers".into(),
                message: error.to_string(),
            });
        }
    }
    let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut happened = events.iter().map(PollFd::revents);
    let mut next = || happened.next().unwrap_or(PollFlags::empty());
    let mut failed = None;
    for send in sends.iter_mut().filter(|send| !send.is_done()) {
        let event = next();
        send.ready = event.contains(PollFlags::OUT) || event.intersects(ended);
        let reads = receives.iter().any(|r| r.from == send.to && !r.is_done());
        // If something is yet to be read, reading it tells more.
        if event.intersects(ended) && !reads {
            failed = failed.or(Some(send.to));
        }
    }
    for receive in receives.iter_mut().filter(|receive| !receive.is_done()) {
        receive.ready = !next().is_empty();
    }
    match failed {
        Some(peer) => {
            let link = links[peer].as_ref().expect("a peer");
            Err(last_words(link, peer, Errno::PIPE))
        }
        None => Ok(()),
    }
}

/// Why a peer's connection does not take anything any more: it may have said so.
fn last_words(link: &Link, peer: usize, error: Errno) -> Fault {
    let mut header = [0; HEADER_BYTES];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let heard = recv(&link.stream, &mut header, flags).map(|(_, count)| count);
    match (heard, frame::read(&header)) {
        (Ok(HEADER_BYTES), Some(Frame::GivesUp { by, cause })) => Fault::Aborted { by, cause },
        _ => fault(peer, error),
    }
}

fn fault(peer: usize, error: Errno) -> Fault {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::CONNABORTED | Errno::NOTCONN => {
            Fault::Lost { peer }
        }
        error => Fault::System { doing: "talk to a peer".into(), message: error.to_string() },
    }
}
