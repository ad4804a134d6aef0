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

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code, in 40 decimal digits: frequency i turns by 10000^(-i/128) a unit.
    #[test]
    fn a_timestep_is_embedded_as_published() {
        let cases = [
            (999.0, 0, 0.999649852981, -0.026460752737),
            (999.0, 1, 0.963782478587, -0.266689583539),
            (999.0, 64, -0.844469696289, -0.535603334614),
            (999.0, 127, 0.994243164144, 0.107147237727),
            (250.5, 0, 0.676783052837, -0.736182517717),
            (250.5, 1, 0.807768272879, 0.589500141925),
            (250.5, 64, -0.804125949525, 0.594458961830),
            (250.5, 127, 0.999637707587, 0.026915675180),
        ];
        for (timestep, frequency, cosine, sine) in cases {
            let embedded = sinusoid(timestep, FREQUENCIES);
            let got = [embedded[frequency], embedded[FREQUENCIES / 2 + frequency]];
            for (got, expected) in got.into_iter().zip([cosine, sine]) {
                // Half a unit in the last place of numbers below 1.
                let apart = (f64::from(got) - expected).abs();
                assert!(apart < 4e-8, "{timestep} at {frequency}: {got}, expected {expected}");
            }
        }
    }
}
