//! The report of the churn benchmark.

use super::results::Results;
use crate::bench::goal;
use crate::report::{Block, Document, Section, Table};

impl Results {
    /// The whole report.
    pub fn document(&self) -> Document {
        let mut sections = vec![Section::new("Result", vec![Block::Table(self.table())])];
        let goals = self.goals();
        if !goals.is_empty() {
            sections.push(Section::new("Goals", vec![Block::Table(goal::table(&goals))]));
        }
        sections.push(Section::new("How it was measured", vec![Block::List(self.method())]));
        let again = Block::Commands(vec![self.provenance.command_line()]);
        sections.push(Section::new("Run it again", vec![again]));
        Document {
            title: "A new group at every operation".to_owned(),
            lead: vec![format!(
                "Times are {}; ratios are derived from them. Every byte was checked: {} wrong of {}.",
                self.provenance.measured_on(),
                self.checked.wrong,
                self.checked.bytes
            )],
            sections,
        }
    }

    /// The table for a document such as the README.
    pub fn excerpt(&self) -> Vec<Table> {
        vec![self.table()]
    }

    /// The tables for a terminal.
    pub fn terminal(&self) -> Vec<Table> {
        let mut tables = vec![self.table(), goal::table(&self.goals())];
        tables.retain(|table| !table.rows.is_empty());
        tables
    }

    fn method(&self) -> Vec<String> {
        let spec = &self.spec;
        let mut lines = vec![
            format!(
                "A new group each: every operation runs on a random ordered group (seed {}), other than the one before where \
                 there are several. Groups overlap; nobody waits for anybody but in the operation itself. Each group is \
                 formed when its turn comes and released after. Members share a core only where they outnumber the \
                 cores.",
                spec.seed
            ),
            "One fixed group: the same number of operations on one group of the same degree, formed beforehand; the \
             other ranks have nothing to do. Disjoint fixed groups: the same number on as many groups as fit, in \
             turn, so that every rank is as busy as under churn."
                .to_owned(),
            "Churn over one fixed group gains from groups that run at the same time, and pays for ranks that wait for each \
             other and share cores; churn over disjoint groups has the same work and no waiting between groups."
                .to_owned(),
            format!(
                "A sample is the time of all its operations, of the slowest rank, over their number. {} fresh worlds, {} \
                 samples of each kind in each after one that is not counted, in turn. Communicators have fewer \
                 operations a sample, since each creates and destroys one.",
                spec.rounds, spec.samples
            ),
            "Every operation has data of its own, checked after the sample. Percentiles are nearest rank; p99 needs 100 \
             samples."
                .to_owned(),
        ];
        lines.extend(self.provenance.circumstances());
        lines
    }
}
