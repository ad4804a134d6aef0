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
mod tests;
