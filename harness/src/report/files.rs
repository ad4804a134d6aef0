//! The files of a report, and reading one back.

use super::document::Document;
use super::input::ReportInput;
use super::{document, html, markdown};
use crate::plot::{PngError, png};
use rayon::prelude::*;

/// Pixels of a PNG per pixel of its SVG.
const PNG_SCALE: f32 = 2.0;

/// The name of the file that holds a report's data.
pub const REPORT_JSON: &str = "report.json";

/// A report that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The HTML template failed.
    #[error("report.html could not be rendered: {0}")]
    Html(#[from] minijinja::Error),
    /// The data could not be written as JSON.
    #[error("report.json could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A picture could not be made.
    #[error("picture {0} could not be drawn: {1}")]
    Picture(String, PngError),
}

/// Every file of a report with its content, by path relative to the results folder: `report.md`,
/// `report.html`, `report.json`, `plots/<name>.svg` and `.png`.
///
/// # Errors
/// When a renderer fails, which would be a defect of it.
pub fn files(input: &ReportInput) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let mut files = render(&document(input))?;
    files.insert(2, (REPORT_JSON.to_owned(), serde_json::to_vec(input)?));
    Ok(files)
}

/// The files of any document: `report.md`, `report.html`, then its pictures as SVG and PNG.
///
/// # Errors
/// As [`files`].
pub fn render(document: &Document) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let mut files = vec![
        ("report.md".to_owned(), markdown(document).into_bytes()),
        ("report.html".to_owned(), html(document)?.into_bytes()),
    ];
    let pictures: Vec<_> = document.pictures().collect();
    let drawn: Result<Vec<_>, ReportError> = pictures
        .par_iter()
        .map(|picture| {
            let pixels = png(&picture.svg, PNG_SCALE)
                .map_err(|error| ReportError::Picture(picture.name.clone(), error))?;
            Ok((format!("plots/{}", picture.name), picture.svg.0.clone().into_bytes(), pixels))
        })
        .collect();
    for (path, svg, png) in drawn? {
        files.push((format!("{path}.svg"), svg));
        files.push((format!("{path}.png"), png));
    }
    Ok(files)
}
