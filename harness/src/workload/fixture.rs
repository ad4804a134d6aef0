//! A priced Qwen-Image for tests: the published S, M, L step times on one H20.

use super::{Context, Workload, WorkloadSpec, build};
use crate::input::{Document, InputError};
use flexdit_core::cost::{CostModel, Price, Provenance};
use flexdit_core::model::{ModelSpec, model};
use flexdit_core::{Nanos, Parallelism, Shape};
use std::path::Path;

/// Prices by side length.
pub struct Published;

fn price(ms: f64) -> Option<Price> {
    let time = Nanos::from_millis_f64(ms);
    Some(Price { time, provenance: Provenance::Published, extrapolated: false })
}

impl CostModel for Published {
    fn encode(&self, _: &Shape) -> Option<Price> {
        price(55.0 + 50.0 + 2.0)
    }

    fn step(&self, shape: &Shape, _: Parallelism) -> Option<Price> {
        match shape.height {
            512 => price(155.0),
            1024 => price(605.0),
            1536 => price(1557.0),
            _ => None,
        }
    }

    fn decode(&self, shape: &Shape, _: u8) -> Option<Price> {
        let pixels = f64::from(shape.height) * f64::from(shape.width);
        price(100.0 + 9e-8 * pixels + 0.5)
    }
}

/// Builds the `workload:` section of `yaml` for Qwen-Image on four ranks.
pub fn from_yaml(yaml: &str, seed: u64) -> Result<Workload, InputError> {
    from_yaml_with(yaml, seed, &[model("qwen-image").expect("a known model")])
}

/// Builds the `workload:` section of `yaml` for `models` on four ranks.
pub fn from_yaml_with(
    yaml: &str,
    seed: u64,
    models: &[&'static ModelSpec],
) -> Result<Workload, InputError> {
    #[derive(serde::Deserialize)]
    struct File {
        workload: WorkloadSpec,
    }
    let document = Document::parse("a.yaml", yaml)?;
    let file: File = document.get()?;
    let context = Context {
        models,
        cost: &Published,
        world: 4,
        seed,
        base_dir: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data")),
        document: &document,
    };
    build(&file.workload, &context)
}

/// The error that building `yaml` ends with.
pub fn refusal(yaml: &str) -> String {
    from_yaml(yaml, 1).expect_err(yaml).to_string()
}
