//! Workloads: what requests arrive, of which classes, when, and by when they are due.
//!
//! Owns the `workload:` section of experiments, the arrival generators, the importers of trace
//! formats and their exports. Does not price anything itself (a cost model is passed in) and runs
//! nothing. Invariant: the same specification and seed give the same requests on every machine.

pub mod arrivals;
pub mod classes;
pub mod describe;
pub mod export;
#[cfg(test)]
mod fixture;
mod generate;
pub mod mix;
mod named;
pub mod phases;
mod slo;
pub mod spec;
pub mod stream;
mod timeout;
pub mod trace;

#[cfg(test)]
mod build_test;

pub use classes::ClassInfo;
pub use named::Named;
pub use spec::WorkloadSpec;

use crate::input::{Document, InputError};
use crate::quantity::Duration;
use arrivals::Arrival;
use flexdit_core::cost::CostModel;
use flexdit_core::model::ModelSpec;
use flexdit_core::{ClassId, Nanos, Request, RequestId};
use std::path::Path;

/// What a workload is built from, beside its own section.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The experiment's models; their indices are [`flexdit_core::ModelId`]s.
    pub models: &'a [&'static ModelSpec],
    /// Prices T_single.
    pub cost: &'a dyn CostModel,
    /// Number of ranks.
    pub world: u16,
    /// Seed of every stream.
    pub seed: u64,
    /// Paths in the section are relative to this folder.
    pub base_dir: &'a Path,
    /// The experiment's file, which errors point into.
    pub document: &'a Document,
}

impl Context<'_> {
    /// An error about `key` of the workload section; empty for the section itself.
    fn error(&self, key: &str, message: impl Into<String>) -> InputError {
        let key = if key.is_empty() { "workload".to_owned() } else { format!("workload.{key}") };
        self.document.error(&key, message)
    }
}

/// A workload, ready to run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The models that serve it.
    pub models: Vec<&'static ModelSpec>,
    /// The classes of its requests.
    pub classes: Vec<ClassInfo>,
    /// In order of arrival; the id is the index.
    pub requests: Vec<Request>,
    /// Names the requests had in an imported file.
    pub names: Option<Vec<String>>,
    /// Requests in the system, for a closed loop: then every arrival is 0 and every deadline counts
    /// from 0, and the driver moves both when it sends the request.
    pub closed_loop: Option<u32>,
    /// When clients give up their requests, in order of time.
    pub cancellations: Vec<(Nanos, RequestId)>,
    /// Phases of constant rate, where the generator has any.
    pub phases: Vec<phases::Phase>,
    /// Expected work on one rank over world x active window.
    pub offered_load_expected: Option<f64>,
    /// Work on one rank that did arrive, over world x active window; without phases the window is
    /// from the first to the last arrival. `None` if that is empty or a request has no T_single.
    pub offered_load_realised: Option<f64>,
    /// Where it comes from, in words.
    pub source: String,
}

/// Builds the workload of one seed.
///
/// # Errors
/// The first thing in the section, or in a file that it names, that makes no sense.
pub fn build(spec: &WorkloadSpec, context: &Context<'_>) -> Result<Workload, InputError> {
    let mut workload = match (&spec.arrivals, &spec.import) {
        (Some(arrivals), None) => generated(spec, arrivals, context)?,
        (None, Some(import)) => trace::import(spec, import, context)?,
        (Some(_), Some(_)) => {
            return Err(context.error("import", "give either `arrivals` or `import`, not both"));
        }
        (None, None) => {
            return Err(context.error("", "missing key `arrivals`; or give `import`"));
        }
    };
    if workload.requests.is_empty() {
        let message = format!("no request arrives with seed {}", context.seed);
        return Err(context.error("", message));
    }
    workload.cancellations = timeout::cancellations(spec.client_timeout, &workload, context)?;
    Ok(workload)
}

/// The classes of a workload, with everything decided but what hangs on arrivals.
///
/// # Errors
/// As [`build`], as far as classes are concerned.
pub fn classes(spec: &WorkloadSpec, context: &Context<'_>) -> Result<Vec<ClassInfo>, InputError> {
    classes::resolve(spec, context)
}

fn generated(
    spec: &WorkloadSpec,
    arrivals: &spec::ArrivalSpec,
    context: &Context<'_>,
) -> Result<Workload, InputError> {
    let classes = classes::resolve(spec, context)?;
    let generated = generate::generate(spec, arrivals, &classes, context)?;
    let requests = generated.arrivals.iter().enumerate();
    let requests: Vec<Request> =
        requests.map(|(id, arrival)| request(id, arrival, &classes)).collect();
    Ok(Workload {
        models: context.models.to_vec(),
        offered_load_realised: realised_load(&requests, &generated.phases, context.world),
        classes,
        requests,
        names: None,
        closed_loop: generated.closed_loop,
        cancellations: Vec::new(),
        phases: generated.phases,
        offered_load_expected: generated.expected_load,
        source: format!("generated with seed {}", context.seed),
    })
}

fn request(id: usize, arrival: &Arrival, classes: &[ClassInfo]) -> Request {
    let class = &classes[arrival.class];
    Request {
        id: RequestId(id as u32),
        class: ClassId(arrival.class as u16),
        shape: class.shape,
        chunk_steps: class.chunk_steps,
        priority: class.priority,
        preemptible: class.preemptible,
        arrival: arrival.at,
        deadline: class.budget.map(|budget| arrival.at.saturating_add(budget)),
        t_single: class.t_single,
    }
}

/// Realised load: work of `requests` on one rank over world x active window of `phases`; without
/// phases as [`load_between_arrivals`].
fn realised_load(requests: &[Request], phases: &[phases::Phase], world: u16) -> Option<f64> {
    if phases.is_empty() {
        return load_between_arrivals(requests, world);
    }
    load_over(requests, phases::active_window(phases), world)
}

/// Work of `requests` on one rank over world x (last - first arrival).
///
/// # Source
/// The GF-DiT artifact's `offered_load_realized`; its `offered_load_expected` is over the active
/// window instead.
fn load_between_arrivals(requests: &[Request], world: u16) -> Option<f64> {
    let span = (requests.last()?.arrival - requests.first()?.arrival).as_secs_f64();
    load_over(requests, span, world)
}

fn load_over(requests: &[Request], seconds: f64, world: u16) -> Option<f64> {
    let mut work = 0.0;
    for request in requests {
        work += request.t_single?.as_secs_f64();
    }
    (seconds > 0.0).then(|| work / (f64::from(world) * seconds))
}
