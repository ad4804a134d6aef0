//! The CPU kernels as a backend of the conformance suite.

use crate::conformance::Backend;
use crate::cpu::rope::RopeTable;
use crate::cpu::{Heads, Linear, Scratch, activation, attention, norm};
use crate::guidance;
use crate::tensor::DType;
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

    fn attention(&mut self, heads: Heads, q: View<'_>, k: View<'_>, v: View<'_>) -> Vec<f32> {
        let mut out = vec![0.0; q.height() * heads.width()];
        attention(heads, q, k, v, ViewMut::new(&mut out, heads.width()), &mut self.scratch);
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
    }

    fn off(mut x: Vec<f32>) -> Vec<f32> {
        x.iter_mut().for_each(|x| *x *= 1.000_01);
        x
    }

    #[test]
    fn a_small_error_in_any_operation_is_found() {
        let breaches = check(&mut Off(Cpu::default()), 2, 10).join("\n");
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
        ] {
            assert!(breaches.contains(operation), "{operation} was not caught");
        }
    }
}
