//! `flexdit report`: renders results folders again and sets several beside each other.

use flexdit::input::InputError;
use flexdit::report::{REPORT_JSON, ReportInput, compare, files, plain, summary};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Render the report of results folders again; several are also compared
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit report results/quickstart           report.md, report.html and plots/ from report.json
  flexdit report results/a results/b          the same for both, and one table over both")]
pub struct Args {
    /// Results folders, as `flexdit run --out` wrote them
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Only print, leave the folders as they are
    #[arg(long)]
    print_only: bool,
}

/// Reads every folder before it changes any.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut reports = Vec::new();
    for folder in &args.folders {
        reports.push((folder.display().to_string(), read(folder)?));
    }
    if !args.print_only {
        for (folder, (_, input)) in args.folders.iter().zip(&reports) {
            write(folder, &files(input)?)?;
        }
    }
    let mut text = match reports.as_slice() {
        [(_, input)] => summary(input),
        several => plain(&compare(several)) + "\n",
    };
    if !args.print_only {
        for folder in &args.folders {
            text += &format!("\nwritten: {}", folder.join("report.html").display());
        }
        text.push('\n');
    }
    super::print(&text)
}

fn read(folder: &Path) -> Result<ReportInput, InputError> {
    let path = folder.join(REPORT_JSON);
    let bytes = fs::read(&path).map_err(|error| InputError::io(&path, "read", &error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = (error.line() as u32, error.column() as u32);
        let message = format!("not the report of this version of flexdit: {error}");
        InputError::new(path.display().to_string(), message).at(place.0, place.1)
    })
}

/// Writes each file beside its place and moves it there, so that none is ever half-written.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), InputError> {
    for (name, bytes) in files.iter().filter(|(name, _)| name != REPORT_JSON) {
        let path = folder.join(name);
        let failed = |error: std::io::Error| InputError::io(&path, "write", &error);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
    }
    Ok(())
}
