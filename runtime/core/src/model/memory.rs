//! Memory a rank needs: resident weights and a task's working set. Estimates, labelled *derived*.

use super::{Infeasible, ModelSpec};
use crate::parallelism::Parallelism;
use crate::request::Shape;
use crate::task::Stage;
use crate::units::Bytes;

/// Bytes of one BF16 value.
const BF16: u64 = 2;
/// Activations alive at once in a decoder's widest layer: input, output and one temporary.
const DECODER_BUFFERS: u64 = 3;
/// Channels of a decoder at full resolution.
const DECODER_CHANNELS: u64 = 128;

impl ModelSpec {
    /// Bytes of the weights on every rank: two per parameter.
    pub const fn weights(&self) -> Bytes {
        Bytes(self.params * BF16)
    }

    /// Peak activations of a task on one rank.
    ///
    /// Denoising holds eight residual-width and two FFN-width buffers per local token (guidance
    /// branches on one rank run in turn). Decoding holds three 128-channel buffers of the frames
    /// that one latent frame expands to.
    ///
    /// # Errors
    /// As [`ModelSpec::grid`].
    pub fn working_set(
        &self,
        shape: &Shape,
        stage: Stage,
        parallelism: &Parallelism,
    ) -> Result<Bytes, Infeasible> {
        let tokens = self.latent_tokens(shape.height, shape.width, shape.frames)?;
        let text = u64::from(shape.text_tokens);
        let bytes = match stage {
            Stage::TextEncode => text * u64::from(self.text_dim) * 8 * BF16,
            Stage::Denoise => {
                let local = tokens.div_ceil(u64::from(parallelism.sequence().max(1))) + text;
                let per_token = 8 * u64::from(self.hidden()) + 2 * u64::from(self.ffn);
                local * per_token * BF16
            }
            Stage::VaeDecode => {
                let frames = shape.frames.min(self.vae_down[0]);
                let voxels = self.voxels(shape.height, shape.width, frames);
                let local = voxels.div_ceil(u64::from(parallelism.patch.max(1)));
                local * DECODER_CHANNELS * DECODER_BUFFERS * BF16
            }
        };
        Ok(Bytes(bytes))
    }

    /// Whether weights and working set of a task fit into `memory` bytes of a rank.
    ///
    /// # Errors
    /// [`Infeasible::Memory`] if they do not; as [`ModelSpec::grid`] for an impossible shape.
    pub fn check_memory(
        &self,
        shape: &Shape,
        stage: Stage,
        parallelism: &Parallelism,
        memory: Bytes,
    ) -> Result<(), Infeasible> {
        let needed = self.weights() + self.working_set(shape, stage, parallelism)?;
        if needed <= memory {
            return Ok(());
        }
        Err(Infeasible::Memory {
            model: self.name,
            parallelism: *parallelism,
            needed_gb: needed.0.div_ceil(1_000_000_000),
            available_gb: memory.0 / 1_000_000_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{gpu, model};
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_twenty_billion_parameters_fit_a_large_gpu_and_not_a_small_one() {
        let qwen = model("qwen-image").expect("listed");
        assert_eq!(qwen.weights(), Bytes(40_000_000_000));
        let shape =
            Shape { height: 1536, width: 1536, frames: 1, text_tokens: 512, ..Shape::default() };
        let fits = |name: &str| {
            let memory = gpu(name).and_then(|gpu| gpu.memory()).expect("published");
            qwen.check_memory(&shape, Stage::Denoise, &Parallelism::SINGLE, memory)
        };
        assert_eq!(fits("h20"), Ok(()));
        let small = Bytes(24_000_000_000);
        let why = qwen.check_memory(&shape, Stage::Denoise, &Parallelism::SINGLE, small);
        assert_eq!(
            why.expect_err("too small").to_string(),
            "qwen-image at layout 1 needs 41 GB a rank; a rank has 24 GB"
        );
    }

    #[test]
    fn splitting_shrinks_the_working_set() {
        let hunyuan = model("hunyuanvideo").expect("listed");
        let shape =
            Shape { height: 720, width: 1280, frames: 129, text_tokens: 256, ..Shape::default() };
        let bytes = |stage, parallelism| {
            hunyuan.working_set(&shape, stage, &parallelism).expect("feasible")
        };
        let one = bytes(Stage::Denoise, Parallelism::SINGLE);
        assert!(bytes(Stage::Denoise, Parallelism::ulysses(8)).0 * 7 < one.0);
        let decode = bytes(Stage::VaeDecode, Parallelism::SINGLE);
        assert_eq!(bytes(Stage::VaeDecode, Parallelism::patch(4)).0 * 4, decode.0);
    }
}
