//! Geometry of diffusion transformers: tokens, voxels, feasibility of layouts.
//!
//! Owns what follows from a model's published dimensions alone. It knows no prices (`cost`) and no
//! requests' states (`migration`). Invariant: an infeasible layout is refused with its reason.

pub mod flops;
pub mod gpu;
pub mod infeasible;
pub mod memory;
pub mod zoo;

pub use gpu::{CPU, DataSheet, GPUS, GpuSpec, Link, gpu};
pub use infeasible::Infeasible;
pub use zoo::{MODELS, model};

use crate::parallelism::Parallelism;
use crate::request::Shape;

/// How the transformer's layers attend to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Text and image tokens share every attention (dual- and single-stream layers).
    Joint {
        /// Layers with separate text and image weights.
        dual: u32,
        /// Layers with shared weights.
        single: u32,
    },
    /// Image tokens attend to themselves, then to the text (cross-attention).
    Cross {
        /// Layers.
        layers: u32,
    },
}

/// How a model is guided towards its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guidance {
    /// Two forwards a step (classifier-free guidance) unless a request turns it off.
    Cfg,
    /// Two forwards a step only when a request sends a negative prompt.
    OnRequest,
    /// One forward a step: guidance is an input of the network.
    Distilled,
}

/// A model's published dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The name used in files, lower case.
    pub name: &'static str,
    /// VAE compression in time, height, width.
    pub vae_down: [u32; 3],
    /// Channels of the latents.
    pub channels: u32,
    /// Latent voxels per token in time, height, width.
    pub patch: [u32; 3],
    /// Layers.
    pub blocks: Blocks,
    /// Attention heads; the Ulysses degree must divide them.
    pub heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Width of the feed-forward layer.
    pub ffn: u32,
    /// Text tokens at most.
    pub text_tokens: u32,
    /// Width of a text embedding.
    pub text_dim: u32,
    /// Parameters resident on a rank (every expert).
    pub params: u64,
    /// How it is guided.
    pub guidance: Guidance,
    /// Denoising steps of the published pipeline.
    pub steps: u32,
    /// Buffers of solver state that move beside the latents, each as large as they.
    ///
    /// 3 for our own video models, whose UniPC keeps two predictions and a sample; 0 where Euler needs none. 0 for the
    /// published Wan models too, though their solver is the same: their simulated migration counts latents and embeddings
    /// alone, as published sizes of the state do. Real ranks move all of it.
    pub history: u32,
}

impl ModelSpec {
    /// Width of the residual stream: heads x head width.
    pub const fn hidden(&self) -> u32 {
        self.heads * self.head_dim
    }

    /// Transformer layers.
    pub const fn layers(&self) -> u32 {
        match self.blocks {
            Blocks::Joint { dual, single } => dual + single,
            Blocks::Cross { layers } => layers,
        }
    }

    /// Whether the model makes videos.
    pub const fn is_video(&self) -> bool {
        self.vae_down[0] > 1
    }

    /// Latent tokens as (frames, rows, columns). Pixels that fill no whole token are cut off, first
    /// by the VAE, then by the patch, as pipelines do.
    ///
    /// # Errors
    /// [`Infeasible::Frames`] for a video of an image model, [`Infeasible::Empty`] for no token.
    ///
    /// ```
    /// let wan = flexdit_core::model::model("wan2.2-ti2v-5b").unwrap();
    /// assert_eq!(wan.grid(720, 1280, 81), Ok([21, 22, 40]));
    /// ```
    pub fn grid(&self, height: u32, width: u32, frames: u32) -> Result<[u32; 3], Infeasible> {
        if frames > 1 && !self.is_video() {
            return Err(Infeasible::Frames { model: self.name, frames });
        }
        let latent_frames = frames.div_ceil(self.vae_down[0]);
        let grid = [
            latent_frames / self.patch[0],
            height / self.vae_down[1] / self.patch[1],
            width / self.vae_down[2] / self.patch[2],
        ];
        if grid.contains(&0) {
            return Err(Infeasible::Empty { model: self.name, width, height, frames });
        }
        Ok(grid)
    }

    /// Number of latent tokens; the sequence length of denoising without text.
    ///
    /// # Errors
    /// As [`ModelSpec::grid`].
    pub fn latent_tokens(&self, height: u32, width: u32, frames: u32) -> Result<u64, Infeasible> {
        let [t, h, w] = self.grid(height, width, frames)?;
        Ok(u64::from(t) * u64::from(h) * u64::from(w))
    }

    /// Pixels of the output over all frames; what VAE decoding is priced by.
    pub fn voxels(&self, height: u32, width: u32, frames: u32) -> u64 {
        u64::from(height) * u64::from(width) * u64::from(frames)
    }

