//! A roofline of one denoising step: operations, weights, collectives, host. Everything it says is
//! *derived*; published tables come first, and it mostly serves as a ratio between two layouts or
//! GPUs.

use super::price::{Price, Provenance};
use super::table::Mode;
use crate::model::{GpuSpec, ModelSpec};
use crate::parallelism::Parallelism;
use crate::units::Nanos;

/// Bytes of one BF16 value.
const BF16: f64 = 2.0;
/// Tensors that an attention layer exchanges under Ulysses: queries, keys, values, output.
const EXCHANGED: f64 = 4.0;

/// The analytic model of one model on one GPU in one mode.
///
/// A step takes the longer of what the host needs to launch it and what the device needs to compute
/// it: operations at `utilisation` of the peak (but no less than reading the weights once), and
/// then the bytes of its collectives at `link_efficiency` of one direction of the link.
///
/// # Source
/// Derived. `utilisation` is what published single-rank latencies reach on long sequences. The host
/// terms follow from published eager steps that stop shrinking: Qwen-Image on H20 at 1,024 tokens
/// (155, 161, 172 ms on 1, 2, 4 ranks) and FLUX on H100 (240, 156, 151 ms), both about 2.5 ms a
/// layer and a forward, whatever the GPU. `link_efficiency` is what remains of the link after
/// packing, in the published steps of Qwen-Image on H20 (eager) and FLUX on H100 (compiled).
#[derive(Clone, Copy, Debug)]
pub struct Analytic {
    /// The model.
    pub model: &'static ModelSpec,
    /// The GPU.
    pub gpu: &'static GpuSpec,
    /// Share of the peak that one rank reaches.
    pub utilisation: f64,
    /// Share of one direction of the link that exposed collectives reach.
    pub link_efficiency: f64,
    /// Host milliseconds a layer and a forward.
    pub host_ms: f64,
    /// Host milliseconds a layer and a forward for every doubling of the sequence degree.
    pub host_doubling_ms: f64,
    /// Text tokens of the prompt.
    pub text_tokens: u32,
}

/// Share of the peak on long sequences at one rank: H20 .80 (published .60-.80), L20 .70 (.60-.84),
/// H100 kind .31 eager and .49 compiled, GB200 kind .60; A100 .60 is assumed, the lower end of the
/// GPUs whose peak is as modest against their bandwidth.
fn utilisation(gpu: &GpuSpec, mode: Mode) -> f64 {
    match (gpu.name, mode) {
        ("h20", _) => 0.80,
        ("l20", _) => 0.70,
        ("h100" | "h200" | "h800", Mode::Eager) => 0.31,
        ("h100" | "h200" | "h800", Mode::Compiled) => 0.49,
        _ => 0.60,
    }
}

impl Analytic {
    /// The model with the calibration of its source note.
    ///
    /// # Panics
    /// Where steps are asked of a `gpu` without published figures: cores are measured, not modelled.
    pub fn new(
        model: &'static ModelSpec,
        gpu: &'static GpuSpec,
        mode: Mode,
        text_tokens: u32,
    ) -> Self {
        let (link_efficiency, host_ms, host_doubling_ms) = match mode {
            Mode::Eager => (0.075, 2.5, 0.18),
            Mode::Compiled => (0.19, 0.0, 0.0),
        };
        let utilisation = utilisation(gpu, mode);
        Self { model, gpu, utilisation, link_efficiency, host_ms, host_doubling_ms, text_tokens }
    }

    /// Milliseconds of one step over `tokens` latent tokens; of both guidance branches if `guided`.
    pub fn step_ms(&self, tokens: u64, guided: bool, layout: Parallelism) -> f64 {
        let forwards = if guided && layout.cfg < 2 { 2.0 } else { 1.0 };
        let ranks = f64::from(layout.sequence().max(1));
        let flops = self.model.flops(tokens, self.text_tokens);
        let sheet = self.gpu.sheet.expect("published figures");
        let rate = sheet.tflops * 1e9 * self.utilisation;
        let compute = (flops.shared / ranks + flops.repeated) / rate;
        let weights = self.model.weights().0 as f64 / (sheet.memory_tb_per_s * 1e9);
        let link = sheet.link_gb_per_s * 1e9 / 2.0 / 1e3 * self.link_efficiency;
        let device = compute.max(weights) + self.exchanged_bytes(tokens, layout) / link;
        let per_layer = self.host_ms + self.host_doubling_ms * libm::log2(ranks);
        let host = per_layer * f64::from(self.model.layers());
        forwards * device.max(host)
    }

