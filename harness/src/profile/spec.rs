//! The profile file, key by key; the JSON Schema is made from these types.

use super::charges::{ChargesSpec, MeasuredSpec, SpreadSpec};
use flexdit_core::cost::{CostStage, Mode, Provenance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the stages of one model cost on one GPU in one mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// The model.
    pub model: String,
    /// The GPU.
    pub gpu: String,
    /// How kernels are launched; default eager.
    #[serde(default = "eager")]
    pub mode: ModeName,
    /// Unit of every time in the file; default ms.
    #[serde(default = "milliseconds")]
    pub unit: UnitName,
    /// What kind of number an entry is that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelName>,
    /// Source of the entries that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it was measured on, if `flexdit profile` wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredSpec>,
    /// What was measured beside the stages; an experiment takes it with `costs: {measured: FILE}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charges: Option<ChargesSpec>,
    /// One per stage and layout.
    pub entries: Vec<EntrySpec>,
}

/// What one stage costs at one layout: `constant`, `quadratic`, `samples`, or samples with a
/// quadratic for the sizes between them. Without a quadratic, lines run between the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntrySpec {
    /// The stage. The size it is priced by: text tokens, latent tokens, steps, latent tokens,
    /// latent tokens, output pixels over all frames, output pixels.
    pub stage: StageName,
    /// Ulysses degree, default 1; must divide the model's heads.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub degree: u8,
    /// Ring degree, default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ring: u8,
    /// CFG degree: 2 puts the guidance branches on different ranks. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub cfg: u8,
    /// VAE-patch degree, default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub patch: u8,
    /// Pairs of size and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<(f64, f64)>>,
    /// Every sample is the time of this many steps; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_sample: Option<u32>,
    /// `a x^2 + b x + c` over the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quadratic: Option<QuadraticSpec>,
    /// The same time at every size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<f64>,
    /// What kind of number this is; default: the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelName>,
    /// Where it comes from; default: the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How the samples were spread, where they were measured. Prices do not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Vec<SpreadSpec>>,
}

/// A quadratic with the sizes it holds for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuadraticSpec {
    /// Quadratic coefficient; default 0.
    #[serde(default)]
    pub a: f64,
    /// Linear coefficient; default 0.
    #[serde(default)]
    pub b: f64,
    /// Constant; default 0.
    #[serde(default)]
    pub c: f64,
    /// Smallest size it holds for; prices below are flagged as extrapolated. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Largest size it holds for; prices above are flagged as extrapolated. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident -> $core:ty {
        $($(#[$vdoc:meta])* $variant:ident => $value:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// What it stands for.
            pub const fn value(self) -> $core {
                match self {
                    $(Self::$variant => $value,)*
                }
            }
        }
    };
}

names! {
    /// A priced piece of a request.
    StageName -> CostStage {
        /// Text encoding, over text tokens.
        TextEncode => CostStage::TextEncode,
        /// Preparing latents, over latent tokens.
        DitPrepare => CostStage::DitPrepare,
        /// Preparing timesteps, over steps.
        TimestepPrepare => CostStage::TimestepPrepare,
        /// One denoising step of an unguided request (one forward), over latent tokens.
        Step => CostStage::Step { guidance: false },
        /// One denoising step of a guided request (both branches), over latent tokens.
        GuidedStep => CostStage::Step { guidance: true },
        /// VAE decode, over output pixels of all frames.
        VaeDecode => CostStage::VaeDecode,
        /// Packing the result, over output pixels of all frames.
        Finalize => CostStage::Finalize,
    }
}

names! {
    /// What kind of number a price is.
    LabelName -> Provenance {
        /// Measured by this project.
        Measured => Provenance::Measured,
        /// Stated in a paper or a public artifact.
        Published => Provenance::Published,
        /// Produced by a simulator.
        Simulated => Provenance::Simulated,
        /// Computed from other numbers.
        Derived => Provenance::Derived,
    }
}

names! {
    /// How kernels are launched.
    ModeName -> Mode {
        /// One launch per kernel from the host.
        Eager => Mode::Eager,
        /// Compiled or captured graphs.
        Compiled => Mode::Compiled,
    }
}

names! {
    /// A unit of time, as milliseconds.
    UnitName -> f64 {
        /// Microseconds.
        Us => 1e-3,
        /// Milliseconds.
        Ms => 1.0,
        /// Seconds.
        S => 1e3,
    }
}

fn eager() -> ModeName {
    ModeName::Eager
}

fn milliseconds() -> UnitName {
    UnitName::Ms
}

fn one() -> u8 {
    1
}

fn is_one(degree: &u8) -> bool {
    *degree == 1
}
