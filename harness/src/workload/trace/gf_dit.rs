//! The JSON workload of the GF-DiT artifact.

use super::Row;
use crate::input::{InputError, parse_json};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct File {
    requests: Vec<Item>,
}

/// The fields used; others are the artifact's own bookkeeping.
#[derive(Deserialize)]
struct Item {
    request_id: String,
    request_class: Option<String>,
    arrival_ms: f64,
    height: u32,
    width: u32,
    num_frames: u32,
    num_steps: u32,
    denoise_chunk_size: Option<u32>,
    do_true_cfg: Option<bool>,
    text_seq_len: Option<u32>,
    priority: Option<i32>,
    preemptible: Option<bool>,
    deadline_ms: Option<f64>,
    client_deadline_ms: Option<f64>,
    profiled_optimal_latency_ms: Option<f64>,
}

/// Reads a workload; `client` takes the client's deadline instead of the server's.
///
/// # Errors
/// Not JSON, or a request lacks a field or has one of another type.
pub fn parse(file: &str, text: &str, client: bool) -> Result<Vec<Row>, InputError> {
    let parsed: File = parse_json(file, text)?;
    let lines = lines(text);
    let row = |(index, item): (usize, Item)| Row {
        line: lines.get(index).copied().unwrap_or(0),
        name: Some(item.request_id),
        class: item.request_class,
        model: None,
        arrival_ms: item.arrival_ms,
        height: Some(item.height),
        width: Some(item.width),
        frames: Some(item.num_frames),
        steps: Some(item.num_steps),
        guidance: item.do_true_cfg,
        text_tokens: item.text_seq_len,
        chunk_steps: item.denoise_chunk_size,
        priority: item.priority,
        preemptible: item.preemptible,
        deadline_ms: if client { item.client_deadline_ms } else { item.deadline_ms },
        slo_ms: None,
        alone_ms: item.profiled_optimal_latency_ms,
    };
    Ok(parsed.requests.into_iter().enumerate().map(row).collect())
}

/// The line each request begins on.
fn lines(text: &str) -> Vec<u32> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        requests: Vec<&'a RawValue>,
    }
    let Ok(raw) = serde_json::from_str::<Raw<'_>>(text) else { return Vec::new() };
    let (mut line, mut seen) = (1, 0);
    raw.requests
        .iter()
        .map(|item| {
            let start = item.get().as_ptr() as usize - text.as_ptr() as usize;
            line += text[seen..start].bytes().filter(|&byte| byte == b'\n').count() as u32;
            seen = start;
            line
        })
        .collect()
}
