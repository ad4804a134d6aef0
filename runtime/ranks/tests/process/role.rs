//! What the processes are that tests start, and runs on them.

use crate::bench::{self, Log, Ran};
use flexdit_comm::WorldConfig;
use flexdit_core::{Command as Order, Event, Nanos, Observer, Rank, System, Task, Workload};
use flexdit_ranks::process::{Processes, Settings, SharedWorld, StartError, serve};
use flexdit_ranks::synthetic::Hook;
use flexdit_ranks::{Completed, Compute, Driver, GroupFree, LoseRank, Options, RunError};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// First argument of a process that is a rank.
pub const RANK: &str = "play-a-rank";
/// First argument of a process that is a rank and waits for others but [`SOON`].
pub const HASTY: &str = "play-a-hasty-rank";
/// Long enough for whoever is not stopped.
pub const SOON: Duration = Duration::from_secs(2);
/// First argument of a process that is a driver, to be killed.
pub const DRIVER: &str = "play-a-driver";

/// What a rank computes with: the hash arithmetic of all tests, which draws `work` numbers more before every step, fails in `panics` of 100 (task, rank, step), and whose process, unless it is
/// rank 0's, ends in `exits` of 1000.
#[derive(Clone, Copy, Default)]
pub struct Spec {
    pub work: u64,
    pub seed: u64,
    pub panics: u64,
    pub exits: u64,
}

impl Spec {
    pub fn text(self) -> String {
        let Self { work, seed, panics, exits } = self;
        format!("{work} {seed} {panics} {exits}")
    }

    fn compute(text: &str) -> Result<Arc<dyn Compute>, String> {
        let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        let Ok(&[work, seed, panics, exits]) = numbers.as_deref() else {
            return Err(format!("not four numbers: {text}"));
        };
        let hook: Hook = Arc::new(move |task: &Task, rank: Rank, step: u32| {
            let key = seed ^ task.id.0 << 24 ^ u64::from(rank.0) << 12 ^ u64::from(step);
            let mut dice = bench::Dice::new(key);
            let _ = (0..work).fold(0, |sum: u64, _| std::hint::black_box(sum ^ dice.next()));
            if dice.range(0, 99) < panics {
                resume_unwind(Box::new("drawn"));
            }
            if rank.0 > 0 && dice.range(0, 999) < exits {
                resume_unwind(Box::new(LoseRank));
            }
            Ok(())
        });
        Ok(Arc::new(bench::synthetic().with_hook(hook)))
    }
}

/// Collectives that time out soon.
pub fn hasty() -> GroupFree {
    GroupFree { config: Some(WorldConfig { lanes: 1, timeout: SOON, ..WorldConfig::new(1) }) }
}

/// Runs as a rank to the end.
pub fn rank(settings: &GroupFree) {
    let join = |address: &str, rank, world| settings.join(address, rank, world).map(bench::strict);
    serve(Spec::compute, join).expect("a driver");
}

/// This program in a role.
pub fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(role);
    command
}

/// Starts ranks that compute with `spec`.
pub fn start(world: u16, spec: &str, pin: bool) -> Result<Arc<Processes>, StartError> {
    start_as(RANK, &GroupFree::default(), world, spec, pin)
}

/// The same for ranks of this role, over these collectives.
pub fn start_as(
    role: &str,
    collectives: &GroupFree,
    world: u16,
    spec: &str,
    pin: bool,
) -> Result<Arc<Processes>, StartError> {
    let shared = SharedWorld::new(world, collectives);
    let settings = Settings { world, pin, spec: spec.to_owned() };
    let local = Arc::new(bench::synthetic());
    Processes::start(&settings, local, Arc::new(shared), |_| command(role)).map(Arc::new)
}

/// Told the ordinal of every step of the system, its events and its commands.
pub type Look<'a> = dyn FnMut(usize, &[Event], &[Order]) + Send + 'a;

/// Sees every step of the system, and may disturb the ranks.
pub struct Watcher<'a, 'b> {
    pub log: Log,
    pub look: &'a mut Look<'b>,
}

impl Observer for Watcher<'_, '_> {
    fn step(&mut self, now: Nanos, events: &[Event], commands: &[Order]) {
        self.log.step(now, events, commands);
        (self.look)(self.log.0.len(), events, commands);
    }
}

/// Runs a workload on processes.
pub fn run(
    system: &mut dyn System,
    processes: &Arc<Processes>,
    options: Options,
    workload: Workload,
    look: &mut Look<'_>,
) -> Result<Ran, RunError> {
    let compute = Arc::clone(processes) as Arc<dyn Compute>;
    let driver = Driver::new(options, compute, &**processes);
    let (mut images, assemble) = (BTreeMap::new(), bench::synthetic());
    let mut watcher = Watcher { log: Log::default(), look };
    let mut sink = |completed: Completed| {
        images.insert(completed.request.id.0, assemble.assemble(&completed));
    };
    let outcome = driver.run(system, workload, &mut watcher, &mut sink)?;
    Ok(Ran { outcome, log: watcher.log, images })
}

/// The numbers of the ranks' processes.
pub fn numbers(processes: &Processes, world: u16) -> Vec<u32> {
    (0..world).map(|rank| processes.process(Rank(rank))).collect()
}
