//! Import of GF-DiT cost-model directories: one JSON file per layout, six stages each.

use crate::input::{InputError, parse_json, read_text};
use flexdit_core::Parallelism;
use flexdit_core::cost::{CostEntry, CostStage, CostTable, Curve, Mode, Provenance, Quadratic};
use flexdit_core::model::{GpuSpec, ModelSpec};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest file read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// One layout's file. Keys it may have beside these (`options`, a stage's `r2`) are not used.
#[derive(Debug, Deserialize)]
struct LayoutFile {
    model: String,
    parallelism: Degrees,
    stages: BTreeMap<String, StageFit>,
}

#[derive(Debug, Deserialize)]
struct Degrees {
    #[serde(default = "one")]
    tp: u8,
    #[serde(default = "one")]
    ulysses: u8,
    #[serde(default = "one")]
    ring: u8,
    #[serde(default = "one")]
    cfg: u8,
}

#[derive(Debug, Deserialize)]
struct StageFit {
    coeffs: Coefficients,
    #[serde(default)]
    samples: Vec<(f64, f64)>,
}

#[derive(Debug, Deserialize)]
struct Coefficients {
    a: f64,
    b: f64,
    c: f64,
}

fn one() -> u8 {
    1
}

impl StageFit {
    /// The fitted quadratic. Its range is the extent of the samples; a single sample states none.
    fn curve(&self) -> Curve {
        let Coefficients { a, b, c } = self.coeffs;
        let sizes = || self.samples.iter().map(|sample| sample.0);
        let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        Curve::quadratic(Quadratic { a, b, c }, (low < high).then_some((low, high)))
    }
}

/// Reads a directory of `tp1_ulysses{u}_ring{r}_cfg{c}.json` files as a table of `model` on `gpu`.
///
/// Times are the files' quadratics, cut off at zero. `dit_step_chunk_cfg` prices a guided step,
/// else `dit_step_chunk` does; `dit_step_chunk_nocfg` an unguided one, else half of the guided one.
/// Stages that are not split are taken from the layout of degree 1.
///
/// # Errors
/// No file, a file that is not JSON or lacks a key (line, column and key are given), tensor
/// parallelism, a degree that does not divide the heads, a layout twice, or a stage missing at
/// degree 1.
pub fn import_gf_dit(
    directory: &Path,
    model: &'static ModelSpec,
    gpu: &'static GpuSpec,
) -> Result<CostTable, InputError> {
    let mut table = CostTable::new(model, gpu, Mode::Eager);
    for path in files(directory)? {
        let name = path.display().to_string();
        let file: LayoutFile = parse_json(&name, &read_text(&path, MAX_BYTES)?)?;
        let layout = layout(&name, &file.parallelism, model)?;
        let source = format!("GF-DiT cost model `{}`, file {}", file.model, file_name(&path));
        insert(&mut table, &file, layout, &source).map_err(|stage| {
            InputError::new(name, format!("{stage} at layout {layout} is there twice"))
        })?;
    }
    for stage in SINGLE_STAGES {
        if table.get(stage.1, Parallelism::SINGLE).is_none() {
            let message = format!("no file of degree 1 has the stage `{}`", stage.0);
            return Err(InputError::new(directory.display().to_string(), message));
        }
    }
    if table.layouts(CostStage::Step { guidance: false }).next().is_none() {
        let message = "no file has the stage `dit_step_chunk`";
        return Err(InputError::new(directory.display().to_string(), message));
    }
    Ok(table)
}

/// Stages that run on one rank, by their name in the files.
const SINGLE_STAGES: [(&str, CostStage); 5] = [
    ("text_encode", CostStage::TextEncode),
    ("dit_prepare", CostStage::DitPrepare),
    ("timestep_prepare", CostStage::TimestepPrepare),
    ("vae_decode", CostStage::VaeDecode),
    ("finalize", CostStage::Finalize),
];

/// The JSON files of the directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, InputError> {
    let refuse = |error: std::io::Error| InputError::io(directory, "read", &error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let message = "expected files named tp1_ulysses1_ring1_cfg1.json, got no JSON file";
        return Err(InputError::new(directory.display().to_string(), message));
    }
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn layout(file: &str, degrees: &Degrees, model: &ModelSpec) -> Result<Parallelism, InputError> {
    let Degrees { tp, ulysses, ring, cfg } = *degrees;
    let refuse = |key: &str, message: String| {
        Err(InputError::new(file, message).key(format!("parallelism.{key}")))
    };
    if tp != 1 {
        return refuse("tp", format!("expected a tensor-parallel degree of 1, got {tp}"));
    }
    for (key, degree) in [("ulysses", ulysses), ("ring", ring), ("cfg", cfg)] {
        if degree == 0 {
            return refuse(key, "expected a degree of at least 1, got 0".to_owned());
        }
    }
    if cfg > 2 {
        return refuse("cfg", format!("expected a CFG degree of 1 or 2, got {cfg}"));
    }
    if !model.heads.is_multiple_of(u32::from(ulysses)) {
        let (heads, model) = (model.heads, model.name);
        let message =
            format!("ulysses degree {ulysses} does not divide the {heads} heads of {model}");
        return refuse("ulysses", message);
    }
    Ok(Parallelism { ulysses, ring, cfg, patch: 1 })
}

