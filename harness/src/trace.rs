//! `trace-*.json.gz`: a run as Chrome trace events, to open in Perfetto or `chrome://tracing`.
//!
//! One process is the world: a thread per rank with its tasks, transfers and idle time by cause. A
//! second one are the requests: a thread per class, an asynchronous slice from arrival to end.
//! Made from a record, so exact for simulated time; times are microseconds with three decimals.

use crate::record::{IdleCause, Outcome, RequestRecord, RunRecord, SpanRecord};
use flate2::Compression;
use flate2::write::GzEncoder;
use flexdit_core::{Nanos, Rank, Stage};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};

/// Process id of the ranks in the trace.
const RANKS: u32 = 1;
/// Process id of the requests.
const REQUESTS: u32 = 2;
/// Shortest idle time that is shown.
const SHORTEST_IDLE: Nanos = Nanos::from_micros(100);

/// Writes the trace of a run, compressed; its timeline must have been kept. `classes` are names.
///
/// # Errors
/// If `out` cannot be written.
pub fn write(run: &RunRecord, classes: &[String], out: impl Write) -> io::Result<()> {
    let gzip = GzEncoder::new(BufWriter::new(out), Compression::fast());
    let mut trace = Trace { out: gzip, first: true };
    trace.out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    trace.names(run, classes)?;
    for span in &run.spans {
        trace.span(span, run, classes)?;
    }
    for migration in &run.migrations {
        for rank in migration.destinations.iter() {
            trace.slice(
                *rank,
                migration.started,
                migration.ended,
                &json!({
                    "name": format!("migrate r{}", migration.request.0),
                    "cat": "migration",
                    "cname": "terrible",
                    "args": {"request": migration.request.0, "bytes": migration.bytes.0},
                }),
            )?;
        }
    }
    for (rank, taken) in occupied(run).into_iter().enumerate() {
        trace.idle(run, Rank(rank as u16), taken)?;
    }
    for request in &run.requests {
        trace.request(request, run.makespan)?;
    }
    trace.out.write_all(b"\n]}\n")?;
    trace.out.finish()?.flush()
}

struct Trace<W: Write> {
    out: W,
    first: bool,
}

impl<W: Write> Trace<W> {
    fn event(&mut self, event: &Value) -> io::Result<()> {
        self.out.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        Ok(serde_json::to_writer(&mut self.out, event)?)
    }

    /// A slice on a rank's lane; `what` has its name, category and arguments.
    fn slice(&mut self, rank: Rank, from: Nanos, to: Nanos, what: &Value) -> io::Result<()> {
        let mut event = what.clone();
        event["ph"] = json!("X");
        event["pid"] = json!(RANKS);
        event["tid"] = json!(rank.0);
        event["ts"] = micros(from);
        event["dur"] = micros(to.saturating_sub(from));
        self.event(&event)
    }

    fn names(&mut self, run: &RunRecord, classes: &[String]) -> io::Result<()> {
        let title = format!("{} (seed {})", run.system, run.seed);
        let mut name = |pid: u32, tid: Option<u16>, what: &str, name: &str| {
            let mut event = json!({"ph": "M", "pid": pid, "name": what, "args": {"name": name}});
            if let Some(tid) = tid {
                event["tid"] = json!(tid);
            }
            self.event(&event)
        };
        name(RANKS, None, "process_name", &title)?;
        for rank in 0..run.world {
            name(RANKS, Some(rank), "thread_name", &format!("rank {rank}"))?;
        }
        name(REQUESTS, None, "process_name", "requests")?;
        for (index, class) in classes.iter().enumerate() {
            name(REQUESTS, Some(index as u16), "thread_name", class)?;
        }
        Ok(())
    }

    fn span(&mut self, span: &SpanRecord, run: &RunRecord, classes: &[String]) -> io::Result<()> {
        let degree = usize::from(span.parallelism.degree());
        let found = run.requests.binary_search_by_key(&span.request, |request| request.id);
        let class = found.ok().and_then(|at| classes.get(run.requests[at].class.index()));
        let class = class.map_or("", String::as_str);
        for (position, rank) in span.group.iter().enumerate() {
            let held = position >= degree;
            let verb = if held { "held by " } else { "" };
            let mut name = format!("{verb}{class} r{} {}", span.request.0, span.stage.name());
            if degree > 1 {
                name += &format!(" x{degree}");
            }
            let category = match (span.failed, held) {
                (true, _) => "lost",
                (false, true) => "held",
                (false, false) => span.stage.name(),
            };
            self.slice(
                *rank,
                span.started,
                span.ended,
                &json!({
                    "name": name,
                    "cat": category,
                    "cname": colour(span.stage, held, span.failed),
                    "args": {
                        "request": span.request.0,
                        "class": class,
                        "layout": span.parallelism.to_string(),
                        "degree": degree,
                        "ranks": span.group.to_string(),
                        "first_step": span.first_step,
                        "steps": span.steps,
                        "tasks": span.tasks,
                        "setup_us": micros(span.setup),
                        "launch_us": micros(span.launch),
                    },
                }),
            )?;
        }
        Ok(())
    }

