//! Whole encoders against the oracle, and their weights by name.

use super::*;
use crate::model::{Seeded, TensorSpec};
use crate::oracle::Bounded;
use crate::oracle::text::encode as oracle;
use crate::tensor::Shape;

fn preset(name: &str) -> Config {
    Config::preset(name).expect("listed")
}

fn encoder(config: &Config, storage: DType) -> Encoder {
    Encoder::load(config, &mut Seeded::new(3), storage).expect("seeded")
}

#[test]
fn embeddings_are_as_near_to_the_oracle_as_roundings_let_expect() {
    for (name, skip) in [("tiny-image", 0), ("tiny-image", 4), ("tiny-video", 0)] {
        let config = Config { skip, ..preset(name) };
        let tokens = random_tokens(5, 19, config.vocabulary);
        let expected = oracle(&config, &mut Seeded::new(3), &tokens).expect("seeded");
        let text = encoder(&config, DType::F32).encode(&tokens, &mut Scratch::default());
        let text = text.expect("known tokens");
        assert_eq!(text.shape().axes(), [19 - skip, 64]);
        let widest = expected.data().iter().map(|x| x.tolerance()).fold(0.0, f64::max);
        // Embeddings are of size one.
        assert!(widest < 1e-3, "{name}: {widest}");
        let breach = expected.breach(text.data(), Bounded::expects);
        assert!(breach.is_none(), "{name}: {breach:?}");
    }
}

#[test]
fn a_causal_text_begins_with_the_bits_of_a_shorter_one() {
    let encoder = encoder(&preset("small-image"), DType::Bf16);
    let mut scratch = Scratch::default();
    let tokens = random_tokens(1, 30, encoder.config().vocabulary);
    let whole = encoder.encode(&tokens, &mut scratch).expect("known tokens");
    for length in [1, 2, 17] {
        let part = encoder.encode(&tokens[..length], &mut scratch).expect("known tokens");
        assert_eq!(part.data(), &whole.data()[..part.data().len()]);
    }
}

#[test]
fn an_encoder_of_all_tokens_sees_the_last_one_everywhere() {
    let encoder = encoder(&preset("small-video"), DType::F32);
    let mut tokens = random_tokens(1, 30, encoder.config().vocabulary);
    let first = encoder.encode(&tokens, &mut Scratch::default()).expect("known tokens");
    tokens[29] = 9;
    let other = encoder.encode(&tokens, &mut Scratch::default()).expect("known tokens");
    for (one, other) in first.view().iter().zip(other.view().iter()) {
        assert_ne!(one, other);
    }
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let encoder = encoder(&Config { skip: 2, ..preset("tiny-image") }, DType::F32);
    let refused =
        |tokens: &[u32]| encoder.encode(tokens, &mut Scratch::default()).unwrap_err().to_string();
    assert_eq!(refused(&[1, 2, 1024]), "token 1024 is not in a vocabulary of 1024");
    assert!(refused(&[1, 2]).starts_with("2 text tokens, expected 3 to "));
}

#[test]
fn encoding_holds_no_more_memory_than_foretold() {
    for name in ["small-image", "small-video"] {
        let (encoder, mut scratch) = (encoder(&preset(name), DType::F32), Scratch::default());
        let tokens = random_tokens(1, 512, encoder.config().vocabulary);
        let text = encoder.encode(&tokens, &mut scratch).expect("known tokens");
        let bytes = (scratch.bytes() + size_of_val(text.data())) as u64;
        let foretold = encoder.config().encode_bytes(512);
        assert!(bytes <= foretold && bytes > foretold / 4, "{name}: {bytes} of {foretold}");
    }
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
    for name in ["tiny-image", "tiny-video"] {
        for storage in [DType::F32, DType::Bf16] {
            let config = preset(name);
            let mut recorder = Recorder::default();
            let encoder = Encoder::load(&config, &mut recorder, storage).expect("zeros");
            assert_eq!(encoder.bytes() as u64, config.weight_bytes(storage));
            let sorted = |mut specs: Vec<TensorSpec>| {
                specs.sort_by(|a, b| a.name.cmp(&b.name));
                specs
            };
            assert_eq!(sorted(recorder.0), sorted(config.tensors()));
        }
    }
}
