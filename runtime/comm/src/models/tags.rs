//! Ranks that meet in different operations: an error on at least one end before data is used, and nobody hangs.

use super::check::{explore, refute};
use super::kit::Loom;
use super::mutants::Tags;
use super::world::{Actor, Setting, Wait};
use crate::error::CommError;
use crate::rules::{Rules, Sound};
use std::sync::{Arc, Mutex};

type Run<R> = fn(&mut Actor<Loom, R>) -> Result<(), CommError>;

/// Two ranks, and what each does.
fn meet<R: Rules + Send + 'static>(runs: [Run<R>; 2]) {
    let setting = Setting { wait: Wait::Sleep, failures: true, depth: 2, ..Setting::TINY };
    let errors = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&errors);
    setting.run(move |mut rank: Actor<Loom, R>| {
        rank.task(1);
        let error = runs[rank.me.index()](&mut rank).err();
        shared.lock().expect("one thread at a time").extend(error);
    });
    let errors = errors.lock().expect("one thread at a time");
    let is_mismatch = |error: &CommError| matches!(error, CommError::Mismatch { .. });
    assert!(errors.iter().any(is_mismatch), "one end finds the mismatch");
}

/// What does not fit together, whoever is first.
fn misfits<R: Rules>() -> [[Run<R>; 2]; 6] {
    let barrier: Run<R> = |rank| rank.barrier(&[0, 1]);
    let later: Run<R> = |rank| {
        rank.task(2);
        rank.barrier(&[0, 1])
    };
    let turned: Run<R> = |rank| rank.barrier(&[1, 0]);
    let gather: Run<R> = |rank| {
        rank.all_gather(&[0, 1], &[1; 8])?;
        Ok(())
    };
    let put: Run<R> = |rank| rank.put(1, &[1; 8]);
    let get: Run<R> = |rank| rank.get(0, 16).map(drop);
    let first: Run<R> = |rank| {
        rank.barrier(&[0, 1])?;
        rank.all_gather(&[0, 1], &[]).map(drop)
    };
    let other: Run<R> = |rank| {
        rank.all_gather(&[0, 1], &[])?;
        rank.barrier(&[0, 1])
    };
    let twice: Run<R> = |rank| {
        rank.barrier(&[0, 1])?;
        rank.barrier(&[0, 1])
    };
    [
        [barrier, later],
        [barrier, turned],
        [barrier, gather],
        [put, get],
        [first, other],
        [first, twice],
    ]
}

#[test]
fn whatever_does_not_fit_is_found() {
    for runs in misfits() {
        explore(Some(3), move || meet::<Sound>(runs));
    }
}

#[test]
fn without_tags_some_misfits_pass() {
    for runs in misfits() {
        let reasons = ["one end finds the mismatch", "deadlock", "out of range"];
        refute(&reasons, Some(3), move || meet::<Tags>(runs));
    }
}
