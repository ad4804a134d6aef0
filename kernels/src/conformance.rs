//! One suite that every backend runs: random shapes, odd ones among them, against the oracle and its derived bounds.

use crate::cpu::Heads;
use crate::oracle::{Bounded, Matrix, ops};
use crate::random::Stream;
use crate::view::View;

/// The operations of a backend, from host memory to host memory. All matrices are row by row.
pub trait Backend {
    /// `x W^T + b`, W `[outputs, inputs]`.
    fn linear(&mut self, x: View<'_>, weight: View<'_>, bias: Option<&[f32]>) -> Vec<f32>;
    /// `softmax(q k^T / sqrt(dim)) v`, heads side by side in the columns.
    fn attention(&mut self, heads: Heads, q: View<'_>, k: View<'_>, v: View<'_>) -> Vec<f32>;
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
}

/// Runs `cases` random cases of every operation and returns what was out of bounds, one line each.
pub fn check(backend: &mut dyn Backend, seed: u64, cases: usize) -> Vec<String> {
    let mut suite = Suite { backend, random: Stream::new(seed, "conformance"), breaches: vec![] };
    for case in 0..cases {
        suite.linear(case);
        suite.attention(case);
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
        let what = format!("linear [{rows}, {inputs}] to {outputs}, bias {}", bias.is_some());
        self.judge(what, &expected, &computed);
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
        let row = pairs.map(|(x, y)| ops::combine(*x, *y, 4.0)).collect();
        self.judge("combine".into(), &Matrix::from_rows(rows * columns, [row]), &computed);
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
