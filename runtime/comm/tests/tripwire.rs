//! No communicator is ever made: forming ten thousand groups, and using them, opens nothing, maps nothing and starts
//! nothing.
//!
//! One test alone in its process, so that what the process holds is what the world holds.

#![cfg(target_os = "linux")]

use flexdit_comm::check::{Dice, Trial, Work};
use flexdit_comm::transport::thread;
use flexdit_comm::{DType, Endpoint, WorldConfig};
use flexdit_core::{Group, Rank};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;

const RANKS: usize = 4;
const GROUPS: u64 = 10_000;

/// What this process holds: where its open files and sockets lead, its threads, and its shared or file mappings.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    files: Vec<PathBuf>,
    threads: BTreeSet<OsString>,
    mappings: Vec<String>,
}

impl Holdings {
    fn look() -> Self {
        let folder = |name: &str| {
            let folder = fs::read_dir(format!("/proc/self/{name}")).expect("a folder");
            folder.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect::<Vec<_>>()
        };
        // Looking opens the folder itself.
        let mut files: Vec<PathBuf> = folder("fd")
            .iter()
            .filter_map(|file| fs::read_link(file).ok())
            .filter(|target| !target.ends_with("fd"))
            .collect();
        files.sort();
        let tasks = folder("task");
        let threads =
            tasks.iter().filter_map(|task| task.file_name().map(OsStr::to_owned)).collect();
        // The allocator's memory and stacks are private and have no file.
        let maps = fs::read_to_string("/proc/self/maps").expect("the mappings");
        let shared = |line: &&str| line.contains("s 0") || line.contains('/');
        let mappings = maps.lines().filter(shared).map(str::to_owned).collect();
        Self { files, threads, mappings }
    }
}

/// Forms groups, never the same twice in a row, and runs an operation on each.
fn churn(mut end: Endpoint, ready: &Barrier) -> [Option<Holdings>; 2] {
    let mut dice = Dice::new(1, 1);
    let mut order = [0, 1, 2, 3].map(Rank);
    let mut run = |end: &mut Endpoint, first: u64, count: u64| {
        for sequence in first..first + count {
            dice.shuffle(&mut order);
            let group: Group = order[..2 + dice.below(RANKS - 1)].iter().copied().collect();
            let (degree, data) = (group.len(), dice.bits());
            let work = match sequence % 4 {
                0 => Work::Barrier,
                1 => Work::AllToAll { counts: vec![vec![24; degree]; degree] },
                2 => Work::AllReduce { dtype: DType::F32, elements: 16 },
                _ => Work::AllGather { counts: vec![40; degree] },
            };
            let lane = end.lane(0);
            if let Ok(member) = lane.member(&group) {
                lane.begin(sequence).expect("in order");
                let trial = Trial::new(work, degree, data);
                trial.run(&mut lane.on(&member)).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
        }
    };
    let looks = end.rank() == Rank(0);
    let look = || {
        // Nobody is in an operation meanwhile, and all threads are there.
        ready.wait();
        let holdings = looks.then(Holdings::look);
        ready.wait();
        holdings
    };
    run(&mut end, 1, 100);
    let before = look();
    run(&mut end, 101, GROUPS);
    [before, look()]
}

#[test]
fn forming_and_using_groups_opens_maps_and_starts_nothing() {
    let ready = Barrier::new(RANKS);
    let world = thread::world(&WorldConfig::new(RANKS)).expect("a world");
    std::thread::scope(|scope| {
        let run = |end| scope.spawn(|| churn(end, &ready));
        let ranks: Vec<_> = world.into_iter().map(run).collect();
        for rank in ranks {
            let [before, after] = rank.join().expect("a rank");
            assert_eq!(before, after);
            let Some(Holdings { files, threads, mappings }) = after else { continue };
            assert_eq!(threads.len(), RANKS + 2, "the ranks, the test and its runner");
            let text = |target: &PathBuf| target.to_string_lossy().into_owned();
            assert!(!files.iter().any(|file| text(file).starts_with("socket:")), "{files:?}");
            assert!(!mappings.iter().any(|line| line.contains("memfd")), "{mappings:?}");
        }
    });
}
