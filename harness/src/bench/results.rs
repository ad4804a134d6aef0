//! The results of any benchmark: what they are called, the files they make, and reading them back.

use super::provenance::Provenance;
use super::samples::Checked;
use super::{churn, collectives, group_setup};
use crate::report::{self, Document, REPORT_JSON, ReportError, Table};
use crate::results::Table as Csv;
use serde::{Deserialize, Serialize};

/// The results of a benchmark, as `report.json` holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "bench", rename_all = "kebab-case")]
pub enum Results {
    /// Of `flexdit bench group-setup`.
    GroupSetup(group_setup::Results),
    /// Of `flexdit bench collectives`.
    Collectives(collectives::Results),
    /// Of `flexdit bench churn`.
    Churn(churn::Results),
}

/// `manifest.json` of a benchmark's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchManifest {
    /// The benchmark, as in `bench-group-setup`.
    pub name: String,
    /// Where the numbers come from: `measured`.
    pub label: String,
    /// What produced them.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// What was asked for.
    pub spec: serde_json::Value,
}

impl Results {
    /// `bench-group-setup` and the like: the folder's name and that of the part of a document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GroupSetup(_) => "bench-group-setup",
            Self::Collectives(_) => "bench-collectives",
            Self::Churn(_) => "bench-churn",
        }
    }

    /// What produced them.
    pub fn provenance(&self) -> &Provenance {
        match self {
            Self::GroupSetup(results) => &results.provenance,
            Self::Collectives(results) => &results.provenance,
            Self::Churn(results) => &results.provenance,
        }
    }

    /// Data that was checked.
    pub fn checked(&self) -> Checked {
        match self {
            Self::GroupSetup(results) => results.checked,
            Self::Collectives(results) => results.checked,
            Self::Churn(results) => results.checked,
        }
    }

    /// The report.
    pub fn document(&self) -> Document {
        match self {
            Self::GroupSetup(results) => results.document(),
            Self::Collectives(results) => results.document(),
            Self::Churn(results) => results.document(),
        }
    }

    /// The tables that a terminal shows.
    pub fn terminal(&self) -> Vec<Table> {
        match self {
            Self::GroupSetup(results) => results.terminal(),
            Self::Collectives(results) => results.terminal(),
            Self::Churn(results) => results.terminal(),
        }
    }

    /// The tables for a document such as the README, as Markdown.
    pub fn excerpt(&self) -> String {
        let tables = match self {
            Self::GroupSetup(results) => results.excerpt(),
            Self::Collectives(results) => results.excerpt(),
            Self::Churn(results) => results.excerpt(),
        };
        let tables: Vec<String> = tables.iter().map(report::render_table).collect();
        tables.join("\n\n") + "\n"
    }

    /// The CSV files with their names.
    pub fn csv(&self) -> Vec<(&'static str, Csv)> {
        match self {
            Self::GroupSetup(results) => vec![
                ("group-setup.csv", group_setup::csv(results)),
                ("ratios.csv", group_setup::ratio_csv(results)),
            ],
            Self::Collectives(results) => vec![
                ("collectives.csv", collectives::csv(results)),
                ("references.csv", collectives::reference_csv(results)),
            ],
            Self::Churn(results) => vec![("churn.csv", results.csv())],
        }
    }

    /// The manifest.
    pub fn manifest(&self) -> BenchManifest {
        let spec = match self {
            Self::GroupSetup(results) => serde_json::to_value(&results.spec),
            Self::Collectives(results) => serde_json::to_value(&results.spec),
            Self::Churn(results) => serde_json::to_value(&results.spec),
        };
        BenchManifest {
            name: self.name().to_owned(),
            label: "measured".to_owned(),
            provenance: self.provenance().clone(),
            spec: spec.unwrap_or_default(),
        }
    }

    /// Every file of the report, by path relative to the folder.
    ///
    /// # Errors
    /// When a renderer fails, which would be a defect of it.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
        let mut files = report::render(&self.document())?;
        files.push((REPORT_JSON.to_owned(), serde_json::to_vec_pretty(self)?));
        files.extend(
            self.csv()
                .into_iter()
                .map(|(name, table)| (name.to_owned(), table.to_csv().into_bytes())),
        );
        Ok(files)
    }

    /// The tables in plain text, after the sentences that say what came out.
    pub fn summary(&self) -> String {
        let document = self.document();
        let mut text = format!("{}\n", document.title);
        for paragraph in &document.lead {
            text += &format!("{}\n", report::wrapped(paragraph, 100, ""));
        }
        for table in self.terminal() {
            text += &format!("\n{}\n", report::plain(&table));
        }
        text
    }
}
