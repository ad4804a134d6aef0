//! `flexdit profile`: measures what the stages of a model take on this machine and writes a profile.

use flexdit::bench::machine::Machine;
use flexdit::experiment::{CollectiveKind, Loaded, Weights};
use flexdit::input::{Document, InputError, suggestion};
use flexdit::profile::ProfileFile;
use flexdit::profile::measure::plan::{parse_size, size};
use flexdit::profile::measure::{Header, Job, JobError, KIND, Plan, Ranks};
use flexdit::real::{self, NOISY, fabric, model_config};
use flexdit::results::command_line;
use flexdit::workload::{self, Context};
use flexdit_core::cost::{CostModel, Price, Provenance};
use flexdit_core::model::{self, CPU, ModelSpec};
use flexdit_core::{ModelId, Nanos, Parallelism, Shape};
use flexdit_kernels::pipeline::Config;
use flexdit_ranks::dit::{self, Dit, DitError, Source};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Samples of a full measurement: tours of all shapes, and crews of a tour for every decode layout.
const FULL: (u32, u32) = (7, 4);
/// The same where only the way is to be seen.
const QUICK: (u32, u32) = (1, 1);

/// Measure what the stages of a model take on this machine, and write a profile
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit profile workloads/cpu/two-ranks.yaml --out small-image.yaml
  flexdit profile --model tiny-image --shapes 128x128,256x256 --world 2 --out tiny-image.yaml
  flexdit profile exp.yaml --out '{model}.yaml'       one file for each of several models

Every stage, shape and layout runs through the real driver, on ranks that are all busy, each with any of the shapes; the
file says how samples were spread and what tasks cost beside their stages. Quiet the machine first.
What is finished is kept in FILE.partial: the same call goes on from there.
Exit codes: 0 done, 1 a task failed, 2 bad input, or more memory needed than there is.")]
pub struct Args {
    /// Take model, classes, world and degrees from an experiment
    #[arg(value_name = "EXP.yaml")]
    experiment: Option<PathBuf>,
    /// What computes
    #[arg(long, value_enum, default_value = "cpu")]
    engine: Engine,
    /// The model; with an experiment of several, one of them
    #[arg(long, value_name = "NAME", required_unless_present = "experiment")]
    model: Option<String>,
    /// Sizes: HEIGHTxWIDTH or HEIGHTxWIDTHxFRAMES, with commas between
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        conflicts_with = "experiment",
        required_unless_present = "experiment"
    )]
    shapes: Vec<String>,
    /// Two forwards a step (classifier-free guidance)
    #[arg(long, conflicts_with = "experiment")]
    guided: bool,
    /// Text tokens of a prompt; default: the model's most
    #[arg(long, value_name = "N", conflicts_with = "experiment")]
    text_tokens: Option<u32>,
    /// Ranks; default: the experiment's, or 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    world: Option<u16>,
    /// Degrees of a denoising step; default: the experiment's, or powers of two up to the world, and the world
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    degrees: Vec<u16>,
    /// Degrees of a VAE decode; default: the experiment's, or 1
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    patch_degrees: Vec<u8>,
    /// Denoising steps of a task; default: the experiment's, or 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    chunk_steps: Option<u32>,
    /// Tours of all shapes, one after the other; default 7
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Crews of one request of every shape a rank for every decode layout, in a tour; default 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    crews: Option<u32>,
    /// One tour with one crew for every decode layout: to see that everything works
    #[arg(long, conflicts_with_all = ["rounds", "crews"])]
    quick: bool,
    /// How ranks talk to each other: fixed pipelines use communicators unless an experiment says otherwise
    #[arg(long, value_enum, default_value = "group-free")]
    collectives: CollectiveKind,
    /// Weights: a folder with one of each model's name, in which are text_encoder, transformer and vae; default: the
    /// experiment's `real.weights`, or random ones of seed 1
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Do not pin ranks to cores; default: as the experiment's `real.pin` says, or pinned
    #[arg(long)]
    no_pin: bool,
    /// The profile; must not exist. `{model}` stands for the model's name
    #[arg(long, value_name = "FILE")]
    out: String,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// This machine's cores
    Cpu,
}

