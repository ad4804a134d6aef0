//! Speed of the kernels as ratios in one run: products, attention and whole blocks against what the core's multiply-add
//! units can do, products also against the `gemm` crate.
//!
//! `cargo run --release -p flexdit-kernels --example speed` prints all; `speed product`, `speed attention` and
//! `speed block` one part; `speed seconds FAMILY HEADS DIM TOKENS TEXT LAYERS` one time, for comparisons. Times are CPU
//! times of this thread, so other programs' time slices do not count; their use of caches and memory does. Runs
//! alternate with probes of the limit; shares are medians of pairs, times the best of several runs.

mod limit;
mod peer;

use flexdit_kernels::cpu::{Heads, Linear, Scratch, attention};
use flexdit_kernels::model::{Config, Family, Input, Model, Parallel, Seeded};
use flexdit_kernels::random::Stream;
use flexdit_kernels::{DType, View, ViewMut};
use limit::{Found, best, paired};

/// Pairs of which a share is the median.
const PAIRS: usize = 11;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => {
            products();
            attentions();
            blocks();
        }
        ["product"] => products(),
        ["attention"] => attentions(),
        ["block"] => blocks(),
        ["seconds", family, ref sizes @ ..] => match (family, numbers(sizes)) {
            ("dual_stream", Some(sizes)) => println!("{}", seconds(Family::DualStream, sizes)),
            ("video", Some(sizes)) => println!("{}", seconds(Family::Video, sizes)),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() {
    eprintln!("usage: speed [product|attention|block|seconds FAMILY HEADS DIM TOKENS TEXT LAYERS]");
    std::process::exit(2);
}

fn numbers(words: &[&str]) -> Option<[usize; 5]> {
    let numbers: Vec<usize> = words.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// One line: what, its share of the limit, the rate, and how it compares with a peer.
fn report(
    what: &str,
    operations: f64,
    run: &mut dyn FnMut(),
    peer: Option<&mut dyn FnMut()>,
) -> Found {
    let found = paired(PAIRS, operations, run, peer);
    let against = found.peer.map_or(String::new(), |peer| format!("  {peer:5.2}x gemm"));
    let core = if found.quiet { "quiet" } else { "core shared" };
    let (share, rate, pairs) = (found.share, found.rate / 1e9, found.pairs);
    println!("{what:40} {share:5.3} of the limit  {rate:6.1} GFLOP/s{against}  ({pairs} {core})");
    found
}

/// Linear layers at the shapes of transformer blocks.
fn products() {
    println!("linear layers: tokens, inputs to outputs (measured)");
    let mut random = Stream::new(1, "speed");
    let mut all = Vec::new();
    for (tokens, d) in [(1024, 1152), (4096, 1152), (1024, 1536), (4096, 1536)] {
        for (inputs, outputs) in [(d, d), (d, 4 * d), (4 * d, d)] {
            let weight = random.uniform(inputs * outputs, 1.0);
            let layer = Linear::new(View::new(&weight, inputs), None, DType::F32);
            let x = random.uniform(tokens * inputs, 1.0);
            let (mut out, mut other) = (vec![0.0; tokens * outputs], vec![0.0; tokens * outputs]);
            let operations = 2.0 * (tokens * inputs * outputs) as f64;
            let mut run = || layer.forward(View::new(&x, inputs), ViewMut::new(&mut out, outputs));
            let turned = peer::turned(&weight, inputs);
            let mut library = || peer::product(&x, &turned, [tokens, inputs, outputs], &mut other);
            let what = format!("  {tokens}, {inputs} to {outputs}");
            all.push(report(&what, operations, &mut run, Some(&mut library)));
        }
    }
    let mean =
        |value: &dyn Fn(&Found) -> f64| all.iter().map(value).sum::<f64>() / all.len() as f64;
    let (share, peer) = (mean(&|found| found.share), mean(&|found| found.peer.unwrap_or(0.0)));
    println!("  mean of {} shapes: {share:5.3} of the limit, {peer:5.2}x gemm", all.len());
}

/// Attention of one head group.
fn attentions() {
    println!("attention: tokens, heads x dim");
    let mut random = Stream::new(2, "speed");
    for (tokens, count, dim) in [(1024, 8, 64), (4096, 2, 64), (1024, 8, 128), (4096, 2, 128)] {
        let heads = Heads { count, dim };
        let [q, k, v] = [0; 3].map(|_| random.uniform(tokens * heads.width(), 1.0));
        let mut out = vec![0.0; q.len()];
        let mut scratch = Scratch::default();
        let operations = 4.0 * (tokens * tokens * heads.width()) as f64;
        let mut run = || {
            let [q, k, v] = [&q, &k, &v].map(|x| View::new(x, heads.width()));
            attention(heads, q, k, v, ViewMut::new(&mut out, heads.width()), &mut scratch);
        };
        report(&format!("  {tokens}, {count} x {dim}"), operations, &mut run, None);
    }
}

/// The configuration of a model with blocks of these sizes.
fn config(family: Family, [heads, head_dim, _, text, layers]: [usize; 5]) -> Config {
    Config {
        family,
        layers,
        heads,
        head_dim,
        ffn: 4 * heads * head_dim,
        channels: 4,
        patch: [1, 2, 2],
        text_dim: 64,
        text_tokens: text,
    }
}

/// Operations of one block, without norms and modulation.
fn operations(family: Family, [heads, head_dim, tokens, text, _]: [usize; 5]) -> f64 {
    let (n, c, d) = (tokens as f64, text as f64, (heads * head_dim) as f64);
    match family {
        Family::DualStream => 24.0 * (n + c) * d * d + 4.0 * (n + c) * (n + c) * d,
        Family::Video => 28.0 * n * d * d + 4.0 * n * n * d + 4.0 * c * d * d + 4.0 * n * c * d,
    }
}

/// Times a model of these sizes: `run` is given a closure that predicts once.
fn with_model<T>(family: Family, sizes: [usize; 5], run: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    let config = config(family, sizes);
    let model = Model::load(&config, &mut Seeded::new(1), DType::F32).expect("a sound model");
    let [_, _, count, text_count, _] = sizes;
    let mut random = Stream::new(3, "speed");
    let (tokens, text) =
        (random.normal(count * config.width()), random.normal(text_count * config.text_dim));
    let mut scratch = Scratch::default();
    let mut predict = || {
        let input = Input {
            tokens: View::new(&tokens, config.width()),
            text: View::new(&text, config.text_dim),
            timestep: 500.0,
            grid: [1, 1, count],
        };
        model.predict(input, &mut Parallel::alone(), &mut scratch).expect("fits");
    };
    run(&mut predict)
}

/// CPU seconds of a prediction.
fn seconds(family: Family, sizes: [usize; 5]) -> f64 {
    with_model(family, sizes, |predict| best(3, predict))
}

fn blocks() {
    println!("whole models of two blocks: tokens + text, heads x dim");
    for family in [Family::DualStream, Family::Video] {
        for (heads, dim) in [(18, 64), (24, 64)] {
            for tokens in [1024, 4096] {
                let sizes = [heads, dim, tokens, 64, 2];
                let what = format!("  {family:?} {tokens} + 64, {heads} x {dim}");
                with_model(family, sizes, |predict| {
                    report(&what, 2.0 * operations(family, sizes), predict, None);
                });
            }
        }
    }
}
