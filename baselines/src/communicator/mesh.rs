//! Connects the members of one communicator: one TCP connection per pair, all of them set up at the same time.
//!
//! Of two members exactly one dials; the roles alternate with the distance, so every member dials about as often as it
//! answers. The dialler speaks first: communicator id, own position, the peer's. The other compares and answers alike.
//!
//! Invariant: a connection is used only if both ends named the same communicator and each other.

use super::clock::Patience;
use super::progress::{Fault, Link};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send};
use rustix::net::{accept_with, connect, socket_with};
use rustix::thread::sched_yield;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Names one communicator, for ever.
pub(super) type Id = [u8; 16];

const MAGIC: [u8; 4] = *b"fxd1";
const HELLO_BYTES: usize = 24;

/// How long a member is waited for before it is looked for: whoever is to dial and is gone says nothing.
const LOOK: Duration = Duration::from_millis(500);

/// A connection on its way.
struct Attempt {
    stream: TcpStream,
    /// The position of the member at the other end; not known of a connection that came.
    peer: Option<usize>,
    hello: [u8; HELLO_BYTES],
    /// Bytes of `hello` read so far; `None` until the own one is written.
    heard: Option<usize>,
    /// Worth a try.
    ready: bool,
}

/// What became of an attempt.
enum Outcome {
    Waiting,
    Connected(usize),
    /// Somebody who does not belong here.
    Stranger,
}

/// Whether the member at position `i` dials the one at `j`.
fn dials(i: usize, j: usize) -> bool {
    (i < j) == (i.abs_diff(j) % 2 == 1)
}

/// Connects position `own` with all others, whose listeners are at `addresses`.
pub(super) fn connect_all(
    id: Id,
    own: usize,
    addresses: &[SocketAddr],
    listener: &TcpListener,
    timeout: Duration,
    spins: u32,
) -> Result<Vec<Option<Link>>, Fault> {
    let mut links: Vec<Option<Link>> = addresses.iter().map(|_| None).collect();
    let mut attempts = Vec::with_capacity(addresses.len());
    for peer in (0..addresses.len()).filter(|peer| *peer != own && dials(own, *peer)) {
        let stream = dial(addresses[peer]).map_err(|error| refused(peer, &error))?;
        let hello = hello(&id, own, peer);
        attempts.push(Attempt { stream, peer: Some(peer), hello, heard: None, ready: true });
    }
    let mut missing = addresses.len() - 1;
    let mut answers = missing - attempts.len();
    let (mut patience, mut fruitless, mut knocked) = (Patience::new(timeout), 0, true);
    while missing > 0 {
        let before = missing;
        while answers > 0
            && knocked
            && let Some(stream) = accept(listener)?
        {
            attempts.push(Attempt {
                stream,
                peer: None,
                hello: [0; _],
                heard: Some(0),
                ready: true,
            });
        }
        let mut at = 0;
        while at < attempts.len() {
            let dialled = attempts[at].peer;
            match attempts[at].advance(&id, own, &links) {
                Ok(Outcome::Waiting) => at += 1,
                Ok(Outcome::Connected(peer)) => {
                    let Attempt { stream, .. } = attempts.swap_remove(at);
                    links[peer] = Some(Link { stream, inside_message: false });
                    missing -= 1;
                    answers -= usize::from(dialled.is_none());
                }
                Ok(Outcome::Stranger) if dialled.is_none() => drop(attempts.swap_remove(at)),
                Ok(Outcome::Stranger) => return Err(Fault::Lost { peer: dialled.unwrap_or(own) }),
                Err(_) if dialled.is_none() => drop(attempts.swap_remove(at)),
                Err(error) => return Err(refused(dialled.unwrap_or(own), &error)),
            }
        }
        fruitless = if missing < before { 0 } else { fruitless + 1 };
        if missing == 0 {
            break;
        } else if fruitless < spins {
            sched_yield();
            attempts.iter_mut().for_each(|attempt| attempt.ready = true);
            knocked = true;
        } else if let Some(left) = patience.left() {
            knocked = sleep(&mut attempts, (answers > 0).then_some(listener), left.min(LOOK))?;
            let is_quiet = !knocked && attempts.iter().all(|attempt| !attempt.ready);
            if is_quiet && let Some(peer) = gone(own, &links, addresses) {
                return Err(Fault::Lost { peer });
            }
        } else {
            let missing = (0..links.len()).filter(|peer| *peer != own && links[*peer].is_none());
            return Err(Fault::Late { missing: missing.collect(), waited: patience.waited() });
        }
    }
    Ok(links)
}

