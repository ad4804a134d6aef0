//! Importers: recorded or foreign workloads as [`Workload`]s.
//!
//! Each format is one file that yields [`Row`]s with their line; this module checks what all have
//! in common (order, names, deadlines) and groups rows into classes. A malformed line is refused
//! with file, line and reason, never skipped.

pub mod csv;
pub mod gf_dit;
pub mod mooncake;
#[cfg(test)]
mod tests;
pub mod vllm_omni;

use super::classes::{self, ClassInfo};
use super::spec::{ImportSpec, TraceFormat, TraceSpec, WorkloadSpec};
use super::{Context, Workload, load_between_arrivals, slo};
use crate::input::{InputError, read_text};
use flexdit_core::cost::t_single;
use flexdit_core::model::{Guidance, ModelSpec};
use flexdit_core::{ClassId, ModelId, Nanos, Parallelism, Request, RequestId, Shape};
use std::collections::BTreeSet;
use std::path::Path;

/// Largest trace file read, in bytes.
pub const MAX_TRACE_BYTES: u64 = 1 << 30;

/// One request as a file states it; what it does not state is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Line from 1.
    pub line: u32,
    /// Its name in the file.
    pub name: Option<String>,
    /// Its class's name.
    pub class: Option<String>,
    /// Its model's name.
    pub model: Option<String>,
    /// Arrival, milliseconds from the start.
    pub arrival_ms: f64,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Frames.
    pub frames: Option<u32>,
    /// Denoising steps.
    pub steps: Option<u32>,
    /// Whether two forwards run a step.
    pub guidance: Option<bool>,
    /// Text tokens.
    pub text_tokens: Option<u32>,
    /// Steps between two rescheduling points.
    pub chunk_steps: Option<u32>,
    /// Larger is more important.
    pub priority: Option<i32>,
    /// Whether it may be paused.
    pub preemptible: Option<bool>,
    /// Deadline, milliseconds from the start.
    pub deadline_ms: Option<f64>,
    /// Deadline, milliseconds from the arrival.
    pub slo_ms: Option<f64>,
    /// Latency alone as the file states it; used where the profile has no price.
    pub alone_ms: Option<f64>,
}

/// Reads the rows of a file.
///
/// # Errors
/// The first malformed line.
pub fn read(format: TraceFormat, path: &Path, client: bool) -> Result<Vec<Row>, InputError> {
    let file = path.display().to_string();
    let text = read_text(path, MAX_TRACE_BYTES)?;
    let rows = match format {
        TraceFormat::GfDit => gf_dit::parse(&file, &text, client)?,
        TraceFormat::VllmOmni => vllm_omni::parse(&file, &text)?,
        TraceFormat::Mooncake => mooncake::parse(&file, &text)?,
        TraceFormat::Csv => csv::parse(&file, &text)?,
    };
    check(&file, &rows)?;
    Ok(rows)
}

/// What every format must keep: finite, sorted arrivals of at least 0, names that occur once,
/// deadlines not before arrivals.
fn check(file: &str, rows: &[Row]) -> Result<(), InputError> {
    let at = |row: &Row, message: String| Err(InputError::new(file, message).at(row.line, 0));
    if rows.is_empty() {
        return Err(InputError::new(file, "expected at least one request"));
    }
    let mut names = BTreeSet::new();
    let mut previous = 0.0;
    for row in rows {
        let arrival = row.arrival_ms;
        if !arrival.is_finite() || arrival < 0.0 {
            return at(row, format!("expected an arrival of at least 0 ms, got {arrival}"));
        }
        if arrival < previous {
            let message = format!(
                "arrivals are not sorted: {arrival} ms comes after {previous} ms in the file"
            );
            return at(row, message);
        }
        previous = arrival;
        if let Some(name) = &row.name
            && !names.insert(name)
        {
            return at(row, format!("duplicate request id `{name}`"));
        }
        if let Some(slo) = row.slo_ms
            && slo::of_millis(slo).is_err()
        {
            return at(row, format!("expected a target latency of at least 0 ms, got {slo}"));
        }
        if let Some(deadline) = row.deadline_ms
            && (!deadline.is_finite() || deadline < arrival)
        {
            let message =
                format!("deadline before arrival: due at {deadline} ms, arrives at {arrival} ms");
            return at(row, message);
        }
    }
    Ok(())
}

/// Arrival times of a trace, shifted so that the first is at 0.
///
/// # Errors
/// As [`read`]; a trace asked to keep no request.
pub(super) fn arrival_times(
    spec: &TraceSpec,
    context: &Context<'_>,
) -> Result<Vec<Nanos>, InputError> {
    if spec.requests == Some(0) {
        let message = "expected at least 1, got 0";
        return Err(context.error("arrivals.trace.requests", message));
    }
    let rows = read(spec.format, &context.base_dir.join(&spec.path), false)?;
    let first = rows.first().map_or(0.0, |row| row.arrival_ms);
    let most = spec.requests.map_or(usize::MAX, |requests| requests as usize);
    let kept = rows.iter().take(most);
    Ok(kept.map(|row| Nanos::from_millis_f64(row.arrival_ms - first)).collect())
}

