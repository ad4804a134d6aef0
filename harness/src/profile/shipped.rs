//! The derived parts of the shipped profiles, by rule: `workloads/profiles/` holds what this module
//! writes, and a test compares them.

use super::build::parse;
use crate::input::InputError;
use flexdit_core::cost::derive::{cfg_step, derived, scaled_step};
use flexdit_core::cost::{Analytic, CostEntry, CostStage, CostTable, Mode};
use flexdit_core::model::{GpuSpec, gpu};
use flexdit_core::{Parallelism, Shape};
use std::fmt::Write as _;

/// The line above a file's derived entries; what stands above it is written by hand.
pub const MARKER: &str = "  # --- Derived from the above by `cargo run --example derive-profiles`; \
                          change nothing below. ---\n";

/// Sequence degrees that derived tables price.
const DEGREES: [u8; 4] = [1, 2, 4, 8];
/// Ranks that a derived table goes up to.
const WORLD: u16 = 8;

/// How one derived file comes about.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The file, in `workloads/profiles/`.
    pub file: &'static str,
    /// The file it is derived from; itself if its missing layouts are filled.
    pub base: &'static str,
    /// The GPU it is for.
    pub gpu: &'static str,
    /// The mode it is for.
    pub mode: Mode,
    /// Sizes that are sampled, (height, width, frames).
    sizes: &'static [(u32, u32, u32)],
    /// The size that stands in where the base prices no layout of a size.
    anchor: (u32, u32, u32),
    /// Text tokens of a prompt, for operations.
    text_tokens: u32,
    /// Whether the model can be guided by two forwards.
    guided: bool,
}

const QWEN: Recipe = Recipe {
    file: "qwen-image-h20.yaml",
    base: "qwen-image-h20.yaml",
    gpu: "h20",
    mode: Mode::Eager,
    sizes: &[(512, 512, 1), (768, 768, 1), (1024, 1024, 1), (1280, 1280, 1), (1536, 1536, 1)],
    anchor: (1024, 1024, 1),
    text_tokens: 60,
    guided: true,
};

const WAN: Recipe = Recipe {
    file: "wan2.2-ti2v-5b-h20.yaml",
    base: "wan2.2-ti2v-5b-h20.yaml",
    sizes: &[(480, 832, 49), (480, 832, 81), (720, 1280, 49), (720, 1280, 81)],
    anchor: (480, 832, 81),
    text_tokens: 512,
    ..QWEN
};

/// Every file with derived entries; bases come first.
pub const RECIPES: [Recipe; 7] = [
    QWEN,
    Recipe { file: "qwen-image-a100.yaml", gpu: "a100", ..QWEN },
    Recipe { file: "qwen-image-h100.yaml", gpu: "h100", mode: Mode::Compiled, ..QWEN },
    WAN,
    Recipe { file: "wan2.2-ti2v-5b-a100.yaml", gpu: "a100", ..WAN },
    Recipe { file: "wan2.2-ti2v-5b-h100.yaml", gpu: "h100", mode: Mode::Compiled, ..WAN },
    Recipe {
        file: "flux.1-dev-h100-sizes.yaml",
        base: "flux.1-dev-h100-compiled.yaml",
        gpu: "h100",
        mode: Mode::Compiled,
        sizes: &[(256, 256, 1), (512, 512, 1), (1024, 1024, 1), (2048, 2048, 1)],
        anchor: (1024, 1024, 1),
        text_tokens: 512,
        guided: false,
    },
];

impl Recipe {
    /// The text of the file, given the text of its base.
    ///
    /// # Errors
    /// The base is no profile.
    pub fn text(&self, base: &str) -> Result<String, InputError> {
        if self.file == self.base {
            let by_hand = base.split(MARKER).next().unwrap_or(base);
            let table = parse(self.base, by_hand)?;
            return Ok(format!("{by_hand}{MARKER}{}", entries(&self.filled(table).1, true)));
        }
        let base = parse(self.base, base)?;
        Ok(format!("{}{}", self.header(&base), entries(&self.carried(&base), false)))
    }

