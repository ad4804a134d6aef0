//! The comparison: every picture against that of the first system.

use super::run::{Contest, Gallery};
use crate::picture::{Difference, Pixels, Placement};
use flexdit_kernels::oracle::pipeline::Colours;
use std::cell::OnceCell;
use std::io;

/// One request under one system.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The request's ordinal.
    pub request: u32,
    /// Its class.
    pub class: String,
    /// The system.
    pub system: String,
    /// Where it ran, in short.
    pub places: String,
    /// SHA-256 of the picture's bytes; `None` if there is no picture.
    pub sha256: Option<String>,
    /// How it compares.
    pub finding: Finding,
}

/// How a picture compares with that of the first system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It is the first system's.
    First,
    /// Every bit is the same.
    Equal,
    /// It differs, though no rank passed anything around a ring.
    Differs(Difference),
    /// It differs by rounding. A ring was at work, which adds in another order.
    Ring {
        /// Largest difference of any colour.
        apart: u8,
        /// The derived tolerance of a colour in levels before it becomes a byte, within which both pictures lie.
        tolerance: f64,
    },
    /// A ring was at work and it differs, by so much at most, but nobody can say whether by rounding: the request is too large
    /// to derive a tolerance, or weights are kept as bf16. That is no equality.
    Unjudged {
        /// Largest difference of any colour.
        apart: u8,
    },
    /// A ring was at work, but rounding does not explain this colour.
    Beyond(Beyond),
    /// One of both is missing.
    Missing,
}

/// A colour that rounding does not explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// Whether it is in the picture of the first system.
    pub first: bool,
    /// Its place among the colours of the picture.
    pub index: usize,
    /// The byte.
    pub found: u8,
    /// The least and the greatest that the oracle admits.
    pub expected: [u8; 2],
}

impl Finding {
    /// Whether the picture is not what it should be.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Differs(_) | Self::Beyond(_) | Self::Missing)
    }

    /// Whether it could not be said.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Unjudged { .. })
    }
}

/// All rows, request by request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Names of the systems, the first one first.
    pub systems: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Tasks that failed, with the system.
    pub failures: Vec<String>,
}

impl Sheet {
    /// Whether every picture is there, was judged, and differs by no more than a ring's rounding.
    pub fn holds(&self) -> bool {
        !self.rows.iter().any(|row| row.finding.is_bad() || row.finding.is_open())
    }
}

/// Compares the pictures of all requests; the first gallery is what the others are held against.
///
/// # Errors
/// If a picture cannot be read back, or weights not read again.
///
/// # Panics
/// Without a gallery.
pub fn compare(contest: &Contest<'_>, galleries: &[Gallery]) -> io::Result<Sheet> {
    let mut sheet = Sheet {
        systems: galleries.iter().map(|gallery| gallery.system.clone()).collect(),
        ..Sheet::default()
    };
    for request in &contest.workload.requests {
        let read = |gallery: &Gallery| {
            let shot = gallery.shots.of(request.id);
            shot.map(|shot| gallery.shots.read(shot)).transpose()
        };
        let reference = read(&galleries[0])?;
        let first_places = galleries[0].placements.of(request.id);
        // Derived only where it is needed, and once for all systems.
        let derived: OnceCell<Option<Colours>> = OnceCell::new();
        let colours = || match derived.get() {
            Some(colours) => Ok::<_, io::Error>(colours.as_ref()),
            None => {
                let colours = contest.dit.colours(request).map_err(io::Error::other)?;
                Ok(derived.get_or_init(|| colours).as_ref())
            }
        };
        let first_ring = first_places.iter().any(Placement::is_ring);
        for (at, gallery) in galleries.iter().enumerate() {
            let places = gallery.placements.of(request.id);
            let picture = if at == 0 { reference.clone() } else { read(gallery)? };
            let ring = places.iter().any(Placement::is_ring);
            let finding = match (at, &reference, &picture) {
                (0, Some(_), _) => Finding::First,
                (_, Some(reference), Some(picture)) => match reference.difference(picture) {
                    // Two rings may make the same mistake.
                    None if ring && first_ring => same(reference, colours()?),
                    None => Finding::Equal,
                    Some(_) if ring || first_ring => judge(reference, picture, colours()?),
                    Some(difference) => Finding::Differs(difference),
                },
                _ => Finding::Missing,
            };
            sheet.rows.push(Row {
                request: request.id.0,
                class: contest.workload.classes[request.class.index()].name.clone(),
                system: gallery.system.clone(),
                places: in_short(places),
                sha256: picture.as_ref().map(Pixels::sha256),
                finding,
            });
        }
    }
    for gallery in galleries {
        let failures = gallery.failures.iter();
        sheet.failures.extend(failures.map(|what| format!("{}: {what}", gallery.system)));
    }
    Ok(sheet)
}

