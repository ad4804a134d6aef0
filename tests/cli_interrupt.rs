//! An interrupted run leaves nothing behind.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Looks at the folder until `seen` says so, at most a bounded number of times.
fn wait_until(folder: &Path, seen: impl Fn(usize) -> bool) -> bool {
    (0..20_000_000_u64).any(|_| {
        std::thread::yield_now();
        seen(std::fs::read_dir(folder).map_or(0, Iterator::count))
    })
}

#[test]
fn an_interrupt_removes_the_unfinished_folder_and_exits_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let scale = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/stress/scale.yaml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_flexdit"))
        .args(["run", scale, "--log", "--out"])
        .arg(&out)
        .args(["--set", "workload.arrivals.poisson.requests=400000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_until(folder.path(), |entries| entries > 0), "the run began");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}
