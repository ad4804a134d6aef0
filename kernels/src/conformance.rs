//! One suite that every backend runs: random shapes, odd ones among them, against the oracle and its derived bounds.

use crate::cpu::Heads;
use crate::oracle::{Bounded, Matrix, ops, solver, volume::Volume};
use crate::random::Stream;
use crate::solver::{Dynamic, Method, Schedule};
use crate::view::View;

/// The operations of a backend, from host memory to host memory. All matrices are row by row.
pub trait Backend {
    /// `x W^T + b`, W `[outputs, inputs]`.
    fn linear(&mut self, x: View<'_>, weight: View<'_>, bias: Option<&[f32]>) -> Vec<f32>;
    /// The same with weights kept as bf16, rounded to nearest, ties to even.
    fn linear_bf16(&mut self, x: View<'_>, weight: View<'_>, bias: Option<&[f32]>) -> Vec<f32>;
    /// `softmax(q k^T / sqrt(dim)) v`, heads side by side in the columns.
    fn attention(&mut self, heads: Heads, q: View<'_>, k: View<'_>, v: View<'_>) -> Vec<f32>;
    /// The same with scores as `scores` says.
    fn attention_in_parts(
        &mut self,
        heads: Heads,
        qkv: [View<'_>; 3],
        scores: Scores<'_>,
    ) -> Vec<f32>;
    /// Rows over their root mean square, times `weight`.
    fn rms_norm(&mut self, x: View<'_>, weight: &[f32], epsilon: f32) -> Vec<f32>;
    /// Rows with mean 0 and variance 1, times `factor`, plus `term`.
    fn layer_norm(&mut self, x: View<'_>, epsilon: f32, factor: &[f32], term: &[f32]) -> Vec<f32>;
    /// x / (1 + e^-x).
    fn silu(&mut self, x: &[f32]) -> Vec<f32>;
    /// GELU, tanh form.
    fn gelu(&mut self, x: &[f32]) -> Vec<f32>;
    /// Rotary embedding: each head is `axes` long in parts, each token has one position per axis.
    fn rope(&mut self, x: View<'_>, axes: [usize; 3], positions: &[[i32; 3]]) -> Vec<f32>;
    /// `x + gate * y`, one gate per column.
    fn add_gated(&mut self, x: View<'_>, gate: &[f32], y: View<'_>) -> Vec<f32>;
    /// `without + scale (with - without)`.
    fn combine(&mut self, with: &[f32], without: &[f32], scale: f32) -> Vec<f32>;
    /// The same, then each row at the length that it has in `with`.
    fn combine_rescaled(&mut self, with: View<'_>, without: View<'_>, scale: f32) -> Vec<f32>;
    /// Cosines, then sines, of `timestep` times 10000^(-i/half).
    fn sinusoid(&mut self, timestep: f32, length: usize) -> Vec<f32>;
    /// Pixels `x` of frames, rows and columns `sizes`, under a causal kernel with weights `[outputs, inputs, frames, rows,
    /// columns]`.
    fn causal_convolution(
        &mut self,
        sizes: [usize; 3],
        x: View<'_>,
        kernel: [usize; 3],
        weight: &[f32],
        bias: &[f32],
    ) -> Vec<f32>;
    /// Pixels over their root mean square, times `gamma`, as the VAE has it.
    fn pixel_norm(&mut self, x: View<'_>, gamma: &[f32]) -> Vec<f32>;
    /// The tokens after as many steps as there are velocities, one for each.
    fn solve(
        &mut self,
        method: Method,
        schedule: &Schedule,
        tokens: &[f32],
        velocities: &[Vec<f32>],
    ) -> Vec<f32>;
}

/// How scores of an attention are made, and how its keys come.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// What products of queries and keys are multiplied with.
    pub scale: f32,
    /// How many keys each query sees, from the first on; at least 1.
    pub seen: &'a [usize],
    /// Where the parts end that keys come in, one after the other, as in a ring.
    pub parts: &'a [usize],
}

/// Runs `cases` random cases of every operation and returns what was out of bounds, one line each.
pub fn check(backend: &mut dyn Backend, seed: u64, cases: usize) -> Vec<String> {
    let mut suite = Suite { backend, random: Stream::new(seed, "conformance"), breaches: vec![] };
    for case in 0..cases {
        suite.linear(case);
        suite.attention(case);
        suite.attention_in_parts();
        suite.convolution(case);
        suite.solver(case);
        suite.norms();
        suite.elementwise();
        suite.rope();
    }
    suite.breaches
}

struct Suite<'a> {
    backend: &'a mut dyn Backend,
    random: Stream,
    breaches: Vec<String>,
}

impl Suite<'_> {
    /// A length from 1 to `most`, short ones more often.
    fn length(&mut self, most: usize) -> usize {
        let bits = most.ilog2() as usize;
        let top = 1 << (1 + self.random.below(bits));
        1 + self.random.below(top.min(most))
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let amplitude = [0.01, 1.0, 30.0][self.random.below(3)];
        self.random.uniform(count, amplitude)
    }

    fn judge(&mut self, what: String, expected: &Matrix, computed: &[f32]) {
        if computed.len() != expected.data().len() {
            let (got, wanted) = (computed.len(), expected.data().len());
            self.breaches.push(format!("{what}: {got} elements, expected {wanted}"));
        } else if let Some((index, got, wanted)) = expected.breach(computed, Bounded::admits) {
            let Bounded { value, bound, .. } = wanted;
            let text = format!("{what}: element {index} is {got}, expected {value} +- {bound:.2e}");
            self.breaches.push(text);
        }
    }

    fn linear(&mut self, case: usize) {
        // Depths around the panel, and rows around the kernels' own sizes, come up often enough.
        let inputs = if case.is_multiple_of(5) { 500 + self.length(600) } else { self.length(300) };
        let (rows, outputs) = (self.length(70), 1 + self.length(120));
        let (x, weight) = (self.numbers(rows * inputs), self.numbers(outputs * inputs));
        let bias = case.is_multiple_of(2).then(|| self.numbers(outputs));
        let (x, weight) = (View::new(&x, inputs), View::new(&weight, inputs));
        let computed = self.backend.linear(x, weight, bias.as_deref());
        let expected = ops::linear(&Matrix::exact(x), weight, bias.as_deref());
        let what = format!("[{rows}, {inputs}] to {outputs}, bias {}", bias.is_some());
        self.judge(format!("linear {what}"), &expected, &computed);
        let computed = self.backend.linear_bf16(x, weight, bias.as_deref());
        let rounded: Vec<f32> = weight.iter().flatten().map(|w| ops::bf16(*w)).collect();
        let rounded = View::new(&rounded, inputs);
        let expected = ops::linear(&Matrix::exact(x), rounded, bias.as_deref());
        self.judge(format!("linear_bf16 {what}"), &expected, &computed);
    }

    fn attention(&mut self, case: usize) {
        let heads = Heads { count: 1 + self.random.below(3), dim: 2 * self.length(40) };
        let queries = self.length(40);
        let keys = if case.is_multiple_of(4) { 500 + self.length(200) } else { self.length(60) };
        // Scores up to some tens: beyond, weights hang on roundings of the scores and nothing can be said.
        let amplitude = [0.01, 1.0, 4.0][self.random.below(3)];
        let mut matrix = |rows: usize| {
            let data = self.random.uniform(rows * heads.width(), amplitude);
            Matrix::exact(View::new(&data, heads.width()))
        };
        let [q, k, v] = [matrix(queries), matrix(keys), matrix(keys)];
        let plain = |m: &Matrix| m.data().iter().map(|x| x.value as f32).collect::<Vec<_>>();
        let data = [plain(&q), plain(&k), plain(&v)];
        let [qv, kv, vv] = [0, 1, 2].map(|i| View::new(&data[i], heads.width()));
        let computed = self.backend.attention(heads, qv, kv, vv);
        let expected = ops::attention(heads, &q, &k, &v);
        self.judge(format!("attention {heads:?}, {queries} to {keys}"), &expected, &computed);
    }

    fn attention_in_parts(&mut self) {
        let heads = Heads { count: 1 + self.random.below(2), dim: 2 * self.length(20) };
        let (queries, keys) = (self.length(30), self.length(80));
        let rows = [queries, keys, keys];
        let data = rows.map(|rows| self.random.uniform(rows * heads.width(), 1.0));
        let views = [0, 1, 2].map(|i| View::new(&data[i], heads.width()));
        let seen: Vec<usize> = (0..queries).map(|_| 1 + self.random.below(keys)).collect();
        let mut parts: Vec<usize> = (0..3).map(|_| 1 + self.random.below(keys)).collect();
        parts.push(keys);
        parts.sort_unstable();
        parts.dedup();
        let scale = [1.0, 0.5, 0.1][self.random.below(3)];
        let scores = Scores { scale, seen: &seen, parts: &parts };
        let computed = self.backend.attention_in_parts(heads, views, scores);
        let [q, k, v] = views.map(Matrix::exact);
        // The scale may be taken into keys or queries before the product.
        let scale = Bounded::from(scale).rounded(2);
        let expected = ops::attention_in_parts(heads, [&q, &k, &v], scale, &seen, parts.len());
        let what = format!("attention_in_parts {heads:?}, {queries} to {keys} in {}", parts.len());
        self.judge(what, &expected, &computed);
    }

    fn convolution(&mut self, case: usize) {
        let kernel = [[1, 1, 1], [1, 3, 3], [3, 1, 1], [3, 3, 3]][case % 4];
        let sizes = [1 + self.random.below(4), self.length(6), self.length(6)];
        let (inputs, outputs) = (1 + self.length(6), 1 + self.length(6));
        let [pixels, area] = [sizes, kernel].map(|sides| sides.iter().product::<usize>());
        let x = self.numbers(pixels * inputs);
        let (weight, bias) = (self.numbers(outputs * inputs * area), self.numbers(outputs));
        let view = View::new(&x, inputs);
        let computed = self.backend.causal_convolution(sizes, view, kernel, &weight, &bias);
        let [_, rows, columns] = sizes;
        let pixel = |[f, r, c]: [usize; 3]| {
            let row = view.row((f * rows + r) * columns + c);
            row.iter().map(|x| Bounded::from(*x)).collect()
        };
        let volume = Volume::from_fn(sizes, inputs, pixel);
        let expected = volume.convolved(kernel, &weight, &bias);
        let what = format!("causal_convolution {kernel:?} of {sizes:?}, {inputs} to {outputs}");
        self.judge(what, expected.pixels(), &computed);
        let gamma = self.numbers(inputs);
        let computed = self.backend.pixel_norm(view, &gamma);
        let what = format!("pixel_norm of {inputs}");
        self.judge(what, volume.normalised(&gamma).pixels(), &computed);
    }

    fn solver(&mut self, case: usize) {
        let (steps, length) = (1 + self.random.below(6), self.length(40));
        let tokens = self.random.uniform(length, 1.0);
        let velocities: Vec<Vec<f32>> =
            (0..steps).map(|_| self.random.uniform(length, 1.0)).collect();
        let (method, schedule) = match case % 3 {
            0 => (Method::Euler, Schedule::new(steps, 3.0)),
            1 => (Method::Euler, Schedule::dynamic(steps, &Dynamic::QWEN_IMAGE, 1000 * length)),
            _ => (Method::Unipc, Schedule::new(steps, 5.0)),
        };
        let computed = self.backend.solve(method, &schedule, &tokens, &velocities);
        let exact = |x: &[f32]| Matrix::exact(View::new(x, length));
        let mut given = velocities.iter();
        let next = |_: f32, _: &Matrix| Ok(exact(given.next().expect("one for each step")));
        let expected = solver::latents(method, schedule.sigmas(), exact(&tokens), next);
        let what = format!("solve {method:?}, {steps} steps");
        self.judge(what, &expected.expect("given velocities"), &computed);
        let timestep = (schedule.sigmas()[0] * 1000.0) as f32;
        let computed = self.backend.sinusoid(timestep, 2 * length);
        let what = format!("sinusoid of {timestep}, {}", 2 * length);
        self.judge(what, &ops::sinusoid(timestep, 2 * length), &computed);
    }

    fn norms(&mut self) {
        let (rows, columns) = (self.length(10), 1 + self.length(200));
        let (x, weight) = (self.numbers(rows * columns), self.numbers(columns));
        let term = self.numbers(columns);
        let x = View::new(&x, columns);
        let exact = Matrix::exact(x);
        let computed = self.backend.rms_norm(x, &weight, 1e-6);
        let what = format!("[{rows}, {columns}]");
        self.judge(format!("rms_norm {what}"), &ops::rms_norm(&exact, &weight, 1e-6), &computed);
        let computed = self.backend.layer_norm(x, 1e-6, &weight, &term);
        let [factors, terms] =
            [&weight, &term].map(|x| x.iter().map(|x| Bounded::from(*x)).collect::<Vec<_>>());
        let expected = ops::layer_norm(&exact, 1e-6, &factors, &terms);
        self.judge(format!("layer_norm {what}"), &expected, &computed);
    }

    fn elementwise(&mut self) {
        let (rows, columns) = (self.length(10), self.length(100));
        let (x, y) = (self.numbers(rows * columns), self.numbers(rows * columns));
        let gate = self.numbers(columns);
        let (xv, yv) = (View::new(&x, columns), View::new(&y, columns));
        let (xm, ym) = (Matrix::exact(xv), Matrix::exact(yv));
        let computed = self.backend.silu(&x);
        self.judge("silu".into(), &xm.map(ops::silu), &computed);
        let computed = self.backend.gelu(&x);
        self.judge("gelu".into(), &xm.map(ops::gelu), &computed);
        let computed = self.backend.add_gated(xv, &gate, yv);
        let gates: Vec<Bounded> = gate.iter().map(|x| Bounded::from(*x)).collect();
        self.judge("add_gated".into(), &ops::add_gated(&xm, &gates, &ym), &computed);
        let computed = self.backend.combine(&x, &y, 4.0);
        let pairs = xm.data().iter().zip(ym.data());
        let guided: Vec<Bounded> = pairs.map(|(x, y)| ops::combine(*x, *y, 4.0)).collect();
        let expected = Matrix::from_rows(rows * columns, [guided.clone()]);
        self.judge("combine".into(), &expected, &computed);
        let guided = Matrix::from_rows(columns, guided.chunks_exact(columns).map(<[_]>::to_vec));
        let computed = self.backend.combine_rescaled(xv, yv, 4.0);
        self.judge("combine_rescaled".into(), &ops::rescaled(&guided, &xm), &computed);
    }

    fn rope(&mut self) {
        let axes = [2 * self.length(8), 2 * self.length(24), 2 * self.length(24)];
        let (tokens, heads) = (self.length(20), 1 + self.random.below(3));
        let columns = heads * axes.iter().sum::<usize>();
        let x = self.numbers(tokens * columns);
        let positions: Vec<[i32; 3]> =
            (0..tokens).map(|_| [0; 3].map(|_| self.random.below(200) as i32 - 100)).collect();
        let computed = self.backend.rope(View::new(&x, columns), axes, &positions);
        let lists: Vec<Vec<i32>> = positions.iter().map(|p| p.to_vec()).collect();
        let expected = ops::rope(&Matrix::exact(View::new(&x, columns)), &axes, &lists);
        self.judge(format!("rope {axes:?}, {tokens} tokens"), &expected, &computed);
    }
}
