//! PNG back to pixels, for tests and for whoever compares files.

use super::{About, PictureError, Pixels};
use png::{BitDepth, ColorType, Decoder};
use std::io::Cursor;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The picture.
    pub pixels: Pixels,
    /// How it was made, as the file says; `None` if it does not say all of it.
    pub about: Option<About>,
}

/// Reads what [`encode`](super::encode) writes.
///
/// # Errors
/// [`PictureError::Decode`] if the file is damaged, or not RGB of 8 bits in whole frames.
pub fn decode(file: &[u8]) -> Result<Decoded, PictureError> {
    let wrong = |error: png::DecodingError| PictureError::Decode(error.to_string());
    let mut reader = Decoder::new(Cursor::new(file)).read_info().map_err(wrong)?;
    let info = reader.info();
    let (height, width) = (info.height, info.width);
    if (info.color_type, info.bit_depth) != (ColorType::Rgb, BitDepth::Eight) {
        let got = format!("{:?} of {:?}", info.color_type, info.bit_depth);
        return Err(PictureError::Decode(got));
    }
    let frames = info.animation_control.map_or(1, |control| control.num_frames);
    let size = height as usize * width as usize * 3;
    let mut rgb = Vec::new();
    for _ in 0..frames {
        let start = rgb.len();
        rgb.resize(start + size, 0);
        let frame = reader.next_frame(&mut rgb[start..]).map_err(wrong)?;
        if (frame.height, frame.width) != (height, width) {
            return Err(PictureError::Decode("frames of several sizes".into()));
        }
    }
    let mut entries = Vec::new();
    for entry in &reader.info().utf8_text {
        entries.push((entry.keyword.clone(), entry.get_text().map_err(wrong)?));
    }
    let pixels = Pixels { frames, height, width, rgb };
    Ok(Decoded { pixels, about: About::from_entries(&entries) })
}

#[cfg(test)]
mod tests {
    use super::super::{about, encode, tests};
    use super::*;

    #[test]
    fn pixels_and_words_come_back_from_pictures_and_animations() {
        for (frames, height, width) in [(1, 1, 1), (1, 32, 48), (5, 16, 8), (2, 1, 7)] {
            let pixels = tests::sample(frames, height, width);
            let about = about::tests::sample();
            let file = encode(&pixels, &about).expect("a picture");
            let animated = file.windows(4).any(|word| word == b"acTL");
            assert_eq!(animated, frames > 1);
            let read = decode(&file).expect("it was written here");
            assert_eq!(read, Decoded { pixels, about: Some(about) });
        }
    }

    #[test]
    fn a_picture_with_bytes_missing_is_not_written() {
        let mut pixels = tests::sample(1, 4, 4);
        pixels.rgb.pop();
        let error = encode(&pixels, &about::tests::sample()).unwrap_err().to_string();
        assert_eq!(error, "47 bytes are no picture of 1 x 4 x 4 pixels");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let file = encode(&tests::sample(1, 8, 8), &about::tests::sample()).expect("a picture");
        assert!(decode(&file[..file.len() / 2]).is_err());
        assert!(decode(b"not a picture").is_err());
        let mut flipped = file.clone();
        let data = file.windows(4).position(|word| word == b"IDAT").expect("pixels");
        flipped[data + 8] ^= 0x40;
        assert!(decode(&flipped).is_err());
    }
}