/// Measures and reports.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Engine::Cpu = args.engine;
    let mut asked = asked(args)?;
    let plans = std::mem::take(&mut asked.plans);
    if plans.len() > 1 && !args.out.contains("{model}") {
        let message = format!(
            "{} models make as many profiles: expected `{{model}}` in the name, or --model",
            plans.len()
        );
        return Err(InputError::new("--out", message).into());
    }
    let command = command_line().join(" ");
    for plan in plans {
        let model = find(&plan.model, "--model")?;
        let out = PathBuf::from(args.out.replace("{model}", model.name));
        plan.check(model, &out.display().to_string())?;
        let config = configuration(&asked, model)?;
        fits(&plan, model, &config, asked.document.as_ref().filter(|_| args.world.is_none()))?;
        let (dit, weights) = load(args, &asked, model, config)?;
        for shape in &plan.shapes {
            // A number of steps is the tour's business.
            dit.check_shape(&Shape { steps: 1, ..*shape })
                .map_err(|error| InputError::new(size(shape), error.to_string()))?;
        }
        let header = Header {
            kind: KIND,
            plan,
            machine: Job::machine(),
            flexdit: env!("CARGO_PKG_VERSION").to_owned(),
            optimised: !cfg!(debug_assertions),
            weights,
            date: Machine::here().date,
        };
        let Plan { world, pin, collectives, .. } = header.plan;
        let fabric = fabric(collectives);
        let compute = Arc::new(dit);
        let ranks = Ranks { compute, fabric: &*fabric, world, pin, interrupt: None };
        let job = Job { header, model, gpu: CPU.to_owned(), out };
        let bar = progress();
        let advance = |done: usize, all: usize, words: &str| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(words.to_owned());
        };
        let profile = job.run(&ranks, &command, &advance).map_err(|error| match error {
            JobError::Input(error) => anyhow::Error::from(error),
            other => other.into(),
        })?;
        bar.finish_and_clear();
        super::print(&text(&job, &profile))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar on standard error; nothing when that is not a terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} tours, {eta} left {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn find(name: &str, from: &str) -> Result<&'static ModelSpec, InputError> {
    model::model(name).ok_or_else(|| {
        let names: Vec<&str> = model::MODELS.iter().map(|spec| spec.name).collect();
        let (message, hint) = suggestion("model", name, &names);
        InputError { hint, ..InputError::new(from, message) }
    })
}

/// Refuses what needs more memory than there is, before any weight is made.
fn fits(
    plan: &Plan,
    model: &'static ModelSpec,
    config: &Config,
    document: Option<&Document>,
) -> Result<(), InputError> {
    let shapes = plan.shapes.iter().map(|shape| (size(shape), shape));
    let models = [(model, Some(config.clone()))];
    let needs = real::needs_of(&models, shapes, plan.world, false);
    match (needs.refusal(real::available()), document) {
        (None, _) => Ok(()),
        (Some(message), Some(document)) => Err(document.error("cluster.world", message)),
        (Some(message), None) => Err(InputError::new("--model", message)),
    }
}

/// What the model computes: its preset, or the file that the experiment names.
fn configuration(asked: &Asked, model: &ModelSpec) -> Result<Config, InputError> {
    let file = asked.configs.get(model.name);
    model_config(model, file.map(PathBuf::as_path))?.ok_or_else(|| {
        InputError::new("--model", DitError::Name(model.name.to_owned()).to_string())
    })
}

