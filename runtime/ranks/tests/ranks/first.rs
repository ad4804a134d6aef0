//! The shortest ways through: one rank, two ranks.

use crate::bench::{self, Dice};
use flexdit_core::{Nanos, Workload};
use std::sync::Arc;

#[test]
fn one_rank_and_two_give_the_serial_result() {
    for world in [1, 2] {
        let requests = bench::requests(&mut Dice::new(3), 12, Nanos::from_micros(500));
        let workload = Workload { requests: requests.clone(), ..Workload::default() };
        let mut system = bench::elastic("edf-greedy", world, 1);
        let options = bench::options(world);
        let ran = bench::run(&mut system, options, Arc::new(bench::synthetic()), workload);
        let ran = ran.expect("a run");
        assert_eq!(ran.images.len(), 12);
        ran.check(&requests, &mut bench::elastic("edf-greedy", world, 1));
        assert!(!ran.outcome.interrupted && ran.outcome.failed_tasks == 0);
    }
}
