//! Numbers as the tables print them.

use crate::metrics::stats::Interval;
use crate::plot::axis::{decimals, group_digits};

/// What stands for a value that is not defined.
pub const NONE: &str = "n/a";

/// `value` with three significant digits, or all before the point: 0.0503, 12.3, 99.0, 12,345.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = decimals(value, 3);
    group_digits(&format!("{value:.digits$}"))
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

/// A value and, as detail, its interval, both through `show`; the interval without its unit.
pub fn with_interval(
    value: Option<Interval>,
    show: impl Fn(f64) -> String,
) -> (String, Option<String>) {
    let Some(value) = value else { return (NONE.to_owned(), None) };
    let bare = |end: f64| show(end).trim_end_matches([' ', '%', 'x']).to_owned();
    let detail = value.range.map(|(low, high)| format!("[{}, {}]", bare(low), bare(high)));
    (show(value.estimate), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_changes_their_sign() {
        assert_eq!(number(0.050_31), "0.0503");
        assert_eq!(number(99.0), "99.0");
        assert_eq!(number(12_345.6), "12,346");
        assert_eq!(change(0.62), "-38.0 %");
        assert_eq!(change(0.999_99), "+0.0 %");
        assert_eq!(percent(0.4567), "45.7 %");
        let two = [321.0, 32.0, 3.2, 0.32, 0.032, 0.0].map(|length| decimals(length, 2));
        assert_eq!(two, [0, 0, 1, 2, 3, 6]);
    }
}
