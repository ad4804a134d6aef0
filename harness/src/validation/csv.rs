//! Errors as CSV.

use super::Validation;
use std::fmt::Write as _;

const HEADER: &str = "system,class,metric,simulated,real,error,error_low,error_high,samples,noise,drift,\
                      own_error,own_error_low,own_error_high,price_error\n";

/// One line a row; errors as shares.
pub fn csv(validation: &Validation) -> String {
    let mut out = HEADER.to_owned();
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &validation.rows {
        let class = row.class.as_deref().unwrap_or_default();
        let ends = |range: Option<(f64, f64)>| {
            [cell(range.map(|range| range.0)), cell(range.map(|range| range.1))].join(",")
        };
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{},{}",
            quoted(&row.system),
            quoted(class),
            row.metric,
            cell(row.simulated),
            cell(row.real),
            cell(row.error),
            ends(row.error_range),
            row.samples,
            cell(row.noise),
            cell(row.drift),
            cell(row.own),
            ends(row.own_range),
            cell(row.of_prices()),
        );
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
