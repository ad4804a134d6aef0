//! Request classes: defaults, geometry, price alone on one rank, and time until due.

use super::named::Named;
use super::spec::{ClassSpec, WorkloadSpec};
use super::{Context, spec};
use crate::input::InputError;
use flexdit_core::cost::t_single;
use flexdit_core::model::{Guidance, ModelSpec};
use flexdit_core::{ModelId, Nanos, Parallelism, Shape};

/// One class with everything decided.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassInfo {
    /// Its name.
    pub name: String,
    /// What its requests ask for.
    pub shape: Shape,
    /// Latent tokens of the shape.
    pub tokens: u64,
    /// Share asked for, if any; not normalised.
    pub share: Option<f64>,
    /// Deadline = arrival + alpha x T_single, where the alpha base is used.
    pub alpha: f64,
    /// Larger is more important.
    pub priority: i32,
    /// Whether a policy may pause or demote it.
    pub preemptible: bool,
    /// Denoising steps between two rescheduling points.
    pub chunk_steps: u32,
    /// Latency alone on one rank; `None` if the cost model has no price for it.
    pub t_single: Option<Nanos>,
    /// From arrival to deadline; `None` without a deadline.
    pub budget: Option<Nanos>,
}

/// Default alpha, priority and preemptibility of a class by its name.
///
/// # Source
/// The GF-DiT artifact: alpha 1.5 / 2 / 6, priority 100 / 50 / 0, only L preemptible.
pub fn defaults(name: &str) -> (f64, i32, bool) {
    match name {
        "S" => (1.5, 100, false),
        "M" => (2.0, 50, false),
        "L" => (6.0, 0, true),
        _ => (2.0, 0, false),
    }
}

/// The classes a model's requests have when none are written.
///
/// # Source
/// GF-DiT for Wan and Qwen-Image; TetriServe's four sizes for FLUX.
fn of_model(model: &ModelSpec) -> Option<Named<ClassSpec>> {
    let class = |height, width, frames| ClassSpec {
        height,
        width,
        frames: Some(frames),
        steps: Some(50),
        ..ClassSpec::default()
    };
    let square = |side| class(side, side, 1);
    let classes = match model.name {
        "wan2.2-ti2v-5b" => vec![
            ("S", class(480, 832, 49)),
            ("M", class(480, 832, 81)),
            ("L", class(720, 1280, 81)),
        ],
        "qwen-image" => vec![("S", square(512)), ("M", square(1024)), ("L", square(1536))],
        "flux.1-dev" => vec![
            ("256", square(256)),
            ("512", square(512)),
            ("1024", square(1024)),
            ("2048", square(2048)),
        ],
        _ => return None,
    };
    Some(classes.into_iter().map(|(name, class)| (name.to_owned(), class)).collect())
}

/// Decides every class of the workload.
///
/// # Errors
/// No classes are written and the model has none by default; a class names no or an unknown model,
/// has no tokens, a number out of range, or no price although its deadline needs one.
pub(super) fn resolve(
    workload: &WorkloadSpec,
    context: &Context<'_>,
) -> Result<Vec<ClassInfo>, InputError> {
    let default;
    let classes = match (&workload.classes, context.models) {
        (Some(classes), _) => classes,
        (None, [model]) => {
            default = of_model(model).ok_or_else(|| {
                let message = format!("missing key `classes`: {} has none by default", model.name);
                context.error("", message)
            })?;
            &default
        }
        (None, _) => {
            let message = "missing key `classes`: there are several models";
            return Err(context.error("", message));
        }
    };
    if classes.is_empty() {
        return Err(context.error("classes", "expected at least one class"));
    }
    let mut resolved = classes
        .iter()
        .map(|(name, class)| one(name, class, workload, context))
        .collect::<Result<Vec<_>, _>>()?;
    super::slo::assign(workload.slo.as_ref(), &mut resolved, context)?;
    Ok(resolved)
}

fn one(
    name: &str,
    class: &ClassSpec,
    workload: &WorkloadSpec,
    context: &Context<'_>,
) -> Result<ClassInfo, InputError> {
    let key = |field: &str| format!("classes.{name}.{field}");
    let id = model_of(name, class, context)?;
    let model = context.models[id.index()];
    let chunk_steps = class.chunk_steps.or(workload.chunk_steps).unwrap_or(1);
    let text_tokens = class.text_tokens.unwrap_or(model.text_tokens.min(512));
    let shape = Shape {
        model: id,
        guidance: class.guidance.unwrap_or(model.guidance == Guidance::Cfg),
        height: class.height,
        width: class.width,
        frames: class.frames.unwrap_or(1),
        text_tokens,
        steps: class.steps.unwrap_or(model.steps),
    };
    let counts = [("frames", shape.frames), ("steps", shape.steps), ("chunk_steps", chunk_steps)];
    for (field, value) in counts {
        if value == 0 {
            return Err(context.error(&key(field), "expected at least 1, got 0"));
        }
    }
    if text_tokens > model.text_tokens {
        let most = model.text_tokens;
        let message = format!("{} takes at most {most} text tokens, got {text_tokens}", model.name);
        return Err(context.error(&key("text_tokens"), message));
    }
    let refused = |error: flexdit_core::model::Infeasible| {
        context.error(&format!("classes.{name}"), error.to_string())
    };
    let tokens = model.latent_tokens(shape.height, shape.width, shape.frames).map_err(refused)?;
    model.check(&shape, &Parallelism::SINGLE).map_err(refused)?;
    let (alpha, priority, preemptible) = defaults(name);
    let alpha = class.alpha.unwrap_or(alpha);
    spec::positive(alpha).map_err(|message| context.error(&key("alpha"), message))?;
    if let Some(share) = class.share {
        spec::not_negative(share).map_err(|message| context.error(&key("share"), message))?;
    }
    Ok(ClassInfo {
        name: name.to_owned(),
        shape,
        tokens,
        share: class.share,
        alpha,
        priority: class.priority.unwrap_or(priority),
        preemptible: class.preemptible.unwrap_or(preemptible),
        chunk_steps,
        t_single: t_single(context.cost, &shape),
        budget: None,
    })
}

fn model_of(name: &str, class: &ClassSpec, context: &Context<'_>) -> Result<ModelId, InputError> {
    let names: Vec<&str> = context.models.iter().map(|model| model.name).collect();
    let Some(wanted) = &class.model else {
        if names.len() == 1 {
            return Ok(ModelId(0));
        }
        let message = format!("missing key `model`: there are several, {}", names.join(", "));
        return Err(context.error(&format!("classes.{name}"), message));
    };
    match names.iter().position(|known| known == wanted) {
        Some(index) => Ok(ModelId(index as u8)),
        None => {
            let (message, hint) = crate::input::suggestion("model", wanted, &names);
            let error = context.error(&format!("classes.{name}.model"), message);
            Err(InputError { hint, ..error })
        }
    }
}

/// The index of class `name`.
///
/// # Errors
/// There is none; the nearest name is suggested.
pub(super) fn index_of(
    name: &str,
    classes: &[ClassInfo],
    key: &str,
    context: &Context<'_>,
) -> Result<usize, InputError> {
    classes.iter().position(|class| class.name == name).ok_or_else(|| {
        let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        let (message, hint) = crate::input::suggestion("class", name, &names);
        InputError { hint, ..context.error(key, message) }
    })
}