    /// Whether a layout can make a shape, by geometry alone (memory and prices are not looked at).
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn check(&self, shape: &Shape, parallelism: &Parallelism) -> Result<(), Infeasible> {
        let [t, rows, columns] = self.grid(shape.height, shape.width, shape.frames)?;
        let tokens = u64::from(t) * u64::from(rows) * u64::from(columns);
        let Parallelism { ulysses, ring, cfg, patch } = *parallelism;
        if shape.guidance && self.guidance == Guidance::Distilled {
            return Err(Infeasible::Distilled(self.name));
        }
        if [ulysses, ring, cfg, patch].contains(&0) {
            return Err(Infeasible::ZeroDegree(*parallelism));
        }
        if !self.heads.is_multiple_of(u32::from(ulysses)) {
            let (heads, model) = (self.heads, self.name);
            return Err(Infeasible::Heads { degree: ulysses, heads, model });
        }
        if cfg > 2 {
            return Err(Infeasible::CfgDegree(cfg));
        }
        if cfg == 2 && !shape.guidance {
            return Err(Infeasible::CfgUnguided);
        }
        let degree = parallelism.sequence();
        if u64::from(degree) > tokens {
            return Err(Infeasible::Tokens { degree, tokens });
        }
        if u32::from(patch) > rows {
            return Err(Infeasible::Rows { degree: patch, rows });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn named(name: &str) -> &'static ModelSpec {
        model(name).expect("listed model")
    }

    fn square(side: u32) -> Shape {
        Shape { height: side, width: side, frames: 1, steps: 50, ..Shape::default() }
    }

    #[test]
    fn token_counts_are_the_published_ones() {
        let wan = named("wan2.2-ti2v-5b");
        let cases = [
            (480, 832, 49, 5_070),
            (480, 832, 81, 8_190),
            (720, 1280, 49, 11_440),
            (720, 1280, 81, 18_480),
        ];
        for (h, w, f, tokens) in cases {
            assert_eq!(wan.latent_tokens(h, w, f), Ok(tokens));
        }
        for (side, tokens) in
            [(512, 1_024), (768, 2_304), (1024, 4_096), (1280, 6_400), (1536, 9_216)]
        {
            for name in ["qwen-image", "flux.1-dev", "sd3-medium"] {
                assert_eq!(named(name).latent_tokens(side, side, 1), Ok(tokens));
            }
        }
        assert_eq!(named("hunyuanvideo").latent_tokens(720, 1280, 129), Ok(118_800));
        assert_eq!(named("wan2.2-a14b").latent_tokens(720, 1280, 81), Ok(75_600));
        for name in ["cogvideox-5b", "cogvideox-2b"] {
            assert_eq!(named(name).latent_tokens(480, 720, 49), Ok(17_550));
        }
    }

    #[test]
    fn latent_frames_are_one_plus_a_quarter_of_the_rest() {
        let wan = named("wan2.2-ti2v-5b");
        for k in 0..40 {
            let frames = 4 * k + 1;
            assert_eq!(wan.grid(480, 832, frames), Ok([1 + (frames - 1) / 4, 15, 26]));
        }
    }

    #[test]
    fn ulysses_degrees_are_the_divisors_of_the_heads() {
        let degrees = |name: &str, most: u8| -> Vec<u8> {
            let shape = Shape { height: 720, width: 1280, ..square(512) };
            let fits = |d: &u8| named(name).check(&shape, &Parallelism::ulysses(*d)).is_ok();
            (1..=most).filter(fits).collect()
        };
        assert_eq!(degrees("qwen-image", 24), [1, 2, 3, 4, 6, 8, 12, 24]);
        assert_eq!(degrees("wan2.2-a14b", 10), [1, 2, 4, 5, 8, 10]);
        assert_eq!(degrees("cogvideox-2b", 6), [1, 2, 3, 5, 6]);
        let ring = Parallelism { ring: 5, ..Parallelism::SINGLE };
        assert_eq!(named("qwen-image").check(&square(512), &ring), Ok(()));
    }

    #[test]
    fn reasons_are_sentences() {
        let qwen = named("qwen-image");
        let why = |shape: &Shape, parallelism: Parallelism| {
            qwen.check(shape, &parallelism).expect_err("infeasible").to_string()
        };
        let shape = square(512);
        let cfg = |cfg| Parallelism { cfg, ..Parallelism::SINGLE };
        assert_eq!(
            why(&shape, Parallelism::ulysses(5)),
            "ulysses degree 5 does not divide the 24 heads of qwen-image"
        );
        assert_eq!(why(&shape, cfg(3)), "cfg degree 3 is neither 1 nor 2");
        assert_eq!(
            why(&shape, cfg(2)),
            "cfg degree 2 needs a guided request; this one runs one forward a step"
        );
        assert_eq!(
            why(&shape, Parallelism::patch(33)),
            "vae-patch degree 33 exceeds the 32 latent rows"
        );
        assert_eq!(
            why(&Shape { frames: 49, ..shape }, Parallelism::SINGLE),
            "qwen-image makes images; 49 frames asked"
        );
        assert_eq!(
            why(&square(15), Parallelism::SINGLE),
            "15x15, 1 frames, has no latent token in qwen-image"
        );
        assert_eq!(
            why(&square(16), Parallelism::ulysses(2)),
            "sequence degree 2 exceeds the 1 latent tokens"
        );
        let guided = Shape { guidance: true, ..shape };
        assert_eq!(qwen.check(&guided, &cfg(2)), Ok(()));
        assert_eq!(
            named("flux.1-dev").check(&guided, &Parallelism::SINGLE),
            Err(Infeasible::Distilled("flux.1-dev"))
        );
    }

    #[test]
    fn hidden_is_heads_times_head_width() {
        let widths = [
            ("qwen-image", 3072, 60),
            ("flux.1-dev", 3072, 57),
            ("sd3-medium", 1536, 24),
            ("wan2.2-ti2v-5b", 3072, 30),
            ("wan2.2-a14b", 5120, 40),
            ("hunyuanvideo", 3072, 60),
            ("cogvideox-5b", 3072, 42),
            ("cogvideox-2b", 1920, 30),
            ("tiny-image", 128, 2),
            ("tiny-video", 192, 2),
            ("small-image", 512, 4),
            ("thin-image", 64, 24),
            ("small-video", 512, 4),
        ];
        assert_eq!(widths.len(), MODELS.len());
        for (name, hidden, layers) in widths {
            assert_eq!((named(name).hidden(), named(name).layers()), (hidden, layers), "{name}");
        }
    }
}
