//! JSON lines with a `timestamp` in milliseconds, as the Mooncake traces: arrival times only.

use super::Row;
use crate::input::{InputError, parse_json};
use serde::Deserialize;

/// The one field used; token counts and hashes of language models mean nothing here.
#[derive(Deserialize)]
struct Line {
    timestamp: f64,
}

/// Reads arrival times; empty lines are allowed.
///
/// # Errors
/// A line is not a JSON object with a number `timestamp`.
pub fn parse(file: &str, text: &str) -> Result<Vec<Row>, InputError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let parsed: Line =
                parse_json(file, line).map_err(|error| InputError { line: number, ..error })?;
            Ok(Row { line: number, arrival_ms: parsed.timestamp, ..Row::default() })
        })
        .collect()
}
