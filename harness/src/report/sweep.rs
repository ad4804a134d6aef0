//! What a sweep varies, and where curves over it cross.

use super::input::ReportInput;
use super::view::Metric;

/// What kind of quantity is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepKind {
    /// A price of reconfiguring, in milliseconds.
    Cost,
    /// Offered load or a rate.
    Load,
    /// Any other number.
    Other,
}

/// One swept key, all others as at the headline point.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The key.
    pub key: String,
    /// What kind of quantity it is.
    pub kind: SweepKind,
    /// (point, value, value as written), by ascending value.
    pub values: Vec<(usize, f64, String)>,
}

impl Sweep {
    /// Every key that takes at least two numeric values.
    pub fn all(input: &ReportInput) -> Vec<Self> {
        let Some(first) = input.points.first() else { return Vec::new() };
        first.iter().filter_map(|(key, _)| Self::of(input, key)).collect()
    }

    fn of(input: &ReportInput, key: &str) -> Option<Self> {
        let headline = input.points.get(input.headline_point)?;
        let others = |point: &[(String, String)]| -> Vec<(String, String)> {
            point.iter().filter(|(name, _)| name != key).cloned().collect()
        };
        let same = others(headline);
        let mut values: Vec<(usize, f64, String)> = Vec::new();
        for (index, point) in input.points.iter().enumerate() {
            if others(point) == same {
                let (_, written) = point.iter().find(|(name, _)| name == key)?;
                values.push((index, number(written)?, short(written)));
            }
        }
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        values.dedup_by(|a, b| a.1 == b.1);
        let kind = match key {
            key if ["group_setup", "migration", "costs"].iter().any(|w| key.contains(w)) => {
                SweepKind::Cost
            }
            key if ["load", "rate"].iter().any(|w| key.contains(w)) => SweepKind::Load,
            _ => SweepKind::Other,
        };
        (values.len() >= 2).then(|| Self { key: key.to_owned(), kind, values })
    }

    /// Where the curve of `a` first crosses that of `b`: the interpolated value and the two swept
    /// values around it, as written. `None` if one of them is better throughout.
    pub fn crossing(
        &self,
        input: &ReportInput,
        (a, b): (&str, &str),
        metric: Metric,
    ) -> Option<(f64, String, String)> {
        let gap = |point| {
            let value = |system| input.average(point, system, None, metric);
            Some(value(a)? - value(b)?)
        };
        for pair in self.values.windows(2) {
            let (Some(before), Some(after)) = (gap(pair[0].0), gap(pair[1].0)) else { continue };
            if before != 0.0 && (before < 0.0) != (after < 0.0) {
                let part = before / (before - after);
                let value = pair[0].1 + part * (pair[1].1 - pair[0].1);
                return Some((value, pair[0].2.clone(), pair[1].2.clone()));
            }
        }
        None
    }
}

/// The number in a swept value: a plain number, or a duration in milliseconds; `free` is 0.
fn number(written: &str) -> Option<f64> {
    let text = written.trim();
    if let Ok(value) = text.parse::<f64>() {
        return value.is_finite().then_some(value);
    }
    if text == "free" || text == "off" {
        return Some(0.0);
    }
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String =
        text[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit: String = text[start + digits.len()..]
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphabetic() || *c == '\u{b5}')
        .collect();
    let factor = match unit.as_str() {
        "ns" => 1e-6,
        "us" | "\u{b5}s" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "min" => 60e3,
        "" => 1.0,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

/// A swept value as a tick: "{per_use: 60us}" becomes "60 us".
fn short(written: &str) -> String {
    let inner = written.trim().trim_start_matches('{').trim_end_matches('}');
    let value = inner.rsplit(':').next().unwrap_or(inner).trim().trim_matches('"');
    if value == "free" || value == "off" {
        return "0".to_owned();
    }
    match value.find(|c: char| c.is_alphabetic()) {
        Some(unit) if number(value).is_some() => {
            format!("{} {}", value[..unit].trim_end(), &value[unit..])
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_milliseconds_and_free_is_zero() {
        assert_eq!(number("60us"), Some(0.06));
        assert_eq!(number("{per_use: 778 ms}"), Some(778.0));
        assert_eq!(number("free"), Some(0.0));
        assert_eq!(number("1.2"), Some(1.2));
        assert_eq!(number("{fixed: 0}"), Some(0.0));
        assert_eq!(number("fcfs"), None);
        assert_eq!(short("{\"per_use\": \"60us\"}"), "60 us");
        assert_eq!(short("free"), "0");
    }
}