fn load(
    args: &Args,
    asked: &Asked,
    model: &ModelSpec,
    config: Config,
) -> Result<(Dit, String), InputError> {
    let (weights, words) = match (&args.weights, &asked.weights) {
        (Some(folder), _) | (None, Weights::Folder(folder)) => {
            let folder = folder.join(model.name);
            let words = folder.display().to_string();
            (dit::Weights::Folder(folder), words)
        }
        (None, Weights::Seed(seed)) => {
            (dit::Weights::Seeded(*seed), format!("random, seed {seed}"))
        }
    };
    let source = Source { name: model.name.to_owned(), config, weights };
    let dit = Dit::load(&[source], 1).map_err(|error| match (&args.weights, &asked.document) {
        (None, Some(document)) => document.error("real.weights", error.to_string()),
        _ => InputError::new("--weights", error.to_string()),
    })?;
    Ok((dit, words))
}

/// What is to be measured, and with which weights.
struct Asked {
    /// One for each model.
    plans: Vec<Plan>,
    /// Weights, unless an option names others; a folder has one of each model's name.
    weights: Weights,
    /// Files of models' configurations, by model.
    configs: BTreeMap<String, PathBuf>,
    /// The experiment.
    document: Option<Document>,
}

fn asked(args: &Args) -> Result<Asked, InputError> {
    match &args.experiment {
        Some(path) => of_experiment(args, path),
        None => Ok(Asked {
            plans: vec![of_options(args)?],
            weights: Weights::Seed(1),
            configs: BTreeMap::new(),
            document: None,
        }),
    }
}

fn of_options(args: &Args) -> Result<Plan, InputError> {
    let name = args.model.as_deref().unwrap_or_default();
    let model = find(name, "--model")?;
    let shape = |text: &String| {
        let (height, width, frames) =
            parse_size(text).map_err(|message| InputError::new("--shapes", message))?;
        let text_tokens = args.text_tokens.unwrap_or(model.text_tokens);
        let guidance = args.guided;
        Ok(Shape { guidance, height, width, frames, text_tokens, ..Shape::default() })
    };
    let shapes: Result<Vec<Shape>, InputError> = args.shapes.iter().map(shape).collect();
    Ok(plan(args, model, args.world.unwrap_or(2), None, None, shapes?, 1))
}

/// Prices of a cluster that nobody has measured yet: a unit a stage, so that deadlines can be worked out.
struct Unpriced;

impl CostModel for Unpriced {
    fn encode(&self, _: &Shape) -> Option<Price> {
        Some(Price {
            time: Nanos::from_millis(1),
            provenance: Provenance::Derived,
            extrapolated: false,
        })
    }
    fn step(&self, shape: &Shape, _: Parallelism) -> Option<Price> {
        self.encode(shape)
    }
    fn decode(&self, shape: &Shape, _: u8) -> Option<Price> {
        self.encode(shape)
    }
}

fn of_experiment(args: &Args, path: &Path) -> Result<Asked, InputError> {
    let loaded = Loaded::read(path, &[])?;
    let experiment = loaded.first();
    if experiment.cluster.gpu != CPU {
        let message = format!("expected `{CPU}` for this engine, got `{}`", experiment.cluster.gpu);
        return Err(loaded.document.error("cluster.gpu", message));
    }
    let names = experiment.model_names();
    let models: Result<Vec<_>, _> = names.iter().map(|name| find(name, "model")).collect();
    let models = models?;
    let context = Context {
        models: &models,
        cost: &Unpriced,
        world: experiment.cluster.world,
        seed: 1,
        base_dir: &loaded.folder,
        document: &loaded.document,
    };
    let classes = workload::classes(&experiment.workload, &context)?;
    let wanted = |name: &str| args.model.as_deref().is_none_or(|wanted| wanted == name);
    if let Some(name) = args.model.as_deref().filter(|name| !names.contains(name)) {
        let (message, hint) = suggestion("model", name, &names);
        return Err(InputError { hint, ..InputError::new("--model", message) });
    }
    let mut plans = Vec::new();
    for (index, model) in models.iter().enumerate().filter(|(_, model)| wanted(model.name)) {
        let mine = || classes.iter().filter(|class| class.shape.model.index() == index);
        let shapes: Vec<Shape> = mine().map(|class| class.shape).collect();
        let chunk = mine().map(|class| class.chunk_steps).min().unwrap_or(1);
        let cluster = &experiment.cluster;
        let world = args.world.unwrap_or(cluster.world);
        let (degrees, patches) = (cluster.degrees.clone(), cluster.patch_degrees.clone());
        let plan = plan(args, model, world, degrees, patches, shapes, chunk);
        plans.push(Plan { pin: plan.pin && experiment.real.pin, ..plan });
    }
    let weights = match &experiment.real.weights {
        Weights::Seed(seed) => Weights::Seed(*seed),
        Weights::Folder(folder) => Weights::Folder(loaded.folder.join(folder)),
    };
    let configs = experiment.real.configs.iter();
    let configs =
        configs.map(|(model, file)| (model.to_owned(), loaded.folder.join(file))).collect();
    Ok(Asked { plans, weights, configs, document: Some(loaded.document.clone()) })
}

