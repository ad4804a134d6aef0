//! `requests.parquet` and `tasks.parquet`, one row group a run, so that runs need not be held.

use crate::record::{Outcome, RequestRecord, RunRecord, SpanRecord};
use flexdit_core::{Nanos, RejectReason};
use polars::prelude::*;
use std::fs::File;
use std::path::Path;

/// Both tables of a results folder being written.
pub struct ParquetTables {
    classes: Vec<String>,
    requests: Sink,
    tasks: Sink,
}

/// A Parquet file whose schema is that of its first batch.
struct Sink {
    file: Option<File>,
    writer: Option<polars::io::parquet::write::BatchedWriter<File>>,
}

impl ParquetTables {
    /// Creates both files in `folder`; `classes` are the names of the class column.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub fn create(folder: &Path, classes: &[String]) -> PolarsResult<Self> {
        let sink = |name: &str| -> PolarsResult<Sink> {
            Ok(Sink { file: Some(File::create(folder.join(name))?), writer: None })
        };
        Ok(Self {
            classes: classes.to_vec(),
            requests: sink("requests.parquet")?,
            tasks: sink("tasks.parquet")?,
        })
    }

    /// Appends one run.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn push(&mut self, run: &RunRecord) -> PolarsResult<()> {
        self.requests.push(&requests(run, &self.classes)?)?;
        self.tasks.push(&tasks(run)?)
    }

    /// Completes both files.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(self) -> PolarsResult<()> {
        self.requests.finish()?;
        self.tasks.finish()
    }
}

impl Sink {
    fn push(&mut self, batch: &DataFrame) -> PolarsResult<()> {
        if let Some(file) = self.file.take() {
            self.writer = Some(ParquetWriter::new(file).batched(batch.schema())?);
        }
        match &mut self.writer {
            Some(writer) if batch.height() > 0 => writer.write_batch(batch),
            _ => Ok(()),
        }
    }

    fn finish(self) -> PolarsResult<()> {
        self.writer.map_or(Ok(()), |writer| writer.finish().map(|_| ()))
    }
}

fn ns(time: Option<Nanos>) -> Option<u64> {
    time.map(|time| time.0)
}

/// The first columns of both tables.
fn origin(run: &RunRecord, height: usize) -> Vec<Column> {
    vec![
        Column::new_scalar(
            "system".into(),
            Scalar::from(PlSmallStr::from(&run.system[..])),
            height,
        ),
        Column::new_scalar("seed".into(), Scalar::from(run.seed), height),
        Column::new_scalar("point".into(), Scalar::from(run.point as u64), height),
    ]
}

fn requests(run: &RunRecord, classes: &[String]) -> PolarsResult<DataFrame> {
    let rows = &run.requests;
    macro_rules! column {
        ($name:literal, $get:expr) => {
            Column::new($name.into(), rows.iter().map($get).collect::<Vec<_>>())
        };
    }
    let class = |row: &RequestRecord| classes.get(row.class.index()).map_or("", String::as_str);
    let mut columns = origin(run, rows.len());
    columns.extend([
        column!("request", |row| row.id.0),
        column!("class", class),
        column!("arrival_ns", |row| row.arrival.0),
        column!("deadline_ns", |row| ns(row.deadline)),
        column!("t_single_ns", |row| ns(row.t_single)),
        column!("first_start_ns", |row| ns(row.first_start)),
        column!("outcome", |row| outcome(row.outcome).0),
        column!("reason", |row| outcome(row.outcome).1),
        column!("ended_ns", |row| outcome(row.outcome).2),
        column!("latency_ns", |row| ns(row.latency())),
        column!("on_time", |row| row.attained()),
        column!("gpu_time_ns", |row| row.gpu_time.0),
        column!("busy_ns", |row| row.busy.0),
        column!("least_work_ns", |row| ns(row.least_work)),
        column!("least_latency_ns", |row| ns(row.least_latency)),
        column!("reconfigurations", |row| row.reconfigurations),
        column!("migrations", |row| row.migrations),
        column!("group_setups", |row| row.group_setups),
    ]);
    DataFrame::new(rows.len(), columns)
}

fn tasks(run: &RunRecord) -> PolarsResult<DataFrame> {
    let rows = &run.spans;
    macro_rules! column {
        ($name:literal, $get:expr) => {
            Column::new($name.into(), rows.iter().map($get).collect::<Vec<_>>())
        };
    }
    let mut columns = origin(run, rows.len());
    columns.extend([
        column!("request", |row| row.request.0),
        column!("stage", |row| row.stage.name()),
        column!("first_step", |row| row.first_step),
        column!("steps", |row| row.steps),
        column!("tasks", |row| row.tasks),
        column!("layout", |row| row.parallelism.to_string()),
        column!("degree", |row| u32::from(row.parallelism.degree())),
        column!("ranks", ranks),
        column!("started_ns", |row| row.started.0),
        column!("ended_ns", |row| row.ended.0),
        column!("occupied_ns", |row| row.occupied.0),
        column!("setup_ns", |row| row.setup.0),
        column!("launch_ns", |row| row.launch.0),
        column!("failed", |row| row.failed),
    ]);
    DataFrame::new(rows.len(), columns)
}

/// `0 1 3`: the ranks in group order.
fn ranks(span: &SpanRecord) -> String {
    span.group.iter().map(|rank| rank.0.to_string()).collect::<Vec<_>>().join(" ")
}

fn outcome(outcome: Outcome) -> (&'static str, Option<&'static str>, Option<u64>) {
    match outcome {
        Outcome::Completed(at) => ("completed", None, Some(at.0)),
        Outcome::Unfinished => ("unfinished", None, None),
        Outcome::Rejected(at, why) => {
            let why = match why {
                RejectReason::QueueFull => "queue-full",
                RejectReason::Infeasible => "infeasible",
                RejectReason::Shed => "shed",
                RejectReason::Cancelled => "cancelled",
                RejectReason::Failed => "failed",
            };
            ("rejected", Some(why), Some(at.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Recorder, RecorderOptions, RunInfo, small_run};

    #[test]
    fn both_tables_read_back_with_one_row_a_request_and_span() {
        let folder = tempfile::tempdir().unwrap();
        let mut tables = ParquetTables::create(folder.path(), &["S".to_owned()]).unwrap();
        let empty = Recorder::new(1, RecorderOptions::default()).finish(RunInfo::default());
        let run = small_run();
        for run in [&empty, &run, &run] {
            tables.push(run).unwrap();
        }
        tables.finish().unwrap();
        let read = |name: &str| {
            ParquetReader::new(File::open(folder.path().join(name)).unwrap()).finish().unwrap()
        };
        let requests = read("requests.parquet");
        assert_eq!(requests.height(), 2 * run.requests.len());
        let latency = requests.column("latency_ns").unwrap().u64().unwrap().get(0);
        assert_eq!(latency, run.requests[0].latency().map(|time| time.0));
        assert_eq!(requests.column("class").unwrap().str().unwrap().get(0), Some("S"));
        let tasks = read("tasks.parquet");
        assert_eq!(tasks.height(), 2 * run.spans.len());
        assert_eq!(tasks.column("ranks").unwrap().str().unwrap().get(0), Some("0 1"));
        let page = include_str!("../../../docs/results-folder.md");
        for name in requests.get_column_names().into_iter().chain(tasks.get_column_names()) {
            assert!(page.contains(&format!("`{name}`")), "docs/results-folder.md lacks {name}");
        }
    }
}
