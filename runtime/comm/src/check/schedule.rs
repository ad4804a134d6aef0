//! Random schedules: tasks of overlapping ordered groups in one global order, of which every rank runs its part without any
//! synchronisation but that of the collectives themselves.
//!
//! Owns what a seed draws and how a schedule runs on the ends of a world, whichever transport made it. Ranks dawdle at random places, by
//! spinning and yielding, so that they meet in many orders.

use super::dice::Dice;
use super::trial::{Trial, Work, Wrong};
use crate::config::{Patience, WorldConfig};
use crate::dtype::DType;
use crate::endpoint::{Endpoint, Lane};
use crate::membership::Membership;
use crate::transport::thread;
use flexdit_core::{Group, Rank};
use std::time::Duration;

/// What a run checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations, counted once per member.
    pub operations: u64,
    /// Bytes that were compared.
    pub bytes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.bytes += other.bytes;
    }
}

/// A task: some operations of one group on one lane.
#[derive(Clone, Debug)]
struct Task {
    lane: usize,
    sequence: u64,
    group: Group,
    trials: Vec<Trial>,
}

/// Everything that one seed draws: the world's settings and its tasks in their global order.
#[derive(Clone, Debug)]
pub struct Schedule {
    seed: u64,
    config: WorldConfig,
    tasks: Vec<Task>,
    /// Whether each lane of a rank has a thread of its own.
    lanes_apart: bool,
}

/// Draws the schedule of `seed`, runs it on threads and compares every result with the oracle's.
///
/// # Errors
///
/// What went wrong on every rank, and the command that repeats it.
///
/// ```
/// assert!(flexdit_comm::check::check(1)?.operations > 0);
/// # Ok::<(), String>(())
/// ```
pub fn check(seed: u64) -> Result<Tally, String> {
    let schedule = Schedule::draw(seed);
    let world = thread::world(schedule.config()).map_err(|error| error.to_string());
    world
        .and_then(|world| schedule.run(world))
        .map_err(|wrong| format!("{wrong}\nrepeat with: flexdit check --collectives --seed {seed}"))
}

impl Schedule {
    /// Draws the schedule of `seed`.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let config = draw_config(seed, &mut dice);
        let count = 4 + dice.below(36);
        let tasks = (1..=count as u64).map(|sequence| draw_task(&config, sequence, &mut dice));
        let tasks = tasks.collect();
        let lanes_apart = config.lanes > 1 && dice.once_in(2);
        Self { seed, config, tasks, lanes_apart }
    }

    /// The settings of the world to run it on.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// Runs the schedule on all ranks of a world, each on a thread.
    ///
    /// # Errors
    ///
    /// What went wrong on every rank.
    pub fn run(&self, world: Vec<Endpoint>) -> Result<Tally, String> {
        let results: Vec<_> = std::thread::scope(|scope| {
            let ranks: Vec<_> = world
                .into_iter()
                .map(|endpoint| scope.spawn(move || self.run_rank(endpoint)))
                .collect();
            ranks.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let (mut tally, mut wrong) = (Tally::default(), Vec::new());
        for (rank, result) in results.into_iter().enumerate() {
            match result {
                Ok(Ok(part)) => tally += part,
                Ok(Err(text)) => wrong.push(text),
                Err(_) => wrong.push(format!("rank {rank} panicked")),
            }
        }
        if wrong.is_empty() { Ok(tally) } else { Err(wrong.join("\n")) }
    }

    /// Runs one rank's part of the schedule.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn run_rank(&self, mut endpoint: Endpoint) -> Result<Tally, String> {
        let rank = endpoint.rank();
        let mut lanes = endpoint.take_lanes();
        if !self.lanes_apart {
            return self.run_lanes(rank, &mut lanes);
        }
        std::thread::scope(|scope| {
            let run = |lane| move || self.run_lanes(rank, std::slice::from_mut(lane));
            let threads: Vec<_> = lanes.iter_mut().map(|lane| scope.spawn(run(lane))).collect();
            let results = threads.into_iter().map(|thread| thread.join());
            let mut tally = Tally::default();
            for result in results {
                tally += result.map_err(|_| format!("{rank} panicked"))??;
            }
            Ok(tally)
        })
    }

    /// Runs a rank's tasks on some of its lanes, in the global order.
    fn run_lanes(&self, rank: Rank, lanes: &mut [Lane]) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let mut dice = Dice::new(self.seed, 1 + u64::from(rank.0));
        for task in self.tasks.iter().filter(|task| task.group.contains(&rank)) {
            let lane = lanes.iter_mut().find(|lane| lane.index() == task.lane);
            let Some(lane) = lane else { continue };
            let tell = |wrong: Wrong| format!("{rank}, task {}: {wrong}", task.sequence);
            lane.begin(task.sequence).map_err(|error| tell(error.into()))?;
            let member = Membership::new(&task.group, rank, self.config.ranks)
                .map_err(|error| tell(error.into()))?;
            let mut on = lane.on(&member);
            for trial in &task.trials {
                dawdle(&mut dice);
                trial.run(&mut on).map_err(tell)?;
                tally.operations += 1;
                tally.bytes += trial.expected(member.index()).len() as u64;
            }
        }
        Ok(tally)
    }
}