fn plan(
    args: &Args,
    model: &ModelSpec,
    world: u16,
    degrees: Option<Vec<u16>>,
    patches: Option<Vec<u8>>,
    shapes: Vec<Shape>,
    chunk: u32,
) -> Plan {
    let given = |list: &[u16]| (!list.is_empty()).then(|| list.to_vec());
    let degrees = given(&args.degrees).or(degrees);
    let mut degrees =
        degrees.unwrap_or_else(|| flexdit_core::cost::estimate::default_degrees(world));
    let asked = (!args.patch_degrees.is_empty()).then(|| args.patch_degrees.clone());
    let mut patches = asked.or(patches).unwrap_or_else(|| vec![1]);
    // A decode on one rank is what every request falls back to.
    patches.push(1);
    let mut shapes: Vec<Shape> =
        shapes.into_iter().map(|s| Shape { model: ModelId(0), steps: 0, ..s }).collect();
    shapes.sort_unstable();
    shapes.dedup();
    degrees.sort_unstable();
    degrees.dedup();
    patches.sort_unstable();
    patches.dedup();
    let (rounds, crews) = if args.quick { QUICK } else { FULL };
    Plan {
        model: model.name.to_owned(),
        world,
        degrees,
        patches,
        shapes,
        chunk: args.chunk_steps.unwrap_or(chunk),
        crews: args.crews.unwrap_or(crews),
        rounds: args.rounds.unwrap_or(rounds),
        pin: !args.no_pin,
        collectives: args.collectives,
    }
}

fn text(job: &Job, profile: &ProfileFile) -> String {
    let mut text = format!("{} on {CPU}, measured on {}\n", profile.model, job.header.machine);
    if let Some(charges) = &profile.charges {
        text += &format!("launch {}, control plane {}", charges.launch, charges.control_plane);
        if let Some(copy) = &charges.migration {
            text += &format!(", migration {} + bytes / {}", copy.latency, copy.bandwidth);
        }
        text.push('\n');
    }
    for dropped in job.header.plan.dropped(job.model) {
        text += &format!("{dropped}\n");
    }
    let measured = profile.measured.as_ref();
    if let Some(others) = measured.and_then(|measured| measured.others) {
        text += &format!("other programs, or the host, took {:.1} % of the cores", others * 100.0);
        text += if others > NOISY { ": measure again on a quiet machine\n" } else { "\n" };
    }
    if measured.is_some_and(|measured| !measured.pinned) {
        text += "ranks were not pinned to cores: expect more spread\n";
    }
    if measured.is_some_and(|measured| !measured.optimised) {
        text += "the program was built without optimisation: times mean little\n";
    }
    let cores = flexdit::bench::machine::cores().len();
    if usize::from(job.header.plan.world) > cores {
        text += &format!(
            "{} ranks share {cores} cores: prices hold for this world alone\n",
            job.header.plan.world
        );
    }
    text + &format!("written: {}\n", job.out.display())
}
