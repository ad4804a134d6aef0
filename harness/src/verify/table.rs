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
        let counted =
            |of: fn(&Finding) -> bool| self.rows.iter().filter(|row| of(&row.finding)).count();
        let [bad, open] = [counted(Finding::is_bad), counted(Finding::is_open)];
        let rings = counted(|finding| matches!(finding, Finding::Ring { .. }));
        match (bad, open, rings) {
            (0, 0, 0) => writeln!(f, "equal: {count} requests under {systems}"),
            (0, 0, rings) => writeln!(
                f,
                "equal but for rounding in {rings} rings, as derived: {count} requests under {systems}"
            ),
            (0, open, _) => writeln!(
                f,
                "NOT JUDGED: {open} pictures of {count} requests under {systems} differ where a ring was at work, and no \
                 tolerance could be derived for them; make pictures smaller, steps fewer, or keep weights as f32"
            ),
            (bad, 0, _) => {
                writeln!(f, "DIFFERENT: {bad} pictures of {count} requests under {systems}")
            }
            (bad, open, _) => writeln!(
                f,
                "DIFFERENT: {bad} pictures of {count} requests under {systems}; {open} more were NOT JUDGED"
            ),
        }
    }
}

fn cells(row: &Row) -> [String; 6] {
    let equal = match row.finding {
        Finding::First => "-",
        Finding::Equal => "yes",
        Finding::Differs(_) => "NO",
        Finding::Ring { .. } => "ring",
        Finding::Unjudged { .. } => "?",
        Finding::Beyond(_) => "NO",
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
        Finding::Ring { apart, tolerance } => Some(format!(
            "request {request}, {first} and {system}: a ring was at work; colours differ by {apart} at most; both pictures are \
             within the derived tolerance of {tolerance:.4} levels before rounding to bytes"
        )),
        Finding::Unjudged { apart } => Some(format!(
            "request {request}, {first} and {system}: NOT JUDGED: a ring was at work; colours differ by {apart} at most, and no \
             tolerance can be derived, since the request is too large or weights are kept as bf16; places: {}",
            row.places
        )),
        Finding::Beyond(at) => {
            let (of, [low, high]) = (if at.first { first } else { system }, at.expected);
            Some(format!(
                "request {request}, {first} and {system}: a ring was at work, but colour {} of {of} is {}, and rounding lets \
                 expect {low} to {high}; places: {}",
                at.index, at.found, row.places
            ))
        }
        Finding::Missing => Some(format!("request {request}: {system} or {first} left no picture")),
        Finding::First | Finding::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::Beyond;
    use super::*;
    use crate::picture::Difference;

    fn row(system: &str, finding: Finding) -> Row {
        Row {
            request: 3,
            class: "S".into(),
            system: system.into(),
            places: "text 0; 4 steps r2 0,1; decode 0".into(),
            sha256: (finding != Finding::Missing).then(|| "0123456789abcdef0123".into()),
            finding,
        }
    }

    fn last(finding: Finding) -> String {
        let rows = vec![row("a", Finding::First), row("b", finding)];
        let systems = vec!["a".into(), "b".into()];
        let text = Sheet { systems, rows, failures: Vec::new() }.to_string();
        text.lines().skip(3).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_finding_has_its_words() {
        assert_eq!(last(Finding::Equal), "equal: 1 requests under a, b");
        assert_eq!(
            last(Finding::Ring { apart: 1, tolerance: 0.01 }),
            "request 3, a and b: a ring was at work; colours differ by 1 at most; both pictures are within the derived \
             tolerance of 0.0100 levels before rounding to bytes\nequal but for rounding in 1 rings, as derived: 1 requests \
             under a, b"
        );
        assert_eq!(
            last(Finding::Unjudged { apart: 2 }),
            "request 3, a and b: NOT JUDGED: a ring was at work; colours differ by 2 at most, and no tolerance can be derived, \
             since the request is too large or weights are kept as bf16; places: text 0; 4 steps r2 0,1; decode 0\nNOT JUDGED: \
             1 pictures of 1 requests under a, b differ where a ring was at work, and no tolerance could be derived for them; \
             make pictures smaller, steps fewer, or keep weights as f32"
        );
        let beyond = Beyond { first: false, index: 7, found: 9, expected: [3, 4] };
        assert_eq!(
            last(Finding::Beyond(beyond)),
            "request 3, a and b: a ring was at work, but colour 7 of b is 9, and rounding lets expect 3 to 4; places: text \
             0; 4 steps r2 0,1; decode 0\nDIFFERENT: 1 pictures of 1 requests under a, b"
        );
        let colours = [[1, 2, 3], [1, 2, 4]];
        let at = Difference { frame: 0, y: 5, x: 6, colours, bytes: 7 };
        assert_eq!(
            last(Finding::Differs(at)),
            "request 3, a and b: first difference at frame 0, row 5, column 6: (1, 2, 3) and (1, 2, 4); 7 bytes differ; places: \
             text 0; 4 steps r2 0,1; decode 0\nDIFFERENT: 1 pictures of 1 requests under a, b"
        );
        assert_eq!(
            last(Finding::Missing),
            "request 3: b or a left no picture\nDIFFERENT: 1 pictures of 1 requests under a, b"
        );
    }
}
