//! What work costs: prices with their provenance, tables, an analytic model, and estimates.
//!
//! Owns curves, tables and the sums over stages. It does not charge anything (the drivers do) and
//! knows no policy. Invariant: unknown is `None`, never zero.

pub mod analytic;
pub mod curve;
pub mod derive;
pub mod estimate;
pub mod price;
pub mod table;

pub use analytic::Analytic;
pub use curve::{Curve, Quadratic};
pub use estimate::{DegreeCost, Estimator, ShapeCosts, TableEstimator};
pub use price::{Price, Provenance};
pub use table::{CostBook, CostEntry, CostKey, CostStage, CostTable, Mode};

use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::units::Nanos;

/// Prices of the three stages of a request.
///
/// Stages are sums of separately rounded parts, so that a lone request takes exactly
/// [`t_single`] whoever adds them up.
pub trait CostModel: Send + Sync {
    /// Text encode with the preparation of latents and timesteps, on one rank.
    fn encode(&self, shape: &Shape) -> Option<Price>;
    /// One denoising step: both guidance branches if the shape is guided.
    fn step(&self, shape: &Shape, parallelism: Parallelism) -> Option<Price>;
    /// VAE decode over `patch` ranks, with finalisation.
    fn decode(&self, shape: &Shape, patch: u8) -> Option<Price>;
}

/// Latency of a request alone on one rank: encode, all steps, decode.
pub fn t_single(cost: &dyn CostModel, shape: &Shape) -> Option<Nanos> {
    let step = cost.step(shape, Parallelism::SINGLE)?.time;
    let encode = cost.encode(shape)?.time;
    Some(encode + step * u64::from(shape.steps) + cost.decode(shape, 1)?.time)
}
