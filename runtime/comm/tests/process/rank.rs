//! The processes that tests start: how they are started, and what is common to their roles.

use crate::{directed, killed, ops, orphans};
use flexdit_comm::transport::process::{Bootstrap, Launcher, join};
use flexdit_comm::{Endpoint, WorldConfig};
use flexdit_core::Rank;
use std::process::Command;
use std::time::Duration;

/// First argument of a process that is no test.
pub const ROLE: &str = "play-a-role";

/// How long anything may take before a test fails. Nothing is expected to take near as long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a rank was started with.
pub struct Role<'a> {
    pub address: &'a str,
    pub rank: Rank,
    /// Arguments of its own.
    pub rest: &'a [String],
}

impl Role<'_> {
    /// Argument `at` of its own, a number.
    pub fn number(&self, at: usize) -> u64 {
        self.rest[at].parse().expect("a number")
    }

    pub fn join(&self, config: &WorldConfig) -> Endpoint {
        join(self.address, self.rank, config).expect("joined")
    }
}

/// Runs the role that the arguments name. A panic is the process's failure.
pub fn play(arguments: &[String]) {
    let [name, address, rank, rest @ ..] = arguments else { panic!("which role?") };
    let rank = Rank(rank.parse().expect("a rank"));
    let role = Role { address, rank, rest };
    match &**name {
        "trials" => ops::trials_rank(&role),
        "schedule" => ops::schedule_rank(&role),
        "heap" => ops::heap_rank(&role),
        "mismatch" => ops::mismatch_rank(&role),
        "leaver" => killed::leaver_rank(&role),
        "directed" => directed::directed_rank(&role),
        "load" => killed::load_rank(&role),
        "launcher" => orphans::launcher(),
        "orphan" => orphans::orphan_rank(&role),
        _ => panic!("there is no role {name}"),
    }
}

/// This program in a role.
pub fn command(role: &str, address: &str, rank: Rank, rest: &[u64]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(ROLE).arg(role).arg(address).arg(rank.0.to_string());
    command.args(rest.iter().map(u64::to_string));
    command
}

/// A world whose ranks all play one role.
pub fn launch(
    config: &WorldConfig,
    role: &str,
    rest: &[u64],
    mut change: impl FnMut(&mut Command),
) -> Launcher {
    let start = |rank: Rank, bootstrap: &Bootstrap| {
        let mut command = command(role, bootstrap.address(), rank, rest);
        change(&mut command);
        command
    };
    Launcher::start(config, start).expect("started")
}

/// Runs a world to its end; every rank must succeed.
pub fn run(config: &WorldConfig, role: &str, rest: &[u64]) {
    let mut launcher = launch(config, role, rest, |_| {});
    launcher.joined().expect("joined");
    let ended = launcher.wait(PATIENCE).expect("waited");
    let good = ended.iter().all(|status| status.is_some_and(|status| status.success()));
    assert!(good, "{role} of {} ranks {rest:?}: {ended:?}", config.ranks);
}
