//! Ranks under direction: a control plane says round by round who works with whom, and some are killed at any moment, also
//! two at once and in the midst of a reset.
//!
//! Survivors report each round as done or failed, and in a round without kills all are done.

use crate::killed::Load;
use crate::ops::small;
use crate::rank::{self, PATIENCE, Role};
use flexdit_comm::check::Dice;
use flexdit_comm::transport::process::Launcher;
use flexdit_comm::{Cause, CommError, Lane};
use flexdit_core::{Group, Rank};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

const RANKS: usize = 6;
const WORLDS: u64 = 12;
/// Operations of a round.
const STEPS: u64 = 30;

/// A world and what its ranks say.
struct Stage {
    launcher: Launcher,
    orders: Vec<ChildStdin>,
    answers: Receiver<(Rank, String)>,
    readers: Vec<JoinHandle<()>>,
}

impl Stage {
    fn open(seed: u64) -> Self {
        let mut launcher = rank::launch(&small(RANKS), "directed", &[seed], |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        });
        launcher.joined().expect("joined");
        let (sender, answers) = channel();
        let (mut orders, mut readers) = (Vec::new(), Vec::new());
        for rank in (0..RANKS as u16).map(Rank) {
            let child = launcher.child(rank).expect("started");
            orders.push(child.stdin.take().expect("piped"));
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let sender = sender.clone();
            readers.push(std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    // The test is over if nobody listens.
                    let _ = sender.send((rank, line));
                }
            }));
        }
        Self { launcher, orders, answers, readers }
    }

    /// Orders a round of `alive`, kills `victims` after a while, and returns how many of the others failed.
    fn round(&mut self, number: u64, alive: &[Rank], victims: &[Rank], dice: &mut Dice) -> usize {
        let ranks: Vec<String> = alive.iter().map(|rank| rank.0.to_string()).collect();
        let order = format!("{number} {}\n", ranks.join(" "));
        for rank in alive {
            self.orders[rank.index()].write_all(order.as_bytes()).expect("it listens");
        }
        (0..dice.below(100_000)).for_each(|_| std::hint::spin_loop());
        for victim in victims {
            self.launcher.child(*victim).expect("started").kill().expect("killed");
        }
        let mut waits: Vec<Rank> =
            alive.iter().copied().filter(|rank| !victims.contains(rank)).collect();
        let mut failed = 0;
        while !waits.is_empty() {
            let answer = self.answers.recv_timeout(PATIENCE);
            let (rank, line) = answer.unwrap_or_else(|_| panic!("no word of {waits:?}"));
            let Some((round, outcome)) = line.split_once(' ') else { panic!("{rank}: {line}") };
            // A victim may have had its say, in this round or the one before.
            if waits.contains(&rank) {
                assert_eq!(round, number.to_string(), "{rank}");
                failed += usize::from(outcome == "failed");
                waits.retain(|waits| *waits != rank);
            }
        }
        for victim in victims {
            self.launcher.child(*victim).expect("started").wait().expect("dead");
        }
        // The launcher sees it about now.
        while self.launcher.present().len() > alive.len() - victims.len() {
            std::thread::yield_now();
        }
        failed
    }

    fn close(self) {
        let Self { mut launcher, orders, readers, .. } = self;
        drop(orders);
        launcher.wait(PATIENCE).expect("waited");
        drop(launcher);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    }
}

pub fn rounds() {
    let (mut killed, mut failed) = (0, 0);
    for seed in 0..WORLDS {
        let mut stage = Stage::open(seed);
        let mut dice = Dice::new(seed, 2);
        let mut alive: Vec<Rank> = (0..RANKS as u16).map(Rank).collect();
        for number in 1.. {
            dice.shuffle(&mut alive);
            let most = (alive.len() - 2).min(2);
            let victims = alive[..dice.below(most + 1)].to_vec();
            let failures = stage.round(number, &alive, &victims, &mut dice);
            assert!(failures == 0 || !victims.is_empty(), "world {seed}: nobody was killed");
            (killed, failed) = (killed + victims.len(), failed + failures);
            alive.retain(|rank| !victims.contains(rank));
            if alive.len() == 2 && victims.is_empty() {
                break;
            }
        }
        stage.close();
    }
    println!("{killed} killed in {WORLDS} worlds; {failed} times a survivor's round failed");
}

/// Follows orders until there are no more.
pub fn directed_rank(role: &Role<'_>) {
    let mut endpoint = role.join(&small(RANKS));
    let lane = endpoint.lane(0);
    for order in std::io::stdin().lines().map_while(Result::ok) {
        let mut words = order.split(' ').map(|word| word.parse::<u64>().expect("a number"));
        let number = words.next().expect("a round");
        let group: Group = words.map(|rank| Rank(rank as u16)).collect();
        match round(lane, number, &group, role.number(0)) {
            Ok(()) => println!("{number} done"),
            Err(CommError::PeerLost { .. } | CommError::Aborted { cause: Cause::PeerLost, .. }) => {
                println!("{number} failed")
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn round(lane: &mut Lane, number: u64, group: &Group, seed: u64) -> Result<(), CommError> {
    let member = lane.member(group)?;
    if number > 1 {
        lane.reset(&member)?;
    }
    let mut load = Load::new(group.len(), seed ^ number, None);
    for at in 0..STEPS {
        load.step(lane, &member, number << 32 | at, &AtomicBool::new(false))?;
    }
    Ok(())
}
