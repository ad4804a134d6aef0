//! Whole models: split over ranks of every kind, and their weights by name.

use super::*;
use crate::error::KernelError;
use crate::exchange::{Member, members};
use crate::oracle::dual_stream::predict as dual_stream_oracle;
use crate::oracle::video::predict as video_oracle;
use crate::oracle::{Bounded, Given, Matrix};
use crate::random::Stream;
use crate::tensor::Tensor;
use std::sync::Arc;

fn model(name: &str) -> Arc<Model> {
    let config = Config::preset(name).expect("listed");
    Arc::new(Model::load(&config, &mut Seeded::new(11), DType::F32).expect("seeded"))
}

struct Case {
    tokens: Vec<f32>,
    text: Vec<f32>,
    grid: [usize; 3],
}

fn case(config: &Config, grid: [usize; 3], text_tokens: usize) -> Arc<Case> {
    let mut random = Stream::new(3, "case");
    let tokens = random.normal(grid.iter().product::<usize>() * config.width());
    Arc::new(Case { tokens, text: random.normal(text_tokens * config.text_dim), grid })
}

fn predict(
    model: &Model,
    case: &Case,
    parallel: &mut Parallel<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<f32>> {
    let config = model.config();
    let tokens = View::new(&case.tokens, config.width());
    let input = Input {
        tokens: tokens.rows(parallel.shard(tokens.height())),
        text: View::new(&case.text, config.text_dim),
        timestep: 700.0,
        grid: case.grid,
    };
    model.predict(input, parallel, scratch)
}

fn alone(model: &Model, case: &Case) -> Result<Vec<f32>> {
    predict(model, case, &mut Parallel::alone(), &mut Scratch::default())
}

/// What every rank of Ulysses groups inside a ring predicts, in order, and the bytes of its buffers.
fn on_ranks(
    model: &Arc<Model>,
    case: &Arc<Case>,
    ulysses: usize,
    ring: usize,
) -> Vec<(Vec<f32>, u64)> {
    let groups: Vec<Vec<Member>> = (0..ring).map(|_| members(ulysses)).collect();
    let mut rings: Vec<Vec<Member>> = (0..ulysses).map(|_| members(ring)).collect();
    let mut threads = Vec::new();
    for group in groups {
        for (ring, member) in rings.iter_mut().zip(group) {
            let (model, case, next) = (model.clone(), case.clone(), ring.remove(0));
            threads.push(std::thread::spawn(move || {
                let (mut parallel, mut scratch) = (Parallel::new(member, next), Scratch::default());
                let out = predict(&model, &case, &mut parallel, &mut scratch).expect("all live");
                (out, scratch.bytes() as u64)
            }));
        }
    }
    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

/// The prediction of all ranks, joined.
fn split(model: &Arc<Model>, case: &Arc<Case>, ulysses: usize, ring: usize) -> Vec<f32> {
    on_ranks(model, case, ulysses, ring).into_iter().flat_map(|(part, _)| part).collect()
}

#[test]
fn ulysses_degrees_give_the_same_bits() {
    for (name, grid, text) in [
        ("tiny-image", [1, 5, 7], 11),
        ("tiny-image", [1, 1, 3], 2),
        ("tiny-video", [3, 3, 5], 13),
        ("tiny-video", [1, 1, 5], 1),
    ] {
        let model = model(name);
        let case = case(model.config(), grid, text);
        let alone = alone(&model, &case).expect("fits");
        assert!(alone.iter().all(|x| x.is_finite()));
        for degree in [1, 2, 4, 8] {
            assert!(split(&model, &case, degree, 1) == alone, "{name} {grid:?} degree {degree}");
        }
    }
}

/// A model small enough for the oracle, and what the oracle says of a case.
fn judged(family: Family, grid: [usize; 3], text: usize) -> (Arc<Model>, Arc<Case>, Matrix) {
    let preset = Config::preset("tiny-image").expect("listed");
    let sizes = Config { family, heads: 4, head_dim: 12, ffn: 96, text_dim: 24, ..preset };
    let model = Model::load(&sizes, &mut Seeded::new(5), DType::F32).expect("seeded");
    let case = case(&sizes, grid, text);
    let tokens = Matrix::exact(View::new(&case.tokens, sizes.width()));
    let input = Given {
        tokens: &tokens,
        text: View::new(&case.text, sizes.text_dim),
        timestep: 700.0,
        grid,
    };
    let oracle = match family {
        Family::DualStream => dual_stream_oracle(&sizes, &mut Seeded::new(5), input),
        Family::Video => video_oracle(&sizes, &mut Seeded::new(5), input),
    };
    (Arc::new(model), case, oracle.expect("seeded"))
}

#[test]
fn predictions_and_rings_are_as_near_to_the_oracle_as_roundings_let_expect() {
    for (family, grid, text) in [(Family::DualStream, [1, 4, 5], 7), (Family::Video, [2, 3, 3], 6)]
    {
        let (model, case, oracle) = judged(family, grid, text);
        let widest = oracle.data().iter().map(|x| x.tolerance()).fold(0.0, f64::max);
        // Outputs are of size one.
        assert!(widest < 1e-3, "{family:?}: {widest}");
        for (ulysses, ring) in [(1, 1), (1, 2), (1, 3), (2, 2), (4, 2)] {
            let computed = split(&model, &case, ulysses, ring);
            let breach = oracle.breach(&computed, Bounded::expects);
            assert!(breach.is_none(), "{family:?} {ulysses} x {ring}: {breach:?}");
        }
    }
}

#[test]
fn a_prediction_depends_on_every_input() {
    let model = model("tiny-image");
    let base = case(model.config(), [1, 4, 4], 5);
    let first = alone(&model, &base).expect("fits");
    let variance = first.iter().map(|x| x * x).sum::<f32>() / first.len() as f32;
    assert!((0.1..10.0).contains(&variance), "{variance}");
    let mut other = Case { tokens: base.tokens.clone(), text: base.text.clone(), grid: [1, 2, 8] };
    assert_ne!(alone(&model, &other).expect("fits"), first);
    other.grid = base.grid;
    other.text[3] += 1.0;
    assert_ne!(alone(&model, &other).expect("fits"), first);
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    let model = model("tiny-video");
    let mut wrong = Case { tokens: vec![0.0; 32], text: vec![0.0; 64], grid: [1, 1, 3] };
    let error = alone(&model, &wrong).unwrap_err();
    assert_eq!(error.to_string(), "tokens has shape [2, 16], expected [3, 16]");
    wrong.grid = [1, 1, 2];
    wrong.text = vec![0.0; 64 * 65];
    let error = alone(&model, &wrong).unwrap_err();
    assert_eq!(error.to_string(), "65 text tokens, expected 1 to 64");
    wrong.text = vec![0.0; 64];
    let three = members(3).remove(0);
    let error = predict(&model, &wrong, &mut Parallel::ulysses(three), &mut Scratch::default())
        .unwrap_err();
    assert_eq!(error.to_string(), "an Ulysses degree of 3 does not divide 8 heads");
}

/// Notes what is asked for.
#[derive(Default)]
struct Recorder(Vec<TensorSpec>);

impl WeightSource for Recorder {
    fn tensor(&mut self, name: &str, shape: Shape) -> Result<Tensor> {
        self.0.push(TensorSpec { name: name.into(), shape });
        Ok(Tensor::zeros(shape))
    }
}

#[test]
fn the_list_of_tensors_is_what_loading_asks_for() {
    for name in ["tiny-image", "tiny-video", "small-image"] {
        let config = Config::preset(name).expect("listed");
        let mut recorder = Recorder::default();
        Model::load(&config, &mut recorder, DType::Bf16).expect("zeros");
        let sorted = |mut specs: Vec<TensorSpec>| {
            specs.sort_by(|a, b| a.name.cmp(&b.name));
            specs
        };
        assert_eq!(sorted(recorder.0), sorted(config.tensors()));
    }
}

#[test]
fn a_missing_tensor_is_named() {
    struct Without;
    impl WeightSource for Without {
        fn tensor(&mut self, name: &str, shape: Shape) -> Result<Tensor> {
            if name == "transformer_blocks.1.attn.to_out.0.bias" {
                return Err(KernelError::Missing { name: name.into() });
            }
            Seeded::new(1).tensor(name, shape)
        }
    }
    let config = Config::preset("tiny-image").expect("listed");
    let error = Model::load(&config, &mut Without, DType::F32).unwrap_err();
    assert_eq!(error.to_string(), "tensor `transformer_blocks.1.attn.to_out.0.bias` is missing");
}

#[test]
fn buffers_stay_below_what_was_foretold() {
    for (name, ulysses, ring) in
        [("tiny-image", 1, 1), ("tiny-video", 1, 1), ("tiny-image", 4, 1), ("tiny-video", 2, 2)]
    {
        let (model, grid, text) = (model(name), [1, 24, 32], 20);
        let case = case(model.config(), grid, text);
        let foretold = model.config().step_bytes(24 * 32, text, Split { ulysses, ring });
        for (_, bytes) in on_ranks(&model, &case, ulysses, ring) {
            assert!(bytes <= foretold && bytes > foretold / 4, "{name}: {bytes} of {foretold}");
        }
    }
}
