//! Derived entries: prices of layouts and GPUs that nobody has published, from those somebody has.

use super::CostModel;
use super::analytic::Analytic;
use super::curve::Curve;
use super::price::Provenance;
use super::table::{CostEntry, CostStage, CostTable};
use crate::model::ModelSpec;
use crate::parallelism::Parallelism;
use crate::request::Shape;
use alloc::string::String;
use alloc::vec::Vec;

/// Speed-up of a guided step when its two branches run on different ranks: the middle of the
/// published 1.90-2.00.
pub const CFG_GAIN: f64 = 1.95;

/// Milliseconds rounded to whole microseconds, as derived tables are written.
fn rounded(ms: f64) -> f64 {
    libm::round(ms * 1e3) / 1e3
}

/// Milliseconds of one step of `base` at a shape and layout.
fn step_ms(base: &CostTable, shape: &Shape, guided: bool, layout: Parallelism) -> Option<f64> {
    let price = base.step(&Shape { guidance: guided, ..*shape }, layout)?;
    Some(price.time.as_millis_f64())
}

/// The widest layout up to `layout` that `base` prices for `shape`, with the same CFG degree, and
/// the milliseconds of a step there.
fn nearest(
    base: &CostTable,
    shape: &Shape,
    guided: bool,
    layout: Parallelism,
) -> Option<(Parallelism, f64)> {
    let stage = CostStage::Step { guidance: guided };
    let fits = |known: &Parallelism| {
        known.cfg == layout.cfg && known.patch == 1 && known.sequence() <= layout.sequence()
    };
    let mut known: Vec<Parallelism> = base.layouts(stage).filter(fits).collect();
    known.sort_by_key(|known| (core::cmp::Reverse(known.sequence()), known.ring));
    known.into_iter().find_map(|known| Some((known, step_ms(base, shape, guided, known)?)))
}

/// Prices of a step at `layout` on the GPU of `to`, sampled at `shapes`: `base(near) x to(shape,
/// layout) / from(near)`, where `from` is the analytic model of `base`'s GPU and `near` is the same
/// shape at the widest layout up to `layout` that `base` prices, or `anchor` where `base` prices no
/// such layout of that shape. With `from` and `to` equal it fills a missing degree. A larger size
/// is never cheaper than a smaller one: where the ratio says so, the smaller one counts. `None` if
/// `base` prices neither. `shapes` ascend in size.
pub fn scaled_step(
    base: &CostTable,
    (from, to): (&Analytic, &Analytic),
    (shapes, anchor): (&[Shape], &Shape),
    guided: bool,
    layout: Parallelism,
) -> Option<Curve> {
    let mut floor = 0.0;
    let samples = shapes.iter().map(|shape| {
        let own = nearest(base, shape, guided, layout).map(|near| (shape, near));
        let other = || nearest(base, anchor, guided, layout).map(|near| (anchor, near));
        let (known, (near, ms)) = own.or_else(other)?;
        let size = tokens(base.model, shape)?;
        let there = from.step_ms(tokens(base.model, known)?, guided, near);
        floor = rounded(ms * to.step_ms(size, guided, layout) / there).max(floor);
        Some((size as f64, floor))
    });
    samples.collect::<Option<Vec<_>>>().map(Curve::samples)
}

/// Prices of a guided step with its branches on different ranks: the step of one branch after the
/// other, divided by [`CFG_GAIN`]. `None` if `base` does not price that at the same sequence
/// degree.
pub fn cfg_step(base: &CostTable, shapes: &[Shape], layout: Parallelism) -> Option<Curve> {
    let in_turn = Parallelism { cfg: 1, ..layout };
    let samples = shapes.iter().map(|shape| {
        let ms = step_ms(base, shape, true, in_turn)?;
        Some((tokens(base.model, shape)? as f64, rounded(ms / CFG_GAIN)))
    });
    samples.collect::<Option<Vec<_>>>().map(Curve::samples)
}

fn tokens(model: &ModelSpec, shape: &Shape) -> Option<u64> {
    model.latent_tokens(shape.height, shape.width, shape.frames).ok()
}

/// A derived entry.
pub fn derived(curve: Curve, source: impl Into<String>) -> CostEntry {
    CostEntry { curve, provenance: Provenance::Derived, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{image, qwen};
    use super::super::{Mode, Provenance};
    use super::*;
    use crate::model::gpu;

    fn analytic(table: &CostTable, device: &str) -> Analytic {
        Analytic::new(table.model, gpu(device).expect("listed"), Mode::Eager, 60)
    }

    /// The steps of all three sizes at a Ulysses degree, from H20 to H20.
    fn on_h20(degree: u8) -> Option<Curve> {
        let table = qwen();
        let h20 = analytic(&table, "h20");
        let shapes = [image(512), image(1024), image(1536)];
        let layout = Parallelism::ulysses(degree);
        scaled_step(&table, (&h20, &h20), (&shapes, &shapes[0]), false, layout)
    }

    #[test]
    fn filling_a_priced_layout_gives_its_own_price() {
        let curve = on_h20(2);
        assert_eq!(
            curve.expect("priced").points(),
            [(1024.0, 161.0), (4096.0, 350.0), (9216.0, 880.0)]
        );
    }

    #[test]
    fn eight_ranks_help_large_images_only() {
        let curve = on_h20(8);
        let ms: Vec<f64> = curve.expect("priced").points().iter().map(|point| point.1).collect();
        assert!(ms[0] > 172.0 && ms[1] > 200.0, "{ms:?}");
        assert!(ms[2] > 1557.0 / 8.0 && ms[2] < 300.0, "{ms:?}");
    }

    #[test]
    fn splitting_guidance_gains_the_published_middle() {
        let table = qwen();
        let both = Parallelism { cfg: 2, ..Parallelism::SINGLE };
        let curve = cfg_step(&table, &[image(512)], both).expect("priced");
        assert_eq!(curve.points(), [(1024.0, 158.974)]);
        let entry = derived(curve, "halves");
        assert_eq!(entry.provenance, Provenance::Derived);
        let missing = Parallelism { cfg: 2, ..Parallelism::ulysses(8) };
        assert!(cfg_step(&table, &[image(512)], missing).is_none());
    }
}
