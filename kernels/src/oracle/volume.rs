//! Frames of pixels, and what a VAE decoder does with them, pixel by pixel as the definitions say.

use super::number::Bounded;
use super::ops::{self, Matrix};
use crate::tensor::Tensor;

/// Frames, rows and columns of pixels; a row of the matrix is a pixel.
#[derive(Clone, Debug)]
pub struct Volume {
    sizes: [usize; 3],
    pixels: Matrix,
}

impl Volume {
    /// The volume whose pixels `pixel` gives, for (frame, row, column).
    pub fn from_fn(
        sizes: [usize; 3],
        channels: usize,
        pixel: impl Fn([usize; 3]) -> Vec<Bounded>,
    ) -> Self {
        let [frames, rows, columns] = sizes;
        let places = (0..frames * rows * columns)
            .map(|i| [i / (rows * columns), i / columns % rows, i % columns]);
        Self { sizes, pixels: Matrix::from_rows(channels, places.map(pixel)) }
    }

    /// Latents `[channels, frames, rows, columns]` as they are.
    ///
    /// # Panics
    /// If the tensor has other axes.
    pub fn exact(latents: &Tensor) -> Self {
        let shape = latents.shape();
        let [channels, frames, rows, columns] = *shape.axes() else { panic!("axes of {shape}") };
        Self::from_fn([frames, rows, columns], channels, |[f, r, c]| {
            let index = |channel: usize| ((channel * frames + f) * rows + r) * columns + c;
            (0..channels).map(|channel| Bounded::from(latents.data()[index(channel)])).collect()
        })
    }

    /// Frames, rows and columns.
    pub fn sizes(&self) -> [usize; 3] {
        self.sizes
    }

    /// Channels of a pixel.
    pub fn channels(&self) -> usize {
        self.pixels.columns()
    }

    /// All pixels, frame by frame, row by row.
    pub fn pixels(&self) -> &Matrix {
        &self.pixels
    }

    /// The pixel at (frame, row, column).
    pub fn at(&self, [frame, row, column]: [usize; 3]) -> &[Bounded] {
        self.pixels.row((frame * self.sizes[1] + row) * self.sizes[2] + column)
    }

    /// The same places with other pixels.
    #[must_use]
    pub fn with(&self, pixels: Matrix) -> Self {
        assert_eq!(pixels.height(), self.pixels.height(), "number of pixels");
        Self { sizes: self.sizes, pixels }
    }

    /// The frames from `first` on, `count` of them.
    #[must_use]
    pub fn frames(&self, first: usize, count: usize) -> Self {
        let sizes = [count, self.sizes[1], self.sizes[2]];
        Self::from_fn(sizes, self.channels(), |[f, r, c]| self.at([first + f, r, c]).to_vec())
    }

    /// These frames, then those of `other`.
    #[must_use]
    pub fn before(&self, other: &Self) -> Self {
        let sizes = [self.sizes[0] + other.sizes[0], self.sizes[1], self.sizes[2]];
        Self { sizes, pixels: self.pixels.above(&other.pixels) }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(ops::add(&self.pixels, &other.pixels))
    }

    /// Convolution with weights `[outputs, inputs, frames, rows, columns]`, zeros before the first frame and around
    /// each frame.
    #[must_use]
    pub fn convolved(&self, kernel: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        let (inputs, area) = (self.channels(), kernel.iter().product::<usize>());
        let [long, high, wide] = kernel;
        Self::from_fn(self.sizes, bias.len(), |[frame, row, column]| {
            let mut under = Vec::with_capacity(area);
            for tap in 0..area {
                let [t, h, w] = [tap / (high * wide), tap / wide % high, tap % wide];
                let place = [(frame + t, long - 1), (row + h, high / 2), (column + w, wide / 2)];
                let place = place.map(|(at, back)| at.checked_sub(back));
                if let [Some(f), Some(r), Some(c)] = place
                    && r < self.sizes[1]
                    && c < self.sizes[2]
                {
                    under.push((tap, self.at([f, r, c])));
                }
            }
            let output = |index: usize| {
                let weight = &weight[index * inputs * area..(index + 1) * inputs * area];
                let terms = under.iter().flat_map(|(tap, pixel)| {
                    let weights = weight[*tap..].iter().step_by(area);
                    pixel.iter().zip(weights).map(|(x, w)| (*x, Bounded::from(*w)))
                });
                let bias = (Bounded::from(bias[index]), Bounded::from(1.0));
                Bounded::dot(terms.chain([bias]), 1)
            };
            (0..bias.len()).map(output).collect()
        })
    }

    /// Each pixel over its length, times the root of the number of channels, times `gamma`.
    #[must_use]
    pub fn normalised(&self, gamma: &[f32]) -> Self {
        let root = Bounded::constant(libm::sqrt(gamma.len() as f64));
        let rows = self.pixels.rows().map(|pixel| {
            let length = Bounded::dot(pixel.iter().map(|x| (*x, *x)), 1).sqrt();
            let scale = root / length;
            pixel.iter().zip(gamma).map(|(x, g)| *x * scale * Bounded::from(*g)).collect()
        });
        self.with(Matrix::from_rows(gamma.len(), rows))
    }

    /// SiLU of every element.
    #[must_use]
    pub fn activated(&self) -> Self {
        self.with(self.pixels.map(ops::silu))
    }

    /// Twice as many rows and columns, each pixel four times.
    #[must_use]
    pub fn enlarged(&self) -> Self {
        let [frames, rows, columns] = self.sizes;
        let sizes = [frames, 2 * rows, 2 * columns];
        Self::from_fn(sizes, self.channels(), |[f, r, c]| self.at([f, r / 2, c / 2]).to_vec())
    }

    /// Twice as many frames: the first half of a pixel's channels, then the second.
    #[must_use]
    pub fn unfolded(&self) -> Self {
        let ([frames, rows, columns], channels) = (self.sizes, self.channels() / 2);
        Self::from_fn([2 * frames, rows, columns], channels, |[f, r, c]| {
            self.at([f / 2, r, c])[f % 2 * channels..(f % 2 + 1) * channels].to_vec()
        })
    }

    /// Every channel repeated until there are `outputs` times 4 x `times`, which are then numbered by (output,
    /// frame, row, column) of an enlarged pixel; with `times` 2 the first frame gives only its second half.
    #[must_use]
    pub fn repeated(&self, outputs: usize, times: usize) -> Self {
        let repeats = outputs * times * 4 / self.channels();
        let [frames, rows, columns] = self.sizes;
        let skip = times - 1;
        Self::from_fn([times * frames - skip, 2 * rows, 2 * columns], outputs, |[f, r, c]| {
            let (frame, half) = ((f + skip) / times, (f + skip) % times);
            let pixel = self.at([frame, r / 2, c / 2]);
            let place = (half * 2 + r % 2) * 2 + c % 2;
            (0..outputs).map(|o| pixel[(o * times * 4 + place) / repeats]).collect()
        })
    }
}
