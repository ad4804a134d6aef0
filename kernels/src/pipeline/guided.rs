//! The velocity of a step, with or without classifier-free guidance, its branches on one rank or on two.

use crate::cpu::Scratch;
use crate::error::{KernelError, Result};
use crate::exchange::Exchange;
use crate::guidance::{combine, combine_rescaled};
use crate::model::{Family, Input, Model, Parallel};
use crate::tensor::Tensor;
use crate::view::View;

/// The texts that a step attends to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The prompt's.
    pub with: &'a Tensor,
    /// The negative prompt's, if the request is guided.
    pub without: Option<&'a Tensor>,
}

/// Who computes which branch of guidance.
pub enum Branches<'a> {
    /// There is no guidance.
    Plain,
    /// This rank computes both, one after the other.
    InTurn {
        /// Strength.
        scale: f32,
    },
    /// CFG degree 2: two ranks with the same tokens compute one each; member 0 the prompt's.
    Apart {
        /// Strength.
        scale: f32,
        /// Joins the two.
        exchange: &'a mut dyn Exchange,
    },
}

/// What both branches share.
pub(super) struct Call<'a> {
    pub(super) model: &'a Model,
    pub(super) grid: [usize; 3],
    pub(super) timestep: f32,
}

impl Call<'_> {
    fn predict(
        &self,
        text: &Tensor,
        tokens: &[f32],
        parallel: &mut Parallel<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        let input = Input {
            tokens: View::new(tokens, self.model.config().width()),
            text: text.view(),
            timestep: self.timestep,
            grid: self.grid,
        };
        self.model.predict(input, parallel, scratch)
    }

    /// Both predictions as one, by the rule of the family.
    fn combined(&self, mut with: Vec<f32>, without: &[f32], scale: f32) -> Vec<f32> {
        let config = self.model.config();
        match config.family {
            Family::DualStream => combine_rescaled(&mut with, without, scale, config.width()),
            Family::Video => combine(&mut with, without, scale),
        }
        with
    }
}

/// The velocity of this rank's tokens.
pub(super) fn velocity(
    call: &Call<'_>,
    context: Context<'_>,
    branches: Branches<'_>,
    tokens: &[f32],
    parallel: &mut Parallel<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<f32>> {
    let without = || context.without.expect("a guided request has a second text");
    match branches {
        Branches::Plain => call.predict(context.with, tokens, parallel, scratch),
        Branches::InTurn { scale } => {
            let with = call.predict(context.with, tokens, parallel, scratch)?;
            let without = call.predict(without(), tokens, parallel, scratch)?;
            Ok(call.combined(with, &without, scale))
        }
        Branches::Apart { scale, exchange } => {
            assert_eq!(exchange.degree(), 2, "guidance has two branches");
            let text = if exchange.index() == 0 { context.with } else { without() };
            let mine = call.predict(text, tokens, parallel, scratch)?;
            let count = mine.len();
            let mut both = vec![0.0; 2 * count];
            exchange.all_gather(&mine, &[count; 2], &mut both).map_err(KernelError::Exchange)?;
            let without = both.split_off(count);
            Ok(call.combined(both, &without, scale))
        }
    }
}
