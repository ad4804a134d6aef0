//! A completed request's picture, whatever its decode's split.

use super::{Dit, pixels};
use crate::driver::Completed;

/// Red, green and blue of every pixel of every frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Frames; 1 for an image.
    pub frames: u32,
    /// Pixel rows.
    pub height: u32,
    /// Pixel columns.
    pub width: u32,
    /// Frame by frame, row by row, three bytes a pixel.
    pub rgb: Vec<u8>,
}

impl Dit {
    /// The picture of a completed request, from the rows of its decoding ranks. It is smaller than was asked for where pixels
    /// fill no whole token.
    ///
    /// # Panics
    /// If it is not a result of these models.
    pub fn picture(&self, completed: &Completed) -> Picture {
        let shape = &completed.request.shape;
        let model = self.model(shape).expect("a model of this run");
        let grid = self.grid(shape).expect("it was computed");
        let made = model.pipeline.config().made(pixels(shape)).expect("it was computed");
        let [frames, height, width] = made;
        let parts = usize::from(completed.parallelism.patch);
        assert_eq!(completed.parts.len(), parts, "parts of a result");
        let down = model.pipeline.config().vae.down()[1];
        let mut rgb = vec![0; frames * height * width * 3];
        for (index, part) in completed.parts.iter().enumerate() {
            let rows = model.pipeline.rows(grid, parts, index).mine();
            let (first, count) = (rows.start * down, rows.len() * down);
            let bytes = part.tensors[0].as_bytes();
            assert_eq!(bytes.len(), frames * count * width * 3, "bytes of a part");
            let strips = bytes.chunks_exact((count * width * 3).max(1));
            for (frame, strip) in strips.enumerate() {
                let at = (frame * height + first) * width * 3;
                rgb[at..at + strip.len()].copy_from_slice(strip);
            }
        }
        let [frames, height, width] = made.map(|length| length as u32);
        Picture { frames, height, width, rgb }
    }
}