    /// The price of that step.
    pub fn step(&self, tokens: u64, guided: bool, layout: Parallelism) -> Price {
        let time = Nanos::from_millis_f64(self.step_ms(tokens, guided, layout));
        Price { time, provenance: Provenance::Derived, extrapolated: false }
    }

    /// Bytes that one rank sends in the collectives of one forward: all-to-alls within the Ulysses
    /// groups, shifts of keys and values around the ring.
    pub fn exchanged_bytes(&self, tokens: u64, layout: Parallelism) -> f64 {
        let (u, r) = (f64::from(layout.ulysses.max(1)), f64::from(layout.ring.max(1)));
        let tensor = tokens as f64 / (u * r) * f64::from(self.model.hidden()) * BF16;
        let layers = f64::from(self.model.layers());
        layers * tensor * (EXCHANGED * (u - 1.0) / u + 2.0 * (r - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{gpu, model};

    fn analytic(name: &str, device: &str, mode: Mode, text: u32) -> Analytic {
        Analytic::new(model(name).expect("listed"), gpu(device).expect("listed"), mode, text)
    }

    fn near(ours: f64, published: f64, share: f64) {
        let error = (ours - published).abs() / published;
        assert!(error <= share, "{ours:.1} against {published:.1}: off by {error:.3}");
    }

    #[test]
    fn published_qwen_steps_are_met_within_a_sixth() {
        let qwen = analytic("qwen-image", "h20", Mode::Eager, 60);
        let table =
            [(1, [155.0, 605.0, 1557.0]), (2, [161.0, 350.0, 880.0]), (4, [172.0, 207.0, 464.0])];
        for (degree, published) in table {
            for (tokens, ms) in [1_024, 4_096, 9_216].into_iter().zip(published) {
                near(qwen.step_ms(tokens, false, Parallelism::ulysses(degree)), ms, 1.0 / 6.0);
            }
        }
    }

    #[test]
    fn published_flux_steps_are_met_within_a_sixth() {
        for (mode, seconds) in
            [(Mode::Eager, [6.71, 4.38, 4.24]), (Mode::Compiled, [4.30, 2.68, 1.63])]
        {
            let flux = analytic("flux.1-dev", "h100", mode, 512);
            for (degree, total) in [1, 2, 4].into_iter().zip(seconds) {
                let ours = flux.step_ms(4_096, false, Parallelism::ulysses(degree));
                near(ours, total / 28.0 * 1e3, 1.0 / 6.0);
            }
        }
    }

    #[test]
    fn published_videos_are_met_within_a_third() {
        let hunyuan = analytic("hunyuanvideo", "h100", Mode::Eager, 256);
        for (degree, total) in [(1, 1904.08), (2, 925.04), (4, 514.08), (8, 337.58)] {
            let ours = hunyuan.step_ms(118_800, false, Parallelism::ulysses(degree));
            near(ours, total / 50.0 * 1e3, 1.0 / 3.0);
        }
        let wan = analytic("wan2.2-a14b", "gb200", Mode::Eager, 512);
        for (layout, total) in [
            (Parallelism::SINGLE, 348.40),
            (Parallelism { cfg: 2, ..Parallelism::SINGLE }, 174.00),
            (Parallelism { cfg: 2, ..Parallelism::ulysses(2) }, 95.89),
            (Parallelism { cfg: 2, ..Parallelism::ulysses(4) }, 48.06),
        ] {
            near(wan.step_ms(75_600, true, layout), total / 40.0 * 1e3, 1.0 / 3.0);
        }
    }

    #[test]
    fn a_ring_sends_more_than_ulysses_and_one_rank_sends_nothing() {
        let qwen = analytic("qwen-image", "h20", Mode::Eager, 60);
        let ring = Parallelism { ring: 4, ..Parallelism::SINGLE };
        let bytes = |layout| qwen.exchanged_bytes(4_096, layout);
        assert_eq!(bytes(Parallelism::SINGLE), 0.0);
        assert!(bytes(ring) > bytes(Parallelism::ulysses(4)));
    }
}
