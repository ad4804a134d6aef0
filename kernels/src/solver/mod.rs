//! Solvers of the flow-matching equation: from noise at noise level 1 to a picture at 0, one step per model call.
//!
//! A solver is a value that holds only its schedule; what passes from step to step is an explicit [`State`], so that a
//! request may move between ranks at any step. All arithmetic on tokens is element by element, so a shard of the state is
//! the state of a shard.

mod schedule;
mod state;
mod unipc;

pub use schedule::{Dynamic, Schedule, Shift};
pub use state::State;

use crate::cpu::simd::vectorised;

/// Which solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Euler: one straight step per model call; no history.
    Euler,
    /// UniPC of order 2 (B(h) = e^h - 1) on the predicted picture; a history of two predictions.
    Unipc,
}

impl Method {
    /// Tensors, each as large as the latents, that a request carries from step to step.
    pub const fn history(self) -> usize {
        match self {
            Self::Euler => 0,
            Self::Unipc => 3,
        }
    }
}

/// A solver for one request.
///
/// ```
/// use flexdit_kernels::solver::{Method, Schedule, Solver, State};
/// let solver = Solver::new(Method::Euler, Schedule::new(4, 3.0));
/// // From noise 1 towards a picture of 0: the velocity is noise - picture = 1.
/// let (mut tokens, mut state) = (vec![1.0_f32; 2], State::default());
/// for _ in 0..4 {
///     solver.step(&mut tokens, &[1.0, 1.0], &mut state);
/// }
/// assert!(tokens.iter().all(|x| x.abs() < 1e-3));
/// ```
#[derive(Clone, Debug)]
pub struct Solver {
    method: Method,
    schedule: Schedule,
}

impl Solver {
    /// The solver with this schedule.
    pub fn new(method: Method, schedule: Schedule) -> Self {
        Self { method, schedule }
    }

    /// Its schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The timestep that the model is called with at the step of `state`: noise level times 1000, for UniPC without its
    /// fraction.
    ///
    /// # Panics
    /// If all steps are done.
    ///
    /// # Source
    /// Wan's UniPC (`fm_solvers_unipc.py`) and diffusers' `UniPCMultistepScheduler` keep timesteps as whole numbers;
    /// `FlowMatchEulerDiscreteScheduler` does not.
    pub fn timestep(&self, state: &State) -> f32 {
        let exact = self.schedule.sigmas()[state.step()] * 1000.0;
        match self.method {
            Method::Euler => exact as f32,
            Method::Unipc => exact.trunc() as f32,
        }
    }

    /// Takes one step: `velocity` is the model's prediction (noise minus picture) for `tokens` at [`Self::timestep`].
    ///
    /// # Panics
    /// If all steps are done, or lengths differ.
    pub fn step(&self, tokens: &mut [f32], velocity: &[f32], state: &mut State) {
        assert_eq!(tokens.len(), velocity.len(), "length of the prediction");
        assert!(state.step() < self.schedule.steps(), "all {} steps are done", state.step());
        match self.method {
            Method::Euler => {
                let sigmas = &self.schedule.sigmas()[state.step()..];
                let length = (sigmas[1] - sigmas[0]) as f32;
                accumulate(tokens, length, velocity);
            }
            Method::Unipc => unipc::step(self.schedule.sigmas(), tokens, velocity, state),
        }
        state.advance();
    }
}

/// `x += factor * y`.
fn accumulate(x: &mut [f32], factor: f32, y: &[f32]) {
    vectorised(
        #[inline(always)]
        || x.iter_mut().zip(y).for_each(|(x, y)| *x = factor.mul_add(*y, *x)),
    );
}

#[cfg(test)]
mod tests;
