//! The closed form of the GF-DiT artifact's throughput case, through the real path: an experiment
//! with an imported profile, every charge free, 64 images of 512x512 at time 0 on four ranks.
//!
//! Text encode 55 ms, prepare 50 + 2 ms, 50 steps of 155 ms (degree 1) or 172 ms (degree 4), VAE decode
//! 100.023593 ms, finalisation 0.5 ms.

use flexdit::campaign::{RunOptions, run};
use flexdit::experiment::Loaded;
use flexdit::input::Document;
use flexdit::metrics::RecorderOptions;
use flexdit::metrics::summary::{Summary, overall};
use flexdit_core::Nanos;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A request alone on one rank, from start to end.
const SINGLE: Nanos = Nanos(7_957_523_593);
/// A request on all four ranks, text encode and VAE decode on the first.
const WIDE: Nanos = Nanos(8_807_523_593);

/// Copies take less than a nanosecond at this bandwidth: nothing is charged beside the stages.
fn experiment(images: u32) -> String {
    format!(
        "\
name: closed-form
seeds: [42]
cluster: {{world: 4, gpu: h20}}
model: qwen-image
profile: {{import: {{format: gf-dit, path: gf-dit/cost-model}}}}
workload:
  classes:
    S: {{height: 512, width: 512, steps: 50}}
  arrivals: {{batch: {{counts: {{S: {images}}}}}}}
  slo: none
systems:
  - {{name: fixed-sp4, fixed-pipeline: {{degree: 4}}}}
  - {{name: fixed-sp1, fixed-pipeline: {{degree: 1}}}}
  - {{name: legacy, legacy: {{}}}}
  - {{name: fcfs-sp1, lanes: {{policy: fcfs, degree: 1}}}}
  - {{name: sjf-sp1, lanes: {{policy: sjf, degree: 1}}}}
  - {{name: srtf-sp1, lanes: {{policy: srtf, degree: 1}}}}
  - {{name: fcfs-sp4, lanes: {{policy: fcfs, degree: 4}}}}
  - {{name: srtf-sp4, lanes: {{policy: srtf, degree: 4}}}}
  - {{name: edf-best-fit, elastic: {{policy: edf-best-fit}}}}
costs:
  migration: {{latency: 0, bandwidth: 8000000GB/s}}
  group_setup: free
  launch: 0
  control_plane: 0
"
    )
}

/// The summary of every system.
fn rows(images: u32) -> BTreeMap<String, Summary> {
    rows_of(&experiment(images))
}

fn rows_of(experiment: &str) -> BTreeMap<String, Summary> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data"));
    let document = Document::parse("closed-form.yaml", experiment).expect("YAML");
    let loaded = Loaded::from_document(document, folder).unwrap_or_else(|error| panic!("{error}"));
    let recorder = RecorderOptions::default();
    let options = RunOptions { recorder, progress: &|_| {}, log: None };
    let finished = run(&loaded, &options).unwrap_or_else(|error| panic!("{error}"));
    finished.campaign.runs.iter().map(|run| (run.system.clone(), overall(run))).collect()
}

fn close(value: Option<f64>, expected: f64, within: f64) {
    let value = value.expect("defined");
    assert!((value - expected).abs() <= within, "{value}, expected {expected}");
}

#[test]
fn degree_1_serves_64_images_in_16_rounds() {
    let rows = rows(64);
    for system in ["fixed-sp1", "fcfs-sp1", "sjf-sp1", "edf-best-fit"] {
        println!("{system}");
        let row = &rows[system];
        assert_eq!(row.completed, 64);
        let rounds = row.makespan_s / SINGLE.as_secs_f64();
        let exact = system != "edf-best-fit";
        assert!(!exact || rounds == 16.0, "{rounds} rounds");
        close(row.throughput_rps, 0.50267, if exact { 5e-6 } else { 0.05 });
        if exact {
            close(row.service_ms_mean, 7957.52, 0.005);
            assert_eq!((row.migrations, row.reconfigurations, row.group_setups), (0, 0, 0));
        }
    }
    // The same work in another order of tasks takes as long.
    close(rows["srtf-sp1"].throughput_rps, 0.50267, 5e-6);
}

#[test]
fn degree_4_serves_64_images_one_after_the_other() {
    let rows = rows(64);
    for system in ["fixed-sp4", "legacy", "fcfs-sp4", "srtf-sp4"] {
        println!("{system}");
        let row = &rows[system];
        assert_eq!(row.makespan_s, (WIDE * 64).as_secs_f64());
        close(row.throughput_rps, 0.11354, 5e-6);
        close(row.service_ms_mean, 8807.52, 0.005);
    }
    let gain = rows["fixed-sp1"].throughput_rps.zip(rows["fixed-sp4"].throughput_rps);
    close(gain.map(|(narrow, wide)| narrow / wide), 4.427, 5e-4);
}

#[test]
fn a_lone_request_takes_exactly_t_single() {
    let rows = rows(1);
    for system in ["fixed-sp1", "fcfs-sp1", "sjf-sp1", "srtf-sp1", "edf-best-fit"] {
        let row = &rows[system];
        assert_eq!(row.makespan_s, SINGLE.as_secs_f64(), "{system}");
        assert_eq!(row.slowdown_mean, Some(1.0), "{system}");
    }
    assert_eq!(rows["fixed-sp4"].makespan_s, WIDE.as_secs_f64());
}

#[test]
fn a_start_delay_is_paid_by_every_task_and_is_no_computing() {
    let rows = rows_of(&experiment(1).replace("launch: 0", "launch: 0\n  start_delay: 1ms"));
    for (system, tasks) in [("fixed-sp1", 3), ("srtf-sp1", 52), ("edf-best-fit", 52)] {
        let delayed = SINGLE + Nanos::from_millis(tasks);
        assert_eq!(rows[system].makespan_s, delayed.as_secs_f64(), "{system}");
    }
    let busy = rows["fixed-sp1"].rank_time.expect("recorded").busy;
    assert_eq!(busy, SINGLE);
}
