//! The shipped profiles against the figures they were written from.

use super::*;
use crate::experiment::Loaded;
use crate::profile::{load, load_book, schema};
use crate::workload::{Context, build};
use flexdit_core::Nanos;
use flexdit_core::cost::{CostModel, Provenance, t_single};
use flexdit_core::model::model;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/profiles")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).expect("shipped file")
}

fn shipped(file: &str) -> CostTable {
    load(&folder().join(file)).expect("shipped profile")
}

#[test]
fn shipped_files_are_what_the_recipes_write() {
    for recipe in RECIPES {
        let text = recipe.text(&read(recipe.base)).expect("base");
        let same = text == read(recipe.file);
        assert!(same, "{}: run `cargo run --example derive-profiles`", recipe.file);
    }
    assert_eq!(schema(), read("schema.json"), "run `cargo run --example derive-profiles`");
}

#[test]
fn every_shipped_profile_reads_and_names_the_schema() {
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).expect("folder") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files += 1;
            let table = load(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(table.entries().count() >= 8, "{}", path.display());
            let text = std::fs::read_to_string(&path).expect("read");
            assert!(text.starts_with("# yaml-language-server: $schema=schema.json\n"));
        }
    }
    assert_eq!(files, 17);
}

fn shape(height: u32, width: u32, frames: u32, guidance: bool, steps: u32) -> Shape {
    Shape { guidance, height, width, frames, text_tokens: 512, steps, ..Shape::default() }
}

#[test]
fn the_published_image_table_is_exact_and_labelled() {
    let table = shipped("qwen-image-h20.yaml");
    let rows = [(1, [155, 605, 1557]), (2, [161, 350, 880]), (4, [172, 207, 464])];
    for (degree, row) in rows {
        for (side, ms) in [512, 1024, 1536].into_iter().zip(row) {
            let layout = Parallelism::ulysses(degree);
            let price = |guided| table.step(&shape(side, side, 1, guided, 50), layout);
            let plain = price(false).expect("priced");
            assert_eq!(
                (plain.time, plain.provenance),
                (Nanos::from_millis(ms), Provenance::Published)
            );
            let guided = price(true).expect("priced");
            assert_eq!(
                (guided.time, guided.provenance),
                (Nanos::from_millis(2 * ms), Provenance::Derived)
            );
        }
        let between = table.step(&shape(768, 768, 1, false, 50), Parallelism::ulysses(degree));
        let between = between.expect("priced");
        assert_eq!((between.provenance, between.extrapolated), (Provenance::Derived, false));
    }
    let small = shape(512, 512, 1, false, 50);
    assert_eq!(t_single(&table, &small), Some(Nanos(7_957_523_593)));
    let eight = table.step(&small, Parallelism::ulysses(8)).expect("priced");
    assert_eq!(eight.provenance, Provenance::Derived);
    let tiny = table.step(&shape(256, 256, 1, false, 50), Parallelism::SINGLE);
    assert!(tiny.expect("priced").extrapolated);
}

#[test]
fn the_synthetic_video_model_is_reproduced() {
    let table = shipped("wan2.2-ti2v-5b-h20.yaml");
    for (degree, eff) in [(1_u8, 1.0), (2, 1.82), (4, 3.33), (8, 5.88)] {
        for (h, w, f, tokens) in [(480, 832, 49, 5070.0), (720, 1280, 81, 18480.0)] {
            let ms = 0.1323 * tokens / eff + 20.0 * (f64::from(degree) - 1.0);
            let price = |guided| {
                let price = table.step(&shape(h, w, f, guided, 50), Parallelism::ulysses(degree));
                price.expect("priced")
            };
            assert!((price(true).time.as_millis_f64() - ms).abs() < 1e-5);
            assert!((price(false).time.as_millis_f64() - ms / 2.0).abs() < 1e-5);
            assert_eq!(price(true).provenance, Provenance::Published);
        }
    }
    let both = Parallelism { cfg: 2, ..Parallelism::ulysses(4) };
    assert!(table.step(&shape(480, 832, 49, true, 50), both).is_some());
}

