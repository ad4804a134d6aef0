//! `summary.csv` and `classes.csv`: written from summaries, read back as plain tables.

use crate::input::InputError;
use crate::metrics::{METRICS, Summary};
use crate::record::SweepPoint;
use std::path::Path;

/// Metrics that only a whole run has; `classes.csv` leaves them out.
const RUN_ONLY: [&str; 19] = [
    "migrated_gb",
    "migration_s",
    "share_no_work",
    "share_waiting",
    "share_drain",
    "share_held",
    "share_migration",
    "share_group_setup",
    "share_control_plane",
    "share_lost",
    "share_down",
    "latency_over_bound",
    "makespan_over_bound",
    "violations_bound",
    "offered_load",
    "peak_rank_memory_gb",
    "decisions",
    "illegal",
    "extrapolated",
];

/// A table of text cells; an empty cell means not defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// `summary.csv`: `system, seed`, the swept keys, then the metrics.
pub fn summary_table(rows: &[Summary], points: &[SweepPoint]) -> Table {
    table(rows, points, false)
}

/// `classes.csv`: `system, seed, class`, the swept keys, then the metrics that classes have.
pub fn classes_table(rows: &[Summary], points: &[SweepPoint]) -> Table {
    table(rows, points, true)
}

fn table(rows: &[Summary], points: &[SweepPoint], classes: bool) -> Table {
    let keys: Vec<&str> = points
        .first()
        .map_or(vec![], |point| point.0.iter().map(|(key, _)| key.as_str()).collect());
    let kept = |name: &&str| !(classes && RUN_ONLY.contains(name));
    let names = METRICS.iter().map(|metric| metric.name).filter(kept);
    let id = if classes { &["system", "seed", "class"][..] } else { &["system", "seed"] };
    let columns = id.iter().copied().chain(keys.iter().copied()).chain(names);
    let cells =
        |row: &Summary| {
            let mut cells = vec![row.system.clone(), row.seed.to_string()];
            if classes {
                cells.push(row.class.clone().unwrap_or_default());
            }
            if let Some(point) = points.get(row.point) {
                cells.extend(point.0.iter().map(|(_, value)| value.clone()));
            }
            let metrics = METRICS.iter().filter(|metric| kept(&metric.name));
            cells.extend(metrics.map(|metric| {
                (metric.get)(row).map_or_else(String::new, |value| value.to_string())
            }));
            cells
        };
    Table { columns: columns.map(str::to_owned).collect(), rows: rows.iter().map(cells).collect() }
}

impl Table {
    /// The table as CSV; floats are as long as reading them back exactly needs.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(vec![]);
        let mut write = |cells: &[String]| writer.write_record(cells);
        let written = write(&self.columns)
            .and_then(|()| self.rows.iter().try_for_each(|row| write(row)))
            .map_err(|error| error.to_string())
            .and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
        // Writing to memory fails only for rows of unequal length, which `Table` rules out.
        let bytes = written.expect("rows are as long as the columns");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads a CSV file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a table; the message names the line.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| InputError::io(path, "read the table", &error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses CSV text from the file named `file`.
    ///
    /// # Errors
    /// If it is not a table; the message names the line.
    pub fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        let malformed = |error: csv::Error| {
            let line = error.position().map_or(0, |position| position.line() as u32);
            let message = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("expected {expected_len} cells, got {len}")
                }
                _ => error.to_string(),
            };
            InputError::new(file, message).at(line, 0)
        };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
        let columns: Vec<String> = owned(reader.headers().map_err(malformed)?);
        let rows = reader
            .records()
            .map(|record| record.map(|record| owned(&record)).map_err(malformed))
            .collect::<Result<_, _>>()?;
        Ok(Self { columns, rows })
    }

    /// Position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_only_metrics_exist_and_the_first_columns_are_the_documented_ones() {
        assert!(RUN_ONLY.iter().all(|name| crate::metrics::metric(name).is_some()));
        let table = summary_table(&[], &[]);
        let documented = "system,seed,requests,completed,throughput_rps,goodput_rps,\
            latency_ms_mean,latency_ms_p50,latency_ms_p95,latency_ms_p99,slo_attainment,\
            violation_rate,utilisation,gpu_time_s,makespan_s,migrations,reconfigurations,\
            group_setups";
        assert!(table.to_csv().starts_with(documented), "{}", table.to_csv());
    }

    #[test]
    fn a_table_survives_its_file() {
        let row = Summary {
            system: "a,b".into(),
            class: Some("S".into()),
            throughput_rps: Some(0.1 + 0.2),
            ..Summary::default()
        };
        let points = [SweepPoint(vec![("costs.group_setup".into(), "60us".into())])];
        for table in
            [summary_table(std::slice::from_ref(&row), &points), classes_table(&[row], &points)]
        {
            assert_eq!(Table::parse("x.csv", &table.to_csv()).unwrap(), table);
            let at = table.column("throughput_rps").unwrap();
            assert_eq!(table.rows[0][at], "0.30000000000000004");
            assert_eq!(table.rows[0][table.column("latency_ms_p99").unwrap()], "");
            assert_eq!(table.rows[0][table.column("costs.group_setup").unwrap()], "60us");
        }
    }

    #[test]
    fn a_short_row_is_refused_with_its_line() {
        let error = Table::parse("x.csv", "a,b\n1,2\n3\n").unwrap_err();
        assert_eq!(error.to_string(), "x.csv:3: expected 2 cells, got 1");
    }
}
