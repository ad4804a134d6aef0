//! The store's server: one thread, one `poll` over all connections, a map. Blocking reads wait in a list per key.
//!
//! Invariant: requests of one connection are answered in order; one that waits does not keep those behind it that have no answer from
//! being carried out; a client that waits costs the others nothing.

use super::wire::{self, Frames, LENGTH_BYTES, MOST_BYTES, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::sched_yield;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

/// How often the server looks for requests before it sleeps in the system.
const LOOKS: u32 = 10;

/// Serves until the other end of `stop` is closed.
pub(super) fn serve(listener: &TcpListener, stop: &UnixStream) {
    let mut state = State::default();
    loop {
        let (stopped, knocked, ready) = state.sleep(listener, stop);
        if stopped {
            return;
        }
        for at in ready {
            state.hear(at);
        }
        if knocked {
            state.accept(listener);
        }
    }
}

/// Everything the server knows.
#[derive(Default)]
struct State {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keys without a value, with the connections that wait for one.
    wanted: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Endings of keys that nobody will set.
    refused: Vec<Vec<u8>>,
    connections: Vec<Option<Connection>>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Frames,
    waiting: Option<Waiting>,
}

/// A `Get` or `Wait` that cannot be answered yet.
struct Waiting {
    keys: Vec<Vec<u8>>,
    missing: usize,
    with_values: bool,
}

impl State {
    /// Waits until something happens: whether to stop, whether somebody connects, and the connections to look at.
    fn sleep(&self, listener: &TcpListener, stop: &UnixStream) -> (bool, bool, Vec<usize>) {
        let mut at = Vec::new();
        let mut events =
            vec![PollFd::new(stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        for (index, connection) in self.connections.iter().enumerate() {
            if let Some(connection) = connection {
                let full = !connection.output.bytes.is_empty();
                let out = if full { PollFlags::OUT } else { PollFlags::empty() };
                at.push(index);
                events.push(PollFd::new(&connection.stream, PollFlags::IN | out));
            }
        }
        // Requests come in bursts: look a few times before sleeping.
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut looks = 0;
        while looks < LOOKS && matches!(poll(&mut events, Some(&now)), Ok(0)) {
            looks += 1;
            sched_yield();
        }
        if looks == LOOKS {
            // An interrupted call reports nothing, and is made again.
            let _ = poll(&mut events, None);
        }
        let mut happened = events.iter().map(|event| !event.revents().is_empty());
        let mut next = || happened.next().unwrap_or(false);
        let (stopped, knocked) = (next(), next());
        let ready = at.into_iter().filter(|_| next()).collect();
        (stopped, knocked, ready)
    }

    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).and(stream.set_nodelay(true)).is_err() {
                continue;
            }
            let output = Frames::default();
            let new = Some(Connection { stream, input: Vec::new(), output, waiting: None });
            let at = match self.connections.iter().position(Option::is_none) {
                Some(free) => free,
                None => {
                    self.connections.push(None);
                    self.connections.len() - 1
                }
            };
            self.connections[at] = new;
            // Its first request is mostly here already.
            self.hear(at);
        }
    }

    /// Reads what has come on a connection and does what it asks for.
    fn hear(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else { return };
        if !connection.flush() || !connection.fill() {
            return self.close(at);
        }
        let mut runnable = vec![at];
        while let Some(at) = runnable.pop() {
            self.work(at, &mut runnable);
        }
    }

    /// Carries out the requests of a connection until one must wait, behind which only those go on that nobody answers: clients may set
    /// what another one of their threads waits for. Appends connections that may go on.
    fn work(&mut self, at: usize, runnable: &mut Vec<usize>) {
        let Some(connection) = &mut self.connections[at] else { return };
        let input = std::mem::take(&mut connection.input);
        let mut output = std::mem::take(&mut connection.output);
        let mut rest = &input[..];
        let mut fine = true;
        while fine && let Some(connection) = &mut self.connections[at] {
            // What it waited for may have come with what it has set itself.
            output.bytes.append(&mut connection.output.bytes);
            let waits = connection.waiting.is_some();
            let Some(length) = wire::length(rest) else { break };
            let Some((body, after)) = rest[LENGTH_BYTES..].split_at_checked(length) else {
                fine = length <= MOST_BYTES;
                break;
            };
            match wire::request(body) {
                Some(request) if waits && request.is_answered() => break,
                Some(request) => {
                    rest = after;
                    self.carry_out(at, request, &mut output, runnable);
                }
                None => fine = false,
            }
        }
        let Some(connection) = &mut self.connections[at] else { return };
        connection.input = rest.to_vec();
        connection.output = output;
        if !fine || !connection.flush() {
            self.close(at);
        }
    }

    fn carry_out(
        &mut self,
        at: usize,
        request: Request<'_>,
        output: &mut Frames,
        runnable: &mut Vec<usize>,
    ) {
        match request {
            Request::Set { key, value } => self.store(key, value, runnable),
            Request::Get { keys } => self.look_up(at, &keys, true, output),
            Request::Wait { keys } => self.look_up(at, &keys, false, output),
            Request::Add { key, by } => {
                let old = self.values.get(key).and_then(|v| v.as_slice().try_into().ok());
                let new = old.map_or(0, i64::from_le_bytes).wrapping_add(by).to_le_bytes();
                self.store(key, &new, runnable);
                output.answer([&new[..]]);
            }
            Request::Delete { keys } => {
                let there = self.delete(&keys) as u64;
                output.answer([&there.to_le_bytes()[..]]);
            }
            Request::Remove { keys } => {
                self.delete(&keys);
            }
            Request::Claim { key, value } => {
                if !self.values.contains_key(key) {
                    self.store(key, value, runnable);
                }
                output.answer([self.values[key].as_slice()]);
            }
            Request::Present { keys } => {
                let there = keys.iter().map(|key| u8::from(self.values.contains_key(*key)));
                output.answer([there.collect::<Vec<_>>().as_slice()]);
            }
            Request::Refuse { endings } => self.refuse(&endings, runnable),
        }
    }

    /// Answers those who wait for such keys, now and from now on.
    fn refuse(&mut self, endings: &[&[u8]], runnable: &mut Vec<usize>) {
        self.refused.extend(endings.iter().map(|ending| ending.to_vec()));
        let refused = |key: &&Vec<u8>| endings.iter().any(|ending| key.ends_with(ending));
        let keys: Vec<Vec<u8>> = self.wanted.keys().filter(refused).cloned().collect();
        for key in keys {
            self.store(&key, b"", runnable);
        }
    }

    fn delete(&mut self, keys: &[&[u8]]) -> usize {
        keys.iter().filter(|key| self.values.remove(**key).is_some()).count()
    }

    /// Stores a value and answers those who waited for nothing else.
    fn store(&mut self, key: &[u8], value: &[u8], runnable: &mut Vec<usize>) {
        self.values.insert(key.to_vec(), value.to_vec());
        for at in self.wanted.remove(key).unwrap_or_default() {
            let Some(connection) = &mut self.connections[at] else { continue };
            let Some(waiting) = &mut connection.waiting else { continue };
            waiting.missing -= 1;
            if waiting.missing > 0 {
                continue;
            }
            let Some(Waiting { keys, with_values, .. }) = connection.waiting.take() else {
                continue;
            };
            let mut output = std::mem::take(&mut connection.output);
            // A key may have been deleted meanwhile; then it waits again.
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            self.look_up(at, &keys, with_values, &mut output);
            if let Some(connection) = &mut self.connections[at] {
                connection.output = output;
                runnable.push(at);
            }
        }
    }

    /// Answers a `Get` or `Wait`, or remembers it.
    fn look_up(&mut self, at: usize, keys: &[&[u8]], with_values: bool, output: &mut Frames) {
        for key in keys {
            let refused = || self.refused.iter().any(|ending| key.ends_with(ending));
            if !self.values.contains_key(*key) && refused() {
                self.values.insert(key.to_vec(), Vec::new());
            }
        }
        let absent = keys.iter().filter(|key| !self.values.contains_key(**key));
        let absent: Vec<Vec<u8>> = absent.map(|key| key.to_vec()).collect();
        if absent.is_empty() {
            let keys = if with_values { keys } else { &[] };
            output.answer(keys.iter().map(|key| self.values[*key].as_slice()));
        } else if let Some(connection) = &mut self.connections[at] {
            let keys = keys.iter().map(|key| key.to_vec()).collect();
            connection.waiting = Some(Waiting { keys, missing: absent.len(), with_values });
            for key in absent {
                self.wanted.entry(key).or_default().push(at);
            }
        }
    }

    fn close(&mut self, at: usize) {
        let Some(Connection { waiting: Some(waiting), .. }) = self.connections[at].take() else {
            return;
        };
        for key in waiting.keys {
            if let Some(who) = self.wanted.get_mut(&key) {
                who.retain(|waiter| *waiter != at);
                if who.is_empty() {
                    self.wanted.remove(&key);
                }
            }
        }
    }
}

impl Connection {
    /// Reads what is there; false if the client has gone or says too much.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend(&chunk[..count]);
                    if self.input.len() > 4 * MOST_BYTES {
                        return false;
                    }
                    if count < chunk.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes what the socket takes; false if the client has gone.
    fn flush(&mut self) -> bool {
        while !self.output.bytes.is_empty() {
            match self.stream.write(&self.output.bytes) {
                Ok(count) => drop(self.output.bytes.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}
