//! What a rank process and the benchmark say to each other: one line of JSON a message, over a Unix socket.

use super::clock::Moment;
use super::gate::{Gate, Stopped};
use super::measure::RankSamples;
use super::plan::Plan;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// From a rank.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// It is there; the first message.
    Hello(usize),
    /// It has come for a turn.
    Come(usize),
    /// It is done with a turn.
    Leave(usize),
    /// It is done with the plan.
    Done(RankSamples),
    /// It failed; `None` if only because another did.
    Failed(Option<String>),
}

/// To a rank.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// What it is to do.
    Job(Box<Job>),
    /// The turn for which it has come begins at this instant.
    Go(Moment),
    /// The run was given up.
    Stop,
}

/// What a rank is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The plan.
    pub plan: Plan,
    /// The core to be pinned to.
    pub core: Option<usize>,
    /// Whether ranks outnumber cores.
    pub crowded: bool,
}

/// Sends a message.
///
/// # Errors
/// If the other end is gone.
pub fn send(mut to: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Waits for a message.
///
/// # Errors
/// If the other end is gone, or says something else.
pub fn receive<T: DeserializeOwned>(from: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// The barrier for a rank that is a process.
#[derive(Debug)]
pub struct SocketGate<'a> {
    to: &'a UnixStream,
    from: &'a mut BufReader<UnixStream>,
}

impl<'a> SocketGate<'a> {
    /// Over a connection to the benchmark.
    pub fn new(to: &'a UnixStream, from: &'a mut BufReader<UnixStream>) -> Self {
        Self { to, from }
    }
}

impl Gate for SocketGate<'_> {
    fn enter(&mut self, turn: usize) -> Result<Moment, Stopped> {
        let told = send(self.to, &Up::Come(turn)).and_then(|()| receive(self.from));
        match told {
            Ok(Down::Go(start)) => Ok(start),
            // A benchmark that is gone has given the run up.
            Ok(Down::Stop | Down::Job(_)) | Err(_) => Err(Stopped),
        }
    }

    fn leave(&mut self, turn: usize) {
        // If nobody hears it, the next message fails as well.
        let _ = send(self.to, &Up::Leave(turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_socket_and_an_end_that_is_gone_stops_the_rank() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut reader = BufReader::new(there.try_clone().unwrap());
        send(&here, &Down::Go(Moment(7))).unwrap();
        let mut gate = SocketGate::new(&there, &mut reader);
        assert_eq!(gate.enter(3), Ok(Moment(7)));
        gate.leave(3);
        let mut heard = BufReader::new(here);
        assert!(matches!(receive(&mut heard).unwrap(), Up::Come(3)));
        assert!(matches!(receive(&mut heard).unwrap(), Up::Leave(3)));
        drop(heard);
        assert_eq!(gate.enter(4), Err(Stopped));
    }
}
