//! Floating-point operations of one forward, from geometry.

use super::{Blocks, ModelSpec};

/// Operations of one forward through the transformer.
///
/// # Source
/// Derived: a multiply-add counts two; projections and attention only, norms and modulation
/// ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flops {
    /// What sequence parallelism divides.
    pub shared: f64,
    /// What every rank repeats: the text's keys and values of cross-attention.
    pub repeated: f64,
}

impl Flops {
    /// Operations of one forward on one rank.
    pub fn total(self) -> f64 {
        self.shared + self.repeated
    }
}

impl ModelSpec {
    /// Operations of one forward over `tokens` latent tokens with `text` text tokens.
    pub fn flops(&self, tokens: u64, text: u32) -> Flops {
        let layers = f64::from(self.layers());
        let (d, ffn) = (f64::from(self.hidden()), f64::from(self.ffn));
        let (s, c) = (tokens as f64, f64::from(text));
        match self.blocks {
            Blocks::Joint { .. } => {
                let n = s + c;
                let layer = 8.0 * n * d * d + 4.0 * n * d * ffn + 4.0 * n * n * d;
                Flops { shared: layers * layer, repeated: 0.0 }
            }
            Blocks::Cross { .. } => {
                let own = 12.0 * s * d * d + 4.0 * s * d * ffn + 4.0 * s * s * d;
                let cross = 4.0 * s * c * d;
                Flops { shared: layers * (own + cross), repeated: layers * 4.0 * c * d * d }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model;

    fn tflop(name: &str, tokens: u64, text: u32) -> f64 {
        model(name).expect("listed").flops(tokens, text).total() / 1e12
    }

    #[test]
    fn forwards_cost_what_was_derived_by_hand() {
        let near = |ours: f64, stated: f64, digit: f64| {
            assert!((ours - stated).abs() <= digit / 2.0 + 1e-9, "{ours} against {stated}");
        };
        for (tokens, stated) in [(1_024, 15.6), (4_096, 69.2), (9_216, 189.5)] {
            near(tflop("qwen-image", tokens, 60), stated, 0.1);
        }
        for (tokens, stated) in [(5_070, 110.0), (8_190, 196.0), (18_480, 581.0)] {
            near(2.0 * tflop("wan2.2-ti2v-5b", tokens, 512), stated, 1.0);
        }
        near(tflop("flux.1-dev", 4_096, 512), 74.4, 0.1);
    }

    #[test]
    fn only_cross_attention_repeats_work_per_rank() {
        assert_eq!(model("qwen-image").expect("listed").flops(1_024, 60).repeated, 0.0);
        assert!(model("wan2.2-a14b").expect("listed").flops(75_600, 512).repeated > 0.0);
    }
}
