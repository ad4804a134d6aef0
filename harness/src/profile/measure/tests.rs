//! The measurement itself, tried where the answer is known: in virtual time.

use super::*;
use crate::experiment::CollectiveKind;
use crate::input::Document;
use crate::profile::{self, ProfileFile};
use flexdit_core::cost::{CostBook, CostModel, CostTable};
use flexdit_core::model::model;
use flexdit_core::{Nanos, Parallelism, Rank, Shape, Stage, Task, Workload};
use flexdit_ranks::synthetic::Synthetic;
use flexdit_ranks::{ComputeError, GroupFree};
use flexdit_sim::{Charges, FaultModel, GroupSetup, MigrationCharge, Occupies, Simulation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROFILE: &str = "
{model: qwen-image, gpu: h20, label: measured, source: a test, entries: [
  {stage: text-encode, constant: 3}, {stage: dit-prepare, constant: 2},
  {stage: timestep-prepare, constant: 0}, {stage: finalize, constant: 0},
  {stage: guided-step, samples: [[24, 11], [48, 21]]}, {stage: guided-step, degree: 2, constant: 7},
  {stage: guided-step, cfg: 2, constant: 6},
  {stage: vae-decode, constant: 9}, {stage: vae-decode, patch: 2, constant: 5}]}";

fn shape() -> Shape {
    Shape { guidance: true, height: 64, width: 96, frames: 1, text_tokens: 8, ..Shape::default() }
}

/// Twice as many latent tokens.
fn large() -> Shape {
    Shape { height: 128, ..shape() }
}

fn tour() -> Tour {
    header(1).plan.tour(model("qwen-image").expect("listed"), 0)
}

/// A tour in virtual time, at the prices and charges above.
fn in_virtual_time(tour: &Tour) -> Samples {
    let qwen = model("qwen-image").expect("listed");
    let book = CostBook::new(vec![profile::parse("p.yaml", PROFILE).expect("a profile")]);
    let charges = Charges {
        migration: MigrationCharge {
            latency: Nanos(1_700),
            bytes_per_second: 1_000_000_000,
            occupies: Occupies::Destination,
            ..MigrationCharge::FREE
        },
        group_setup: GroupSetup::PerUse(Nanos(130)),
        launch: Nanos(42),
        control_plane: Nanos(900),
        ..Charges::free()
    };
    let mut system = follow::system(tour, &[qwen], 2);
    let mut sampler = Sampler::new(tour);
    let workload = Workload { requests: tour.requests.clone(), ..Workload::default() };
    let faults = FaultModel::default();
    let run = Simulation::new(&mut system, 2, workload, Arc::new(book), charges, faults, 1);
    run.run(&mut sampler).expect("it ends");
    sampler.finish().expect("the whole tour")
}

#[test]
fn a_tour_in_virtual_time_gives_back_what_it_was_charged() {
    let tour = tour();
    let shapes = tour.shapes();
    let samples = in_virtual_time(&tour);
    let split = Parallelism { cfg: 2, ..Parallelism::SINGLE };
    for task in &samples.tasks {
        let ms = match (task.stage, task.layout) {
            (Stage::TextEncode, _) => 5,
            (Stage::Denoise, Parallelism::SINGLE) => {
                if shapes[task.request.index()].height == shape().height { 22 } else { 42 }
            }
            (Stage::Denoise, layout) if layout == split => 12,
            (Stage::Denoise, _) => 14,
            (Stage::VaeDecode, Parallelism::SINGLE) => 9,
            (Stage::VaeDecode, _) => 5,
        };
        assert_eq!(task.time, Nanos::from_millis(ms), "{task:?}");
        let setup = if task.layout.degree() > 1 { 130 } else { 0 };
        assert_eq!((task.launch, task.setup), (Nanos(42), Nanos(setup)));
        assert!(task.control.is_none_or(|control| control == Nanos(900)), "{task:?}");
        // A step on the rank that encoded has nothing to wait for but the decision.
        let is_alone = (task.stage, task.layout) == (Stage::Denoise, Parallelism::SINGLE);
        assert!(!is_alone || task.control.is_some(), "{task:?}");
    }
    let counted = tour.parts().filter(|part| part.counts).count();
    assert_eq!(samples.tasks.len(), counted);
    assert!(samples.tasks.iter().any(|task| task.control.is_some()));
    assert!(!samples.copies.is_empty());
    for copy in &samples.copies {
        assert_eq!(copy.time, Nanos(1_700 + copy.bytes), "{copy:?}");
    }
}

#[test]
fn a_tour_on_real_ranks_has_a_sample_for_every_task_that_counts() {
    let tour = tour();
    let qwen = model("qwen-image").expect("listed");
    let compute = Arc::new(Synthetic::new(vec![qwen], 1));
    let fabric = GroupFree::default();
    let ranks = Ranks { compute, fabric: &fabric, world: 2, pin: false, interrupt: None };
    let passed = run(&ranks, &tour, &[qwen]).unwrap_or_else(|error| panic!("{error}"));
    let counted = tour.parts().filter(|part| part.counts).count();
    assert_eq!(passed.samples.tasks.len(), counted);
    assert!(passed.samples.tasks.iter().all(|task| task.time > Nanos::ZERO));
    assert!(passed.pulled > 0 && !passed.samples.copies.is_empty());
    let text = serde_json::to_string(&passed).expect("plain data");
    assert_eq!(serde_json::from_str::<Passed>(&text).expect("just written"), passed);
}

fn header(rounds: u32) -> Header {
    let plan = Plan {
        model: "qwen-image".into(),
        world: 2,
        degrees: vec![1, 2],
        patches: vec![1, 2],
        shapes: vec![shape(), large()],
        chunk: 2,
        crews: 2,
        rounds,
        pin: false,
        collectives: CollectiveKind::GroupFree,
    };
    let text = |text: &str| text.to_owned();
    let (machine, flexdit, weights) = (text("a machine"), text("0.1.0"), text("none"));
    let date = text("2026-11-21");
    Header { kind: KIND, plan, machine, flexdit, optimised: true, weights, date }
}

#[test]
fn a_profile_of_virtual_time_prices_as_virtual_time_charged() {
    let header = header(1);
    let qwen = model("qwen-image").expect("listed");
    let samples = in_virtual_time(&header.plan.tour(qwen, 0));
    let passed = Passed { samples, pulled: 5_000, copying: Nanos(5_000), ..Passed::default() };
    let done = BTreeMap::from([(0, passed)]);
    let file = profile(&header, "2026-11-21", qwen, "h20", &done).expect("sampled");
    let text = text(&file, "flexdit profile").expect("plain data");
    let read: ProfileFile = Document::parse("p.yaml", &text).unwrap().get().unwrap();
    assert_eq!(read, file, "{text}");
    let table = profile::parse("p.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let known = profile::parse("p.yaml", PROFILE).expect("a profile");
    let layouts = Layouts::of(qwen, &shape(), &[1, 2], &[1, 2]);
    for (shape, layout) in
        [shape(), large()].iter().flat_map(|shape| layouts.steps.iter().map(move |l| (shape, *l)))
    {
        let time = |table: &CostTable| table.step(shape, layout).map(|price| price.time);
        assert!(time(&table).is_some());
        assert_eq!(time(&table), time(&known), "{layout}");
    }
    let encode = |table: &CostTable| table.encode(&shape()).map(|price| price.time);
    assert_eq!(encode(&table), encode(&known));
    let decode = |table: &CostTable, patch| table.decode(&shape(), patch).map(|price| price.time);
    for patch in [1, 2] {
        assert_eq!(decode(&table, patch), decode(&known, patch));
    }
    let charges = file.charges.expect("measured");
    assert_eq!((charges.launch.0, charges.control_plane.0), (Nanos(42), Nanos(900)));
    assert_eq!(charges.group_setup[0].time.0, Nanos(130));
    let copy = charges.migration.expect("state moved");
    assert_eq!((copy.latency.0, copy.bandwidth.0), (Nanos(1_700), 1e9));
    let other = Shape { text_tokens: 9, ..shape() };
    assert!(table.encode(&other).is_none(), "another number of text tokens is not priced");
}

#[test]
fn a_measurement_that_failed_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let qwen = model("qwen-image").expect("listed");
    let job = Job {
        header: header(3),
        model: qwen,
        gpu: "h20".into(),
        out: folder.path().join("p.yaml"),
    };
    let decodes = Arc::new(AtomicUsize::new(0));
    let run = |most: usize| {
        let decodes = Arc::clone(&decodes);
        let hook = move |task: &Task, _: Rank, _: u32| {
            let before = match task.stage {
                Stage::VaeDecode => decodes.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            let refuse = || ComputeError::Kernel("a test says so".to_owned());
            if before < most { Ok(()) } else { Err(refuse()) }
        };
        let compute = Arc::new(Synthetic::new(vec![qwen], 1).with_hook(Arc::new(hook)));
        let fabric = GroupFree::default();
        let ranks = Ranks { compute, fabric: &fabric, world: 2, pin: false, interrupt: None };
        job.run(&ranks, "flexdit profile", &|_, _, _| {})
    };
    // A tour decodes four requests of each of five crews; those with two patches take two ranks each.
    let of_a_tour = 8 + 2 * (4 + 8);
    let error = run(of_a_tour + 1).expect_err("the second tour fails");
    assert!(error.to_string().contains("a test says so"), "{error}");
    assert!(!job.out.exists());
    decodes.store(0, Ordering::Relaxed);
    let file = run(usize::MAX).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(decodes.load(Ordering::Relaxed), 2 * of_a_tour, "the first tour was kept");
    assert_eq!(file.measured.expect("measured").rounds, 3);
    assert!(job.out.exists() && !job.partial().exists());
}
