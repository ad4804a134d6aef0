//! Position in a trajectory: which task comes next.

use crate::request::Request;
use crate::task::Stage;

/// The next task of a request, as a stage and a step; past the last stage the request is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    stage: Option<Stage>,
    step: u32,
}

impl Cursor {
    /// At the first task.
    pub const START: Self = Self { stage: Some(Stage::TextEncode), step: 0 };

    /// At the first denoising step, the text being encoded.
    pub const ENCODED: Self = Self { stage: Some(Stage::Denoise), step: 0 };

    /// The stage of the next task; `None` when the request is done.
    pub const fn stage(self) -> Option<Stage> {
        self.stage
    }

    /// Denoising steps behind this position, of `total`.
    pub fn steps_done(self, total: u32) -> u32 {
        match self.stage {
            Some(Stage::TextEncode) => 0,
            Some(Stage::Denoise) => self.step,
            Some(Stage::VaeDecode) | None => total,
        }
    }

    /// `(first step, steps)` of the next task when chunks have `chunk` steps; `(0, 0)` outside denoising.
    pub fn chunk(self, request: &Request, chunk: u32) -> (u32, u32) {
        match self.stage {
            Some(Stage::Denoise) => (self.step, chunk.max(1).min(request.shape.steps - self.step)),
            _ => (0, 0),
        }
    }

    /// The position after the next task, which covers `steps` denoising steps.
    pub fn advance(self, request: &Request, steps: u32) -> Self {
        let stage = match self.stage {
            Some(Stage::TextEncode) => Some(Stage::Denoise),
            Some(Stage::Denoise) if self.step + steps < request.shape.steps => {
                return Self { stage: self.stage, step: self.step + steps };
            }
            Some(Stage::Denoise) => Some(Stage::VaeDecode),
            Some(Stage::VaeDecode) | None => None,
        };
        Self { stage, step: 0 }
    }
}
