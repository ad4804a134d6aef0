//! `flexdit workload`: what can be done with workloads without running them.

use clap::Subcommand;
use flexdit::campaign::Setting;
use flexdit::experiment::{Loaded, schema};
use flexdit::input::{Document, InputError, suggestion};
use flexdit::workload::spec::{ImportSpec, TraceFormat};
use flexdit::workload::{Context, Workload, WorkloadSpec, build, describe, export};
use flexdit_core::cost::CostBook;
use flexdit_core::model::{MODELS, ModelSpec, model};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Work with workloads and experiment files
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate the requests of an experiment for one seed
    Generate(Generate),
    /// Check a trace of another project and convert it
    Import(Import),
    /// Show classes, phases and offered load of an experiment or a trace
    Describe(Describe),
    /// Print the JSON Schema of experiment files
    #[command(after_help = "\
Editors check and complete experiments whose first line is
  # yaml-language-server: $schema=schema.json")]
    Schema,
}

#[derive(Debug, clap::Args)]
struct Generate {
    /// The experiment
    #[arg(value_name = "EXP.yaml")]
    experiment: PathBuf,
    /// The seed; default: the experiment's first
    #[arg(long)]
    seed: Option<u64>,
    /// Change a key of the experiment first; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The trace
    file: PathBuf,
    /// Its format; default: by the extension (json, txt, jsonl, csv)
    #[arg(long, value_enum)]
    format: Option<TraceFormat>,
    #[command(flatten)]
    priced: Priced,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, clap::Args)]
struct Describe {
    /// An experiment (.yaml), or a trace with --model or --profile
    file: PathBuf,
    /// The seed of an experiment; default: its first
    #[arg(long)]
    seed: Option<u64>,
    /// Change a key of the experiment first; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The format of a trace; default: by the extension (json, txt, jsonl, csv)
    #[arg(long, value_enum)]
    format: Option<TraceFormat>,
    #[command(flatten)]
    priced: Priced,
}

/// What a trace does not say of itself.
#[derive(Debug, clap::Args)]
struct Priced {
    /// The model that serves the trace; default: the profile's
    #[arg(long)]
    model: Option<String>,
    /// A profile that prices T_single
    #[arg(long, value_name = "PROFILE.yaml")]
    profile: Option<PathBuf>,
    /// Ranks, which the offered load is relative to
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    world: u16,
    /// Take the client's deadlines (GF-DiT) instead of the server's
    #[arg(long)]
    client_deadline: bool,
}

#[derive(Debug, clap::Args)]
struct Out {
    /// Write here instead of to the terminal: CSV if the name ends in .csv, else GF-DiT JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs one of them.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Generate(args) => {
            let (workload, world, seed) = experiment(&args.experiment, &args.set, args.seed)?;
            args.out.write(&workload, world, Some(seed))
        }
        Command::Import(args) => {
            let workload = trace(&args.file, args.format, &args.priced)?;
            args.out.write(&workload, args.priced.world, None)
        }
        Command::Describe(args) => {
            let yaml = extension(&args.file).is_some_and(|name| name == "yaml" || name == "yml");
            let (workload, world) = if yaml {
                let (workload, world, _) = experiment(&args.file, &args.set, args.seed)?;
                (workload, world)
            } else {
                (trace(&args.file, args.format, &args.priced)?, args.priced.world)
            };
            super::print(&describe::describe(&workload, world))
        }
        Command::Schema => super::print(&schema::text()),
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}

/// The workload of an experiment's first sweep point, its world and the seed used.
fn experiment(
    path: &Path,
    set: &[String],
    seed: Option<u64>,
) -> Result<(Workload, u16, u64), InputError> {
    let loaded = Loaded::read(path, set)?;
    let setting = Setting::new(&loaded, 0)?;
    let seed = seed.unwrap_or(setting.experiment.seeds[0]);
    Ok((setting.workload(seed)?, setting.world(), seed))
}

/// The requests of a trace as recorded.
fn trace(
    path: &Path,
    format: Option<TraceFormat>,
    priced: &Priced,
) -> Result<Workload, InputError> {
    let format = match (format, extension(path)) {
        (Some(format), _) => format,
        (None, Some("json")) => TraceFormat::GfDit,
        (None, Some("txt")) => TraceFormat::VllmOmni,
        (None, Some("jsonl")) => TraceFormat::Mooncake,
        (None, Some("csv")) => TraceFormat::Csv,
        _ => {
            let message = "the extension tells no format; give --format";
            return Err(InputError::new(path.display().to_string(), message));
        }
    };
    let table = priced.profile.as_deref().map(flexdit::profile::load).transpose()?;
    let spec: &ModelSpec = match (&priced.model, &table) {
        (Some(name), _) => named(name)?,
        (None, Some(table)) => table.model,
        (None, None) => {
            let message = "a trace names no model; give --model or --profile";
            return Err(InputError::new(path.display().to_string(), message));
        }
    };
    let import =
        ImportSpec { format, path: path.to_owned(), client_deadline: priced.client_deadline };
    let context = Context {
        models: &[spec],
        cost: &CostBook::new(table.into_iter().collect()),
        world: priced.world,
        seed: 0,
        base_dir: Path::new(""),
        document: &Document::parse("the command line", "{}")?,
    };
    build(&WorkloadSpec { import: Some(import), ..WorkloadSpec::default() }, &context)
}

fn named(name: &str) -> Result<&'static ModelSpec, InputError> {
    model(name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        let (message, hint) = suggestion("model", name, &names);
        InputError { hint, ..InputError::new("--model", message) }
    })
}

impl Out {
    fn write(
        &self,
        workload: &Workload,
        world: u16,
        seed: Option<u64>,
    ) -> anyhow::Result<ExitCode> {
        let csv = self.out.as_deref().and_then(extension) == Some("csv");
        let text = match csv {
            true => export::csv(workload),
            false => export::gf_dit(workload, world, seed),
        };
        let Some(path) = &self.out else { return super::print(&text) };
        create(path, &text)?;
        let count = workload.requests.len();
        eprintln!("wrote {count} requests to {}", path.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a new file, whole or not at all.
fn create(path: &Path, text: &str) -> Result<(), InputError> {
    let refuse = |error: &std::io::Error| InputError::io(path, "write", error);
    if path.exists() {
        let message = "the file exists; remove it or choose another name";
        return Err(InputError::new(path.display().to_string(), message));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| refuse(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| refuse(&error))?;
    file.persist_noclobber(path).map_err(|error| refuse(&error.error))?;
    Ok(())
}
