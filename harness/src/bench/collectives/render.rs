//! The report of the benchmark of collectives.

use super::results::{Results, Row};
use super::tables::{operation, references};
use crate::bench::plan::Operation;
use crate::bench::statistics::time;
use crate::bench::{chart, goal};
use crate::plot::axis::Axis;
use crate::plot::lines::{LineChart, Panel, Series};
use crate::plot::palette::{BLACK, Marker, Stroke};
use crate::report::{Block, Document, Picture, Section, Table};

impl Results {
    /// The whole report.
    pub fn document(&self) -> Document {
        let mut sections = Vec::new();
        if self.moving().next().is_some() {
            let pictures = [self.latencies(), self.bandwidths()].map(Block::Picture);
            sections.push(Section::new("Over message size", pictures.into()));
        }
        let tables = self.spec.ops.iter().map(|op| Block::Table(operation(self, *op)));
        sections.push(Section::new("Operations", tables.collect()));
        let goals = self.goals();
        if !goals.is_empty() {
            sections.push(Section::new("Goals", vec![Block::Table(goal::table(&goals))]));
        }
        let table = Block::Table(references(self));
        sections.push(Section::new("Physical references", vec![table]));
        sections.push(Section::new("How it was measured", vec![Block::List(self.method())]));
        let again = Block::Commands(vec![self.provenance.command_line()]);
        sections.push(Section::new("Run it again", vec![again]));
        let title = format!("Collectives of {} ranks", self.spec.ranks);
        Document { title, lead: self.lead(), sections }
    }

    /// The tables for a document such as the README: one operation, and the goals.
    pub fn excerpt(&self) -> Vec<Table> {
        let shown = [Operation::AllToAll].into_iter().chain(self.spec.ops.iter().copied());
        let op = shown.into_iter().find(|op| self.spec.ops.contains(op));
        let mut tables: Vec<Table> = op.map(|op| operation(self, op)).into_iter().collect();
        let goals = self.goals();
        if !goals.is_empty() {
            tables.push(goal::table(&goals));
        }
        tables
    }

    /// The tables for a terminal.
    pub fn terminal(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = self.spec.ops.iter().map(|op| operation(self, *op)).collect();
        tables.push(goal::table(&self.goals()));
        tables.retain(|table| !table.rows.is_empty());
        tables
    }

    /// What came out, in sentences.
    pub fn lead(&self) -> Vec<String> {
        let mut lead = vec![format!(
            "Times are {}; bandwidths are derived from them. Every byte of every repetition was checked: {} wrong of \
             {}.",
            self.provenance.measured_on(),
            self.checked.wrong,
            self.checked.bytes
        )];
        let barriers = self.rows.iter().filter(|row| row.op == Operation::Barrier);
        let told: Vec<String> = barriers
            .map(|row| format!("{} {}", time(row.time.p50_ns), row.contestant.words()))
            .collect();
        if !told.is_empty() {
            let trip = self.round_trip_ns.map_or_else(String::new, |trip| {
                format!(" A cache line takes {} there and back.", time(trip))
            });
            lead.push(format!("A barrier takes {}.{trip}", told.join(", ")));
        }
        lead
    }

    fn method(&self) -> Vec<String> {
        let spec = &self.spec;
        let mut lines = vec![
            format!(
                "A sample is a batch of repetitions back to back, as many as 256 KiB of messages hold (1 to 256), of \
                 the slowest rank, divided by their number. It is the steady state, warm: every batch is run once \
                 untimed just before, on the same buffers and data; then results are spoilt and the ranks agree on an \
                 instant. {} rounds of {} batches, of 4 MiB and more {}, of 64 MiB and more {}; contestants in turn, \
                 in fresh worlds.",
                spec.rounds,
                spec.batches,
                spec.batches_of(4 << 20),
                spec.batches_of(64 << 20)
            ),
            "Every repetition has data and buffers of its own. Every byte is checked after the batch, outside of what is \
             timed."
                .to_owned(),
            "algbw = size / time; busbw = algbw x a factor of the operation, as in nccl-tests: see each table. GB are \
             10^9 bytes. Sizes are cut to what the ranks can share evenly."
                .to_owned(),
            "The references were measured in the same rounds: one value handed there and back between two threads \
             through two atomics, 2,000 times a sample; memory copied in batches like those of the collectives, by \
             one thread and by one thread a rank at once."
                .to_owned(),
            format!(
                "{} ranks on {} cores. Percentiles are nearest rank; p99 needs 100 samples.",
                spec.ranks, self.provenance.machine.cores
            ),
        ];
        lines.extend(self.provenance.circumstances());
        lines
    }

    /// Operations that move data.
    fn moving(&self) -> impl Iterator<Item = Operation> {
        self.spec.ops.iter().copied().filter(|op| *op != Operation::Barrier)
    }

    /// A series for each contestant.
    fn series(&self, op: Operation, figure: impl Fn(&Row) -> Option<f64>) -> Vec<Series> {
        let of = |(index, one): (usize, crate::bench::launch::Contestant)| {
            let rows = self.rows.iter().filter(|row| row.op == op && row.contestant == one);
            let points = rows.filter_map(|row| Some((row.bytes as f64, figure(row)?)));
            chart::series(one.words(), index, points.collect())
        };
        self.contestants().into_iter().enumerate().map(of).collect()
    }

    fn latencies(&self) -> Picture {
        let all = self.moving().map(|op| (op, self.series(op, |row| Some(row.time.p50_ns / 1e3))));
        self.picture("latency", "Latency over message size", "time (us)", all.collect())
    }

    fn bandwidths(&self) -> Picture {
        let ranks = self.spec.ranks;
        let copy = || {
            let points = self.copies.iter().filter(|copy| copy.threads == ranks);
            let points = points.map(|copy| (copy.bytes as f64, copy.bandwidth()));
            let mut series = chart::series("memory copy, all ranks at once", 0, points.collect());
            let dash: &[f64] = &[2.0, 3.0];
            series.stroke = Stroke { color: BLACK, width: 1.2, dash, marker: Marker::Diamond };
            series
        };
        let all = self.moving().map(|op| {
            let mut series = self.series(op, Row::algbw);
            series.push(copy());
            (op, series)
        });
        self.picture("bandwidth", "algbw over message size", "GB/s", all.collect())
    }

    fn picture(
        &self,
        name: &str,
        heading: &str,
        unit: &str,
        all: Vec<(Operation, Vec<Series>)>,
    ) -> Picture {
        let y = chart::log_axis(all.iter().flat_map(|one| &one.1), unit);
        let x: Axis = chart::size_axis(&self.spec.sizes, "message size");
        let panel = |(op, series): (Operation, Vec<Series>)| Panel {
            title: op.name().to_owned(),
            x: x.clone(),
            y: y.clone(),
            series,
        };
        let panels: Vec<Panel> = all.into_iter().map(panel).collect();
        let chart = LineChart {
            heading: heading.to_owned(),
            subtitle: format!("{} ranks; {}", self.spec.ranks, self.provenance.measured_on()),
            columns: panels.len().clamp(1, 2),
            panels,
        };
        Picture {
            name: name.to_owned(),
            caption: format!("{heading}: medians; both axes logarithmic."),
            svg: chart.draw(),
        }
    }
}
