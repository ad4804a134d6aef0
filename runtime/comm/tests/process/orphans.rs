//! Launchers that go: killed, so that ranks are left alone, or dropped.

use crate::ops::small;
use crate::rank::{self, Role};
use flexdit_comm::{Cause, Collectives as _, CommError};
use flexdit_core::{Group, Rank};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

const RANKS: usize = 4;

pub fn killed() {
    let mut command = rank::command("launcher", "", Rank(0), &[]);
    let mut launcher = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(launcher.stdout.take().expect("piped")).lines();
    let mut next = |what: &str| lines.next().expect(what).expect("text");
    for _ in 0..RANKS {
        assert_eq!(next("a rank at work"), "at work");
    }
    launcher.kill().expect("killed");
    launcher.wait().expect("waited");
    let mut gone: Vec<String> = (0..RANKS).map(|_| next("a rank that noticed")).collect();
    gone.sort();
    assert_eq!(gone, ["0 noticed", "1 noticed", "2 noticed", "3 noticed"]);
    // The end comes when the last process that has the pipe is gone.
    assert!(lines.next().is_none());
}

/// A process that launches a world and then does nothing.
pub fn launcher() {
    let launcher = rank::launch(&small(RANKS), "orphan", &[], |_| {});
    launcher.joined().expect("joined");
    loop {
        std::thread::park();
    }
}

/// Works with the others, or waits for a message that never comes, until the launcher is gone.
pub fn orphan_rank(role: &Role<'_>) {
    let mut endpoint = role.join(&small(RANKS));
    let rank = role.rank;
    let group: Group = (0..RANKS as u16).map(Rank).collect();
    let lane = endpoint.lane(0);
    let member = lane.member(&group).expect("a member");
    lane.on(&member).barrier().expect("all are there");
    println!("at work");
    let first = if rank == Rank(3) {
        let lane = endpoint.lane(1);
        lane.begin(1).expect("in order");
        lane.on(&member).get(0, &mut [0]).expect_err("nobody puts")
    } else {
        let few: Group = (0..3).map(Rank).collect();
        let lane = endpoint.lane(0);
        let member = lane.member(&few).expect("a member");
        let mut data = vec![0; 40_000];
        let mut work = |sequence| {
            lane.begin(sequence)?;
            lane.on(&member).broadcast(0, &mut data)
        };
        (1..).find_map(|sequence| work(sequence).err()).expect("an endless loop")
    };
    match first {
        CommError::LauncherLost { rank: found } => assert_eq!(found, rank),
        // Another rank may have noticed, and even left, before this one.
        CommError::Aborted { cause: Cause::LauncherLost | Cause::PeerLost, .. } => {}
        CommError::PeerLost { .. } => {}
        error => panic!("{error}"),
    }
    // Nothing goes on from here: not a reset, not the other lane.
    for lane in [0, 1] {
        let lane = endpoint.lane(lane);
        let reset = lane.reset(&member).expect_err("no world");
        let over = matches!(reset, CommError::LauncherLost { .. } | CommError::PeerLost { .. });
        assert!(over, "{reset}");
        lane.on(&member).barrier().expect_err("no world");
    }
    println!("{} noticed", rank.0);
}

/// Dropped at any time: before its ranks have joined, when they have, when they have ended. The harness looks what is left.
pub fn dropped() {
    let quiet = |command: &mut std::process::Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    };
    drop(rank::launch(&small(RANKS), "orphan", &[], quiet));
    let launcher = rank::launch(&small(RANKS), "orphan", &[], quiet);
    launcher.joined().expect("joined");
    drop(launcher);
    let mut launcher = rank::launch(&small(3), "heap", &[], quiet);
    let ended = launcher.wait(rank::PATIENCE).expect("waited");
    assert!(ended.iter().all(Option::is_some));
    drop(launcher);
}
