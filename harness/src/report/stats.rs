//! Intervals over seeds. A stand-in until the metrics crate's module is here.

/// An estimate over seeds with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate from all seeds.
    pub estimate: f64,
    /// Ends of the interval; `None` with too few seeds.
    pub range: Option<(f64, f64)>,
    /// Seeds it rests on.
    pub seeds: usize,
}
/// Ratio of means.
pub fn ratio(a: &[f64], b: &[f64]) -> Option<Interval> {
    let (ma, mb) = (mean(a)?, mean(b)?);
    if mb.estimate == 0.0 {
        return None;
    }
    let each: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
    let low = each.iter().copied().fold(f64::MAX, f64::min);
    let high = each.iter().copied().fold(f64::MIN, f64::max);
    let estimate = ma.estimate / mb.estimate;
    Some(Interval { estimate, range: (a.len() >= 3).then_some((low, high)), seeds: a.len() })
}
/// Mean.
pub fn mean(a: &[f64]) -> Option<Interval> {
    if a.is_empty() {
        return None;
    }
    let low = a.iter().copied().fold(f64::MAX, f64::min);
    let high = a.iter().copied().fold(f64::MIN, f64::max);
    let estimate = a.iter().sum::<f64>() / a.len() as f64;
    Some(Interval { estimate, range: (a.len() >= 3).then_some((low, high)), seeds: a.len() })
}