/// One picture that two rings made alike, by the colours that are derived for the request, if they are.
fn same(picture: &Pixels, derived: Option<&Colours>) -> Finding {
    breach(picture, true, derived).map_or(Finding::Equal, Finding::Beyond)
}

/// Two pictures that differ where a ring was at work, by the colours that are derived for the request, if they are.
fn judge(reference: &Pixels, picture: &Pixels, derived: Option<&Colours>) -> Finding {
    let beyond = breach(reference, true, derived).or_else(|| breach(picture, false, derived));
    if let Some(beyond) = beyond {
        return Finding::Beyond(beyond);
    }
    let apart = reference.rgb.iter().zip(&picture.rgb).map(|(a, b)| a.abs_diff(*b));
    let apart = apart.max().unwrap_or(0);
    match derived.map(Colours::tolerance) {
        Some(tolerance) => Finding::Ring { apart, tolerance },
        None => Finding::Unjudged { apart },
    }
}

/// The first byte that rounding does not explain.
fn breach(pixels: &Pixels, first: bool, derived: Option<&Colours>) -> Option<Beyond> {
    let (index, range) = derived?.breach(&pixels.rgb)?;
    let (found, expected) = (pixels.rgb[index], [*range.start(), *range.end()]);
    Some(Beyond { first, index, found, expected })
}

/// The tasks in short: `text 0; 4 steps u2 0,1; 2 steps 1; decode patch2 1,0`. Equal neighbours are one.
fn in_short(places: &[Placement]) -> String {
    let mut runs: Vec<(&Placement, u32)> = Vec::new();
    for place in places.iter().filter(|place| !place.failed) {
        match runs.last_mut() {
            Some((last, steps))
                if (&last.stage, &last.layout, &last.ranks)
                    == (&place.stage, &place.layout, &place.ranks) =>
            {
                *steps += place.steps;
            }
            _ => runs.push((place, place.steps)),
        }
    }
    let words = |(place, steps): &(&Placement, u32)| {
        let what = match place.stage.as_str() {
            "denoise" if *steps == 1 => "1 step".to_owned(),
            "denoise" => format!("{steps} steps"),
            "text-encode" => "text".to_owned(),
            _ => "decode".to_owned(),
        };
        let layout = if place.degree == 1 { String::new() } else { format!(" {}", place.layout) };
        let ranks: Vec<String> = place.ranks.iter().map(ToString::to_string).collect();
        format!("{what}{layout} {}", ranks.join(","))
    };
    runs.iter().map(words).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stage: &str, steps: u32, layout: &str, ranks: &[u16], failed: bool) -> Placement {
        Placement {
            stage: stage.into(),
            first_step: 0,
            steps,
            degree: ranks.len() as u16,
            layout: layout.into(),
            ranks: ranks.to_vec(),
            held: Vec::new(),
            failed,
        }
    }

    #[test]
    fn places_are_told_in_short_and_failed_tasks_left_out() {
        let places = [
            place("text-encode", 0, "1", &[0], false),
            place("denoise", 2, "u2", &[1, 0], false),
            place("denoise", 2, "u2", &[0, 1], true),
            place("denoise", 2, "u2", &[1, 0], false),
            place("denoise", 1, "1", &[1], false),
            place("vae-decode", 0, "patch2", &[0, 1], false),
        ];
        assert_eq!(in_short(&places), "text 0; 4 steps u2 1,0; 1 step 1; decode patch2 0,1");
    }

    #[test]
    fn what_is_too_large_to_derive_is_neither_equal_nor_different() {
        let one = Pixels { frames: 1, height: 1, width: 2, rgb: vec![1, 2, 3, 4, 5, 6] };
        let mut other = one.clone();
        other.rgb[4] = 8;
        let found = judge(&one, &other, None);
        assert_eq!(found, Finding::Unjudged { apart: 3 });
        assert!(found.is_open() && !found.is_bad());
        let row = Row {
            request: 0,
            class: String::new(),
            system: String::new(),
            places: String::new(),
            sha256: None,
            finding: found,
        };
        let sheet =
            |finding| Sheet { rows: vec![Row { finding, ..row.clone() }], ..Sheet::default() };
        assert!(!sheet(found).holds(), "what nobody judged does not hold");
        assert!(sheet(Finding::Ring { apart: 3, tolerance: 4.0 }).holds());
        assert_eq!(same(&one, None), Finding::Equal, "every bit is the same, and no more is said");
    }
}
