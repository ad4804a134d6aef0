//! Numbers as the tables print them.

use crate::metrics::stats::Interval;

/// What stands for a value that is not defined.
pub const NONE: &str = "n/a";

/// `value` with about three significant digits: 0.0503, 12.3, 1,234.
pub fn number(value: f64) -> String {
    crate::plot::axis::plain(value)
}

/// A share as a percentage with one decimal.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A ratio with two decimals: "1.52x".
pub fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// A ratio as a change: 0.62 becomes "-38 %".
pub fn change(ratio: f64) -> String {
    let text = format!("{:+.1} %", (ratio - 1.0) * 100.0);
    if text == "-0.0 %" { "+0.0 %".to_owned() } else { text }
}

/// A value and, as detail, its interval, both through `show`.
pub fn with_interval(
    value: Option<Interval>,
    show: impl Fn(f64) -> String,
) -> (String, Option<String>) {
    let Some(value) = value else { return (NONE.to_owned(), None) };
    let detail = value.range.map(|(low, high)| format!("[{}, {}]", show(low), show(high)));
    (show(value.estimate), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_changes_their_sign() {
        assert_eq!(number(0.050_31), "0.0503");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(change(0.62), "-38.0 %");
        assert_eq!(change(0.999_99), "+0.0 %");
        assert_eq!(percent(0.4567), "45.7 %");
    }
}
