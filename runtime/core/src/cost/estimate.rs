//! What a policy believes about a request's costs: one answer per shape.

use super::CostModel;
use super::table::{CostBook, CostStage, CostTable};
use crate::migration::StateSpec;
use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::task::Stage;
use crate::units::{Bytes, Nanos};
use alloc::vec::Vec;

/// Time of one step, or of one decode, at one total degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DegreeCost {
    /// Ranks used.
    pub degree: u16,
    /// The fastest feasible layout on that many ranks.
    pub parallelism: Parallelism,
    /// Time of one step (or of the decode).
    pub time: Nanos,
}

/// Everything believed about a shape. A degree that is not listed is infeasible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShapeCosts {
    /// Time of text encode on one rank.
    pub encode: Option<Nanos>,
    /// Time of one denoising step by degree, ascending.
    pub steps: Vec<DegreeCost>,
    /// Time of VAE decode by degree, ascending.
    pub decodes: Vec<DegreeCost>,
    /// Size of the state that moves.
    pub state: StateSpec,
}

fn at(costs: &[DegreeCost], degree: u16) -> Option<&DegreeCost> {
    costs.iter().find(|cost| cost.degree == degree)
}

impl ShapeCosts {
    /// Time of one step at `degree`.
    pub fn step(&self, degree: u16) -> Option<Nanos> {
        self.step_entry(degree).map(|cost| cost.time)
    }

    /// Layout and time of one step at `degree`.
    pub fn step_entry(&self, degree: u16) -> Option<&DegreeCost> {
        at(&self.steps, degree)
    }

    /// The degree with the shortest step; of equal ones the narrowest.
    pub fn best_step(&self) -> Option<&DegreeCost> {
        self.steps.iter().min_by_key(|cost| cost.time)
    }

    /// Layout and time of VAE decode at `degree`.
    pub fn decode_entry(&self, degree: u16) -> Option<&DegreeCost> {
        at(&self.decodes, degree)
    }

    /// Time of VAE decode on one rank.
    pub fn decode_single(&self) -> Option<Nanos> {
        self.decode_entry(1).map(|cost| cost.time)
    }

    /// Time of everything unfinished: `steps_left` steps at `degree`, single-rank stages at degree
    /// 1. `None` if any part of it is unknown.
    pub fn remaining(
        &self,
        steps_left: u32,
        encode_left: bool,
        decode_left: bool,
        degree: u16,
    ) -> Option<Nanos> {
        let encode = if encode_left { self.encode? } else { Nanos::ZERO };
        let decode = if decode_left { self.decode_single()? } else { Nanos::ZERO };
        let steps = match steps_left {
            0 => Nanos::ZERO,
            left => self.step(degree)? * u64::from(left),
        };
        Some(encode + steps + decode)
    }
}

/// Gives beliefs about costs. A different object from what a driver charges.
pub trait Estimator: Send + Sync {
    /// What is believed about `shape`; the scheduler asks once per shape and keeps the answer.
    fn costs(&self, shape: &Shape) -> ShapeCosts;
}

/// Beliefs read from cost tables, restricted to what a world of ranks can run.
#[derive(Clone, Debug)]
pub struct TableEstimator {
    book: CostBook,
    degrees: Vec<u16>,
    patches: Vec<u8>,
    memory: Option<Bytes>,
    bias: f64,
}

/// Powers of two up to `world`, and `world`.
pub fn default_degrees(world: u16) -> Vec<u16> {
    let powers = (0..16).map(|bit| 1_u16 << bit).take_while(|degree| *degree < world);
    powers.chain(core::iter::once(world)).collect()
}

impl TableEstimator {
    /// Beliefs equal to the tables, for degrees that are powers of two up to `world`, and `world`;
    /// decoding on every patch degree of those. Memory is not looked at.
    pub fn new(book: CostBook, world: u16) -> Self {
        let degrees = default_degrees(world);
        let patches = degrees.iter().filter_map(|degree| u8::try_from(*degree).ok()).collect();
        Self { book, degrees, patches, memory: None, bias: 1.0 }
    }

    /// Only these step degrees.
    pub fn with_degrees(mut self, mut degrees: Vec<u16>) -> Self {
        degrees.sort_unstable();
        degrees.dedup();
        self.degrees = degrees;
        self
    }

    /// Only these VAE-patch degrees.
    pub fn with_patches(mut self, mut patches: Vec<u8>) -> Self {
        patches.sort_unstable();
        patches.dedup();
        self.patches = patches;
        self
    }

    /// Layouts that exceed `memory` bytes on a rank are infeasible.
    pub const fn with_memory(mut self, memory: Bytes) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Every time is believed to be `bias` times the table's; finite and positive.
    pub const fn with_bias(mut self, bias: f64) -> Self {
        self.bias = bias;
        self
    }

