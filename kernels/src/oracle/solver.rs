//! The solvers, written out once more: from noise to latents through all steps at once.

use super::number::Bounded;
use super::ops::Matrix;
use crate::error::Result;
use crate::solver::Method;

/// The latents at the end of the noise levels `sigmas`, from `noise`; `velocity` is the model's prediction for a timestep
/// and the tokens at it.
///
/// # Errors
/// As `velocity`.
///
/// # Panics
/// If there are fewer than two levels.
///
/// # Source
/// Euler's method; for UniPC see [`crate::solver`]: B(h) = e^h - 1, the first and the last step of order 1, every step
/// but the first preceded by the correction of the one before.
pub fn latents(
    method: Method,
    sigmas: &[f64],
    noise: Matrix,
    mut velocity: impl FnMut(f32, &Matrix) -> Result<Matrix>,
) -> Result<Matrix> {
    assert!(sigmas.len() > 1, "noise levels of at least one step");
    let mut x = noise;
    // Pictures that were predicted so far, and the samples that the steps began with.
    let (mut pictures, mut samples): (Vec<Matrix>, Vec<Matrix>) = (Vec::new(), Vec::new());
    for (at, levels) in sigmas.windows(2).enumerate() {
        let timestep = match method {
            Method::Euler => levels[0] * 1000.0,
            Method::Unipc => libm::floor(levels[0] * 1000.0),
        };
        let v = velocity(timestep as f32, &x)?;
        if method == Method::Euler {
            x = weighted(&[(1.0, &x), (levels[1] - levels[0], &v)]);
            continue;
        }
        pictures.push(weighted(&[(1.0, &x), (-levels[0], &v)]));
        if at > 0 {
            x = corrected(sigmas, at, &samples[at - 1], &pictures);
        }
        samples.push(x.clone());
        x = predicted(sigmas, at, &x, &pictures);
    }
    Ok(x)
}

/// Half the logarithm of signal to noise.
fn lambda(sigma: f64) -> f64 {
    libm::log((1.0 - sigma) / sigma)
}

/// Step `at` from its sample.
fn predicted(sigmas: &[f64], at: usize, sample: &Matrix, pictures: &[Matrix]) -> Matrix {
    let (from, to) = (sigmas[at], sigmas[at + 1]);
    let ratio = to / from;
    if to == 0.0 {
        return weighted(&[(ratio, sample), (1.0, &pictures[at])]);
    }
    let h = lambda(to) - lambda(from);
    let share = (1.0 - to) * (1.0 - libm::exp(-h));
    if at == 0 || at + 2 == sigmas.len() {
        return weighted(&[(ratio, sample), (share, &pictures[at])]);
    }
    let older = share * h / (2.0 * (lambda(sigmas[at - 1]) - lambda(from)));
    weighted(&[(ratio, sample), (share - older, &pictures[at]), (older, &pictures[at - 1])])
}

/// The end of step `at` - 1, taken again with the picture that is predicted there.
fn corrected(sigmas: &[f64], at: usize, sample: &Matrix, pictures: &[Matrix]) -> Matrix {
    let (from, to) = (sigmas[at - 1], sigmas[at]);
    let h = lambda(to) - lambda(from);
    let share = (1.0 - to) * (1.0 - libm::exp(-h));
    let (newest, end) = (&pictures[at - 1], &pictures[at]);
    if at == 1 {
        let last = share / 2.0;
        return weighted(&[(to / from, sample), (share - last, newest), (last, end)]);
    }
    // With z = -h: first and second condition of order 2.
    let z = -h;
    let phi_1 = libm::exp(z) - 1.0;
    let phi_2 = phi_1 / z - 1.0;
    let (first, second) = (phi_2 / phi_1, 2.0 * (phi_2 / z - 0.5) / phi_1);
    let place = (lambda(sigmas[at - 2]) - lambda(from)) / h;
    let weight = (second - first) / (place - 1.0);
    let (older, last) = (share * weight / place, share * (first - weight));
    let terms = [
        (to / from, sample),
        (share - older - last, newest),
        (last, end),
        (older, &pictures[at - 2]),
    ];
    weighted(&terms)
}

/// The sum of matrices, each times a factor that f32 rounds once.
fn weighted(terms: &[(f64, &Matrix)]) -> Matrix {
    let columns = terms[0].1.columns();
    let rows = (0..terms[0].1.height()).map(|row| {
        let element = |column: usize| {
            let pairs = terms.iter();
            let pairs = pairs.map(|(by, x)| (Bounded::constant(*by), x.row(row)[column]));
            Bounded::dot(pairs, 1)
        };
        (0..columns).map(element).collect()
    });
    Matrix::from_rows(columns, rows)
}
