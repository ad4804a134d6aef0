//! Ranks that go: killed under load, one after the other, or leaving in other ways.
//!
//! Every survivor gets a typed error that tells of a lost peer, resets its lane, forms a group of those that are left, and its
//! collectives give what the oracle gives. Pairs on the other lane that did not have the lost rank go on all the while.

use crate::ops::small;
use crate::rank::{self, PATIENCE, Role};
use flexdit_comm::check::{Dice, Trial, Work, Wrong};
use flexdit_comm::transport::process::Launcher;
use flexdit_comm::{
    Cause, Collectives as _, CommError, DType, Endpoint, HeapBuffer, Lane, Membership,
};
use flexdit_core::{Group, Rank};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ranks of a world; all but two of them are killed.
const RANKS: usize = 6;
const WORLDS: u64 = 25;
/// Operations between two reports.
const REPORT: u64 = 4;

/// Ranks in the order in which a world's seed puts them: the first two stay, the others are killed in turn. Each has its neighbour
/// for a friend, with whom it has the other lane.
fn order(seed: u64) -> Vec<Rank> {
    let mut ranks: Vec<Rank> = (0..RANKS as u16).map(Rank).collect();
    Dice::new(seed, 0).shuffle(&mut ranks);
    ranks
}

/// What survivors print: the rank, how many were lost, and the ordinal of an operation that went well since.
type Report = (Rank, u64, u64);

/// Reads what the ranks print.
fn reports(launcher: &mut Launcher) -> (Receiver<Report>, Vec<JoinHandle<()>>) {
    let (sender, receiver) = channel();
    let read = |rank| {
        let (sender, child) = (sender.clone(), launcher.child(rank).expect("started"));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (epoch, at) = line.split_once(' ').expect("two numbers");
                let number = |text: &str| text.parse().expect("a number");
                // The test is over if nobody listens.
                let _ = sender.send((rank, number(epoch), number(at)));
            }
        })
    };
    let threads = (0..RANKS as u16).map(Rank).map(read).collect();
    (receiver, threads)
}

/// Waits until all of `ranks` have reported since `lost` ranks were lost.
fn await_all(reports: &Receiver<Report>, ranks: &[Rank], lost: u64, seed: u64) {
    let mut missing = ranks.to_vec();
    while !missing.is_empty() {
        let Ok((rank, epoch, _)) = reports.recv_timeout(PATIENCE) else {
            panic!("world {seed}: no word of {missing:?} after {lost} were lost");
        };
        missing.retain(|missing| *missing != rank || epoch != lost);
    }
}

pub fn kills() {
    let mut delays = Vec::new();
    for seed in 0..WORLDS {
        kill_all_but_two(seed, &mut delays);
    }
    delays.sort_unstable();
    let (middle, last) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!(
        "{} kills; all went on after {middle:?} at the median, {last:?} at most",
        delays.len()
    );
}

fn kill_all_but_two(seed: u64, delays: &mut Vec<Duration>) {
    let mut launcher = rank::launch(&small(RANKS), "load", &[seed], |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    });
    launcher.joined().expect("joined");
    let (reports, threads) = reports(&mut launcher);
    let (order, mut dice) = (order(seed), Dice::new(seed, 1));
    await_all(&reports, &order, 0, seed);
    for lost in 1..=RANKS - 2 {
        let victim = order[RANKS - lost];
        // Some more operations, so that it is struck in any of them.
        let mut more = dice.below(4);
        while more > 0 {
            let (rank, ..) = reports.recv_timeout(PATIENCE).expect("the victim works");
            more -= usize::from(rank == victim);
        }
        let begun = now();
        launcher.child(victim).expect("started").kill().expect("killed");
        await_all(&reports, &order[..RANKS - lost], lost as u64, seed);
        delays.push(begun.elapsed());
        assert_eq!(launcher.present().len(), RANKS - lost);
    }
    for survivor in &order[..2] {
        let child = launcher.child(*survivor).expect("started");
        child.stdin.take().expect("piped").write_all(b"stop\n").expect("it listens");
    }
    let ended = launcher.wait(PATIENCE).expect("waited");
    for (at, rank) in order.iter().enumerate() {
        let status = ended[rank.index()].expect("ended");
        let expected = if at < 2 { status.success() } else { status.signal() == Some(9) };
        assert!(expected, "world {seed}: {rank}: {status}");
    }
    drop(launcher);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// For what is printed, never for a decision.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "tells how long recovery takes")]
    Instant::now()
}

pub fn load_rank(role: &Role<'_>) {
    let seed = role.number(0);
    let mut endpoint = role.join(&small(RANKS));
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        // A line, or the end of whoever would write it.
        let _ = std::io::stdin().read_line(&mut String::new());
        told.store(true, Ordering::Relaxed);
    });
    let mut lanes = endpoint.take_lanes();
    let (others, all) = lanes.split_at_mut(1);
    std::thread::scope(|scope| {
        scope.spawn(|| pair_up(&mut others[0], seed, &stop));
        outlive(&mut all[0], &endpoint, seed, &stop);
    });
}

/// Works with the friend until it is lost; those that stay must never see an error.
fn pair_up(lane: &mut Lane, seed: u64, stop: &AtomicBool) {
    let order = order(seed);
    let at = order.iter().position(|rank| *rank == lane.rank()).expect("a rank");
    let friends = &order[at & !1..(at & !1) + 2];
    let group: Group = friends.iter().copied().collect();
    let member = lane.member(&group).expect("a member");
    let mut load = Load::new(2, seed, None);
    let outcome = (1..).find_map(|sequence| load.step(lane, &member, sequence, stop).transpose());
    match outcome.expect("an endless loop") {
        Ok(()) => {}
        Err(CommError::PeerLost { peer, .. }) if at >= 2 => assert!(friends.contains(&peer)),
        Err(error) => panic!("{error}"),
    }
}

