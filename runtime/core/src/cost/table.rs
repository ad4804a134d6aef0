//! Cost tables: one per (model, GPU, mode), entries per (stage, layout).

use super::CostModel;
use super::curve::Curve;
use super::price::{Price, Provenance};
use crate::model::{GpuSpec, Infeasible, ModelSpec};
use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::units::Nanos;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// How the kernels are launched; prices of one mode say nothing about the other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One launch per kernel from the host.
    #[default]
    Eager,
    /// Compiled or captured graphs.
    Compiled,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eager => "eager",
            Self::Compiled => "compiled",
        })
    }
}

/// A separately priced piece of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostStage {
    /// Text encoding, over text tokens.
    TextEncode,
    /// Preparing latents, over latent tokens.
    DitPrepare,
    /// Preparing timesteps, over steps.
    TimestepPrepare,
    /// One denoising step, over latent tokens.
    Step {
        /// Both guidance branches, or one forward.
        guidance: bool,
    },
    /// VAE decode, over voxels.
    VaeDecode,
    /// Packing the result, over voxels.
    Finalize,
}

impl CostStage {
    /// The name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextEncode => "text-encode",
            Self::DitPrepare => "dit-prepare",
            Self::TimestepPrepare => "timestep-prepare",
            Self::Step { guidance: true } => "guided step",
            Self::Step { guidance: false } => "step",
            Self::VaeDecode => "vae-decode",
            Self::Finalize => "finalize",
        }
    }
}

/// What an entry of a table prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CostKey {
    /// The piece of work.
    pub stage: CostStage,
    /// How it is split.
    pub parallelism: Parallelism,
}

/// One entry of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct CostEntry {
    /// Milliseconds over size.
    pub curve: Curve,
    /// Kind of source.
    pub provenance: Provenance,
    /// The source in words.
    pub source: String,
}

/// Prices of one model on one GPU in one mode.
#[derive(Clone, Debug)]
pub struct CostTable {
    /// The model.
    pub model: &'static ModelSpec,
    /// The GPU.
    pub gpu: &'static GpuSpec,
    /// The mode.
    pub mode: Mode,
    entries: BTreeMap<CostKey, CostEntry>,
}

impl CostTable {
    /// A table that prices nothing yet.
    pub const fn new(model: &'static ModelSpec, gpu: &'static GpuSpec, mode: Mode) -> Self {
        Self { model, gpu, mode, entries: BTreeMap::new() }
    }

    /// Adds an entry; returns the one it replaced.
    pub fn insert(
        &mut self,
        stage: CostStage,
        parallelism: Parallelism,
        entry: CostEntry,
    ) -> Option<CostEntry> {
        self.entries.insert(CostKey { stage, parallelism }, entry)
    }

    /// Adds all entries of another table of the same model, GPU and mode; they replace equal ones.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The entry of a stage at a layout.
    pub fn get(&self, stage: CostStage, parallelism: Parallelism) -> Option<&CostEntry> {
        self.entries.get(&CostKey { stage, parallelism })
    }

    /// All entries, by stage and layout.
    pub fn entries(&self) -> impl Iterator<Item = (&CostKey, &CostEntry)> {
        self.entries.iter()
    }

    /// Layouts that `stage` is priced at, ascending.
    pub fn layouts(&self, stage: CostStage) -> impl Iterator<Item = Parallelism> {
        self.entries.keys().filter(move |key| key.stage == stage).map(|key| key.parallelism)
    }

    /// The size that prices `stage` of `shape`.
    fn size(&self, stage: CostStage, shape: &Shape) -> Option<f64> {
        Some(match stage {
            CostStage::TextEncode => f64::from(shape.text_tokens),
            CostStage::TimestepPrepare => f64::from(shape.steps),
            CostStage::DitPrepare | CostStage::Step { .. } => {
                self.model.latent_tokens(shape.height, shape.width, shape.frames).ok()? as f64
            }
            CostStage::VaeDecode | CostStage::Finalize => {
                self.model.voxels(shape.height, shape.width, shape.frames) as f64
            }
        })
    }

    /// The price of one stage at one layout. A step or decode that comes out at zero is unknown
    /// unless its entry is a stated constant: zero would read as infinitely fast.
    pub fn price(
        &self,
        stage: CostStage,
        shape: &Shape,
        parallelism: Parallelism,
    ) -> Option<Price> {
        let entry = self.get(stage, parallelism)?;
        let price = entry.curve.price(self.size(stage, shape)?, entry.provenance)?;
        let work = matches!(stage, CostStage::Step { .. });
        (price.time > Nanos::ZERO || !work).then_some(price)
    }

    /// The price of a step, or why there is none.
    ///
    /// # Errors
    /// The rule of geometry that the layout breaks, or [`Infeasible::Unpriced`].
    pub fn step_or_reason(
        &self,
        shape: &Shape,
        parallelism: Parallelism,
    ) -> Result<Price, Infeasible> {
        self.model.check(shape, &parallelism)?;
        let stage = CostStage::Step { guidance: shape.guidance };
        self.price(stage, shape, parallelism).ok_or(Infeasible::Unpriced {
            model: self.model.name,
            stage: stage.name(),
            parallelism,
        })
    }
}

impl CostModel for CostTable {
    fn encode(&self, shape: &Shape) -> Option<Price> {
        let part = |stage| self.price(stage, shape, Parallelism::SINGLE);
        let prepare = part(CostStage::DitPrepare)? + part(CostStage::TimestepPrepare)?;
        Some(part(CostStage::TextEncode)? + prepare)
    }

