//! Operations on rows of [`Bounded`] numbers, each as its textbook says.

use super::number::Bounded;
use crate::cpu::Heads;
use crate::view::View;

/// Keys per block that any backend may choose at the least: bounds count one change of scale for each.
const SHORTEST_BLOCK: usize = 16;

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    columns: usize,
    data: Vec<Bounded>,
}

impl Matrix {
    /// Exact numbers.
    pub fn exact(view: View<'_>) -> Self {
        let data = view.iter().flatten().map(|x| Bounded::from(*x)).collect();
        Self { columns: view.columns(), data }
    }

    /// Rows made one by one.
    pub fn from_rows(columns: usize, rows: impl IntoIterator<Item = Vec<Bounded>>) -> Self {
        let data: Vec<Bounded> = rows.into_iter().flatten().collect();
        assert!(data.len().is_multiple_of(columns), "rows of {columns}");
        Self { columns, data }
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Bounded]> {
        self.data.chunks_exact(self.columns)
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &[Bounded] {
        &self.data[index * self.columns..(index + 1) * self.columns]
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.data.len() / self.columns
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All elements.
    pub fn data(&self) -> &[Bounded] {
        &self.data
    }

    /// The same with `f` applied to every element.
    #[must_use]
    pub fn map(&self, f: impl Fn(Bounded) -> Bounded) -> Self {
        Self { columns: self.columns, data: self.data.iter().map(|x| f(*x)).collect() }
    }

    /// These rows, then those of `other`.
    #[must_use]
    pub fn above(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.columns, "columns of both");
        Self { columns: self.columns, data: [&self.data[..], &other.data].concat() }
    }

    /// The rows before `at`, and the others.
    pub fn split(&self, at: usize) -> (Self, Self) {
        let (head, tail) = self.data.split_at(at * self.columns);
        let part = |data: &[Bounded]| Self { columns: self.columns, data: data.to_vec() };
        (part(head), part(tail))
    }

    /// The first computed value that is not within what `admits` allows: its index, the value, and the number expected.
    pub fn breach(
        &self,
        computed: &[f32],
        admits: impl Fn(Bounded, f32) -> bool,
    ) -> Option<(usize, f32, Bounded)> {
        assert_eq!(computed.len(), self.data.len(), "number of elements");
        let pairs = self.data.iter().zip(computed).enumerate();
        pairs.filter(|(_, (b, c))| !admits(**b, **c)).map(|(i, (b, c))| (i, *c, *b)).next()
    }
}

/// `x W^T + b`, W `[outputs, inputs]`.
pub fn linear(x: &Matrix, weight: View<'_>, bias: Option<&[f32]>) -> Matrix {
    let output = |row: &[Bounded], index: usize| {
        let weights = weight.row(index).iter().map(|w| Bounded::from(*w));
        let term = bias.map(|bias| (Bounded::from(bias[index]), Bounded::from(1.0)));
        Bounded::dot(row.iter().copied().zip(weights).chain(term), 1)
    };
    let rows = x.rows().map(|row| (0..weight.height()).map(|i| output(row, i)).collect());
    Matrix::from_rows(weight.height(), rows)
}

/// `softmax(q k^T / sqrt(dim)) v` for every head.
pub fn attention(heads: Heads, q: &Matrix, k: &Matrix, v: &Matrix) -> Matrix {
    let scale = Bounded::constant(1.0 / libm::sqrt(heads.dim as f64)).rounded(2);
    attention_in_parts(heads, [q, k, v], scale, &vec![k.height(); q.height()], 1)
}

/// The same with scores times `scale`, where query i attends to the first `seen[i]` keys, which come in `parts`.
pub fn attention_in_parts(
    heads: Heads,
    [q, k, v]: [&Matrix; 3],
    scale: Bounded,
    seen: &[usize],
    parts: usize,
) -> Matrix {
    // Each part may begin a block of its own.
    let blocks = k.height().div_ceil(SHORTEST_BLOCK) + parts - 1;
    let rows = q.rows().zip(seen).map(|(q, &seen)| {
        let mut out = Vec::with_capacity(heads.width());
        for head in 0..heads.count {
            let part = head * heads.dim..(head + 1) * heads.dim;
            let score = |k: &[Bounded]| {
                let pairs = q[part.clone()].iter().copied().zip(k[part.clone()].iter().copied());
                Bounded::dot(pairs, 1) * scale
            };
            let scores: Vec<Bounded> = k.rows().take(seen).map(score).collect();
            let top = scores.iter().map(|s| s.value).fold(f64::NEG_INFINITY, f64::max);
            let span = scores.iter().map(|s| top - s.value).fold(0.0, f64::max);
            let weights: Vec<Bounded> =
                scores.iter().map(|s| s.weight(top, span, blocks)).collect();
            let sum = Bounded::sum(weights.iter().copied(), 2 * blocks);
            out.extend(part.map(|column| {
                let values = v.rows().map(|v| v[column]);
                let pairs = weights.iter().copied().zip(values);
                (Bounded::dot(pairs, 2 * blocks) / sum).rounded(2)
            }));
        }
        out
    });
    Matrix::from_rows(heads.width(), rows)
}

/// Rows over their root mean square, times `weight`.
pub fn rms_norm(x: &Matrix, weight: &[f32], epsilon: f32) -> Matrix {
    let count = Bounded::from(weight.len() as f32);
    let rows = x.rows().map(|row| {
        let squares = Bounded::dot(row.iter().map(|x| (*x, *x)), 1);
        let scale = Bounded::from(1.0) / (squares / count + Bounded::from(epsilon)).sqrt();
        row.iter().zip(weight).map(|(x, w)| *x * scale * Bounded::from(*w)).collect()
    });
    Matrix::from_rows(weight.len(), rows)
}

/// Rows with mean 0 and variance 1, times `factor`, plus `term`.
pub fn layer_norm(x: &Matrix, epsilon: f32, factor: &[Bounded], term: &[Bounded]) -> Matrix {
    let count = Bounded::from(factor.len() as f32);
    let rows = x.rows().map(|row| {
        let mean = Bounded::sum(row.iter().copied(), 1) / count;
        let centred: Vec<Bounded> = row.iter().map(|x| *x - mean).collect();
        let variance = Bounded::dot(centred.iter().map(|x| (*x, *x)), 1) / count;
        let scale = Bounded::from(1.0) / (variance + Bounded::from(epsilon)).sqrt();
        let columns = centred.iter().zip(factor.iter().zip(term));
        columns.map(|(x, (factor, term))| *x * scale * *factor + *term).collect()
    });
    Matrix::from_rows(factor.len(), rows)
}

/// x / (1 + e^-x).
pub fn silu(x: Bounded) -> Bounded {
    x * x.sigmoid()
}

/// x/2 (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3), which is x / (1 + e^-2u).
pub fn gelu(x: Bounded) -> Bounded {
    let slope = Bounded::constant(2.0 * libm::sqrt(std::f64::consts::FRAC_2_PI));
    let inner = x + Bounded::constant(0.044715) * (x * x * x);
    x * (slope * inner).sigmoid()
}

/// Each head's parts of length `axes` turned pair by pair, by the token's position on that axis.
pub fn rope(x: &Matrix, axes: &[usize], positions: &[Vec<i32>]) -> Matrix {
    let dim: usize = axes.iter().sum();
    let rows = x.rows().zip(positions).map(|(row, token)| {
        let mut out = Vec::with_capacity(row.len());
        for head in row.chunks_exact(dim) {
            let mut begin = 0;
            for (axis, position) in axes.iter().zip(token) {
                for pair in 0..axis / 2 {
                    let power = -2.0 * pair as f64 / *axis as f64;
                    let angle = f64::from(*position) * libm::pow(10_000.0, power);
                    let [cos, sin] = [libm::cos(angle), libm::sin(angle)].map(Bounded::constant);
                    let [a, b] = [head[begin + 2 * pair], head[begin + 2 * pair + 1]];
                    out.extend([a * cos - b * sin, a * sin + b * cos]);
                }
                begin += axis;
            }
        }
        out
    });
    Matrix::from_rows(x.columns(), rows)
}

/// `x + gate * y`, one gate per column.
pub fn add_gated(x: &Matrix, gate: &[Bounded], y: &Matrix) -> Matrix {
    let rows = x.rows().zip(y.rows()).map(|(x, y)| {
        x.iter().zip(gate.iter().zip(y)).map(|(x, (gate, y))| *x + *gate * *y).collect()
    });
    Matrix::from_rows(x.columns(), rows)
}

/// `x + y`.
pub fn add(x: &Matrix, y: &Matrix) -> Matrix {
    add_gated(x, &vec![Bounded::from(1.0); x.columns()], y)
}

/// Each row of `guided` at the length of the same row of `with`.
pub fn rescaled(guided: &Matrix, with: &Matrix) -> Matrix {
    let square = |row: &[Bounded]| Bounded::dot(row.iter().map(|x| (*x, *x)), 1);
    let rows = guided.rows().zip(with.rows()).map(|(row, with)| {
        let factor = (square(with) / square(row)).sqrt();
        row.iter().map(|x| *x * factor).collect()
    });
    Matrix::from_rows(guided.columns(), rows)
}

/// The number that a weight kept as bf16 stands for: the upper half of its bits, rounded to nearest, ties to even.
pub fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    f32::from_bits((bits + half) & 0xffff_0000)
}

/// `without + scale (with - without)`.
pub fn combine(with: Bounded, without: Bounded, scale: f32) -> Bounded {
    without + Bounded::from(scale) * (with - without)
}

/// Cosines, then sines, of `timestep` times 10000^(-i/half).
pub fn sinusoid(timestep: f32, length: usize) -> Matrix {
    let half = length / 2;
    let angle = |i: usize| f64::from(timestep) * libm::pow(10_000.0, -(i as f64) / half as f64);
    let cosines = (0..half).map(|i| libm::cos(angle(i)));
    let sines = (0..half).map(|i| libm::sin(angle(i)));
    // Twice, for what the argument's own rounding in f64 adds at the largest angles.
    let row = cosines.chain(sines).map(|x| Bounded::constant(x).rounded(1)).collect();
    Matrix::from_rows(length, [row])
}