/// Works with all that are left until it is told to stop.
fn outlive(lane: &mut Lane, endpoint: &Endpoint, seed: u64, stop: &AtomicBool) {
    let mut heap = endpoint.allocate(20_000).expect("room");
    heap.fill(lane.rank().0 as u8);
    let mut group = lane.present();
    for lost in 0.. {
        let member = lane.member(&group).expect("a member");
        let mut load = Load::new(group.len(), seed ^ lost << 32, Some(&heap));
        let mut at = 0;
        let outcome = loop {
            at += 1;
            match load.step(lane, &member, lost << 32 | at, stop) {
                Ok(None) if at % REPORT == 0 => println!("{lost} {at}"),
                Ok(None) => {}
                Ok(Some(())) => return,
                Err(error) => break error,
            }
        };
        let left = lane.present();
        let gone = group.iter().find(|rank| !left.contains(rank));
        let gone = *gone.unwrap_or_else(|| panic!("nobody is gone, but: {outcome}"));
        match outcome {
            CommError::PeerLost { peer, .. } => assert_eq!(peer, gone),
            CommError::Aborted { cause: Cause::PeerLost, .. } => {}
            error => panic!("{error}"),
        }
        assert_eq!(left.len(), group.len() - 1, "one at a time");
        assert!(lane.is_poisoned());
        let member = lane.member(&left).expect("a member");
        let refused = lane.on(&member).barrier();
        assert!(matches!(refused, Err(CommError::Poisoned { .. })), "{refused:?}");
        lane.reset(&member).unwrap_or_else(|error| panic!("reset: {error}"));
        group = left;
    }
}

/// Operations of one group, again and again.
pub struct Load<'a> {
    trials: Vec<Trial>,
    heap: Option<&'a HeapBuffer>,
}

impl<'a> Load<'a> {
    pub fn new(degree: usize, seed: u64, heap: Option<&'a HeapBuffer>) -> Self {
        let dtype = DType::F32;
        let works = [
            Work::AllGather { counts: vec![5000; degree] },
            Work::Barrier,
            Work::AllToAll { counts: vec![vec![3000; degree]; degree] },
            Work::AllReduce { dtype, elements: 100 },
            Work::RingShift { by: 1, bytes: vec![10_000; degree] },
            Work::AllReduce { dtype, elements: 5000 },
            Work::ReduceScatter { dtype, elements: 300 },
        ];
        let trial = |work| Trial::new(work, degree, seed);
        Self { trials: works.into_iter().map(trial).collect(), heap }
    }

    /// One task: an operation on staged data, one on lent data, and word from the first member whether to stop.
    pub fn step(
        &mut self,
        lane: &mut Lane,
        member: &Membership,
        sequence: u64,
        stop: &AtomicBool,
    ) -> Result<Option<()>, CommError> {
        lane.begin(sequence)?;
        let mut on = lane.on(member);
        match self.trials[sequence as usize % self.trials.len()].run(&mut on) {
            Ok(()) => {}
            Err(Wrong::Failed(error)) => return Err(error),
            Err(Wrong::Differs(how)) => panic!("{how}"),
        }
        if let Some(mine) = self.heap {
            let mut all = vec![0xff; mine.len() * member.degree()];
            on.all_gather(mine, &mut all)?;
            for (share, from) in all.chunks(mine.len()).zip(member.group().iter()) {
                assert!(share.iter().all(|byte| u16::from(*byte) == from.0), "lent by {from}");
            }
        }
        let mut word = [u8::from(stop.load(Ordering::Relaxed))];
        on.broadcast(0, &mut word)?;
        Ok((word == [1]).then_some(()))
    }
}

/// Ways to leave.
const WAYS: u64 = 4;

pub fn leaving() {
    for way in 0..WAYS {
        let quiet = |command: &mut std::process::Command| {
            command.stderr(Stdio::null());
        };
        let mut launcher = rank::launch(&small(3), "leaver", &[way], quiet);
        launcher.joined().expect("joined");
        let ended = launcher.wait(PATIENCE).expect("waited");
        let good = |rank: usize| ended[rank].expect("ended").success();
        assert!(good(0) && good(1), "way {way}: {ended:?}");
    }
}

/// Rank 2 leaves, each time in another way, while the others wait for it.
pub fn leaver_rank(role: &Role<'_>) {
    let mut endpoint = role.join(&small(3));
    let group: Group = (0..3).map(Rank).collect();
    let member = endpoint.lane(0).member(&group).expect("a member");
    endpoint.lane(0).begin(1).expect("in order");
    endpoint.lane(0).on(&member).barrier().expect("all are there");
    if role.rank == Rank(2) {
        match role.number(0) {
            0 => drop(endpoint),
            1 => std::process::exit(0),
            2 => std::process::abort(),
            _ => panic!("as asked"),
        }
        return;
    }
    let lane = endpoint.lane(0);
    let error = lane.on(&member).barrier().expect_err("one is gone");
    match error {
        CommError::PeerLost { peer, .. } => assert_eq!(peer, Rank(2)),
        CommError::Aborted { cause: Cause::PeerLost, .. } => {}
        error => panic!("{error}"),
    }
    let left: Group = [Rank(1), Rank(0)].into_iter().collect();
    let member = lane.member(&left).expect("a member");
    lane.reset(&member).expect("both are there");
    lane.begin(2).expect("in order");
    lane.on(&member).barrier().expect("both are there");
}
