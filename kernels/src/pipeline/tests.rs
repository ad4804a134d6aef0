//! Whole requests: the same picture for every degree and any change of degree between steps.

use super::*;
use crate::exchange::{Alone, Member, members};
use crate::model::Seeded;
use std::sync::Arc;
use std::thread::spawn;

const STEPS: usize = 5;
const SCALE: f32 = 4.0;

struct Request {
    pipeline: Pipeline,
    grid: [usize; 3],
    with: Tensor,
    without: Tensor,
}

fn request(name: &str, picture: [usize; 3]) -> Arc<Request> {
    let config = Config::preset(name).expect("listed");
    let mut weights = [Seeded::new(1), Seeded::new(2), Seeded::new(3)];
    let sources = weights.each_mut().map(|source| source as &mut dyn WeightSource);
    let pipeline = Pipeline::load(&config, sources).expect("seeded");
    let grid = config.grid(picture).expect("a picture");
    let encode = |prompt| pipeline.encode(prompt, &mut Scratch::default()).expect("a prompt");
    let with = encode(Prompt::text("a lighthouse above the sea, at dawn"));
    let without = encode(Prompt::Random { seed: 4, tokens: 5 });
    Arc::new(Request { pipeline, grid, with, without })
}

/// How a step is split.
#[derive(Clone, Copy, Debug)]
struct Layout {
    ulysses: usize,
    /// `None` without guidance.
    cfg: Option<usize>,
}

const fn plain(ulysses: usize) -> Layout {
    Layout { ulysses, cfg: None }
}

const fn guided(ulysses: usize, cfg: usize) -> Layout {
    Layout { ulysses, cfg: Some(cfg) }
}

/// One step of the whole request on as many threads as the layout has ranks; all branches must agree.
fn step(request: &Arc<Request>, whole: &Progress, layout: Layout) -> Progress {
    let width = request.pipeline.config().transformer.width();
    let tokens = whole.tokens.len() / width;
    let apart = layout.cfg == Some(2);
    let mut groups: Vec<Vec<Member>> =
        (0..if apart { 2 } else { 1 }).map(|_| members(layout.ulysses)).collect();
    let mut threads = Vec::new();
    for part in 0..layout.ulysses {
        let mut pair = members(2);
        for group in &mut groups {
            let (member, mut partner) = (group.remove(0), pair.remove(0));
            let range = crate::split::ragged(tokens, layout.ulysses, part);
            let mut progress = Progress {
                tokens: whole.tokens[range.start * width..range.end * width].to_vec(),
                state: whole.state.shard(range, width),
            };
            let request = request.clone();
            threads.push(spawn(move || {
                let branches = match layout.cfg {
                    None => Branches::Plain,
                    Some(1) => Branches::InTurn { scale: SCALE },
                    _ => Branches::Apart { scale: SCALE, exchange: &mut partner },
                };
                let Request { pipeline, grid, with, without } = &*request;
                let context = Context { with, without: layout.cfg.map(|_| without) };
                let solver = pipeline.solver(STEPS, *grid);
                let mut scratch = Scratch::default();
                let mut parallel = Parallel::ulysses(member);
                pipeline
                    .step(
                        &solver,
                        *grid,
                        context,
                        branches,
                        &mut progress,
                        &mut parallel,
                        &mut scratch,
                    )
                    .expect("all live");
                progress
            }));
        }
    }
    let all: Vec<Progress> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
    let shards: Vec<&Progress> = all.iter().step_by(groups.len()).collect();
    if apart {
        assert!(all.chunks_exact(2).all(|pair| pair[0] == pair[1]), "branches agree");
    }
    let states: Vec<State> = shards.iter().map(|shard| shard.state.clone()).collect();
    Progress {
        tokens: shards.iter().flat_map(|shard| shard.tokens.iter().copied()).collect(),
        state: State::join(&states).expect("of one step"),
    }
}

