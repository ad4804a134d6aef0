//! The comparison in words.

use super::compare::{Finding, Row, Sheet};
use std::fmt;

/// Characters of a checksum that are shown.
const SHOWN: usize = 16;
/// Characters of the places that are shown.
const PLACES: usize = 58;

impl fmt::Display for Sheet {
    /// A table, then what differs and where, then the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["request", "class", "system", "equal", "sha256", "places"];
        let lines: Vec<[String; 6]> = self.rows.iter().map(cells).collect();
        let width = |at: usize| {
            let widest = lines.iter().map(|cells| cells[at].chars().count()).max();
            widest.unwrap_or(0).max(heads[at].len())
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let mut line = |cells: &[&str]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(&heads)?;
        for cells in &lines {
            line(&cells.each_ref().map(String::as_str))?;
        }
        for row in &self.rows {
            if let Some(text) = said(row, &self.systems[0]) {
                writeln!(f, "{text}")?;
            }
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        let count = self.rows.len() / self.systems.len().max(1);
        let systems = self.systems.join(", ");
        if self.holds() {
            writeln!(f, "equal: {count} requests under {systems}")
        } else {
            let bad = |row: &&Row| matches!(row.finding, Finding::Differs(_) | Finding::Missing);
            let bad = self.rows.iter().filter(bad).count();
            writeln!(f, "DIFFERENT: {bad} pictures of {count} requests under {systems}")
        }
    }
}

fn cells(row: &Row) -> [String; 6] {
    let equal = match row.finding {
        Finding::First => "-",
        Finding::Equal => "yes",
        Finding::Differs(_) => "NO",
        Finding::Ring(_) => "ring",
        Finding::Missing => "MISSING",
    };
    let sha256 = row.sha256.as_ref().map_or_else(|| "-".to_owned(), |sum| sum[..SHOWN].to_owned());
    let mut places = row.places.clone();
    if places.chars().count() > PLACES {
        places = places.chars().take(PLACES - 2).collect::<String>() + "..";
    }
    let [class, system] = [&row.class, &row.system].map(Clone::clone);
    [row.request.to_string(), class, system, equal.to_owned(), sha256, places]
}

/// What is to be said of a row beside its cells.
fn said(row: &Row, first: &str) -> Option<String> {
    let (request, system) = (row.request, &row.system);
    match row.finding {
        Finding::Differs(at) => {
            let colour = |[r, g, b]: [u8; 3]| format!("({r}, {g}, {b})");
            let [ours, theirs] = at.colours.map(colour);
            Some(format!(
                "request {request}, {first} and {system}: first difference at frame {}, row {}, column {}: {ours} and \
                 {theirs}; {} bytes differ; places: {}",
                at.frame, at.y, at.x, at.bytes, row.places
            ))
        }
        Finding::Ring(most) => Some(format!(
            "request {request}, {first} and {system}: a ring was at work; colours differ by {most} at most"
        )),
        Finding::Missing => Some(format!("request {request}: {system} or {first} left no picture")),
        Finding::First | Finding::Equal => None,
    }
}