/// Lets others go first, at random, for a random while.
fn dawdle(dice: &mut Dice) {
    match dice.below(8) {
        0 => (0..dice.below(1000)).for_each(|_| std::hint::spin_loop()),
        1 => (0..=dice.below(4)).for_each(|_| std::thread::yield_now()),
        _ => {}
    }
}

/// Small rings, windows and pieces, so that all of them run full and wrap.
fn draw_config(seed: u64, dice: &mut Dice) -> WorldConfig {
    let ranks = 2 + dice.below(7);
    let piece_bytes = 64 * (1 + dice.below(4));
    let patience = [(0, 0), (0, 2), (32, 4), (500, 10)];
    let (spins, yields) = dice.pick(&patience);
    WorldConfig {
        lanes: dice.pick(&[1, 1, 1, 2, 3]),
        depth: dice.pick(&[1, 2, 4, 8]),
        piece_bytes,
        window_bytes: piece_bytes * 2 + 64 * dice.below(12),
        lend_bytes: dice.pick(&[usize::MAX, usize::MAX, 0, 64, 300]),
        timeout: Duration::from_secs(60),
        patience: Patience { spins, yields },
        nonce: seed,
        ..WorldConfig::new(ranks)
    }
}

fn draw_task(config: &WorldConfig, sequence: u64, dice: &mut Dice) -> Task {
    let mut ranks: Vec<Rank> = (0..config.ranks as u16).map(Rank).collect();
    dice.shuffle(&mut ranks);
    // Small groups are the most frequent, the whole world and single ranks the rarest.
    let most = 1 + dice.below(config.ranks - 1);
    ranks.truncate(if dice.once_in(10) { 1 } else { 2 + dice.below(most) });
    let degree = ranks.len();
    let trial = |dice: &mut Dice| Trial::new(draw_work(config, degree, dice), degree, dice.bits());
    Task {
        lane: dice.below(config.lanes),
        sequence,
        group: ranks.into_iter().collect(),
        trials: (0..dice.pick(&[1, 1, 1, 2, 4])).map(|_| trial(dice)).collect(),
    }
}

fn draw_work(config: &WorldConfig, degree: usize, dice: &mut Dice) -> Work {
    let bytes = |dice: &mut Dice| draw_bytes(config, dice);
    let dtype = dice.pick(&[DType::F32, DType::Bf16, DType::F16]);
    let list = |dice: &mut Dice| {
        let (equal, most) = (dice.once_in(2), bytes(dice));
        let count = |_| if equal { most } else { dice.below(most + 1) };
        (0..degree).map(count).collect::<Vec<usize>>()
    };
    match dice.below(8) {
        0 => Work::Barrier,
        1 => Work::Broadcast { root: dice.below(degree), bytes: bytes(dice) },
        2 => Work::AllGather { counts: list(dice) },
        3 if dice.once_in(2) => Work::AllToAll { counts: vec![vec![bytes(dice); degree]; degree] },
        3 => Work::AllToAll { counts: (0..degree).map(|_| list(dice)).collect() },
        4 => {
            let by = dice.below(2 * degree);
            Work::RingShift { by, bytes: list(dice) }
        }
        5 => Work::ReduceScatter { dtype, elements: bytes(dice) / dtype.size() },
        // Large ones are cut into shares.
        6 if dice.once_in(60) => Work::AllReduce { dtype, elements: 8192 + dice.below(100) },
        6 => Work::AllReduce { dtype, elements: bytes(dice) / dtype.size() },
        _ if degree == 1 => Work::Barrier,
        _ => {
            let from = dice.below(degree);
            let to = (from + 1 + dice.below(degree - 1)) % degree;
            Work::PutGet { from, to, bytes: bytes(dice) }
        }
    }
}

/// Lengths around those where something begins anew.
fn draw_bytes(config: &WorldConfig, dice: &mut Dice) -> usize {
    let (piece, window) = (config.piece_bytes, config.window_bytes);
    let near = [0, 1, 2, 7, piece - 1, piece, piece + 1, 2 * piece, window, window + 13];
    if dice.once_in(2) { dice.pick(&near) } else { dice.below(3 * piece) }
}
