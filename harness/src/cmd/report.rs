//! `flexdit report`: renders results folders again and sets several beside each other.

use flexdit::bench::results::Results;
use flexdit::docs::splice;
use flexdit::input::InputError;
use flexdit::report::{self, REPORT_JSON, ReportError, ReportInput, compare, plain};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Render the report of results folders again; several are also compared
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit report results/quickstart           report.md, report.html and plots/ from report.json
  flexdit report results/a results/b          the same for both, and one table over both
  flexdit report results/bench-group-setup    the same for a benchmark's folder
  flexdit report results/quickstart --print-only --splice README.md
                                              the result tables into a document, between
                                              `<!-- flexdit:result quickstart -->` and `<!-- flexdit:end -->`")]
pub struct Args {
    /// Results folders, as `flexdit run` or `flexdit bench` wrote them
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Only print, leave the folders as they are
    #[arg(long)]
    print_only: bool,
    /// Markdown file whose part `result NAME` is replaced by the result tables
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
}

/// What a folder holds.
enum Report {
    Run(Box<ReportInput>),
    Bench(Box<Results>),
}

impl Report {
    fn name(&self) -> &str {
        match self {
            Self::Run(input) => &input.name,
            Self::Bench(results) => results.name(),
        }
    }

    fn excerpt(&self) -> String {
        match self {
            Self::Run(input) => report::excerpt(input),
            Self::Bench(results) => results.excerpt(),
        }
    }

    fn summary(&self) -> String {
        match self {
            Self::Run(input) => report::summary(input),
            Self::Bench(results) => results.summary(),
        }
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
        match self {
            Self::Run(input) => report::files(input),
            Self::Bench(results) => results.files(),
        }
    }
}

/// Reads every folder before it changes any.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut reports = Vec::new();
    for folder in &args.folders {
        reports.push((folder.display().to_string(), read(folder)?));
    }
    let spliced = args.splice.as_deref().map(|path| spliced(path, &reports)).transpose()?;
    if !args.print_only {
        for (folder, (_, report)) in args.folders.iter().zip(&reports) {
            write(folder, &report.files()?)?;
        }
    }
    let mut text = shown(&reports);
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

/// One report at length, several runs in one table; benchmarks have nothing to compare.
fn shown(reports: &[(String, Report)]) -> String {
    let runs: Option<Vec<(String, ReportInput)>> = reports
        .iter()
        .map(|(folder, report)| match report {
            Report::Run(input) => Some((folder.clone(), (**input).clone())),
            Report::Bench(_) => None,
        })
        .collect();
    match runs {
        Some(runs) if runs.len() > 1 => plain(&compare(&runs)) + "\n",
        _ => reports.iter().map(|(_, report)| report.summary()).collect::<Vec<_>>().join("\n"),
    }
}

fn read(folder: &Path) -> Result<Report, InputError> {
    /// What tells the two kinds of report apart.
    #[derive(Deserialize)]
    struct Kind {
        bench: Option<String>,
    }
    let path = folder.join(REPORT_JSON);
    let bytes = fs::read(&path).map_err(|error| InputError::io(&path, "read", &error))?;
    let kind = serde_json::from_slice::<Kind>(&bytes);
    match kind.is_ok_and(|kind| kind.bench.is_some()) {
        true => parsed(&path, &bytes).map(Report::Bench),
        false => parsed(&path, &bytes).map(Report::Run),
    }
}

fn parsed<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, InputError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = (error.line() as u32, error.column() as u32);
        let message = format!("not the report of this version of flexdit: {error}");
        InputError::new(path.display().to_string(), message).at(place.0, place.1)
    })
}

/// The document at `path` with the result of every report in its part.
fn spliced(path: &Path, reports: &[(String, Report)]) -> Result<String, InputError> {
    let mut text =
        fs::read_to_string(path).map_err(|error| InputError::io(path, "read", &error))?;
    for (_, report) in reports {
        let name = format!("result {}", report.name());
        text = splice(&text, &name, &report.excerpt()).ok_or_else(|| {
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
