//! Whole decoders: split over ranks, and their weights by name.

use super::*;
use crate::exchange::{Alone, members};
use crate::model::{Seeded, TensorSpec};
use crate::oracle::{Bounded, vae::decode as oracle, volume::Volume};
use crate::random::Stream;
use crate::tensor::Shape;
use std::sync::Arc;

fn decoder(config: &Config) -> Arc<Decoder> {
    Arc::new(Decoder::load(config, &mut Seeded::new(5)).expect("seeded"))
}

fn preset(name: &str) -> Config {
    Config::preset(name).expect("listed")
}

/// A decoder like Wan 2.2's, as small as `tiny-video`.
fn tiny_shortcut() -> Config {
    Config { patch: 2, shortcut: true, ..preset("tiny-video") }
}

fn latents(config: &Config, [frames, rows, columns]: [usize; 3]) -> Tensor {
    let shape = [config.latent_channels, frames, rows, columns];
    let data = Stream::new(9, "latents").normal(shape.iter().product());
    Tensor::new("latents", shape, data).expect("fits")
}

/// The rows of latents or of a picture whose axis of rows is `axis`.
fn rows_of(whole: &Tensor, axis: usize, range: std::ops::Range<usize>) -> Tensor {
    let shape = whole.shape();
    let axes = shape.axes();
    let inner: usize = axes[axis + 1..].iter().product();
    let block = axes[axis] * inner;
    let part = range.start * inner..range.end * inner;
    let data = whole.data().chunks_exact(block).flat_map(|block| &block[part.clone()]);
    let mut axes = axes.to_vec();
    axes[axis] = range.len();
    Tensor::new("rows", Shape::new(&axes), data.copied().collect()).expect("whole rows")
}

fn alone(decoder: &Decoder, latents: &Tensor) -> Tensor {
    let rows = Rows::new(latents.shape().axes()[2], 1, 1, 0);
    decoder.decode(latents, &rows, &mut Alone, &mut Scratch::default()).expect("fits")
}

#[test]
fn rows_split_over_ranks_give_the_same_bits() {
    let cases = [
        (preset("tiny-image"), [1, 7, 5], 1),
        (preset("tiny-image"), [1, 6, 3], 2),
        (preset("tiny-video"), [3, 5, 4], 1),
        (tiny_shortcut(), [2, 4, 3], 1),
        (preset("small-image"), [1, 4, 4], 2),
    ];
    for (config, sizes, unit) in cases {
        let (decoder, latents) = (decoder(&config), Arc::new(latents(&config, sizes)));
        let whole = Arc::new(alone(&decoder, &latents));
        for degree in [2, 3, 4, 8] {
            let threads = members(degree).into_iter().map(|mut member| {
                let (decoder, latents, whole) = (decoder.clone(), latents.clone(), whole.clone());
                std::thread::spawn(move || {
                    let rows = Rows::new(sizes[1], unit, degree, member.index());
                    let mine = rows_of(&latents, 2, rows.mine());
                    let mut scratch = Scratch::default();
                    let part = decoder.decode(&mine, &rows, &mut member, &mut scratch);
                    let down = decoder.config().down()[1];
                    let range = rows.mine().start * down..rows.mine().end * down;
                    let part = part.expect("all live");
                    let bytes = scratch.bytes() + size_of_val(part.data());
                    let [frames, total, columns] = sizes;
                    let mine = rows.mine().len();
                    let config = decoder.config();
                    let foretold = config.decode_bytes(frames, mine, total, columns);
                    assert!(bytes as u64 <= foretold, "{mine} rows: {bytes} of {foretold}");
                    let same = part == rows_of(&whole, 1, range);
                    assert!(same, "{sizes:?}: rank {} of {degree}", member.index());
                })
            });
            for thread in threads.collect::<Vec<_>>() {
                thread.join().expect("the same bits");
            }
        }
    }
}

