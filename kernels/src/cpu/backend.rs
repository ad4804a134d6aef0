//! The CPU kernels as a backend of the conformance suite.

use crate::conformance::{Backend, Scores};
use crate::cpu::embed;
use crate::cpu::rope::RopeTable;
use crate::cpu::{Heads, Linear, Online, Scratch, activation, attention, norm};
use crate::guidance;
use crate::solver::{Method, Schedule, Solver, State};
use crate::tensor::DType;
use crate::vae;
use crate::view::{View, ViewMut};

/// The CPU.
#[derive(Debug, Default)]
pub struct Cpu {
    scratch: Scratch,
}

/// The rows of a view without gaps.
fn packed(view: View<'_>) -> Vec<f32> {
    view.iter().flatten().copied().collect()
}

impl Backend for Cpu {
    fn linear(&mut self, x: View<'_>, weight: View<'_>, bias: Option<&[f32]>) -> Vec<f32> {
        Linear::new(weight, bias.map(<[f32]>::to_vec), DType::F32).apply(x)
    }

    fn linear_bf16(&mut self, x: View<'_>, weight: View<'_>, bias: Option<&[f32]>) -> Vec<f32> {
        Linear::new(weight, bias.map(<[f32]>::to_vec), DType::Bf16).apply(x)
    }

    fn attention(&mut self, heads: Heads, q: View<'_>, k: View<'_>, v: View<'_>) -> Vec<f32> {
        let mut out = vec![0.0; q.height() * heads.width()];
        attention(heads, q, k, v, ViewMut::new(&mut out, heads.width()), &mut self.scratch);
        out
    }

