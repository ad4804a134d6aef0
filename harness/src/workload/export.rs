//! Workloads as files: GF-DiT JSON and CSV, both of which can be imported again.

use super::Workload;
use super::trace::csv::COLUMNS;
use flexdit_core::{Nanos, Request};
use serde::Serialize;
use serde_json::{Value, json};

/// One request in the artifact's fields.
#[derive(Serialize)]
struct Item<'a> {
    request_id: String,
    request_class: &'a str,
    arrival_ms: f64,
    height: u32,
    width: u32,
    num_frames: u32,
    num_steps: u32,
    latent_seq_len: u64,
    denoise_chunk_size: u32,
    do_true_cfg: bool,
    text_seq_len: u32,
    priority: i32,
    preemptible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_deadline_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profiled_optimal_latency_ms: Option<f64>,
    voxels: u64,
}

/// The workload as the GF-DiT artifact's JSON, one request a line. Times are milliseconds with all
/// digits, so that importing gives the same nanoseconds.
pub fn gf_dit(workload: &Workload, world: u16, seed: Option<u64>) -> String {
    let shapes = workload.classes.iter().map(|class| {
        let shape = &class.shape;
        let value = json!({
            "height": shape.height, "width": shape.width,
            "num_frames": shape.frames, "num_steps": shape.steps,
        });
        (class.name.clone(), value)
    });
    let alphas = workload.classes.iter().map(|class| (class.name.clone(), json!(class.alpha)));
    let models: Vec<&str> = workload.models.iter().map(|model| model.name).collect();
    let metadata = json!({
        "alphas": Value::Object(alphas.collect()),
        "class_shapes": Value::Object(shapes.collect()),
        "model": models.join("+"),
        "num_gpus": world,
        "offered_load_expected": workload.offered_load_expected,
        "offered_load_realized": super::load_between_arrivals(&workload.requests, world),
        "seed": seed,
    });
    let items: Vec<String> = workload
        .requests
        .iter()
        .map(|request| json!(item(workload, request)).to_string())
        .collect();
    let description = json!(format!("flexdit workload, {}", workload.source));
    format!(
        "{{\"description\":{description},\n\"metadata\":{metadata},\n\"requests\":[\n{}\n]}}\n",
        items.join(",\n")
    )
}

fn item<'a>(workload: &'a Workload, request: &Request) -> Item<'a> {
    let shape = &request.shape;
    let model = workload.models[shape.model.index()];
    Item {
        request_id: name(workload, request),
        request_class: &workload.classes[request.class.index()].name,
        arrival_ms: request.arrival.as_millis_f64(),
        height: shape.height,
        width: shape.width,
        num_frames: shape.frames,
        num_steps: shape.steps,
        latent_seq_len: model.latent_tokens(shape.height, shape.width, shape.frames).unwrap_or(0),
        denoise_chunk_size: request.chunk_steps,
        do_true_cfg: shape.guidance,
        text_seq_len: shape.text_tokens,
        priority: request.priority,
        preemptible: request.preemptible,
        deadline_ms: request.deadline.map(Nanos::as_millis_f64),
        client_deadline_ms: request.deadline.map(Nanos::as_millis_f64),
        profiled_optimal_latency_ms: request.t_single.map(Nanos::as_millis_f64),
        voxels: model.voxels(shape.height, shape.width, shape.frames),
    }
}

/// The request's own name, or its class and ordinal.
fn name(workload: &Workload, request: &Request) -> String {
    match &workload.names {
        Some(names) => names[request.id.index()].clone(),
        None => {
            let class = &workload.classes[request.class.index()].name;
            format!("{class}_{:06}", request.id.0)
        }
    }
}

/// The workload as CSV with every column the importer knows.
pub fn csv(workload: &Workload) -> String {
    let mut lines = vec![COLUMNS.join(",")];
    for request in &workload.requests {
        let shape = &request.shape;
        let deadline = request.deadline.map(|at| at.as_millis_f64().to_string());
        let fields = [
            quoted(&name(workload, request)),
            quoted(&workload.classes[request.class.index()].name),
            workload.models[shape.model.index()].name.to_owned(),
            request.arrival.as_millis_f64().to_string(),
            shape.height.to_string(),
            shape.width.to_string(),
            shape.frames.to_string(),
            shape.steps.to_string(),
            shape.guidance.to_string(),
            shape.text_tokens.to_string(),
            request.chunk_steps.to_string(),
            request.priority.to_string(),
            request.preemptible.to_string(),
            deadline.unwrap_or_default(),
            String::new(),
        ];
        lines.push(fields.join(","));
    }
    lines.join("\n") + "\n"
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}
