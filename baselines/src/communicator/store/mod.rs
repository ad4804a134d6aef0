//! The rendezvous store: a map on one server thread that ranks reach over TCP, as `c10d`'s `TCPStore` is.
//!
//! Ranks meet here before they know each other's addresses: one sets a key, others block until it is there. It carries no
//! payload of collectives.
//!
//! Invariant: a wait ends, with the value or with [`StoreError`], and an error leaves the client usable.

mod server;
mod wire;

use super::joined::endings_of;
use flexdit_core::Rank;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::thread::sched_yield;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::{Frames, LENGTH_BYTES, MOST_BYTES, Request};

/// How long whoever holds the server waits for its answer.
const ANSWERED: Duration = Duration::from_secs(10);

/// How often a client looks for an answer before it sleeps in the system.
const LOOKS: u32 = 50;

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Some keys had no value in time.
    #[error("no answer from the store in {0:?}")]
    TimedOut(Duration),
    /// The connection failed.
    #[error("cannot {doing} the store at {address}: {message}")]
    Failed {
        /// What was tried: `reach`, `ask`.
        doing: &'static str,
        /// Where the store is.
        address: SocketAddr,
        /// What the system said.
        message: String,
    },
}

/// A running store. Dropping it ends the server.
#[derive(Debug)]
pub struct StoreServer {
    address: SocketAddr,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl StoreServer {
    /// Where it listens, with the port that the system chose if the caller asked for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets whoever waits for a rank in a creation, or ever will, know that it does not come: its process is gone. Returns when they
    /// are told.
    ///
    /// # Errors
    ///
    /// [`StoreError`], if the server does not answer.
    pub fn refuse_all(&self, rank: Rank) -> Result<(), StoreError> {
        let store = Store::connect(self.address, ANSWERED)?;
        store.refuse(&endings_of(rank))?;
        // Requests of one connection are carried out in order.
        store.present(&[""]).map(drop)
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        // The server sees the other end closed.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client of the store. Methods may be called from several threads; a blocking one delays the others' but
/// [`set`](Self::set)'s.
///
/// ```
/// use flexdit_baselines::communicator::Store;
/// use std::time::Duration;
///
/// let server = Store::serve("127.0.0.1:0")?;
/// let (one, other) = std::thread::scope(|scope| {
///     let get = scope.spawn(|| {
///         let store = Store::connect(server.address(), Duration::from_secs(10))?;
///         store.get(&["answer"])
///     });
///     let store = Store::connect(server.address(), Duration::from_secs(10))?;
///     store.set("answer", b"42")?;
///     Ok::<_, flexdit_baselines::communicator::StoreError>((store.add("count", 1)?, get.join()))
/// })?;
/// assert_eq!(one, 1);
/// assert_eq!(other.expect("no panic")?, [b"42"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    address: SocketAddr,
    timeout: Duration,
    line: Mutex<Arc<Line>>,
    /// Held from a question to its answer.
    turn: Mutex<()>,
}

/// One connection to the store.
#[derive(Debug)]
struct Line {
    stream: TcpStream,
    /// Held while a frame is written.
    writing: Mutex<()>,
    broken: AtomicBool,
}

impl Store {
    /// Starts a store that listens on `address`; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// What the system said, if it cannot listen there.
    pub fn serve(address: impl ToSocketAddrs) -> io::Result<StoreServer> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = UnixStream::pair()?;
        let run = move || server::serve(&listener, &stopped);
        let thread = std::thread::Builder::new().name("store".into()).spawn(run)?;
        Ok(StoreServer { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Connects to the store at `address`. Every request waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if nobody listens there.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, StoreError> {
        let line = Mutex::new(Arc::new(Line::open(address, timeout)?));
        Ok(Self { address, timeout, line, turn: Mutex::new(()) })
    }

    /// The address by which the store's machine sees this one, without a port.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the connection is gone.
    pub(super) fn own_address(&self) -> Result<SocketAddr, StoreError> {
        let line = self.line()?;
        let mut own = line.stream.local_addr().map_err(|e| self.failed(&e))?;
        own.set_port(0);
        Ok(own)
    }

    /// Stores a value. Returns when the request is on its way: there is no answer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the connection failed; the next request opens a new one. So do all others.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.tell(&[Request::Set { key: key.as_bytes(), value }])
    }

    /// The values of `keys`, as soon as all have one; one request and one answer.
    ///
    /// # Errors
    ///
    /// [`StoreError::TimedOut`] if a key has no value in time. The same for every request that follows.
    pub fn get<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Vec<u8>>, StoreError> {
        self.ask(&[Request::Get { keys: bytes(keys) }])
    }

    /// Stores some values, then gets others, in one message each way.
    pub(super) fn set_and_get<K: AsRef<str>>(
        &self,
        values: &[(&str, &[u8])],
        keys: &[K],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let set = values.iter().map(|(key, value)| Request::Set { key: key.as_bytes(), value });
        let get = Request::Get { keys: bytes(keys) };
        self.ask(&set.chain([get]).collect::<Vec<_>>())
    }

    /// Returns when all keys have a value.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn wait<K: AsRef<str>>(&self, keys: &[K]) -> Result<(), StoreError> {
        self.ask(&[Request::Wait { keys: bytes(keys) }]).map(drop)
    }

    /// Adds to a counter that begins with 0; the sum.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn add(&self, key: &str, by: i64) -> Result<i64, StoreError> {
        let answer = self.ask(&[Request::Add { key: key.as_bytes(), by }])?;
        let sum = answer.first().and_then(|sum| sum.as_slice().try_into().ok());
        sum.map(i64::from_le_bytes).ok_or_else(|| self.malformed())
    }

    /// Deletes keys; how many of them had a value.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn delete<K: AsRef<str>>(&self, keys: &[K]) -> Result<u64, StoreError> {
        let answer = self.ask(&[Request::Delete { keys: bytes(keys) }])?;
        let count = answer.first().and_then(|count| count.as_slice().try_into().ok());
        count.map(u64::from_le_bytes).ok_or_else(|| self.malformed())
    }

