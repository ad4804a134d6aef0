//! A whole request, written out once more: from noise to colours, with the deviation that f32 arithmetic lets expect.
//!
//! Owns what bytes a colour may have, whoever computed the picture: the range that [`Colours`] gives holds for one rank, for
//! Ulysses and for rings alike, since the deviations count a change of scale for every block of keys. Text encoders are
//! left out: they run whole on one rank, so their result is given.

use super::model::Given;
use super::number::Bounded;
use super::ops::{self, Matrix};
use super::volume::Volume;
use super::{dual_stream, solver, vae, video};
use crate::error::Result;
use crate::model::{Family, TensorSpec, WeightSource};
use crate::pipeline::Config;
use crate::solver::Schedule;
use crate::view::View;
use std::ops::RangeInclusive;

/// A request: all that its picture hangs on besides the weights.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The noise of all tokens.
    pub noise: View<'a>,
    /// Tokens along frames, rows and columns.
    pub grid: [usize; 3],
    /// The prompt's text tokens.
    pub with: View<'a>,
    /// The negative prompt's, and the strength of guidance.
    pub without: Option<(View<'a>, f32)>,
    /// Steps.
    pub steps: usize,
}

/// Colours of a picture from 0 to 255 before they are rounded to bytes, each with its deviation.
#[derive(Clone, Debug)]
pub struct Colours(Vec<Bounded>);

impl Request<'_> {
    /// Multiply-adds that the oracle does at the most, each of them some nanoseconds long.
    pub fn multiply_adds(&self, config: &Config) -> u64 {
        let (sizes, area) =
            (&config.transformer, config.transformer.patch.iter().product::<usize>());
        let [tokens, text] = [self.noise.height(), self.with.height()].map(|rows| rows as u64);
        let sequence = tokens + text;
        let attention = 2 * sequence * sequence * (sizes.layers * sizes.hidden()) as u64;
        let branches = 1 + u64::from(self.without.is_some());
        let steps = branches * self.steps as u64 * (sizes.parameters() * sequence + attention);
        let enlarged: usize = config.vae.down().iter().product();
        let decoder: u64 = config.vae.tensors().iter().map(TensorSpec::elements).sum();
        steps + decoder * tokens * (area * enlarged) as u64
    }
}

/// The colours of a request, frame by frame, row by row, three a pixel; `sources` are the weights of transformer and VAE.
///
/// # Errors
/// As the sources.
///
/// # Panics
/// If there are no steps, or sizes do not fit.
pub fn colours(
    config: &Config,
    [transformer, decoder]: [&mut dyn WeightSource; 2],
    request: Request<'_>,
) -> Result<Colours> {
    let sizes = &config.transformer;
    let predict = match sizes.family {
        Family::DualStream => dual_stream::predict,
        Family::Video => video::predict,
    };
    let schedule = Schedule::shifted(request.steps, &config.shift, request.grid.iter().product());
    let noise = Matrix::exact(request.noise);
    let tokens = solver::latents(config.method, schedule.sigmas(), noise, |timestep, tokens| {
        let mut of = |text| {
            let given = Given { tokens, text, timestep, grid: request.grid };
            predict(sizes, &mut *transformer, given)
        };
        let with = of(request.with)?;
        let Some((text, scale)) = request.without else { return Ok(with) };
        Ok(guided(sizes.family, &with, &of(text)?, scale))
    })?;
    let picture =
        vae::decode(&config.vae, decoder, &unpatched(sizes.patch, request.grid, &tokens))?;
    let half = Bounded::from(127.5);
    Ok(Colours(picture.data().iter().map(|x| *x * half + half).collect()))
}

/// Both predictions as one: by the scale beyond the negative prompt's; images then bring each token to the length that the
/// prompt's has.
fn guided(family: Family, with: &Matrix, without: &Matrix, scale: f32) -> Matrix {
    let square = |row: &[Bounded]| Bounded::dot(row.iter().map(|x| (*x, *x)), 1);
    let rows = with.rows().zip(without.rows()).map(|(with, without)| {
        let both = with.iter().zip(without);
        let row: Vec<Bounded> = both.map(|(a, b)| ops::combine(*a, *b, scale)).collect();
        if family == Family::Video {
            return row;
        }
        let factor = (square(with) / square(&row)).sqrt();
        row.into_iter().map(|x| x * factor).collect()
    });
    Matrix::from_rows(with.columns(), rows)
}

/// Tokens, whose elements are (channel, frame, row, column) of a patch, as latents.
fn unpatched(patch: [usize; 3], grid: [usize; 3], tokens: &Matrix) -> Volume {
    let area: usize = patch.iter().product();
    let sizes = [0, 1, 2].map(|axis| grid[axis] * patch[axis]);
    Volume::from_fn(sizes, tokens.columns() / area, |place| {
        let [t, r, c] = [0, 1, 2].map(|axis| place[axis] / patch[axis]);
        let [i, j, k] = [0, 1, 2].map(|axis| place[axis] % patch[axis]);
        let token = tokens.row((t * grid[1] + r) * grid[2] + c);
        token[(i * patch[1] + j) * patch[2] + k..].iter().step_by(area).copied().collect()
    })
}

impl Colours {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each colour may be as a byte: every computed colour lies within its tolerance, -1 and 1 of the decoder are 0
    /// and 255, and the nearest byte is taken.
    pub fn bytes(&self) -> impl Iterator<Item = RangeInclusive<u8>> {
        self.0.iter().map(|colour| {
            // A conversion from f64 to u8 stays within 0 and 255.
            let byte = |x: f64| libm::round(x) as u8;
            byte(colour.value - colour.tolerance())..=byte(colour.value + colour.tolerance())
        })
    }

    /// The first byte of a computed picture that no f32 arithmetic lets expect: its index, and what was expected.
    ///
    /// # Panics
    /// If there are not as many bytes.
    pub fn breach(&self, bytes: &[u8]) -> Option<(usize, RangeInclusive<u8>)> {
        assert_eq!(bytes.len(), self.len(), "number of colours");
        let mut ranges = self.bytes().enumerate();
        ranges.find(|(index, range)| !range.contains(&bytes[*index]))
    }

    /// The widest tolerance, in levels of colour. Two computed pictures are at most twice that apart before they are
    /// rounded, and at most the next whole number of levels after it.
    pub fn tolerance(&self) -> f64 {
        self.0.iter().map(|colour| colour.tolerance()).fold(0.0, f64::max)
    }

    /// The farthest of some computed colours, in the deviation of each; those beyond 0 and 255 are held there.
    ///
    /// # Panics
    /// If there are not as many colours.
    pub fn deviations(&self, computed: impl ExactSizeIterator<Item = f32>) -> f64 {
        assert_eq!(computed.len(), self.len(), "number of colours");
        let pairs = self.0.iter().zip(computed);
        let of = |(colour, computed): (&Bounded, f32)| {
            let value = colour.value.clamp(0.0, 255.0);
            let deviations = (f64::from(computed) - value).abs() / libm::sqrt(colour.variance);
            if deviations.is_nan() { f64::INFINITY } else { deviations }
        };
        pairs.map(of).fold(0.0, f64::max)
    }
}
