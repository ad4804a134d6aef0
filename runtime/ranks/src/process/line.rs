//! A connection between the driver and a rank's process: messages one after the other, each a header and raw bytes behind it.
//!
//! A header is its length in four bytes and JSON; it names the lengths of what follows. Both ends run on one machine, so
//! numbers in raw bytes have its byte order. Invariant: whoever receives a header takes all bytes that it names.

use crate::clock::Clock;
use flexdit_core::Nanos;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The longest header. A task has a few hundred bytes; only the list of prebuilt groups is long.
const HEADER: usize = 16 << 20;

/// How long whoever waits for a message looks for it before it sleeps: waking takes longer than answering.
const AWAKE: Nanos = Nanos(100_000);

/// Bytes that may wait for the other end: whoever sends goes on, and does not take turns with who reads.
const BUFFER: usize = 1 << 20;

/// Up to so many bytes travel with their header in one call.
const TOGETHER: usize = 64 << 10;

/// One end.
#[derive(Debug)]
pub(super) struct Line {
    from: BufReader<UnixStream>,
    out: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: UnixStream) -> Self {
        // A system that grants less moves the same bytes in more turns.
        let _ = set_socket_send_buffer_size(&stream, BUFFER);
        Self { from: BufReader::with_capacity(TOGETHER, stream), out: Vec::new() }
    }

    /// Sends a header and the bytes that it names.
    ///
    /// # Errors
    /// If the other end is gone.
    pub(super) fn send(&mut self, header: &impl Serialize, parts: &[&[u8]]) -> io::Result<()> {
        self.out.clear();
        self.out.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut self.out, header)?;
        let length = self.out.len() - 4;
        if length > HEADER {
            let what = format!("a header of {length} bytes, expected at most {HEADER}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.out[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        let mut to = self.from.get_ref();
        let mut rest = parts;
        while let [first, others @ ..] = rest
            && self.out.len() + first.len() <= TOGETHER
        {
            self.out.extend_from_slice(first);
            rest = others;
        }
        to.write_all(&self.out)?;
        rest.iter().try_for_each(|part| to.write_all(part))
    }

    /// Waits for a header.
    ///
    /// # Errors
    /// If the other end is gone, or says something else.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut length = [0; 4];
        self.stay_awake();
        self.from.read_exact(&mut length)?;
        let length = u32::from_ne_bytes(length) as usize;
        if length > HEADER {
            let what = format!("a header of {length} bytes, expected at most {HEADER}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut header = vec![0; length];
        self.from.read_exact(&mut header)?;
        Ok(serde_json::from_slice(&header)?)
    }

    /// As [`receive`](Self::receive), and no read waits longer than this; for the last message.
    ///
    /// # Errors
    /// Also if nothing comes.
    pub(super) fn receive_within<T: DeserializeOwned>(&mut self, most: Duration) -> io::Result<T> {
        self.from.get_ref().set_read_timeout(Some(most))?;
        self.receive()
    }

    /// Looks for a message for a while, giving way to whoever wants this core, before the read that would sleep.
    fn stay_awake(&self) {
        let clock = Clock::start();
        while self.from.buffer().is_empty() && clock.now() < AWAKE {
            let mut polled = [PollFd::new(self.from.get_ref(), PollFlags::IN)];
            // Whatever it is, the read tells.
            if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0) {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Takes bytes that the last header named.
    ///
    /// # Errors
    /// If the other end is gone.
    pub(super) fn take(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(into)
    }

    /// Takes bytes that nobody wants.
    ///
    /// # Errors
    /// If the other end is gone.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.from).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Line, Line) {
        let (here, there) = UnixStream::pair().expect("a socket");
        (Line::new(here), Line::new(there))
    }

    #[test]
    fn headers_and_bytes_of_any_length_come_as_they_were_sent() {
        let (mut here, mut there) = pair();
        let lengths = [0, 5, TOGETHER - 40, 1, TOGETHER + 3, 3 * TOGETHER];
        let parts: Vec<Vec<u8>> = lengths
            .iter()
            .map(|length| (0..*length).map(|at| (at % 251) as u8).collect())
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                here.send(&lengths, &parts).expect("it listens");
                here.send(&"last", &[]).expect("it listens");
            });
            let told: Vec<usize> = there.receive().expect("a header");
            assert_eq!(told, lengths);
            for (at, part) in parts.iter().enumerate() {
                if at % 2 == 0 {
                    let mut got = vec![0; part.len()];
                    there.take(&mut got).expect("bytes");
                    assert!(got == *part, "part {at}");
                } else {
                    there.skip(part.len() as u64).expect("bytes");
                }
            }
            assert_eq!(there.receive::<String>().expect("a header"), "last");
        });
    }

    #[test]
    fn an_end_that_is_gone_or_speaks_otherwise_is_an_error() {
        let (mut here, mut there) = pair();
        here.send(&1, &[]).expect("it listens");
        assert!(there.receive::<String>().is_err());
        here.from.get_ref().write_all(&u32::MAX.to_ne_bytes()).expect("it listens");
        assert!(there.receive::<String>().is_err());
        drop(here);
        assert!(there.receive::<u32>().is_err() && there.skip(1).is_err());
        assert!((0..2).any(|_| there.send(&1, &[]).is_err()));
    }
}
