//! UniPC of order 2: a predictor that extrapolates from two predictions of the picture, and a corrector that goes back to
//! the step before once its end is known.
//!
//! # Source
//! Zhao et al., UniPC (arXiv 2302.04867), the form for data prediction with B2(h) = e^h - 1, for flow matching:
//! alpha = 1 - sigma. The first and the last step are of order 1.

use super::{State, accumulate};

/// Index of the sample before the last step, behind the predictions.
fn sample_index(state: &State) -> usize {
    state.buffers.len() - 1
}

/// ln(alpha/sigma), half the logarithm of signal to noise.
fn lambda(sigma: f64) -> f64 {
    libm::log(1.0 - sigma) - libm::log(sigma)
}

pub(super) fn step(sigmas: &[f64], tokens: &mut [f32], velocity: &[f32], state: &mut State) {
    let at = state.step();
    let mut picture = tokens.to_vec();
    accumulate(&mut picture, -sigmas[at] as f32, velocity);
    if at > 0 {
        correct(sigmas, at, tokens, &picture, state);
    }
    remember(picture, tokens, state);
    if at + 2 == sigmas.len() {
        state.order = 1;
    }
    predict(sigmas, at, tokens, state);
}

/// Takes the last step again, now that the prediction at its end is known.
fn correct(sigmas: &[f64], at: usize, tokens: &mut [f32], picture: &[f32], state: &State) {
    let (from, to) = (sigmas[at - 1], sigmas[at]);
    let h = lambda(to) - lambda(from);
    let phi_1 = libm::expm1(-h);
    let newest = &state.buffers[0];
    // Weights of (older - newest)/ratio and of (picture - newest).
    let (older, last) = if state.order == 2 {
        let ratio = (lambda(sigmas[at - 2]) - lambda(from)) / h;
        let phi_2 = phi_1 / -h - 1.0;
        let (b1, b2) = (phi_2 / phi_1, 2.0 * (phi_2 / -h - 0.5) / phi_1);
        // Solves w1 + w2 = b1, ratio w1 + w2 = b2.
        let w1 = (b2 - b1) / (ratio - 1.0);
        (Some(w1 / ratio), b1 - w1)
    } else {
        (None, 0.5)
    };
    let alpha = 1.0 - to;
    let before = &state.buffers[sample_index(state)];
    let share = -alpha * phi_1;
    let (older, last) = (share * older.unwrap_or(0.0), share * last);
    tokens.copy_from_slice(before);
    scale(tokens, (to / from) as f32);
    accumulate(tokens, (share - older - last) as f32, newest);
    accumulate(tokens, last as f32, picture);
    if state.order == 2 {
        accumulate(tokens, older as f32, &state.buffers[1]);
    }
}

/// The predictor's step from the sample in `tokens`.
fn predict(sigmas: &[f64], at: usize, tokens: &mut [f32], state: &State) {
    let (from, to) = (sigmas[at], sigmas[at + 1]);
    let alpha = 1.0 - to;
    // At the end h is infinite and e^-h is zero.
    let h = if to > 0.0 { lambda(to) - lambda(from) } else { f64::INFINITY };
    let share = -alpha * libm::expm1(-h);
    scale(tokens, (to / from) as f32);
    if state.order == 2 {
        let ratio = (lambda(sigmas[at - 1]) - lambda(from)) / h;
        let older = 0.5 * share / ratio;
        accumulate(tokens, (share - older) as f32, &state.buffers[0]);
        accumulate(tokens, older as f32, &state.buffers[1]);
    } else {
        accumulate(tokens, share as f32, &state.buffers[0]);
    }
}

fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

/// Puts the newest prediction first and keeps the sample. `state.order` becomes the order that the history allows.
fn remember(picture: Vec<f32>, tokens: &[f32], state: &mut State) {
    if !state.buffers.is_empty() {
        state.buffers.pop();
    }
    state.buffers.insert(0, picture);
    state.buffers.truncate(2);
    state.order = state.buffers.len();
    state.buffers.push(tokens.to_vec());
}