    fn shapes(&self) -> Vec<Shape> {
        self.sizes.iter().map(|size| self.shape(*size)).collect()
    }

    fn shape(&self, (height, width, frames): (u32, u32, u32)) -> Shape {
        Shape { height, width, frames, text_tokens: self.text_tokens, ..Shape::default() }
    }

    fn header(&self, base: &CostTable) -> String {
        let gpu = spec(self.gpu);
        let here = Analytic::new(base.model, gpu, self.mode, self.text_tokens).utilisation;
        let there = Analytic::new(base.model, base.gpu, base.mode, self.text_tokens).utilisation;
        let ratio = if base.gpu.name == gpu.name && base.mode == self.mode {
            format!("scaled by the analytic model on {}", gpu.name)
        } else {
            format!(
                "times the ratio of the analytic model on {} to that on {}",
                gpu.name, base.gpu.name
            )
        };
        format!(
            "# yaml-language-server: $schema=schema.json\n\
             # {model} on {gpu}, {mode}: derived.\n\
             # Written by `cargo run --example derive-profiles`; change nothing here.\n\
             # A step is that of {base} at the same size and layout,\n\
             # {ratio}.\n\
             # A size or degree that the base lacks is scaled from its nearest.\n\
             # Utilisation at one rank: {here} on {gpu}, {there} on {base_gpu}, {base_mode}.\n\
             # The other stages are the base's.\n\
             model: {model}\ngpu: {gpu}\nmode: {mode}\nunit: ms\nlabel: derived\n\
             source: \"{base}, {ratio}\"\nentries:\n",
            model = base.model.name,
            gpu = gpu.name,
            mode = self.mode,
            base = self.base,
            base_gpu = base.gpu.name,
            base_mode = base.mode,
        )
    }

    /// The base with its missing layouts, and those alone.
    fn filled(&self, base: CostTable) -> (CostTable, Vec<Line>) {
        let own = Analytic::new(base.model, base.gpu, base.mode, self.text_tokens);
        let mut full = base;
        let mut lines = Vec::new();
        for guided in [false, true] {
            let stage = CostStage::Step { guidance: guided };
            let other = CostStage::Step { guidance: !guided };
            if full.layouts(stage).next().is_none() {
                let (factor, words) = if guided {
                    (2.0, "twice the unguided step")
                } else {
                    (0.5, "half of the guided step")
                };
                let layouts: Vec<Parallelism> = full.layouts(other).collect();
                for layout in layouts {
                    if let Some(entry) = full.get(other, layout) {
                        let entry = derived(entry.curve.scaled(factor), words);
                        add(&mut full, &mut lines, stage, layout, entry);
                    }
                }
            }
        }
        let shapes = self.shapes();
        let anchor = self.shape(self.anchor);
        for guided in [false, true] {
            let stage = CostStage::Step { guidance: guided };
            for layout in DEGREES.map(Parallelism::ulysses) {
                if full.get(stage, layout).is_some() {
                    continue;
                }
                let at = (shapes.as_slice(), &anchor);
                if let Some(curve) = scaled_step(&full, (&own, &own), at, guided, layout) {
                    let entry = derived(curve, "the next narrower layout, by the analytic model");
                    add(&mut full, &mut lines, stage, layout, entry);
                }
            }
        }
        split_guidance(&mut full, &mut lines, &shapes);
        (full, lines)
    }

    /// All entries for this recipe's GPU, from a base on another.
    fn carried(&self, base: &CostTable) -> Vec<Line> {
        let gpu = spec(self.gpu);
        let from = Analytic::new(base.model, base.gpu, base.mode, self.text_tokens);
        let to = Analytic::new(base.model, gpu, self.mode, self.text_tokens);
        let mut full = CostTable::new(base.model, gpu, self.mode);
        let mut lines = Vec::new();
        for (key, entry) in base.entries() {
            if !matches!(key.stage, CostStage::Step { .. }) {
                let words = format!("as in {}", self.base);
                let entry = derived(entry.curve.clone(), words);
                add(&mut full, &mut lines, key.stage, key.parallelism, entry);
            }
        }
        let (shapes, anchor) = (self.shapes(), self.shape(self.anchor));
        let variants: &[bool] = if self.guided { &[false, true] } else { &[false] };
        for &guided in variants {
            for layout in DEGREES.map(Parallelism::ulysses) {
                let at = (shapes.as_slice(), &anchor);
                if let Some(curve) = scaled_step(base, (&from, &to), at, guided, layout) {
                    let stage = CostStage::Step { guidance: guided };
                    add(&mut full, &mut lines, stage, layout, derived(curve, ""));
                }
            }
        }
        split_guidance(&mut full, &mut lines, &shapes);
        lines
    }
}