/// Every request of a file, with times as recorded.
///
/// Classes are those the file names, else those of the specification with the same shape, else one
/// per shape. Deadlines are the file's; an `slo` in the specification replaces them all.
///
/// # Errors
/// As [`read`]; a key that only generated arrivals take; a row without a needed field, of an
/// unknown model, or that the model cannot make.
pub(super) fn import(
    spec: &WorkloadSpec,
    source: &ImportSpec,
    context: &Context<'_>,
) -> Result<Workload, InputError> {
    for (key, given) in [("mix", spec.mix.is_some()), ("target_load", spec.target_load.is_some())] {
        if given {
            return Err(context.error(key, "an import has its own arrivals and classes"));
        }
    }
    let path = context.base_dir.join(&source.path);
    if source.format == TraceFormat::Mooncake {
        let message = "this format holds arrival times only; combine them with classes by \
                       `arrivals: {trace: {format: mooncake, path: ..}}`";
        return Err(InputError::new(path.display().to_string(), message));
    }
    let rows = read(source.format, &path, source.client_deadline)?;
    let file = path.display().to_string();
    let written = match &spec.classes {
        Some(_) => classes::resolve(spec, context)?,
        None => Vec::new(),
    };
    let importer = Importer { file: &file, spec, context, written };
    let mut classes = importer.classes(&rows)?;
    if spec.slo.is_some() {
        slo::assign(spec.slo.as_ref(), &mut classes, context)?;
    }
    let requests = rows.iter().enumerate();
    let requests = requests
        .map(|(id, row)| importer.request(id, row, &classes))
        .collect::<Result<Vec<_>, _>>()?;
    let name = |row: &Row| row.name.clone().unwrap_or_else(|| format!("line {}", row.line));
    Ok(Workload {
        models: context.models.to_vec(),
        offered_load_realised: load_between_arrivals(&requests, context.world),
        classes,
        requests,
        names: Some(rows.iter().map(name).collect()),
        closed_loop: None,
        cancellations: Vec::new(),
        phases: Vec::new(),
        offered_load_expected: None,
        source: format!("imported from {}", source.path.display()),
    })
}

struct Importer<'a> {
    file: &'a str,
    spec: &'a WorkloadSpec,
    context: &'a Context<'a>,
    written: Vec<ClassInfo>,
}

