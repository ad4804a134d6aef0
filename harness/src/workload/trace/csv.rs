//! Comma-separated values with a header line.
//!
//! Columns: `arrival_ms` (needed), `request_id`, `class`, `model`, `height`, `width`, `num_frames`,
//! `num_steps`, `guidance`, `text_tokens`, `chunk_steps`, `priority`, `preemptible`, `deadline_ms`,
//! `slo_ms`. An empty field is a value not given; an unknown column is refused.

use super::Row;
use crate::input::{InputError, suggestion};
use core::str::FromStr;

/// The columns known, in the order they are written in.
pub const COLUMNS: [&str; 15] = [
    "request_id",
    "class",
    "model",
    "arrival_ms",
    "height",
    "width",
    "num_frames",
    "num_steps",
    "guidance",
    "text_tokens",
    "chunk_steps",
    "priority",
    "preemptible",
    "deadline_ms",
    "slo_ms",
];

/// Reads rows.
///
/// # Errors
/// An unknown or missing column, a line of another length, or a field of another type.
pub fn parse(file: &str, text: &str) -> Result<Vec<Row>, InputError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| refuse(file, &error))?.clone();
    let mut columns = Vec::new();
    for name in &header {
        match COLUMNS.iter().position(|known| *known == name) {
            Some(column) if columns.contains(&column) => {
                return Err(InputError::new(file, format!("column `{name}` stands twice")).at(1, 0));
            }
            Some(column) => columns.push(column),
            None => {
                let (message, hint) = suggestion("column", name, &COLUMNS);
                return Err(InputError { hint, ..InputError::new(file, message).at(1, 0) });
            }
        }
    }
    if !header.iter().any(|name| name == "arrival_ms") {
        return Err(InputError::new(file, "missing column `arrival_ms`").at(1, 0));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refuse(file, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |name: &'static str| {
            let place = header.iter().position(|column| column == name)?;
            record.get(place).filter(|value| !value.is_empty())
        };
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        rows.push(row(&Fields { file, line, field: &field })?);
    }
    Ok(rows)
}

struct Fields<'a> {
    file: &'a str,
    line: u32,
    field: &'a dyn Fn(&'static str) -> Option<&'a str>,
}

impl Fields<'_> {
    fn text(&self, name: &'static str) -> Option<String> {
        (self.field)(name).map(str::to_owned)
    }

    fn get<T: FromStr>(&self, name: &'static str, what: &str) -> Result<Option<T>, InputError> {
        let Some(value) = (self.field)(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            let message = format!("expected {what}, got \"{value}\"");
            InputError::new(self.file, message).at(self.line, 0).key(name)
        })
    }

    fn count(&self, name: &'static str) -> Result<Option<u32>, InputError> {
        self.get(name, "a whole number from 0 to 4294967295")
    }
}

fn row(fields: &Fields<'_>) -> Result<Row, InputError> {
    let arrival_ms = fields.get("arrival_ms", "a number")?.ok_or_else(|| {
        InputError::new(fields.file, "expected a number, got nothing")
            .at(fields.line, 0)
            .key("arrival_ms")
    })?;
    Ok(Row {
        line: fields.line,
        name: fields.text("request_id"),
        class: fields.text("class"),
        model: fields.text("model"),
        arrival_ms,
        height: fields.count("height")?,
        width: fields.count("width")?,
        frames: fields.count("num_frames")?,
        steps: fields.count("num_steps")?,
        guidance: fields.get("guidance", "true or false")?,
        text_tokens: fields.count("text_tokens")?,
        chunk_steps: fields.count("chunk_steps")?,
        priority: fields.get("priority", "a whole number")?,
        preemptible: fields.get("preemptible", "true or false")?,
        deadline_ms: fields.get("deadline_ms", "a number")?,
        slo_ms: fields.get("slo_ms", "a number")?,
        alone_ms: None,
    })
}

fn refuse(file: &str, error: &csv::Error) -> InputError {
    let line = error.position().map_or(0, |position| position.line());
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} fields, got {len}")
        }
        _ => error.to_string(),
    };
    InputError::new(file, message).at(u32::try_from(line).unwrap_or(u32::MAX), 0)
}
