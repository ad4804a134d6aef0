//! Widths of text in DejaVu Sans, so that nothing is drawn over anything else.

/// Advance of the printable ASCII characters, in thousandths of the font size.
#[rustfmt::skip]
const ADVANCE: [u16; 95] = [
    317, 400, 459, 837, 636, 950, 779, 274, 390, 390, 500, 837, 317, 360, 317, 336,
    636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 336, 336, 837, 837, 837, 530,
    1000, 684, 686, 698, 770, 631, 575, 774, 751, 294, 294, 655, 557, 862, 748, 787,
    603, 787, 694, 634, 610, 731, 684, 988, 685, 610, 685, 390, 336, 390, 837, 500,
    500, 612, 634, 549, 634, 615, 352, 634, 633, 277, 277, 579, 277, 974, 633, 611,
    634, 634, 411, 520, 392, 633, 591, 817, 591, 591, 524, 636, 336, 636, 837,
];

/// Advance of any other character: about that of a digit.
const OTHER: u16 = 640;

/// Width of `text` at `size` pixels, in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let advance = |c: char| {
        let index = (c as usize).wrapping_sub(32);
        u64::from(ADVANCE.get(index).copied().unwrap_or(OTHER))
    };
    text.chars().map(advance).sum::<u64>() as f64 * size / 1000.0
}

/// `text`, or its beginning with an ellipsis, whichever fits `room` pixels at `size` pixels.
pub fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() {
        let with_ellipsis = format!("{}\u{2026}", short.trim_end());
        if width(&with_ellipsis, size) <= room {
            return with_ellipsis;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_wide_is_cut_with_an_ellipsis() {
        assert_eq!(fit("edf-best-fit", 12.0, 200.0), "edf-best-fit");
        let short = fit("edf-best-fit", 12.0, 40.0);
        assert!(short.ends_with('\u{2026}') && width(&short, 12.0) <= 40.0, "{short}");
        assert_eq!(fit("abc", 12.0, 1.0), "");
    }
}