    fn step(&self, shape: &Shape, parallelism: Parallelism) -> Option<Price> {
        self.step_or_reason(shape, parallelism).ok()
    }

    fn decode(&self, shape: &Shape, patch: u8) -> Option<Price> {
        let decode = self.price(CostStage::VaeDecode, shape, Parallelism::patch(patch))?;
        Some(decode + self.price(CostStage::Finalize, shape, Parallelism::SINGLE)?)
    }
}

/// The tables of an experiment, by model: a cost model for mixed workloads.
#[derive(Clone, Debug, Default)]
pub struct CostBook(Vec<CostTable>);

impl CostBook {
    /// A book whose `i`-th table prices model `i` of the experiment.
    pub const fn new(tables: Vec<CostTable>) -> Self {
        Self(tables)
    }

    /// The table of a shape's model.
    pub fn table(&self, shape: &Shape) -> Option<&CostTable> {
        self.0.get(shape.model.index())
    }

    /// All tables, in order of the experiment's models.
    pub fn tables(&self) -> &[CostTable] {
        &self.0
    }
}

impl CostModel for CostBook {
    fn encode(&self, shape: &Shape) -> Option<Price> {
        self.table(shape)?.encode(shape)
    }

    fn step(&self, shape: &Shape, parallelism: Parallelism) -> Option<Price> {
        self.table(shape)?.step(shape, parallelism)
    }

    fn decode(&self, shape: &Shape, patch: u8) -> Option<Price> {
        self.table(shape)?.decode(shape, patch)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{curve::Quadratic, t_single};
    use super::*;
    use crate::model::{gpu, model};
    use alloc::string::ToString;
    use alloc::vec;

    fn entry(curve: Curve, provenance: Provenance) -> CostEntry {
        CostEntry { curve, provenance, source: "test".to_string() }
    }

    /// The published Qwen-Image table on H20 with the artifact's constants for the other stages.
    pub(crate) fn qwen() -> CostTable {
        let (spec, h20) = (model("qwen-image").expect("listed"), gpu("h20").expect("listed"));
        let mut table = CostTable::new(spec, h20, Mode::Eager);
        let one = Parallelism::SINGLE;
        for (stage, ms) in [
            (CostStage::TextEncode, 55.0),
            (CostStage::DitPrepare, 50.0),
            (CostStage::TimestepPrepare, 2.0),
            (CostStage::Finalize, 0.5),
        ] {
            table.insert(stage, one, entry(Curve::constant(ms), Provenance::Published));
        }
        let vae = Quadratic { a: 0.0, b: 9e-8, c: 100.0 };
        let vae = entry(Curve::quadratic(vae, None), Provenance::Published);
        table.insert(CostStage::VaeDecode, one, vae);
        for (degree, ms) in
            [(1, [155.0, 605.0, 1557.0]), (2, [161.0, 350.0, 880.0]), (4, [172.0, 207.0, 464.0])]
        {
            let points = [1024.0, 4096.0, 9216.0].into_iter().zip(ms).collect();
            let step = entry(Curve::samples(points), Provenance::Published);
            let guided = entry(step.curve.scaled(2.0), Provenance::Derived);
            let layout = Parallelism::ulysses(degree);
            table.insert(CostStage::Step { guidance: false }, layout, step);
            table.insert(CostStage::Step { guidance: true }, layout, guided);
        }
        table
    }

    pub(crate) fn image(side: u32) -> Shape {
        Shape {
            height: side,
            width: side,
            frames: 1,
            text_tokens: 512,
            steps: 50,
            ..Shape::default()
        }
    }

    #[test]
    fn a_lone_small_image_takes_the_closed_form() {
        let table = qwen();
        let single = t_single(&table, &image(512)).expect("priced");
        assert_eq!(single, Nanos(7_957_523_593));
        let step = table.step(&image(512), Parallelism::ulysses(4)).expect("priced").time;
        let rest = single - Nanos::from_millis(155) * 50;
        assert_eq!(rest + step * 50, Nanos(8_807_523_593));
    }

    #[test]
    fn unknown_layouts_have_a_reason_and_no_price() {
        let table = qwen();
        let why = |p| table.step_or_reason(&image(512), p).expect_err("unknown").to_string();
        assert_eq!(
            why(Parallelism::ulysses(8)),
            "the profile has no price for step of qwen-image at layout u8"
        );
        assert_eq!(
            why(Parallelism::ulysses(5)),
            "ulysses degree 5 does not divide the 24 heads of qwen-image"
        );
        assert!(table.decode(&image(512), 2).is_none());
    }

    #[test]
    fn a_step_that_comes_out_at_zero_is_unknown() {
        let mut table = qwen();
        let stage = CostStage::Step { guidance: false };
        let zero = entry(Curve::constant(0.0), Provenance::Derived);
        assert!(table.insert(stage, Parallelism::SINGLE, zero).is_some());
        assert!(table.step(&image(512), Parallelism::SINGLE).is_none());
        assert!(t_single(&table, &image(512)).is_none());
    }

    #[test]
    fn a_book_prices_by_model_and_knows_no_others() {
        let book = CostBook::new(vec![qwen()]);
        let shape = image(1024);
        let price = book.step(&shape, Parallelism::ulysses(2)).expect("priced");
        assert_eq!(
            (price.time, price.provenance),
            (Nanos::from_millis(350), Provenance::Published)
        );
        let other = Shape { model: crate::ids::ModelId(1), ..shape };
        assert!(book.encode(&other).is_none());
    }
}
