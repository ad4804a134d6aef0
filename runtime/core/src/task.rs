//! Units of work that a driver executes: tasks and transfers.

use crate::group::Group;
use crate::ids::{ArtifactId, Rank, RequestId, TaskId, TransferId};
use crate::migration::Located;
use crate::parallelism::Parallelism;
use crate::units::Bytes;
use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A request's stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Text encoding, with the preparation of latents and timesteps priced in.
    TextEncode,
    /// Denoising: chunks of steps.
    Denoise,
    /// VAE decode, with finalisation priced in.
    VaeDecode,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 3] = [Self::TextEncode, Self::Denoise, Self::VaeDecode];

    /// The name used in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextEncode => "text-encode",
            Self::Denoise => "denoise",
            Self::VaeDecode => "vae-decode",
        }
    }
}

/// One schedulable piece of a request: a stage, or a chunk of denoising steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Global sequence number.
    pub id: TaskId,
    /// Whose work this is.
    pub request: RequestId,
    /// Which stage.
    pub stage: Stage,
    /// First denoising step of the chunk; 0 in other stages.
    pub first_step: u32,
    /// Denoising steps of the chunk; 0 in other stages.
    pub steps: u32,
    /// How the work is split. `parallelism.degree()` of the group's first ranks compute.
    pub parallelism: Parallelism,
    /// Ranks that are occupied, in order; those past the degree are held and wait.
    pub group: Group,
    /// The version of the request's state that this task reads; 0 when nothing is computed yet.
    pub input: u32,
    /// The version that it makes.
    pub output: ArtifactId,
}

impl Task {
    /// The ranks that compute: the first `degree` of the group.
    pub fn active(&self) -> &[Rank] {
        &self.group[..usize::from(self.parallelism.degree()).min(self.group.len())]
    }
}

/// One directed copy of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// Rank that holds the bytes.
    pub src: Rank,
    /// Rank that pulls them.
    pub dst: Rank,
    /// How many.
    pub bytes: Bytes,
}

/// Moving one artifact to a new placement. Destinations pull; each executes its part in sequence order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Global sequence number.
    pub id: TransferId,
    /// What moves.
    pub artifact: ArtifactId,
    /// Copies, ordered by (destination, source), none with equal ends or zero bytes.
    pub edges: Vec<Edge>,
    /// Where the state lies and where it goes: with the request's shape this says which part of it each copy is
    /// ([`pulls`](crate::migration::pulls)), so that no driver has to follow the system's book.
    pub route: Box<Route>,
}

/// Both ends of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where the state lies.
    pub from: Located,
    /// Where the next task needs it.
    pub to: Located,
}