    fn attention_in_parts(
        &mut self,
        heads: Heads,
        [q, k, v]: [View<'_>; 3],
        scores: Scores<'_>,
    ) -> Vec<f32> {
        let mut out = vec![0.0; q.height() * heads.width()];
        let mut online = Online::new(heads, ViewMut::new(&mut out, heads.width()));
        online = online.scaled_by(scores.scale);
        let mut begin = 0;
        for &end in scores.parts {
            let mask = |_: usize, query: usize, first: usize, row: &mut [f32]| {
                let seen = scores.seen[query].saturating_sub(begin + first).min(row.len());
                row[seen..].fill(f32::NEG_INFINITY);
            };
            let [k, v] = [k, v].map(|keys| keys.rows(begin..end));
            online.add(q, k, v, Some(&mask), &mut self.scratch);
            begin = end;
        }
        online.finish();
        out
    }

    fn rms_norm(&mut self, x: View<'_>, weight: &[f32], epsilon: f32) -> Vec<f32> {
        let mut out = packed(x);
        norm::rms_norm(ViewMut::new(&mut out, weight.len()), weight, epsilon);
        out
    }

    fn layer_norm(&mut self, x: View<'_>, epsilon: f32, factor: &[f32], term: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.height() * x.columns()];
        norm::layer_norm(x, epsilon, factor, term, ViewMut::new(&mut out, x.columns()));
        out
    }

    fn silu(&mut self, x: &[f32]) -> Vec<f32> {
        let mut out = x.to_vec();
        activation::silu(&mut out);
        out
    }

    fn gelu(&mut self, x: &[f32]) -> Vec<f32> {
        let mut out = x.to_vec();
        activation::gelu(&mut out);
        out
    }

    fn rope(&mut self, x: View<'_>, axes: [usize; 3], positions: &[[i32; 3]]) -> Vec<f32> {
        let mut out = packed(x);
        let table = RopeTable::new(axes, positions.iter().copied());
        table.apply(ViewMut::new(&mut out, x.columns()), 0);
        out
    }

    fn add_gated(&mut self, x: View<'_>, gate: &[f32], y: View<'_>) -> Vec<f32> {
        let mut out = packed(x);
        activation::add_gated(ViewMut::new(&mut out, gate.len()), gate, y);
        out
    }

    fn combine(&mut self, with: &[f32], without: &[f32], scale: f32) -> Vec<f32> {
        let mut out = with.to_vec();
        guidance::combine(&mut out, without, scale);
        out
    }

    fn combine_rescaled(&mut self, with: View<'_>, without: View<'_>, scale: f32) -> Vec<f32> {
        let mut out = packed(with);
        guidance::combine_rescaled(&mut out, &packed(without), scale, with.columns());
        out
    }

    fn sinusoid(&mut self, timestep: f32, length: usize) -> Vec<f32> {
        embed::sinusoid(timestep, length)
    }

    fn causal_convolution(
        &mut self,
        sizes: [usize; 3],
        x: View<'_>,
        kernel: [usize; 3],
        weight: &[f32],
        bias: &[f32],
    ) -> Vec<f32> {
        vae::causal_convolution(sizes, x, kernel, weight, bias)
    }

    fn pixel_norm(&mut self, x: View<'_>, gamma: &[f32]) -> Vec<f32> {
        vae::pixel_norm(x, gamma)
    }

    fn solve(
        &mut self,
        method: Method,
        schedule: &Schedule,
        tokens: &[f32],
        velocities: &[Vec<f32>],
    ) -> Vec<f32> {
        let (solver, mut state) = (Solver::new(method, schedule.clone()), State::default());
        let mut tokens = tokens.to_vec();
        for velocity in velocities {
            solver.step(&mut tokens, velocity, &mut state);
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::check;

    #[test]
    fn the_cpu_conforms() {
        let breaches = check(&mut Cpu::default(), 1, 60);
        assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
    }

    /// A backend that errs by one part in a hundred thousand.
    struct Off(Cpu);

    impl Backend for Off {
        fn linear(&mut self, x: View<'_>, weight: View<'_>, _: Option<&[f32]>) -> Vec<f32> {
            self.0.linear(x, weight, None)
        }
        fn attention(&mut self, heads: Heads, q: View<'_>, k: View<'_>, v: View<'_>) -> Vec<f32> {
            off(self.0.attention(heads, q, k, v))
        }
        fn rms_norm(&mut self, x: View<'_>, weight: &[f32], epsilon: f32) -> Vec<f32> {
            off(self.0.rms_norm(x, weight, epsilon))
        }
        fn layer_norm(&mut self, x: View<'_>, epsilon: f32, f: &[f32], t: &[f32]) -> Vec<f32> {
            off(self.0.layer_norm(x, epsilon, f, t))
        }
        fn silu(&mut self, x: &[f32]) -> Vec<f32> {
            off(self.0.silu(x))
        }
        fn gelu(&mut self, x: &[f32]) -> Vec<f32> {
            off(self.0.gelu(x))
        }
        fn rope(&mut self, x: View<'_>, axes: [usize; 3], positions: &[[i32; 3]]) -> Vec<f32> {
            off(self.0.rope(x, axes, positions))
        }
        fn add_gated(&mut self, x: View<'_>, gate: &[f32], y: View<'_>) -> Vec<f32> {
            off(self.0.add_gated(x, gate, y))
        }
        fn combine(&mut self, with: &[f32], without: &[f32], scale: f32) -> Vec<f32> {
            off(self.0.combine(with, without, scale))
        }
        fn linear_bf16(&mut self, x: View<'_>, weight: View<'_>, _: Option<&[f32]>) -> Vec<f32> {
            // As if weights were not rounded.
            self.0.linear(x, weight, None)
        }
        fn attention_in_parts(
            &mut self,
            heads: Heads,
            qkv: [View<'_>; 3],
            scores: Scores<'_>,
        ) -> Vec<f32> {
            off(self.0.attention_in_parts(heads, qkv, scores))
        }
        fn combine_rescaled(&mut self, w: View<'_>, without: View<'_>, scale: f32) -> Vec<f32> {
            off(self.0.combine_rescaled(w, without, scale))
        }
        fn sinusoid(&mut self, timestep: f32, length: usize) -> Vec<f32> {
            off(self.0.sinusoid(timestep, length))
        }
        fn causal_convolution(
            &mut self,
            sizes: [usize; 3],
            x: View<'_>,
            kernel: [usize; 3],
            weight: &[f32],
            bias: &[f32],
        ) -> Vec<f32> {
            off(self.0.causal_convolution(sizes, x, kernel, weight, bias))
        }
        fn pixel_norm(&mut self, x: View<'_>, gamma: &[f32]) -> Vec<f32> {
            off(self.0.pixel_norm(x, gamma))
        }
        fn solve(
            &mut self,
            method: Method,
            schedule: &Schedule,
            tokens: &[f32],
            velocities: &[Vec<f32>],
        ) -> Vec<f32> {
            off(self.0.solve(method, schedule, tokens, velocities))
        }
    }

    fn off(mut x: Vec<f32>) -> Vec<f32> {
        x.iter_mut().for_each(|x| *x *= 1.000_01);
        x
    }

    #[test]
    fn a_small_error_in_any_operation_is_found() {
        let breaches = check(&mut Off(Cpu::default()), 2, 10);
        for operation in [
            "linear",
            "attention",
            "rms_norm",
            "layer_norm",
            "silu",
            "gelu",
            "rope",
            "add_gated",
            "combine",
            "linear_bf16",
            "attention_in_parts",
            "combine_rescaled",
            "sinusoid",
            "causal_convolution",
            "pixel_norm",
            "solve",
        ] {
            let names = |line: &&String| line.split([' ', ':']).next() == Some(operation);
            assert!(breaches.iter().any(|line| names(&line)), "{operation} was not caught");
        }
    }
}
