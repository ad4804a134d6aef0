//! Profiles: cost tables as people write them, and as other projects write them.
//!
//! Owns the YAML format, the import of GF-DiT cost-model directories, and the generator of the
//! derived parts of the shipped files; and measured prices of forming groups. Does not price anything (core). Invariant: every entry of a
//! table carries a label and a source.

mod build;
mod charges;
mod gf_dit;
pub mod measure;
pub mod setup;
pub mod shipped;
mod spec;

pub use build::{load, load_book, parse};
pub use charges::{ChargesSpec, CopySpec, MeasuredSpec, SetupSpec, SpreadSpec};
pub use gf_dit::import_gf_dit;
pub use spec::{EntrySpec, LabelName, ModeName, ProfileFile, QuadraticSpec, StageName, UnitName};

use schemars::generate::SchemaSettings;

/// The JSON Schema of profile files, as indented JSON with a final newline; a copy lies at
/// `workloads/profiles/schema.json`.
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<ProfileFile>();
    schema.insert("title".to_owned(), "flexdit profile".into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