/// Begins to connect.
fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A member that is to dial and listens no more. Whoever does listen takes this for a stranger at the door.
fn gone(own: usize, links: &[Option<Link>], addresses: &[SocketAddr]) -> Option<usize> {
    let is_awaited = |peer: &usize| *peer != own && links[*peer].is_none() && dials(*peer, own);
    (0..links.len()).filter(is_awaited).find(|peer| {
        let found = TcpStream::connect_timeout(&addresses[*peer], LOOK);
        found.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
}

/// A connection that has come, if one has.
fn accept(listener: &TcpListener) -> Result<Option<TcpStream>, Fault> {
    loop {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let stream = TcpStream::from(socket);
                if stream.set_nodelay(true).is_ok() {
                    return Ok(Some(stream));
                }
            }
            Err(Errno::AGAIN) => return Ok(None),
            // It came and went.
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => {
                let message = error.to_string();
                return Err(Fault::System { doing: "accept a connection".into(), message });
            }
        }
    }
}

fn hello(id: &Id, from: usize, to: usize) -> [u8; HELLO_BYTES] {
    let mut hello = [0; HELLO_BYTES];
    hello[..4].copy_from_slice(&MAGIC);
    hello[4..20].copy_from_slice(id);
    hello[20..22].copy_from_slice(&(from as u16).to_le_bytes());
    hello[22..].copy_from_slice(&(to as u16).to_le_bytes());
    hello
}

impl Attempt {
    /// Goes as far as it goes without waiting.
    fn advance(&mut self, id: &Id, own: usize, links: &[Option<Link>]) -> io::Result<Outcome> {
        if !std::mem::take(&mut self.ready) {
            return Ok(Outcome::Waiting);
        }
        if self.heard.is_none() {
            // A new connection has room for so little.
            match send(&self.stream, &self.hello, SendFlags::NOSIGNAL) {
                Ok(HELLO_BYTES) => self.heard = Some(0),
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(Errno::AGAIN) => return Ok(Outcome::Waiting),
                Err(error) => return Err(error.into()),
            }
        }
        let mut heard = self.heard.unwrap_or(0);
        while heard < HELLO_BYTES {
            match self.stream.read(&mut self.hello[heard..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => heard += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.heard = Some(heard);
                    return Ok(Outcome::Waiting);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let from = usize::from(u16::from_le_bytes([self.hello[20], self.hello[21]]));
        let expected = self.peer.is_none_or(|peer| peer == from)
            && links.get(from).is_some_and(Option::is_none)
            && from != own
            && dials(own, from) == self.peer.is_some();
        if !expected || self.hello != hello(id, from, own) {
            return Ok(Outcome::Stranger);
        }
        if self.peer.is_none() {
            match send(&self.stream, &hello(id, own, from), SendFlags::NOSIGNAL) {
                Ok(HELLO_BYTES) => {}
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Connected(from))
    }
}

/// Waits until something can go on, and marks it ready; whether somebody is at the door.
fn sleep(
    attempts: &mut [Attempt],
    listener: Option<&TcpListener>,
    left: Duration,
) -> Result<bool, Fault> {
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    let mut events: Vec<PollFd<'_>> = Vec::with_capacity(attempts.len() + 1);
    for Attempt { stream, heard, .. } in attempts.iter() {
        let flags = if heard.is_none() { PollFlags::OUT } else { PollFlags::IN };
        events.push(PollFd::new(stream, flags));
    }
    events.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
    match poll(&mut events, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => {
            let message = error.to_string();
            return Err(Fault::System { doing: "wait for connections".into(), message });
        }
    }
    let happened: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
    for (attempt, happened) in attempts.iter_mut().zip(&happened) {
        attempt.ready = *happened;
    }
    Ok(listener.is_some() && happened.last() == Some(&true))
}

fn refused(peer: usize, error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Fault::Lost { peer },
        _ => Fault::System { doing: "connect to a peer".into(), message: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_members_one_dials_and_the_work_is_shared() {
        for degree in 2..=64 {
            for i in 0..degree {
                let dialled = (0..degree).filter(|j| *j != i && dials(i, *j)).count();
                assert!(dialled.abs_diff(degree / 2) <= 1, "{i} of {degree} dials {dialled}");
                for j in (0..degree).filter(|j| *j != i) {
                    assert_ne!(dials(i, j), dials(j, i));
                }
            }
        }
    }
}