    /// What a rank's lane leaves open, by cause.
    fn idle(
        &mut self,
        run: &RunRecord,
        rank: Rank,
        mut taken: Vec<(Nanos, Nanos)>,
    ) -> io::Result<()> {
        taken.sort_unstable();
        taken.push((run.makespan, run.makespan));
        let mut free = Nanos::ZERO;
        for (from, to) in taken {
            if from > free {
                self.gap(run, rank, free, from)?;
            }
            free = free.max(to);
        }
        Ok(())
    }

    fn gap(&mut self, run: &RunRecord, rank: Rank, from: Nanos, to: Nanos) -> io::Result<()> {
        let causes = &run.idle_causes;
        let first = causes.partition_point(|entry| entry.0 <= from).saturating_sub(1);
        for (index, (since, cause)) in causes.iter().enumerate().skip(first) {
            if *since >= to {
                break;
            }
            let until = causes.get(index + 1).map_or(to, |next| next.0).min(to);
            let since = (*since).max(from);
            if until.saturating_sub(since) >= SHORTEST_IDLE {
                let name = match cause {
                    IdleCause::NoWork => "idle: no work",
                    IdleCause::Waiting => "idle: work waiting",
                    IdleCause::Drain => "idle: drain",
                };
                let what = json!({"name": name, "cat": "idle", "cname": "grey"});
                self.slice(rank, since, until, &what)?;
            }
        }
        Ok(())
    }

    fn request(&mut self, request: &RequestRecord, makespan: Nanos) -> io::Result<()> {
        let (end, outcome) = match request.outcome {
            Outcome::Completed(at) => (at, "completed"),
            Outcome::Rejected(at, _) => (at, "rejected"),
            Outcome::Unfinished => (makespan, "unfinished"),
        };
        for (phase, at) in [("b", request.arrival), ("e", end)] {
            self.event(&json!({
                "ph": phase,
                "pid": REQUESTS,
                "tid": request.class.0,
                "id": request.id.0,
                "cat": "request",
                "name": format!("r{}", request.id.0),
                "ts": micros(at),
                "args": {
                    "outcome": outcome,
                    "on_time": request.attained(),
                    "deadline_us": request.deadline.map(micros),
                },
            }))?;
        }
        Ok(())
    }
}

/// Per rank, the times at which its lane shows a task or a transfer.
fn occupied(run: &RunRecord) -> Vec<Vec<(Nanos, Nanos)>> {
    let mut taken = vec![vec![]; usize::from(run.world)];
    let tasks = run.spans.iter().map(|span| (&span.group, span.started, span.ended));
    let moves =
        run.migrations.iter().map(|moved| (&moved.destinations, moved.started, moved.ended));
    for (group, from, to) in tasks.chain(moves) {
        for rank in group.iter() {
            taken[rank.index()].push((from, to));
        }
    }
    taken
}

fn micros(time: Nanos) -> Value {
    json!(time.0 as f64 / 1e3)
}

/// A colour of the trace viewer's palette.
fn colour(stage: Stage, held: bool, failed: bool) -> &'static str {
    match (failed, held, stage) {
        (true, ..) => "terrible",
        (_, true, _) => "grey",
        (.., Stage::TextEncode) => "rail_load",
        (.., Stage::Denoise) => "thread_state_running",
        (.., Stage::VaeDecode) => "rail_animation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::small_run;
    use std::io::Read as _;

    fn events() -> Vec<Value> {
        let mut bytes = vec![];
        write(&small_run(), &["S".to_owned()], &mut bytes).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        let trace: Value = serde_json::from_str(&text).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn every_rank_has_a_lane_that_says_what_it_did_and_why_not() {
        let lane = |rank: u16| -> Vec<String> {
            let mut slices: Vec<Value> = events();
            slices.retain(|event| event["ph"] == "X" && event["tid"] == json!(rank));
            slices.sort_by(|a, b| a["ts"].as_f64().unwrap().total_cmp(&b["ts"].as_f64().unwrap()));
            let words = |event: &Value| {
                let name = event["name"].as_str().unwrap();
                format!("{} {}+{}", name, event["ts"], event["dur"])
            };
            slices.iter().map(words).collect()
        };
        assert_eq!(
            lane(0),
            [
                "idle: no work 0.0+10000.0",
                "idle: work waiting 10000.0+10000.0",
                "idle: drain 20000.0+1000.0",
                "S r0 text-encode 21000.0+29000.0",
                "S r0 denoise 50000.0+40000.0",
            ]
        );
        assert_eq!(
            lane(1)[3..],
            ["held by S r0 text-encode 21000.0+29000.0", "idle: drain 50000.0+40000.0"]
        );
    }

    #[test]
    fn lanes_are_named_and_requests_are_slices() {
        let events = events();
        let name =
            |event: &&Value| event["name"] == "thread_name" && event["args"]["name"] == "rank 1";
        assert_eq!(events.iter().filter(name).count(), 1);
        let ends: Vec<_> = events.iter().filter(|event| event["cat"] == "request").collect();
        assert_eq!((ends.len(), &ends[1]["ts"]), (2, &json!(90000.0)));
        assert_eq!(ends[1]["args"]["on_time"], true);
    }
}