    /// The believed time. Exactly the table's when there is no bias.
    fn biased(&self, time: Nanos) -> Nanos {
        if self.bias == 1.0 { time } else { time.scale(self.bias) }
    }

    /// Whether the layout fits beside the weights of all models, which every rank holds.
    fn fits(&self, table: &CostTable, shape: &Shape, stage: Stage, layout: Parallelism) -> bool {
        let Some(memory) = self.memory else { return true };
        let all: Bytes = self.book.tables().iter().map(|table| table.model.weights()).sum();
        let others = all - table.model.weights();
        let left = Bytes(memory.0.saturating_sub(others.0));
        table.model.check_memory(shape, stage, &layout, left).is_ok()
    }

    /// The fastest feasible step on exactly `degree` ranks.
    fn step(&self, table: &CostTable, shape: &Shape, degree: u16) -> Option<DegreeCost> {
        let stage = CostStage::Step { guidance: shape.guidance };
        let layouts = table.layouts(stage).filter(|layout| layout.degree() == degree);
        layouts
            .filter(|layout| self.fits(table, shape, Stage::Denoise, *layout))
            .filter_map(|parallelism| {
                let time = self.biased(table.step(shape, parallelism)?.time);
                Some(DegreeCost { degree, parallelism, time })
            })
            .min_by_key(|cost| cost.time)
    }

    fn decode(&self, table: &CostTable, shape: &Shape, patch: u8) -> Option<DegreeCost> {
        let parallelism = Parallelism::patch(patch);
        table.model.check(shape, &parallelism).ok()?;
        let fits = self.fits(table, shape, Stage::VaeDecode, parallelism);
        let price = table.decode(shape, patch).filter(|_| fits)?;
        Some(DegreeCost { degree: u16::from(patch), parallelism, time: self.biased(price.time) })
    }
}

impl Estimator for TableEstimator {
    fn costs(&self, shape: &Shape) -> ShapeCosts {
        let Some(table) = self.book.table(shape) else { return ShapeCosts::default() };
        let Ok(state) = StateSpec::of(table.model, shape) else { return ShapeCosts::default() };
        let encode_fits = self.fits(table, shape, Stage::TextEncode, Parallelism::SINGLE);
        let encode = table.encode(shape).filter(|_| encode_fits);
        ShapeCosts {
            encode: encode.map(|price| self.biased(price.time)),
            steps: self.degrees.iter().filter_map(|d| self.step(table, shape, *d)).collect(),
            decodes: self.patches.iter().filter_map(|p| self.decode(table, shape, *p)).collect(),
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{image, qwen};
    use super::*;
    use alloc::vec;

    fn estimator(world: u16) -> TableEstimator {
        TableEstimator::new(CostBook::new(vec![qwen()]), world)
    }

    #[test]
    fn degrees_are_powers_of_two_and_the_world() {
        assert_eq!(default_degrees(1), [1]);
        assert_eq!(default_degrees(4), [1, 2, 4]);
        assert_eq!(default_degrees(6), [1, 2, 4, 6]);
        assert_eq!(default_degrees(1024).len(), 11);
    }

    #[test]
    fn only_priced_degrees_are_listed() {
        let costs = estimator(8).costs(&image(1536));
        let degrees: Vec<u16> = costs.steps.iter().map(|cost| cost.degree).collect();
        assert_eq!(degrees, [1, 2, 4]);
        assert_eq!(costs.best_step().map(|cost| cost.degree), Some(4));
        assert_eq!(costs.decodes.len(), 1);
        assert_eq!(estimator(8).costs(&image(512)).best_step().map(|cost| cost.degree), Some(1));
    }

    #[test]
    fn what_remains_adds_up_to_the_latency_alone() {
        let costs = estimator(4).costs(&image(512));
        assert_eq!(costs.remaining(50, true, true, 1), Some(Nanos(7_957_523_593)));
        assert_eq!(costs.remaining(50, true, true, 4), Some(Nanos(8_807_523_593)));
        assert_eq!(costs.remaining(0, false, true, 8), costs.decode_single());
        assert_eq!(costs.remaining(1, false, false, 8), None);
    }

    #[test]
    fn bias_and_memory_change_beliefs() {
        let slow = estimator(4).with_bias(2.0).costs(&image(512));
        assert_eq!(slow.step(1), Some(Nanos::from_millis(310)));
        let small = estimator(4).with_memory(Bytes::from_gb_f64(24.0)).costs(&image(512));
        assert_eq!((small.encode, small.steps.len(), small.decodes.len()), (None, 0, 0));
    }
}