/// The whole picture, decoded by `degree` ranks.
fn decode(request: &Arc<Request>, tokens: &[f32], degree: usize) -> Tensor {
    let width = request.pipeline.config().transformer.width();
    let [frames, height, columns] = request.grid;
    let threads = members(degree).into_iter().map(|mut member| {
        let request = request.clone();
        let rows = request.pipeline.rows(request.grid, degree, member.index());
        let unit = request.pipeline.config().transformer.patch[1];
        let mine = rows.mine().start / unit..rows.mine().end / unit;
        let strips = (0..frames).flat_map(|frame| {
            let first = frame * height * columns;
            let range = first + mine.start * columns..first + mine.end * columns;
            tokens[range.start * width..range.end * width].to_vec()
        });
        let strips: Vec<f32> = strips.collect();
        spawn(move || {
            let (pipeline, mut scratch) = (&request.pipeline, Scratch::default());
            let part = pipeline.decode(strips, request.grid, &rows, &mut member, &mut scratch);
            gather(part.expect("all live"), &rows, &mut member).expect("all live")
        })
    });
    let threads: Vec<_> = threads.collect();
    let pictures: Vec<Tensor> =
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    assert!(pictures.iter().all(|picture| *picture == pictures[0]), "the same on every rank");
    pictures[0].clone()
}

fn run(request: &Arc<Request>, layouts: [Layout; STEPS], decoders: usize) -> Tensor {
    let tokens = request.grid.iter().product();
    let mut progress = request.pipeline.noise(7, request.grid, 0..tokens);
    for layout in layouts {
        progress = step(request, &progress, layout);
    }
    decode(request, &progress.tokens, decoders)
}

#[test]
fn every_degree_and_any_change_of_degree_gives_the_same_picture() {
    for (name, picture) in [("tiny-image", [1, 80, 48]), ("tiny-video", [5, 48, 32])] {
        let request = request(name, picture);
        let alone = run(&request, [plain(1); STEPS], 1);
        assert_eq!(alone.shape().axes(), [picture[0], picture[1], picture[2], 3]);
        for degree in [2, 4, 8] {
            let split = run(&request, [plain(degree); STEPS], degree);
            assert!(split == alone, "{name}: degree {degree}");
        }
        for (degrees, decoders) in
            [([1, 8, 2, 4, 1], 3), ([4, 4, 1, 1, 2], 2), ([8, 1, 8, 1, 8], 5)]
        {
            let changed = run(&request, degrees.map(plain), decoders);
            assert!(changed == alone, "{name}: degrees {degrees:?}, then {decoders}");
            assert_eq!(rgb(&changed), rgb(&alone));
        }
    }
}

#[test]
fn guidance_on_one_rank_or_two_gives_the_same_picture() {
    for (name, picture) in [("tiny-image", [1, 48, 48]), ("tiny-video", [5, 32, 32])] {
        let request = request(name, picture);
        let alone = run(&request, [guided(1, 1); STEPS], 1);
        assert!(alone != run(&request, [plain(1); STEPS], 1), "guidance changes the picture");
        let layouts = [guided(1, 2), guided(2, 1), guided(2, 2), guided(4, 1), guided(4, 2)];
        assert!(run(&request, layouts, 2) == alone, "{name}");
    }
}

#[test]
fn a_picture_hangs_on_prompt_and_seed() {
    let request = request("tiny-image", [1, 32, 32]);
    let pipeline = &request.pipeline;
    let grid = request.grid;
    let draw = |seed: u64, text: &Tensor| {
        let (mut progress, mut scratch) = (pipeline.noise(seed, grid, 0..4), Scratch::default());
        let (solver, mut alone) = (pipeline.solver(2, grid), Parallel::alone());
        let context = Context { with: text, without: None };
        for _ in 0..2 {
            let (progress, scratch) = (&mut progress, &mut scratch);
            pipeline
                .step(&solver, grid, context, Branches::Plain, progress, &mut alone, scratch)
                .expect("fits");
        }
        let rows = pipeline.rows(grid, 1, 0);
        pipeline.decode(progress.tokens, grid, &rows, &mut Alone, &mut scratch).expect("fits")
    };
    let first = draw(1, &request.with);
    assert_eq!(first, draw(1, &request.with));
    assert_ne!(first, draw(2, &request.with));
    assert_ne!(first, draw(1, &request.without));
    let bytes = rgb(&first);
    let (low, high) = (bytes.iter().min(), bytes.iter().max());
    assert!(low < Some(&64) && high > Some(&192), "contrast: {low:?} to {high:?}");
}
