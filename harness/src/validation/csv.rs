//! Errors as CSV.

use super::Validation;
use std::fmt::Write as _;

const HEADER: &str = "system,class,metric,simulated,real,error,error_low,error_high,seeds,samples,standard_error,\
                      two_runs_apart,drift,own_error,own_error_low,own_error_high,price_error,profile_error,\
                      profile_error_low,profile_error_high,intervals_cover\n";

/// One line a row; errors as shares.
pub fn csv(validation: &Validation) -> String {
    let mut out = HEADER.to_owned();
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &validation.rows {
        let class = row.class.as_deref().unwrap_or_default();
        let ends = |range: Option<(f64, f64)>| {
            [cell(range.map(|range| range.0)), cell(range.map(|range| range.1))].join(",")
        };
        let covers = row.covers.map(|covers| quoted(covers.words())).unwrap_or_default();
        let cells = [
            quoted(&row.system),
            quoted(class),
            row.metric.clone(),
            cell(row.simulated),
            cell(row.real),
            cell(row.error),
            ends(row.error_range),
            row.seeds.to_string(),
            row.samples.to_string(),
            cell(row.standard_error),
            cell(row.two_runs_apart),
            cell(row.drift),
            cell(row.own),
            ends(row.own_range),
            cell(row.of_prices()),
            cell(row.profile),
            ends(row.profile_range),
            covers,
        ];
        let _ = writeln!(out, "{}", cells.join(","));
    }
    out
}

/// A name as CSV wants it.
fn quoted(name: &str) -> String {
    match name.contains([',', '"', '\n']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}
