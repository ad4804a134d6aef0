//! Pictures of rings against the oracle: as near as roundings let expect, and no nearer by accident.

use super::*;
use crate::exchange::{Alone, ExchangeError, Member, members};
use crate::model::Seeded;
use crate::oracle::pipeline::{Colours, Request, colours};
use crate::view::View;
use std::sync::Arc;
use std::thread::spawn;

/// A request for the oracle and for ranks.
struct Case {
    pipeline: Pipeline,
    grid: [usize; 3],
    with: Tensor,
    without: Option<Tensor>,
    steps: usize,
}

const SCALE: f32 = 4.0;

fn case(name: &str, picture: [usize; 3], steps: usize, guided: bool) -> Arc<Case> {
    let config = Config::preset(name).expect("listed");
    let mut weights = [1, 2, 3].map(Seeded::new);
    let sources = weights.each_mut().map(|source| source as &mut dyn WeightSource);
    let pipeline = Pipeline::load(&config, sources).expect("seeded");
    let grid = config.grid(picture).expect("a picture");
    let encode = |prompt| pipeline.encode(prompt, &mut Scratch::default()).expect("a prompt");
    let with = encode(Prompt::text("a lighthouse above the sea, at dawn"));
    let without = guided.then(|| encode(Prompt::Random { seed: 4, tokens: 5 }));
    Arc::new(Case { pipeline, grid, with, without, steps })
}

fn oracle(case: &Case) -> Colours {
    let config = case.pipeline.config();
    let noise = case.pipeline.noise(7, case.grid, 0..case.grid.iter().product());
    let (mut transformer, mut decoder) = (Seeded::new(2), Seeded::new(3));
    let request = Request {
        noise: View::new(&noise.tokens, config.transformer.width()),
        grid: case.grid,
        with: case.with.view(),
        without: case.without.as_ref().map(|text| (text.view(), SCALE)),
        steps: case.steps,
    };
    colours(config, [&mut transformer, &mut decoder], request).expect("seeded")
}

/// A ring that spoils what comes round: all of it by one part in so many.
struct Spoilt(Member, f32);

impl Exchange for Spoilt {
    fn degree(&self) -> usize {
        self.0.degree()
    }

    fn index(&self) -> usize {
        self.0.index()
    }

    fn all_to_all(
        &mut self,
        send: &[f32],
        sent: &[usize],
        received: &mut [f32],
        counts: &[usize],
    ) -> Result<(), ExchangeError> {
        self.0.all_to_all(send, sent, received, counts)
    }

    fn all_gather(
        &mut self,
        send: &[f32],
        counts: &[usize],
        received: &mut [f32],
    ) -> Result<(), ExchangeError> {
        self.0.all_gather(send, counts, received)
    }

    fn ring_shift(
        &mut self,
        by: usize,
        send: &[f32],
        received: &mut [f32],
    ) -> Result<(), ExchangeError> {
        self.0.ring_shift(by, send, received)?;
        received.iter_mut().for_each(|x| *x += *x * self.1);
        Ok(())
    }
}

/// The picture that Ulysses groups inside a ring make of the noise, decoded by one rank.
fn picture(case: &Arc<Case>, ulysses: usize, ring: usize, spoilt: f32) -> Tensor {
    let mut rings: Vec<Vec<Member>> = (0..ulysses).map(|_| members(ring)).collect();
    let mut threads = Vec::new();
    for group in (0..ring).map(|_| members(ulysses)) {
        for (ring, member) in rings.iter_mut().zip(group) {
            let (case, next) = (case.clone(), Spoilt(ring.remove(0), spoilt));
            threads.push(spawn(move || {
                let (mut parallel, mut scratch) = (Parallel::new(member, next), Scratch::default());
                let (pipeline, grid) = (&case.pipeline, case.grid);
                let shard = parallel.shard(grid.iter().product());
                let mut progress = pipeline.noise(7, grid, shard);
                let solver = pipeline.solver(case.steps, grid);
                let context = Context { with: &case.with, without: case.without.as_ref() };
                for _ in 0..case.steps {
                    let branches = match case.without {
                        None => Branches::Plain,
                        Some(_) => Branches::InTurn { scale: SCALE },
                    };
                    let (progress, parallel) = (&mut progress, &mut parallel);
                    pipeline
                        .step(&solver, grid, context, branches, progress, parallel, &mut scratch)
                        .expect("all live");
                }
                progress.tokens
            }));
        }
    }
    let shards = threads.into_iter().flat_map(|thread| thread.join().expect("no panic"));
    let rows = case.pipeline.rows(case.grid, 1, 0);
    let scratch = &mut Scratch::default();
    let picture = case.pipeline.decode(shards.collect(), case.grid, &rows, &mut Alone, scratch);
    picture.expect("fits")
}

/// Colours from 0 to 255 as they are before they become bytes.
fn levels(picture: &Tensor) -> impl ExactSizeIterator<Item = f32> {
    picture.data().iter().map(|x| x.mul_add(127.5, 127.5))
}

/// Whether every byte is one that the oracle admits.
fn admitted(colours: &Colours, picture: &Tensor) -> bool {
    colours.breach(&rgb(picture)).is_none()
}

/// Largest distance of two pictures in levels: before they are rounded to bytes, and after.
fn apart(one: &Tensor, other: &Tensor) -> (f64, u8) {
    let before = levels(one).zip(levels(other)).map(|(a, b)| f64::from((a - b).abs()));
    let after = rgb(one).into_iter().zip(rgb(other)).map(|(a, b)| a.abs_diff(b));
    (before.fold(0.0, f64::max), after.max().expect("a picture has pixels"))
}

#[test]
fn pictures_of_rings_are_within_the_derived_tolerance_of_the_oracle() {
    let cases = [
        ("tiny-image", [1, 48, 64], 4, false),
        ("tiny-image", [1, 64, 32], 3, true),
        ("tiny-video", [5, 32, 48], 4, false),
        ("tiny-video", [5, 32, 32], 3, true),
    ];
    for (name, size, steps, guided) in cases {
        let case = case(name, size, steps, guided);
        let colours = oracle(&case);
        assert_eq!(colours.len(), size.iter().product::<usize>() * 3);
        // In levels of 255; so two pictures are one level apart at the most.
        let tolerance = colours.tolerance();
        assert!((1e-4..0.05).contains(&tolerance), "{name} {size:?}: {tolerance}");
        let alone = picture(&case, 1, 1, 0.0);
        for (ulysses, ring) in [(1, 1), (1, 2), (1, 3), (2, 2), (4, 2)] {
            let picture = picture(&case, ulysses, ring, 0.0);
            let what = format!("{name} {size:?}, {ulysses} x {ring}");
            assert!(ring == 1 || picture != alone, "{what}: a ring rounds otherwise");
            let farthest = colours.deviations(levels(&picture));
            assert!((0.1..8.0).contains(&farthest), "{what}: {farthest} deviations");
            assert!(admitted(&colours, &picture), "{what}");
            let (before, after) = apart(&alone, &picture);
            assert!(before <= 2.0 * tolerance && after <= 1, "{what}: {before}, {after}");
        }
        // Mistakes of a part in ten thousand are seen before bytes are rounded, of one in a thousand after it.
        let spoilt = picture(&case, 1, 2, 1e-4);
        let farthest = colours.deviations(levels(&spoilt));
        assert!(farthest > 8.0, "{name} {size:?}: {farthest} deviations of a spoilt picture");
        assert!(!admitted(&colours, &picture(&case, 1, 2, 1e-3)), "{name} {size:?}");
    }
}