impl Importer<'_> {
    fn error(&self, row: &Row, message: String) -> InputError {
        InputError::new(self.file, message).at(row.line, 0)
    }

    /// The classes that occur, smallest shape first; written ones in the order written.
    fn classes(&self, rows: &[Row]) -> Result<Vec<ClassInfo>, InputError> {
        let mut found: Vec<ClassInfo> = Vec::new();
        for row in rows {
            let name = self.class_name(row)?;
            if !found.iter().any(|class| class.name == name) {
                found.push(self.class(row, name)?);
            }
            if found.len() > usize::from(u16::MAX) {
                return Err(self.error(row, format!("more than {} classes", u16::MAX)));
            }
        }
        if self.written.is_empty() {
            found.sort_by_key(|class| (class.tokens, class.shape));
        } else {
            let place = |class: &ClassInfo| {
                self.written.iter().position(|written| written.name == class.name)
            };
            found.sort_by_key(place);
        }
        Ok(found)
    }

    fn class_name(&self, row: &Row) -> Result<String, InputError> {
        if let Some(name) = &row.class {
            return Ok(name.clone());
        }
        let shape = self.shape(row, None)?;
        if let Some(class) = self.written.iter().find(|class| class.shape == shape) {
            return Ok(class.name.clone());
        }
        let Shape { width, height, frames, steps, .. } = shape;
        let frames = if frames == 1 { String::new() } else { format!("x{frames}") };
        let several = self.context.models.len() > 1;
        let model = if several { self.model(row, None)?.1.name } else { "" };
        Ok(format!("{model}{}{width}x{height}{frames}/{steps}", if several { ":" } else { "" }))
    }

    fn class(&self, row: &Row, name: String) -> Result<ClassInfo, InputError> {
        if let Some(class) = self.written.iter().find(|class| class.name == name) {
            return Ok(class.clone());
        }
        if !self.written.is_empty() && row.class.is_some() {
            let names: Vec<&str> = self.written.iter().map(|class| class.name.as_str()).collect();
            let (message, hint) = crate::input::suggestion("class", &name, &names);
            return Err(InputError { hint, ..self.error(row, message) });
        }
        let shape = self.shape(row, None)?;
        let model = self.context.models[shape.model.index()];
        let tokens = model
            .latent_tokens(shape.height, shape.width, shape.frames)
            .map_err(|error| self.error(row, error.to_string()))?;
        let (alpha, priority, preemptible) = classes::defaults(&name);
        Ok(ClassInfo {
            name,
            shape,
            tokens,
            share: None,
            alpha,
            priority: row.priority.unwrap_or(priority),
            preemptible: row.preemptible.unwrap_or(preemptible),
            chunk_steps: row.chunk_steps.or(self.spec.chunk_steps).unwrap_or(1),
            t_single: self.alone(row, &shape),
            budget: None,
        })
    }

    fn alone(&self, row: &Row, shape: &Shape) -> Option<Nanos> {
        t_single(self.context.cost, shape).or(row.alone_ms.map(Nanos::from_millis_f64))
    }

    fn model(
        &self,
        row: &Row,
        class: Option<&ClassInfo>,
    ) -> Result<(ModelId, &'static ModelSpec), InputError> {
        let models = self.context.models;
        let at = |index: usize| (ModelId(index as u8), models[index]);
        match &row.model {
            Some(name) => {
                let found = models.iter().position(|model| model.name == name);
                found.map(at).ok_or_else(|| {
                    let names: Vec<&str> = models.iter().map(|model| model.name).collect();
                    let (message, hint) = crate::input::suggestion("model", name, &names);
                    InputError { hint, ..self.error(row, message) }
                })
            }
            None if models.len() == 1 => Ok(at(0)),
            None => match class {
                Some(class) => Ok(at(class.shape.model.index())),
                None => Err(self.error(row, "missing `model`: there are several".to_owned())),
            },
        }
    }

    /// The shape a row asks for; what it leaves open comes from its class.
    fn shape(&self, row: &Row, class: Option<&ClassInfo>) -> Result<Shape, InputError> {
        let named = |class: &&ClassInfo| Some(&class.name) == row.class.as_ref();
        let class = class.or_else(|| self.written.iter().find(named));
        let (id, model) = self.model(row, class)?;
        let known = class.map(|class| class.shape);
        let need = |name: &str, value: Option<u32>, known: Option<u32>| match value.or(known) {
            Some(0) => Err(self.error(row, format!("{name}: expected at least 1, got 0"))),
            Some(value) => Ok(value),
            None => Err(self.error(row, format!("missing `{name}`"))),
        };
        let frames = row.frames.or(known.map(|shape| shape.frames)).unwrap_or(1);
        let steps = row.steps.or(known.map(|shape| shape.steps)).unwrap_or(model.steps);
        let text = row.text_tokens.or(known.map(|shape| shape.text_tokens));
        let guidance = row.guidance.or(known.map(|shape| shape.guidance));
        let shape = Shape {
            model: id,
            guidance: guidance.unwrap_or(model.guidance == Guidance::Cfg),
            height: need("height", row.height, known.map(|shape| shape.height))?,
            width: need("width", row.width, known.map(|shape| shape.width))?,
            frames: need("num_frames", Some(frames), None)?,
            text_tokens: text.unwrap_or(model.text_tokens.min(512)),
            steps: need("num_steps", Some(steps), None)?,
        };
        model
            .check(&shape, &Parallelism::SINGLE)
            .map_err(|error| self.error(row, error.to_string()))?;
        Ok(shape)
    }

    fn request(&self, id: usize, row: &Row, classes: &[ClassInfo]) -> Result<Request, InputError> {
        let name = self.class_name(row)?;
        let index = classes.iter().position(|class| class.name == name).unwrap_or(0);
        let class = &classes[index];
        let shape = self.shape(row, Some(class))?;
        let chunk_steps = row.chunk_steps.unwrap_or(class.chunk_steps);
        if chunk_steps == 0 {
            return Err(self.error(row, "chunk: expected at least 1 step, got 0".to_owned()));
        }
        let arrival = Nanos::from_millis_f64(row.arrival_ms);
        let after = |budget: Nanos| arrival.saturating_add(budget);
        let deadline = if self.spec.slo.is_some() {
            class.budget.map(after)
        } else {
            let due = row.deadline_ms.map(Nanos::from_millis_f64);
            due.or(row.slo_ms.map(Nanos::from_millis_f64).map(after))
        };
        Ok(Request {
            id: RequestId(id as u32),
            class: ClassId(index as u16),
            shape,
            chunk_steps,
            priority: row.priority.unwrap_or(class.priority),
            preemptible: row.preemptible.unwrap_or(class.preemptible),
            arrival,
            deadline,
            t_single: self.alone(row, &shape),
        })
    }
}