    /// Deletes keys. Returns when the request is on its way: there is no answer.
    pub(super) fn remove<K: AsRef<str>>(&self, keys: &[K]) -> Result<(), StoreError> {
        self.tell(&[Request::Remove { keys: bytes(keys) }])
    }

    /// Gives every key with one of these endings an empty value as soon as somebody waits for it: whoever would set them
    /// does not come. Returns when the request is on its way: there is no answer.
    pub(super) fn refuse<K: AsRef<str>>(&self, endings: &[K]) -> Result<(), StoreError> {
        self.tell(&[Request::Refuse { endings: bytes(endings) }])
    }

    /// Stores a value if the key has none; the value that it then has.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn claim(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let answer = self.ask(&[Request::Claim { key: key.as_bytes(), value }])?;
        answer.into_iter().next().ok_or_else(|| self.malformed())
    }

    /// Which of the keys have a value now. Waits for nothing.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn present<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<bool>, StoreError> {
        let answer = self.ask(&[Request::Present { keys: bytes(keys) }])?;
        let there = answer.first().filter(|there| there.len() == keys.len());
        let there = there.ok_or_else(|| self.malformed())?;
        Ok(there.iter().map(|there| *there == 1).collect())
    }

    /// Sends requests without an answer.
    fn tell(&self, requests: &[Request<'_>]) -> Result<(), StoreError> {
        let line = self.line()?;
        line.send(requests).map_err(|error| self.broke(&line, &error))
    }

    /// Sends requests of which the last alone has an answer, and reads it.
    fn ask(&self, requests: &[Request<'_>]) -> Result<Vec<Vec<u8>>, StoreError> {
        let _turn = lock(&self.turn);
        let line = self.line()?;
        let answer = line.send(requests).and_then(|()| line.receive());
        answer.map_err(|error| self.broke(&line, &error))
    }

    /// The connection, a new one if the last is broken.
    fn line(&self) -> Result<Arc<Line>, StoreError> {
        let mut line = lock(&self.line);
        if line.broken.load(Ordering::Relaxed) {
            *line = Arc::new(Line::open(self.address, self.timeout)?);
        }
        Ok(Arc::clone(&line))
    }

    /// After an error nobody knows which answer comes next, so the connection is not used again.
    fn broke(&self, line: &Line, error: &io::Error) -> StoreError {
        line.broken.store(true, Ordering::Relaxed);
        let _ = line.stream.shutdown(std::net::Shutdown::Both);
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => StoreError::TimedOut(self.timeout),
            _ => self.failed(error),
        }
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Failed { doing: "ask", address: self.address, message: error.to_string() }
    }

    fn malformed(&self) -> StoreError {
        self.failed(&io::Error::other("its answer is malformed"))
    }
}

impl Line {
    fn open(address: SocketAddr, timeout: Duration) -> Result<Self, StoreError> {
        let open = || {
            let stream = TcpStream::connect_timeout(&address, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        let stream = open().map_err(|error: io::Error| StoreError::Failed {
            doing: "reach",
            address,
            message: error.to_string(),
        })?;
        Ok(Self { stream, writing: Mutex::new(()), broken: AtomicBool::new(false) })
    }

    fn send(&self, requests: &[Request<'_>]) -> io::Result<()> {
        let mut frames = Frames::default();
        requests.iter().for_each(|request| frames.ask(request));
        let _whole = lock(&self.writing);
        (&self.stream).write_all(&frames.bytes)
    }

    fn receive(&self) -> io::Result<Vec<Vec<u8>>> {
        // Small answers, length included, come with one read; nothing follows an answer that was not asked for.
        let mut answer = vec![0; 4096];
        let (mut have, mut looks) = (0, LOOKS);
        loop {
            let length = wire::length(&answer[..have]);
            let need = LENGTH_BYTES + length.unwrap_or(0);
            if need > 4 * MOST_BYTES {
                return Err(io::Error::other("its answer is malformed"));
            }
            if length.is_some() && have >= need {
                let fields = wire::fields(&answer[LENGTH_BYTES..need]);
                let malformed = || io::Error::other("its answer is malformed");
                let fields = fields.ok_or_else(malformed)?;
                return Ok(fields.into_iter().map(<[u8]>::to_vec).collect());
            }
            answer.resize(answer.len().max(need), 0);
            // Answers mostly come soon: look before sleeping in the system.
            let flags = if looks > 0 { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            match recv(&self.stream, &mut answer[have..], flags) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => have += count,
                Err(Errno::AGAIN) if looks > 0 => {
                    looks -= 1;
                    sched_yield();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn bytes<K: AsRef<str>>(keys: &[K]) -> Vec<&[u8]> {
    keys.iter().map(|key| key.as_ref().as_bytes()).collect()
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
