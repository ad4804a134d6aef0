//! Products, attention and a whole step, for people on quiet machines. `examples/speed` prints ratios that mean
//! something on busy ones too.
//!
//! Run with `cargo bench -p flexdit-kernels`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flexdit_kernels::cpu::{Heads, Linear, Scratch, attention};
use flexdit_kernels::model::{Config, Input, Model, Parallel, Seeded};
use flexdit_kernels::random::Stream;
use flexdit_kernels::{DType, View, ViewMut};

/// Operations a second of linear layers.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear_flops");
    group.sample_size(10);
    let mut random = Stream::new(1, "bench");
    for (tokens, inputs, outputs) in [(1024, 1152, 4608), (1024, 6144, 1536), (1, 1152, 6912)] {
        let weight = random.uniform(inputs * outputs, 1.0);
        let layer = Linear::new(View::new(&weight, inputs), None, DType::F32);
        let (x, mut out) = (random.uniform(tokens * inputs, 1.0), vec![0.0; tokens * outputs]);
        group.throughput(Throughput::Elements(2 * (tokens * inputs * outputs) as u64));
        group.bench_function(format!("{tokens}, {inputs} to {outputs}"), |b| {
            b.iter(|| layer.forward(View::new(&x, inputs), ViewMut::new(&mut out, outputs)));
        });
    }
    group.finish();
}

/// Operations a second of attention.
fn attentions(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention_flops");
    group.sample_size(10);
    let (heads, mut random) = (Heads { count: 2, dim: 64 }, Stream::new(2, "bench"));
    for tokens in [256, 1024, 4096] {
        let [q, k, v] = [0; 3].map(|_| random.uniform(tokens * heads.width(), 1.0));
        let (mut out, mut scratch) = (vec![0.0; q.len()], Scratch::default());
        group.throughput(Throughput::Elements((4 * tokens * tokens * heads.width()) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(tokens), &tokens, |b, _| {
            b.iter(|| {
                let [q, k, v] = [&q, &k, &v].map(|x| View::new(x, heads.width()));
                attention(heads, q, k, v, ViewMut::new(&mut out, heads.width()), &mut scratch);
            });
        });
    }
    group.finish();
}

/// Steps a second of the tiny models.
fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("tiny_steps");
    for name in ["tiny-image", "tiny-video"] {
        let config = Config::preset(name).expect("listed");
        let model = Model::load(&config, &mut Seeded::new(1), DType::F32).expect("seeded");
        let mut random = Stream::new(3, "bench");
        let (tokens, text) =
            (random.normal(256 * config.width()), random.normal(16 * config.text_dim));
        let mut scratch = Scratch::default();
        group.bench_function(name, |b| {
            b.iter(|| {
                let (tokens, text) =
                    (View::new(&tokens, config.width()), View::new(&text, config.text_dim));
                let input = Input { tokens, text, timestep: 500.0, grid: [1, 16, 16] };
                model.predict(input, &mut Parallel::alone(), &mut scratch).expect("fits")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, products, attentions, steps);
criterion_main!(benches);
