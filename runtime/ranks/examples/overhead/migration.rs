//! What a rank's pull of an artifact reaches of plain copies of as many bytes.

use crate::{Plain, request, run, show};
use flexdit_core::{Request, Shape, Stage};
use flexdit_ranks::{
    Buffer, Clock, Compute, ComputeError, Histogram, Job, Output, Peers, RankMemory, RowTensor,
    State, Tokens, pin_to_core,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Moves bytes and computes nothing.
struct Mover;

const ROW: usize = 10_240;

impl Compute for Mover {
    fn state(&self, shape: &Shape) -> Result<State, ComputeError> {
        let side = shape.height / 16;
        let rows = vec![RowTensor { name: "latents", row_bytes: ROW }];
        Ok(State { grid: [1, side, shape.width / 16], rows, whole: Vec::new() })
    }

    fn run(&self, job: &Job<'_>, _: &mut Peers<'_>) -> Result<Output, ComputeError> {
        let copy = |bytes: &[u8]| -> Result<Buffer, ComputeError> {
            let mut builder = job.memory().builder(bytes.len())?;
            builder.push(bytes);
            Ok(builder.finish())
        };
        let rows = match job.task.stage {
            Stage::TextEncode => self.initial(job.request, job.tokens, job.memory())?,
            Stage::Denoise => vec![copy(job.rows(0))?],
            Stage::VaeDecode => Vec::new(),
        };
        Ok(Output { rows, whole: Vec::new() })
    }

    fn initial(
        &self,
        _: &Request,
        tokens: &Tokens,
        memory: &Arc<RankMemory>,
    ) -> Result<Vec<Buffer>, ComputeError> {
        Ok(vec![memory.zeroed(tokens.len() as usize * ROW)?])
    }
}

/// Copies of a reference.
const ROUNDS: usize = 400;

/// Prints the rate of pulls, and what it is of each reference.
pub fn report() {
    let requests = vec![request(512, 400, 0)];
    let policy = Plain { degree: 1, ahead: false, moves: true };
    let outcome = run(policy, 2, Arc::new(Mover), requests);
    let bytes = 32 * 32 * ROW;
    println!("migration of {bytes} bytes between two ranks");
    show("pull", &outcome.measured.pull);
    let rate = |time: &Histogram| {
        let time = time.percentile(50.0).expect("copies");
        bytes as f64 / time.as_secs_f64() / 1e9
    };
    let pull = rate(&outcome.measured.copy);
    println!("  pull p50 {pull:.2} GB/s");
    let references = [
        ("memcpy of one buffer again and again", memcpy(bytes, 1)),
        ("memcpy of three buffers in turn", memcpy(bytes, 3)),
        ("memcpy between cores, one buffer each", between_cores(bytes, 1)),
        ("memcpy between cores, two buffers each, as ranks", between_cores(bytes, 2)),
    ];
    for (name, copies) in references {
        let rate = rate(&copies);
        println!("  {name:<48}  p50 {rate:.2} GB/s, pull is {:.2} of it", pull / rate);
    }
}

/// Copies of so many bytes, written by another thread just before, from and to so many buffers in turn.
fn memcpy(bytes: usize, buffers: usize) -> Histogram {
    let mut sources = vec![vec![1_u8; bytes]; buffers];
    let mut targets = vec![vec![0_u8; bytes]; buffers];
    let (mut copies, clock) = (Histogram::default(), Clock::start());
    for round in 0..ROUNDS {
        let (source, target) = (&mut sources[round % buffers], &mut targets[round % buffers]);
        std::thread::scope(|scope| {
            scope.spawn(|| source.fill(round as u8));
        });
        let before = clock.now();
        target.copy_from_slice(std::hint::black_box(source));
        std::hint::black_box(target);
        copies.add(clock.now() - before);
    }
    copies
}

/// Copies between threads that keep to two cores, each in turn fetching what the other has just written: what no migration
/// between these cores can pass, without any driver. With two buffers each, one is fetched to and the other is written from
/// it, as a task does whose input and output live at one time.
fn between_cores(bytes: usize, buffers: usize) -> Histogram {
    let own = || (0..buffers).map(|_| Mutex::new(vec![1_u8; bytes])).collect::<Vec<_>>();
    let (held, turn, clock) = ([own(), own()], AtomicUsize::new(0), Clock::start());
    let side = |index: usize| {
        if let Err(why) = pin_to_core(index) {
            println!("  the copies are not pinned: {why}");
        }
        let (mine, theirs) = (&held[index], &held[1 - index][buffers - 1]);
        let mut copies = Histogram::default();
        for round in (index..ROUNDS).step_by(2) {
            while turn.load(Ordering::Acquire) != round {
                std::hint::spin_loop();
            }
            let mut target = lock(&mine[0]);
            let before = clock.now();
            target.copy_from_slice(&lock(theirs));
            copies.add(clock.now() - before);
            match mine.get(1) {
                Some(next) => lock(next).copy_from_slice(&target),
                None => target.fill(round as u8),
            }
            drop(target);
            turn.store(round + 1, Ordering::Release);
        }
        copies
    };
    std::thread::scope(|scope| {
        let sides = [0, 1].map(|index| scope.spawn(move || side(index)));
        let mut all = Histogram::default();
        sides.into_iter().for_each(|side| all.merge(&side.join().expect("no panic")));
        all
    })
}

fn lock(buffer: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}
