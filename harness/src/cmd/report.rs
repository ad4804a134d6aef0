//! `flexdit report`: renders results folders again and sets several beside each other.

use flexdit::docs::splice;
use flexdit::input::InputError;
use flexdit::report::{REPORT_JSON, ReportInput, compare, excerpt, files, plain, summary};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Render the report of results folders again; several are also compared
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit report results/quickstart           report.md, report.html and plots/ from report.json
  flexdit report results/a results/b          the same for both, and one table over both
  flexdit report results/quickstart --print-only --splice README.md
                                              the result tables into a document, between
                                              `<!-- flexdit:result quickstart -->` and `<!-- flexdit:end -->`")]
pub struct Args {
    /// Results folders, as `flexdit run --out` wrote them
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Only print, leave the folders as they are
    #[arg(long)]
    print_only: bool,
    /// Markdown file whose part `result NAME` is replaced by the result tables
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
}

/// Reads every folder before it changes any.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut reports = Vec::new();
    for folder in &args.folders {
        reports.push((folder.display().to_string(), read(folder)?));
    }
    let spliced = args.splice.as_deref().map(|path| spliced(path, &reports)).transpose()?;
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
    if let (Some(path), Some(document)) = (&args.splice, spliced) {
        replace(path, document.as_bytes())?;
        text += &format!("spliced into {}\n", path.display());
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

/// The document at `path` with the result of every report in its part.
fn spliced(path: &Path, reports: &[(String, ReportInput)]) -> Result<String, InputError> {
    let mut text =
        fs::read_to_string(path).map_err(|error| InputError::io(path, "read", &error))?;
    for (_, input) in reports {
        let name = format!("result {}", input.name);
        text = splice(&text, &name, &excerpt(input)).ok_or_else(|| {
            let message = format!("no part between `<!-- flexdit:{name} -->` and its end");
            InputError::new(path.display().to_string(), message)
        })?;
    }
    Ok(text)
}

/// Writes the files of a report, all but its data.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), InputError> {
    let made = files.iter().filter(|(name, _)| name != REPORT_JSON);
    made.map(|(name, bytes)| (folder.join(name), bytes))
        .try_for_each(|(path, bytes)| replace(&path, bytes))
}

/// Writes a file beside its place and moves it there, so that it is never half-written.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), InputError> {
    let failed = |error: std::io::Error| InputError::io(path, "write", &error);
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    share(file.path(), path).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Gives a new file the access of the one it replaces, or that of an ordinary file.
#[cfg(unix)]
fn share(new: &Path, old: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = fs::metadata(old).map(|old| old.permissions());
    fs::set_permissions(new, permissions.unwrap_or(fs::Permissions::from_mode(0o644)))
}

#[cfg(not(unix))]
fn share(_: &Path, _: &Path) -> std::io::Result<()> {
    Ok(())
}
