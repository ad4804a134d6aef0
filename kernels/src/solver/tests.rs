//! Solvers against an equation whose solution is known, and their state in bytes and shards.

use super::*;
use crate::random::Stream;

/// Deviation of the pictures in the test equation.
const DEVIATION: f64 = 0.5;

/// The exact velocity where pictures are normal with deviation s: x = (1 - sigma) p + sigma n, so that the mean of n - p
/// given x is (sigma - (1 - sigma) s^2) x / ((1 - sigma)^2 s^2 + sigma^2).
fn velocity(sigma: f64, tokens: &[f32]) -> Vec<f32> {
    let variance = DEVIATION * DEVIATION;
    let spread = (1.0 - sigma) * (1.0 - sigma) * variance + sigma * sigma;
    let slope = (sigma - (1.0 - sigma) * variance) / spread;
    tokens.iter().map(|x| (slope * f64::from(*x)) as f32).collect()
}

fn solve(method: Method, steps: usize, begin: &[f32], checkpoint: bool) -> Vec<f32> {
    let solver = Solver::new(method, Schedule::new(steps, 1.0));
    let (mut tokens, mut state) = (begin.to_vec(), State::default());
    for step in 0..steps {
        let sigma = solver.schedule().sigmas()[step];
        let timestep = f64::from(solver.timestep(&state));
        match method {
            Method::Euler => assert!((timestep - 1000.0 * sigma).abs() < 1e-3),
            Method::Unipc => assert_eq!(timestep, (1000.0 * sigma).floor()),
        }
        let velocity = velocity(sigma, &tokens);
        solver.step(&mut tokens, &velocity, &mut state);
        if checkpoint {
            let half = begin.len() / 2;
            let shards = [state.shard(0..half, 1), state.shard(half..begin.len(), 1)];
            state = State::from_bytes(&State::join(&shards).expect("one step").to_bytes())
                .expect("just written");
        }
    }
    assert_eq!(state.step(), steps);
    tokens
}

/// Worst relative deviation from the solution x(0) = x(s) deviation / sqrt((1-s)^2 deviation^2 + s^2).
fn error(method: Method, steps: usize) -> f64 {
    let begin = Stream::new(2, "solver").normal(64);
    let sigma = Schedule::new(steps, 1.0).sigmas()[0];
    let spread = (1.0 - sigma) * (1.0 - sigma) * DEVIATION * DEVIATION + sigma * sigma;
    let factor = DEVIATION / libm::sqrt(spread);
    let end = solve(method, steps, &begin, false);
    begin
        .iter()
        .zip(end)
        .map(|(begin, end)| (f64::from(end) / f64::from(*begin) / factor - 1.0).abs())
        .fold(0.0, f64::max)
}

#[test]
fn euler_is_of_first_order_and_unipc_of_second() {
    let euler = [error(Method::Euler, 20), error(Method::Euler, 40), error(Method::Euler, 80)];
    let unipc = [error(Method::Unipc, 20), error(Method::Unipc, 40), error(Method::Unipc, 80)];
    for pair in euler.windows(2) {
        assert!((1.7..2.4).contains(&(pair[0] / pair[1])), "{euler:?}");
    }
    for pair in unipc.windows(2) {
        assert!(pair[0] / pair[1] > 3.4, "{unipc:?}");
    }
    assert!(unipc[0] < euler[2], "{euler:?} {unipc:?}");
}

#[test]
fn a_state_that_went_through_shards_and_bytes_gives_the_same_bits() {
    let begin = Stream::new(4, "solver").normal(10);
    for method in [Method::Euler, Method::Unipc] {
        assert_eq!(solve(method, 6, &begin, false), solve(method, 6, &begin, true));
    }
}

#[test]
fn a_state_taken_up_again_from_its_tensors_gives_the_same_bits() {
    let begin = Stream::new(5, "solver").normal(10);
    for method in [Method::Euler, Method::Unipc] {
        let solver = Solver::new(method, Schedule::new(6, 3.0));
        let (mut tokens, mut history) = (begin.clone(), vec![vec![0.0; 10]; method.history()]);
        let (mut whole, mut state) = (begin.clone(), State::default());
        for step in 0..6 {
            let sigma = solver.schedule().sigmas()[step];
            let mut again = State::resume(method, step, history);
            let prediction = velocity(sigma, &tokens);
            solver.step(&mut tokens, &prediction, &mut again);
            assert_eq!(again.step(), step + 1);
            history = again.into_history(method, 10);
            assert_eq!(history.len(), method.history());
            let prediction = velocity(sigma, &whole);
            solver.step(&mut whole, &prediction, &mut state);
            assert_eq!(tokens, whole, "step {step}");
        }
    }
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let mut state = State::default();
    let solver = Solver::new(Method::Unipc, Schedule::new(3, 1.0));
    solver.step(&mut [1.0, 2.0], &[0.5, 0.5], &mut state);
    let bytes = state.to_bytes();
    assert_eq!(State::from_bytes(&bytes).expect("whole"), state);
    for (bytes, why) in [
        (&bytes[..bytes.len() - 1], "head and length do not agree"),
        (&bytes[..20], "cut short"),
        (&bytes[1..], "not a solver state"),
    ] {
        let error = State::from_bytes(bytes).unwrap_err();
        assert_eq!(error.to_string(), format!("solver state: {why}"));
    }
    assert!(State::join(&[state, State::default()]).is_err());
}
