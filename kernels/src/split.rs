//! How many things are shared out over a degree: the ragged rule that tokens, text and rows of a picture follow.

use std::ops::Range;

/// The `index`-th of `parts` ragged pieces of `length`, longer ones first: 5 over 2 is 3 and 2.
///
/// # Panics
/// If `index` is not below `parts`.
///
/// ```
/// use flexdit_kernels::split::ragged;
/// assert_eq!([ragged(5, 2, 0), ragged(5, 2, 1)], [0..3, 3..5]);
/// assert!(ragged(1, 2, 1).is_empty());
/// ```
pub fn ragged(length: usize, parts: usize, index: usize) -> Range<usize> {
    assert!(index < parts, "piece {index} of {parts}");
    let (short, longer) = (length / parts, length % parts);
    let start = index * short + index.min(longer);
    start..start + short + usize::from(index < longer)
}

/// All pieces of [`ragged`] in order.
pub fn pieces(length: usize, parts: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    (0..parts).map(move |index| ragged(length, parts, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_once_and_differ_by_at_most_one() {
        for length in 0..40 {
            for parts in 1..12 {
                let mut end = 0;
                for piece in pieces(length, parts) {
                    assert_eq!(piece.start, end);
                    assert!(piece.len() == length / parts || piece.len() == length / parts + 1);
                    end = piece.end;
                }
                assert_eq!(end, length);
            }
        }
    }
}