#[test]
fn pictures_are_as_near_to_the_oracle_as_roundings_let_expect() {
    let scaled = Config {
        latent_mean: vec![0.5, -0.5, 0.25, 0.0],
        latent_deviation: vec![2.0, 1.0, 0.5, 3.0],
        residual_blocks: 1,
        ..preset("tiny-image")
    };
    for (config, sizes) in
        [(scaled, [1, 3, 2]), (preset("tiny-video"), [3, 2, 2]), (tiny_shortcut(), [2, 2, 1])]
    {
        let latents = latents(&config, sizes);
        let expected =
            oracle(&config, &mut Seeded::new(5), &Volume::exact(&latents)).expect("seeded");
        let picture = alone(&decoder(&config), &latents);
        let widest = expected.data().iter().map(|x| x.tolerance()).fold(0.0, f64::max);
        assert!(widest < 1e-4, "{sizes:?}: {widest}");
        let admits = |pixel: Bounded, computed: f32| {
            let value = pixel.value.clamp(-1.0, 1.0);
            Bounded { value, ..pixel }.expects(computed)
        };
        let breach = expected.breach(picture.data(), admits);
        assert!(breach.is_none(), "{sizes:?}: {breach:?}");
    }
}

#[test]
fn a_video_begins_with_the_bits_of_a_shorter_one() {
    for config in [preset("tiny-video"), tiny_shortcut()] {
        let (decoder, long) = (decoder(&config), latents(&config, [3, 2, 3]));
        let picture = alone(&decoder, &long);
        let [_, rows, columns] = config.picture([3, 2, 3]);
        assert_eq!(picture.shape().axes(), [9, rows, columns, 3]);
        for (frames, count) in [(1, 1), (2, 5)] {
            let begin = rows_of(&long, 1, 0..frames);
            assert_eq!(alone(&decoder, &begin).data(), rows_of(&picture, 0, 0..count).data());
        }
    }
}

#[test]
fn a_picture_has_contrast_and_depends_on_its_latents() {
    let config = preset("small-image");
    let (decoder, mut latents) = (decoder(&config), latents(&config, [1, 4, 4]));
    let picture = alone(&decoder, &latents);
    let variance = picture.data().iter().map(|x| x * x).sum::<f32>() / picture.data().len() as f32;
    assert!((0.02..0.9).contains(&variance), "{variance}");
    latents.data_mut()[5] += 0.5;
    assert_ne!(alone(&decoder, &latents), picture);
    latents.data_mut()[5] = f32::NAN;
    let rows = Rows::new(4, 1, 1, 0);
    let error = decoder.decode(&latents, &rows, &mut Alone, &mut Scratch::default()).unwrap_err();
    assert_eq!(error.to_string(), "the decoded picture holds a value that is not finite");
}

#[test]
fn latents_of_another_shape_are_refused() {
    let decoder = decoder(&preset("tiny-image"));
    let rows = Rows::new(4, 1, 1, 0);
    for (shape, expected) in [
        (Shape::from([4, 1, 3, 4]), "latents has shape [4, 1, 3, 4], expected [4, 1, 4, 4]"),
        (Shape::from([4, 4, 4]), "latents has shape [4, 4, 4], expected [4, 1, 4, 1]"),
    ] {
        let latents = Tensor::zeros(shape);
        let got = decoder.decode(&latents, &rows, &mut Alone, &mut Scratch::default());
        assert_eq!(got.unwrap_err().to_string(), expected);
    }
}

#[test]
fn decoding_holds_no_more_memory_than_foretold() {
    for (config, [frames, rows, columns]) in [
        (preset("tiny-image"), [1, 16, 24]),
        (preset("tiny-video"), [4, 12, 16]),
        (tiny_shortcut(), [3, 8, 8]),
        (preset("small-video"), [2, 6, 8]),
    ] {
        let (decoder, latents) = (decoder(&config), latents(&config, [frames, rows, columns]));
        let mut scratch = Scratch::default();
        let split = Rows::new(rows, 1, 1, 0);
        let picture = decoder.decode(&latents, &split, &mut Alone, &mut scratch).expect("fits");
        let bytes = (scratch.bytes() + size_of_val(picture.data())) as u64;
        let foretold = config.decode_bytes(frames, rows, rows, columns);
        assert!(bytes <= foretold && foretold * 2 < bytes * 3, "{bytes} of {foretold}");
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
    for config in [preset("tiny-image"), preset("small-video"), tiny_shortcut()] {
        let mut recorder = Recorder::default();
        let decoder = Decoder::load(&config, &mut recorder).expect("zeros");
        assert_eq!(decoder.bytes() as u64, config.weight_bytes());
        let sorted = |mut specs: Vec<TensorSpec>| {
            specs.sort_by(|a, b| a.name.cmp(&b.name));
            specs
        };
        assert_eq!(sorted(recorder.0), sorted(config.tensors()));
    }
}
