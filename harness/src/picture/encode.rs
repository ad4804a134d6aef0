//! Pixels to PNG: one frame is a picture, several are an animation that repeats for ever.

use super::{About, PictureError, Pixels};
use png::{BitDepth, ColorType, Compression, Encoder};

/// Frames a second of an animation.
///
/// # Source
/// What Wan's published pipelines export.
const RATE: u16 = 16;

/// The file: PNG, or animated PNG if there are several frames, with `about` as UTF-8 text entries.
///
/// # Errors
/// [`PictureError::Size`] if bytes are missing or left over; [`PictureError::Encode`] if PNG cannot hold it.
///
/// ```
/// use flexdit::picture::{About, Pixels, decode, encode};
/// let pixels = Pixels { frames: 1, height: 1, width: 2, rgb: vec![255, 0, 0, 0, 0, 255] };
/// let about = About {
///     experiment: "e".into(), system: "s".into(), seed: 1, noise_seed: 2, request: 0, class: "S".into(),
///     model: "tiny-image".into(), shape: [1, 1, 2], steps: 4, ..About::default()
/// };
/// let file = encode(&pixels, &about)?;
/// assert_eq!(decode(&file)?.pixels, pixels);
/// # Ok::<(), flexdit::picture::PictureError>(())
/// ```
pub fn encode(pixels: &Pixels, about: &About) -> Result<Vec<u8>, PictureError> {
    let &Pixels { frames, height, width, ref rgb } = pixels;
    if !pixels.is_whole() {
        return Err(PictureError::Size { bytes: rgb.len(), frames, height, width });
    }
    let mut file = Vec::with_capacity(rgb.len() / 2);
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    if frames > 1 {
        encoder.set_animated(frames, 0)?;
        encoder.set_frame_delay(1, RATE)?;
    }
    encoder.validate_sequence(true);
    for (keyword, text) in about.entries() {
        encoder.add_itxt_chunk(keyword.to_owned(), text)?;
    }
    let mut writer = encoder.write_header()?;
    for frame in rgb.chunks_exact(pixels.frame_bytes()) {
        writer.write_image_data(frame)?;
    }
    writer.finish()?;
    Ok(file)
}