/// Adds a file's stages; `Err` names one that is there already.
fn insert(
    table: &mut CostTable,
    file: &LayoutFile,
    layout: Parallelism,
    source: &str,
) -> Result<(), &'static str> {
    let published = |curve: Curve| CostEntry {
        curve,
        provenance: Provenance::Published,
        source: source.to_owned(),
    };
    let mut add = |name: &'static str, stage, entry| match table.insert(stage, layout, entry) {
        None => Ok(()),
        Some(_) => Err(name),
    };
    if layout == Parallelism::SINGLE {
        for (name, stage) in SINGLE_STAGES {
            if let Some(fit) = file.stages.get(name) {
                add(name, stage, published(fit.curve()))?;
            }
        }
    }
    let fit = |name: &str| file.stages.get(name).map(StageFit::curve);
    let guided = fit("dit_step_chunk_cfg").or_else(|| fit("dit_step_chunk"));
    let own = fit("dit_step_chunk_nocfg");
    if layout.cfg == 1 {
        let half = guided.as_ref().map(|curve| CostEntry {
            curve: curve.scaled(0.5),
            provenance: Provenance::Derived,
            source: format!("half of the guided step; {source}"),
        });
        if let Some(entry) = own.map(published).or(half) {
            add("dit_step_chunk_nocfg", CostStage::Step { guidance: false }, entry)?;
        }
    }
    match guided {
        Some(curve) => add("dit_step_chunk", CostStage::Step { guidance: true }, published(curve)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::cost::{CostModel, t_single};
    use flexdit_core::model::{gpu, model};
    use flexdit_core::{Nanos, Shape};

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/gf-dit/cost-model");

    fn import(directory: &Path) -> Result<CostTable, InputError> {
        let (qwen, h20) = (model("qwen-image").expect("listed"), gpu("h20").expect("listed"));
        import_gf_dit(directory, qwen, h20)
    }

    fn image(side: u32, guidance: bool) -> Shape {
        let (height, width, text_tokens) = (side, side, 512);
        Shape { guidance, height, width, frames: 1, text_tokens, steps: 50, ..Shape::default() }
    }

    #[test]
    fn a_lone_request_takes_the_sum_of_six_stages() {
        let table = import(Path::new(SAMPLE)).expect("sample");
        let shape = image(512, false);
        assert_eq!(t_single(&table, &shape), Some(Nanos(7_957_523_593)));
        let wide = table.step(&shape, Parallelism::ulysses(4)).expect("priced").time * 50;
        let rest = table.encode(&shape).expect("priced") + table.decode(&shape, 1).expect("priced");
        assert_eq!(wide + rest.time, Nanos(8_807_523_593));
    }

    #[test]
    fn the_published_table_comes_back() {
        let table = import(Path::new(SAMPLE)).expect("sample");
        let published = [(1, [155, 605, 1557]), (2, [161, 350, 880]), (4, [172, 207, 464])];
        for (degree, row) in published {
            for (side, ms) in [512, 1024, 1536].into_iter().zip(row) {
                let layout = Parallelism::ulysses(degree);
                let time = |guided| table.step(&image(side, guided), layout).expect("priced").time;
                assert_eq!(time(false), Nanos::from_millis(ms));
                assert_eq!(time(true), Nanos::from_millis(2 * ms));
            }
        }
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn message(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        let text = import(folder.path()).unwrap_err().to_string();
        text.replace(&folder.path().display().to_string(), "DIR")
    }

    fn fit(c: f64) -> String {
        format!("{{\"x_name\": \"x\", \"coeffs\": {{\"a\": 0, \"b\": 0, \"c\": {c}}}}}")
    }

    #[test]
    fn a_missing_unguided_step_is_half_of_the_guided_or_of_the_plain_one() {
        let stages = |steps: &str| {
            let single: Vec<String> =
                SINGLE_STAGES.iter().map(|(name, _)| format!("\"{name}\": {}", fit(1.0))).collect();
            format!(
                "{{\"model\": \"m\", \"parallelism\": {{}}, \"stages\": {{{}, {steps}}}}}",
                single.join(", ")
            )
        };
        let plain = format!("\"dit_step_chunk\": {}", fit(80.0));
        let both = format!("{plain}, \"dit_step_chunk_cfg\": {}", fit(60.0));
        for (steps, unguided) in [(plain, 40), (both, 30)] {
            let folder = folder(&[("one.json", &stages(&steps))]);
            let table = import(folder.path()).expect("imported");
            let price = table.step(&image(512, false), Parallelism::SINGLE).expect("priced");
            assert_eq!(price.time, Nanos::from_millis(unguided));
            assert_eq!(price.provenance, Provenance::Derived);
            let guided = table.step(&image(512, true), Parallelism::SINGLE).expect("priced");
            assert_eq!(guided.time, Nanos::from_millis(2 * unguided));
        }
    }

    #[test]
    fn malformed_files_are_refused_with_their_place() {
        assert_eq!(
            message(&[("a.json", "{\"model\": \"m\",\n \"parallelism\": {\"tp\": 1")]),
            "DIR/a.json:2:24: the file ends in the middle of a value (truncated?)"
        );
        assert_eq!(
            message(&[("a.json", "{\"model\": \"m\",\n \"parallelism\": {\"ulysses\": -2}}")]),
            "DIR/a.json:2:30: parallelism.ulysses: expected a whole number from 0 to 255, got -2"
        );
        let with = |degrees: &str| {
            message(&[(
                "a.json",
                &format!("{{\"model\": \"m\", \"parallelism\": {{{degrees}}}, \"stages\": {{}}}}"),
            )])
        };
        assert_eq!(
            with("\"ulysses\": 5"),
            "DIR/a.json: parallelism.ulysses: ulysses degree 5 does not divide the 24 heads of \
             qwen-image"
        );
        assert_eq!(
            with("\"tp\": 2"),
            "DIR/a.json: parallelism.tp: expected a tensor-parallel degree of 1, got 2"
        );
        assert_eq!(with(""), "DIR: no file of degree 1 has the stage `text_encode`");
        assert_eq!(
            message(&[]),
            "DIR: expected files named tp1_ulysses1_ring1_cfg1.json, got no JSON file"
        );
    }
}
