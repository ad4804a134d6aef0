//! What a change of groups costs, with criterion: the same plans and the same ranks' part as `flexdit bench group-setup`.
//!
//! Run with `cargo bench -p flexdit --bench group_setup` on a quiet machine. Times are of the slowest member.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flexdit::bench::group_setup::{History, Phase, Spec, schedule};
use flexdit::bench::launch::{self, Contestant, Setting};
use flexdit::bench::samples::join;
use flexdit::bench::tuples::Ranks;
use std::time::Duration;

/// The world in which groups are formed.
const WORLD: usize = 4;

/// `samples` samples of one phase, added up; fresh worlds as needed.
fn total(spec: &Spec, contestant: Contestant, wanted: (Phase, History), samples: u64) -> Duration {
    let program = Some(env!("CARGO_BIN_EXE_flexdit").into());
    let setting = Setting { program, ..Setting::default() };
    let ranks = Ranks { world: WORLD, cores: setting.cores.len() };
    let (mut left, mut nanos) = (samples, 0.0);
    for life in 0.. {
        let (plan, marks) = schedule(spec, ranks, life);
        let samples = launch::run(contestant, &plan, &setting).expect("the world runs");
        for (mark, turn) in marks.iter().zip(join(&plan, &samples)) {
            let Some(mark) = mark.filter(|mark| (mark.phase, mark.history) == wanted) else {
                continue;
            };
            nanos += turn.nanos as f64 / f64::from(mark.count);
            left -= 1;
            if left == 0 {
                return Duration::from_nanos(nanos as u64);
            }
        }
    }
    unreachable!("the loop ends when there are enough")
}

fn group_setup(c: &mut Criterion) {
    let numbers = [
        ("form", (Phase::Form, History::NewTuple)),
        ("first_new_tuple", (Phase::First, History::NewTuple)),
        ("steady", (Phase::Steady, History::Used)),
    ];
    for contestant in Contestant::available() {
        let mut group = c.benchmark_group(format!("group_setup/{}", contestant.name()));
        group.sample_size(10);
        for degree in [2, WORLD] {
            let spec = Spec { degrees: vec![degree], ..Spec::quick() };
            for (name, wanted) in numbers {
                let id = BenchmarkId::new(name, format!("degree {degree} of {WORLD}"));
                group.bench_with_input(id, &spec, |b, spec| {
                    b.iter_custom(|samples| total(spec, contestant, wanted, samples));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, group_setup);
criterion_main!(benches);
