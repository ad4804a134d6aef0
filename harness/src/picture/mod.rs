//! Pictures of real runs: raw pixels, PNG files that say how they were made, and their checksums.
//!
//! Owns no arithmetic: pixels come from whoever decoded them. Invariant: a file's pixels are the pixels that the ranks left,
//! bit by bit, and its checksum is theirs alone, whatever the file says beside them.

mod about;
mod decode;
mod encode;
mod folder;
mod history;
mod save;
mod spool;

pub use about::About;
pub use decode::{Decoded, decode};
pub use encode::encode;
pub use folder::ImageFolder;
pub use history::{Placement, Placements};
pub use save::SaveImages;
pub use spool::{Shot, Shots, Spool};

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Red, green and blue of every pixel of every frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Frames; 1 for an image.
    pub frames: u32,
    /// Pixel rows.
    pub height: u32,
    /// Pixel columns.
    pub width: u32,
    /// Frame by frame, row by row, three bytes a pixel.
    pub rgb: Vec<u8>,
}

impl From<flexdit_ranks::dit::Picture> for Pixels {
    fn from(picture: flexdit_ranks::dit::Picture) -> Self {
        let flexdit_ranks::dit::Picture { frames, height, width, rgb } = picture;
        Self { frames, height, width, rgb }
    }
}

/// Where two pictures differ first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Frame, from 0.
    pub frame: u32,
    /// Row, from 0.
    pub y: u32,
    /// Column, from 0.
    pub x: u32,
    /// The colours there.
    pub colours: [[u8; 3]; 2],
    /// How many bytes differ in all.
    pub bytes: u64,
}

impl Pixels {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.height as usize * self.width as usize * 3
    }

    /// Whether there are as many bytes as the sizes say, and any.
    pub fn is_whole(&self) -> bool {
        !self.rgb.is_empty() && self.rgb.len() == self.frames as usize * self.frame_bytes()
    }

    /// SHA-256 of the bytes, in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.rgb).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where `other` differs first; `None` if no bit does.
    ///
    /// # Panics
    /// If the pictures have other sizes.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let sizes = |pixels: &Self| (pixels.frames, pixels.height, pixels.width, pixels.rgb.len());
        assert_eq!(sizes(self), sizes(other), "pictures of one shape");
        let first = self.rgb.iter().zip(&other.rgb).position(|(a, b)| a != b)?;
        let pixel = first / 3;
        let (row, x) = (pixel / self.width as usize, pixel % self.width as usize);
        let (frame, y) = (row / self.height as usize, row % self.height as usize);
        let colour = |rgb: &[u8]| [rgb[pixel * 3], rgb[pixel * 3 + 1], rgb[pixel * 3 + 2]];
        let differ = self.rgb.iter().zip(&other.rgb).filter(|(a, b)| a != b).count();
        Some(Difference {
            frame: frame as u32,
            y: y as u32,
            x: x as u32,
            colours: [colour(&self.rgb), colour(&other.rgb)],
            bytes: differ as u64,
        })
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {} pixels", self.frames, self.height, self.width)
    }
}

/// Why a picture is not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The bytes are not those of a picture of its size.
    #[error("{bytes} bytes are no picture of {frames} x {height} x {width} pixels")]
    Size {
        /// Bytes that are there.
        bytes: usize,
        /// Frames.
        frames: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// PNG could not be written.
    #[error("the picture could not be encoded: {0}")]
    Encode(#[from] png::EncodingError),
    /// The file is not PNG, or not such as is written here.
    #[error("the file is no picture of this program: {0}")]
    Decode(String),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture in which every byte differs from its neighbours.
    pub(crate) fn sample(frames: u32, height: u32, width: u32) -> Pixels {
        let bytes = frames * height * width * 3;
        let rgb = (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        Pixels { frames, height, width, rgb }
    }

    #[test]
    fn the_first_pixel_that_differs_is_named() {
        let one = sample(2, 3, 4);
        let mut other = one.clone();
        assert_eq!((one.difference(&other), one.is_whole()), (None, true));
        let at = (12 + 2 * 4 + 1) * 3 + 2;
        other.rgb[at] ^= 1;
        other.rgb[at + 4] ^= 128;
        let found = one.difference(&other).expect("they differ");
        assert_eq!((found.frame, found.y, found.x, found.bytes), (1, 2, 1, 2));
        assert_eq!(found.colours[0][2] ^ found.colours[1][2], 1);
        assert_ne!(one.sha256(), other.sha256());
    }

    #[test]
    fn the_checksum_is_that_of_the_bytes() {
        let empty = Pixels { frames: 0, height: 0, width: 0, rgb: Vec::new() };
        assert!(empty.sha256().starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
        assert!(!empty.is_whole());
    }
}
