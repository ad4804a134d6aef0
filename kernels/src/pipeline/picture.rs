//! Rows of a picture become the whole, and its colours bytes. Files are the program's to write.

use crate::error::{KernelError, Result};
use crate::exchange::Exchange;
use crate::tensor::Tensor;
use crate::vae::Rows;

/// The whole picture on every rank, from each rank's rows `[frames, pixel rows, pixel columns, 3]`.
///
/// # Errors
/// [`KernelError::Exchange`] if another rank was lost.
///
/// # Panics
/// If `part` is not this rank's rows.
pub fn gather(part: Tensor, rows: &Rows, exchange: &mut dyn Exchange) -> Result<Tensor> {
    if rows.parts() == 1 {
        return Ok(part);
    }
    let shape = part.shape();
    let [frames, height, columns, colours] = *shape.axes() else { panic!("a picture of {shape}") };
    let line = columns * colours;
    // Rows without latents tell no scale, but every rank with some has the same.
    let mine = rows.mine().len();
    let mut heights = vec![0.0; rows.parts()];
    exchange
        .all_gather(&[height as f32], &vec![1; rows.parts()], &mut heights)
        .map_err(KernelError::Exchange)?;
    assert!((mine == 0) == (height == 0), "{height} pixel rows of {mine} latent ones");
    let heights: Vec<usize> = heights.into_iter().map(|height| height as usize).collect();
    let counts: Vec<usize> = heights.iter().map(|height| frames * height * line).collect();
    let mut all = vec![0.0; counts.iter().sum()];
    exchange.all_gather(part.data(), &counts, &mut all).map_err(KernelError::Exchange)?;
    // From (rank, frame, row) to (frame, rank, row).
    let total: usize = heights.iter().sum();
    let mut whole = Vec::with_capacity(all.len());
    for frame in 0..frames {
        let mut begin = 0;
        for height in &heights {
            let first = begin + frame * height * line;
            whole.extend_from_slice(&all[first..first + height * line]);
            begin += frames * height * line;
        }
    }
    Tensor::new("picture", [frames, total, columns, colours], whole)
}

/// Red, green and blue of every pixel as bytes: -1 is 0, 1 is 255, to the nearest.
///
/// ```
/// use flexdit_kernels::{Tensor, pipeline::rgb};
/// let picture = Tensor::new("picture", [1, 1, 1, 3], vec![-1.0, 0.0, 1.0])?;
/// assert_eq!(rgb(&picture), [0, 128, 255]);
/// # Ok::<(), flexdit_kernels::KernelError>(())
/// ```
pub fn rgb(picture: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; picture.data().len()];
    rgb_into(picture, &mut bytes);
    bytes
}

/// As [`rgb`], into `bytes`.
///
/// # Panics
/// If it has another length.
pub fn rgb_into(picture: &Tensor, bytes: &mut [u8]) {
    assert_eq!(bytes.len(), picture.data().len(), "bytes of the picture");
    for (byte, x) in bytes.iter_mut().zip(picture.data()) {
        // A conversion from f32 to u8 stays within 0 and 255.
        *byte = x.mul_add(127.5, 127.5).round() as u8;
    }
}
