//! Communicators over ranks that are threads of the test, against plain functions of everybody's input.

mod creation;
mod failure;
mod oracle;
mod rendezvous;

use super::{Config, Joined, Store};
use flexdit_core::{Group, Rank};
use std::thread;
use std::time::Duration;

/// A group of these ranks, in this order.
fn group(ranks: &[u16]) -> Group {
    ranks.iter().copied().map(Rank).collect()
}

/// Waits that only a broken test lasts out.
fn config() -> Config {
    Config { timeout: Duration::from_secs(60), buffer_bytes: 16 << 10, ..Config::default() }
}

/// Lets some ranks of a world join and run `body`, each in its thread; what they return, in the order of `ranks`.
fn with_ranks<T: Send>(
    world: usize,
    ranks: &[u16],
    config: Config,
    body: impl Fn(Joined) -> T + Sync,
) -> Vec<T> {
    let server = Store::serve("127.0.0.1:0").expect("a port");
    let run = |rank: u16| {
        let joined = Joined::new(Rank(rank), world, server.address(), config);
        body(joined.expect("the rank joins"))
    };
    thread::scope(|scope| {
        let spawn = |rank: &u16| {
            let (run, rank) = (&run, *rank);
            scope.spawn(move || run(rank))
        };
        let threads: Vec<_> = ranks.iter().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}