type Line = (CostStage, Parallelism, CostEntry);

fn add(
    table: &mut CostTable,
    lines: &mut Vec<Line>,
    stage: CostStage,
    layout: Parallelism,
    entry: CostEntry,
) {
    table.insert(stage, layout, entry.clone());
    lines.push((stage, layout, entry));
}

/// Adds guided steps at CFG degree 2 up to [`WORLD`] ranks.
fn split_guidance(full: &mut CostTable, lines: &mut Vec<Line>, shapes: &[Shape]) {
    for degree in DEGREES {
        let layout = Parallelism { cfg: 2, ..Parallelism::ulysses(degree) };
        if layout.degree() > WORLD {
            continue;
        }
        if let Some(curve) = cfg_step(full, shapes, layout) {
            let words = "guided step / 1.95, the middle of the published 1.90-2.00 of a CFG split";
            let stage = CostStage::Step { guidance: true };
            add(full, lines, stage, layout, derived(curve, words));
        }
    }
}

/// The listed GPU; recipes name no other.
fn spec(name: &str) -> &'static GpuSpec {
    gpu(name).expect("recipes name listed GPUs")
}

/// Entries as YAML, an empty source standing for the file's; each with its label if `labels`.
fn entries(lines: &[Line], labels: bool) -> String {
    let mut text = String::new();
    for (stage, layout, entry) in lines {
        // Writing to a string does not fail.
        let _ = write_entry(&mut text, (*stage, *layout, entry), labels);
    }
    text
}

fn write_entry(
    text: &mut String,
    (stage, layout, entry): (CostStage, Parallelism, &CostEntry),
    label: bool,
) -> std::fmt::Result {
    writeln!(text, "  - stage: {}", stage.name().replace(' ', "-"))?;
    let degrees = [
        ("degree", layout.ulysses),
        ("ring", layout.ring),
        ("cfg", layout.cfg),
        ("patch", layout.patch),
    ];
    for (key, degree) in degrees.into_iter().filter(|(_, degree)| *degree > 1) {
        writeln!(text, "    {key}: {degree}")?;
    }
    let points: Vec<String> =
        entry.curve.points().iter().map(|(size, ms)| format!("[{size}, {ms}]")).collect();
    if !points.is_empty() {
        writeln!(text, "    samples: [{}]", points.join(", "))?;
    }
    match entry.curve.fit() {
        Some(fit) if fit.a == 0.0 && fit.b == 0.0 && points.is_empty() => {
            writeln!(text, "    constant: {}", fit.c)?;
        }
        Some(fit) => {
            writeln!(text, "    quadratic: {{a: {:?}, b: {:?}, c: {:?}}}", fit.a, fit.b, fit.c)?;
        }
        None => {}
    }
    if label {
        writeln!(text, "    label: {}", entry.provenance)?;
    }
    if !entry.source.is_empty() {
        writeln!(text, "    source: \"{}\"", entry.source)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{load, schema};
    use flexdit_core::Nanos;
    use flexdit_core::cost::{CostModel, Provenance, t_single};
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
        assert_eq!(files, 13);
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
                    let price =
                        table.step(&shape(h, w, f, guided, 50), Parallelism::ulysses(degree));
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
            (
                "hunyuanvideo-h20.yaml",
                shape(720, 1280, 129, false, 50),
                Parallelism::SINGLE,
                6639.17,
            ),
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
}