#[test]
fn published_totals_come_back_as_latencies() {
    let cases: [(&str, Shape, Parallelism, f64); 6] = [
        (
            "hunyuanvideo-h100.yaml",
            shape(720, 1280, 129, false, 50),
            Parallelism::ulysses(8),
            337.58,
        ),
        ("hunyuanvideo-h20.yaml", shape(720, 1280, 129, false, 50), Parallelism::SINGLE, 6639.17),
        (
            "hunyuanvideo-l20.yaml",
            shape(720, 1280, 129, false, 50),
            Parallelism::ulysses(4),
            2080.05,
        ),
        (
            "flux.1-dev-h100-eager.yaml",
            shape(1024, 1024, 1, false, 28),
            Parallelism::ulysses(2),
            4.38,
        ),
        (
            "flux.1-dev-h100-compiled.yaml",
            shape(1024, 1024, 1, false, 28),
            Parallelism::SINGLE,
            4.30,
        ),
        (
            "wan2.2-a14b-gb200.yaml",
            shape(720, 1280, 81, true, 40),
            Parallelism { cfg: 2, ring: 4, ..Parallelism::ulysses(8) },
            8.48,
        ),
    ];
    for (file, shape, layout, seconds) in cases {
        let step = shipped(file).step(&shape, layout).expect("priced");
        let total = (step.time * u64::from(shape.steps)).as_secs_f64();
        assert!((total - seconds).abs() < 1e-6, "{file}: {total}");
    }
    let gb200 = shipped("wan2.2-a14b-gb200.yaml");
    let decode = gb200.decode(&shape(720, 1280, 81, true, 40), 8).expect("priced");
    assert_eq!(decode.time, Nanos::from_millis(830));
}

#[test]
fn larger_sizes_never_cost_less_in_a_derived_table() {
    for recipe in RECIPES {
        for (key, entry) in shipped(recipe.file).entries() {
            let rising = entry.curve.points().is_sorted_by_key(|point| point.1);
            assert!(rising, "{} {key:?}", recipe.file);
        }
    }
}

#[test]
fn derived_tables_price_eight_ranks_in_a_plausible_order() {
    for file in ["qwen-image-a100.yaml", "qwen-image-h100.yaml"] {
        let large = shape(1536, 1536, 1, false, 50);
        let table = shipped(file);
        let base = shipped("qwen-image-h20.yaml");
        for layout in DEGREES.map(Parallelism::ulysses) {
            let here = table.step(&large, layout).expect("priced");
            assert!(here.time < base.step(&large, layout).expect("priced").time, "{file}");
            assert_eq!(here.provenance, Provenance::Derived);
        }
    }
    let flux = shipped("flux.1-dev-h100-sizes.yaml");
    let published = flux.step(&shape(1024, 1024, 1, false, 28), Parallelism::ulysses(4));
    let ms = published.expect("priced").time.as_millis_f64();
    assert!((ms * 28.0 - 1630.0).abs() < 0.1);
    let minute = flux.step(&shape(2048, 2048, 1, false, 50), Parallelism::SINGLE);
    let seconds = minute.expect("priced").time.as_secs_f64() * 50.0;
    assert!((35.0..70.0).contains(&seconds), "{seconds}");
}

/// Experiments in `workloads/`, but for its profiles.
fn experiments() -> Vec<PathBuf> {
    let workloads = folder().join("..");
    let mut files = Vec::new();
    for part in [".", "paper", "stress"] {
        for entry in std::fs::read_dir(workloads.join(part)).expect("folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_shipped_experiment_finds_a_price_for_each_class_on_one_rank() {
    for path in experiments() {
        let loaded = Loaded::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let experiment = loaded.first();
        let models: Vec<_> = experiment.model_names().into_iter().filter_map(model).collect();
        let gpu = gpu(&experiment.cluster.gpu).expect("known GPU");
        let book = load_book(&experiment.profile.0, &models, gpu, &loaded.folder)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let context = Context {
            models: &models,
            cost: &book,
            world: experiment.cluster.world,
            seed: 42,
            base_dir: &loaded.folder,
            document: &loaded.document,
        };
        let workload = build(&experiment.workload, &context)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for class in &workload.classes {
            let known = t_single(&book, &class.shape).is_some();
            assert!(known, "{}: class {} has no price", path.display(), class.name);
        }
    }
}
