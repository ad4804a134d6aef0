//! The sinusoidal embedding of a timestep, and the two-layer perceptron after it.

use crate::cpu::activation::silu;
use crate::cpu::linear::Linear;
use crate::view::View;

/// Length of the sinusoidal embedding in every supported model.
pub const FREQUENCIES: usize = 256;

/// Cosines, then sines, of `timestep` times 10000^(-i/half) for i below half of `length`.
///
/// # Panics
/// If `length` is odd.
pub fn sinusoid(timestep: f32, length: usize) -> Vec<f32> {
    assert!(length.is_multiple_of(2), "length {length} of a timestep embedding");
    let half = length / 2;
    let angles = (0..half)
        .map(|i| f64::from(timestep) * libm::exp(-libm::log(10_000.0) * i as f64 / half as f64));
    let (cosines, sines): (Vec<f32>, Vec<f32>) =
        angles.map(|angle| (libm::cos(angle) as f32, libm::sin(angle) as f32)).unzip();
    [cosines, sines].concat()
}

/// Linear, SiLU, linear on one row.
///
/// # Panics
/// If lengths do not fit.
pub fn perceptron(x: &[f32], first: &Linear, second: &Linear) -> Vec<f32> {
    let mut hidden = first.apply(View::new(x, x.len()));
    silu(&mut hidden);
    second.apply(View::new(&hidden, hidden.len()))
}

/// SiLU, then a linear layer, on one row: how a timestep embedding becomes modulation.
///
/// # Panics
/// If lengths do not fit.
pub fn modulation(embedding: &[f32], layer: &Linear) -> Vec<f32> {
    let mut active = embedding.to_vec();
    silu(&mut active);
    layer.apply(View::new(&active, active.len()))
}
