//! A driver that is killed: its ranks' processes notice and end, whatever they do.

use crate::bench::{self, Dice};
use crate::restless::restless;
use crate::role::{self, Spec};
use flexdit_core::{Nanos, Rank, Workload};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

const RANKS: u16 = 3;

/// Drives ranks and prints their processes once some work is done.
pub fn driver() {
    let processes = role::start(RANKS, &Spec { work: 100_000, ..Spec::default() }.text(), false);
    let processes = processes.expect("a world");
    let requests = bench::requests(&mut Dice::new(1), 2_000, Nanos::from_micros(300));
    let workload = Workload { requests, ..Workload::default() };
    let mut look = |step: usize, _: &[_], _: &[_]| {
        if step == 50 {
            let numbers = (0..RANKS).map(|rank| processes.process(Rank(rank)).to_string());
            println!("{}", numbers.collect::<Vec<_>>().join(" "));
            std::io::stdout().flush().expect("it listens");
        }
    };
    let mut system = restless(RANKS, 1, 1);
    let _ = role::run(&mut system, &processes, bench::options(RANKS), workload, &mut look);
}

pub fn killed() {
    let mut command = role::command(role::DRIVER);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("it says who its ranks are");
    let ends: Vec<OwnedFd> = line
        .split_whitespace()
        .map(|number| {
            let pid = Pid::from_raw(number.parse().expect("a number")).expect("a process");
            pidfd_open(pid, PidfdFlags::empty()).expect("it lives")
        })
        .collect();
    assert_eq!(ends.len(), usize::from(RANKS), "{line}");
    child.kill().expect("killed");
    child.wait().expect("waited");
    for end in &ends {
        let most = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&most));
        assert_eq!(ended, Ok(1), "a rank outlives its driver");
    }
}
