//! A request as it arrives: what to make, when it came, when it is due.

use crate::ids::{ClassId, ModelId, RequestId};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// What decides a request's cost, beside its number of steps: requests of equal shape cost the same.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Shape {
    /// The model that serves it.
    pub model: ModelId,
    /// Whether two forwards a step are needed (classifier-free guidance).
    pub guidance: bool,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Frames; 1 for an image.
    pub frames: u32,
    /// Text tokens of the prompt.
    pub text_tokens: u32,
    /// Denoising steps.
    pub steps: u32,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Ordinal in the workload.
    pub id: RequestId,
    /// Class in the workload.
    pub class: ClassId,
    /// What is to be made.
    pub shape: Shape,
    /// Steps a denoise chunk runs before the next rescheduling point; at least 1.
    pub chunk_steps: u32,
    /// Larger is more important.
    pub priority: i32,
    /// Whether a policy may pause or demote it.
    pub preemptible: bool,
    /// When it arrived.
    pub arrival: Nanos,
    /// When it is due; `None` means it carries no deadline.
    pub deadline: Option<Nanos>,
    /// Its latency alone on one rank by the workload's profile; the unit of *slowdown*.
    pub t_single: Option<Nanos>,
}
