//! The JSON Schema of experiment files, made from the types and their documentation.

use super::Experiment;
use schemars::generate::SchemaSettings;

/// The schema as indented JSON with a final newline; a copy lies at `workloads/schema.json`.
pub fn text() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Experiment>();
    schema.insert("title".to_owned(), "flexdit experiment".into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_copy_beside_the_workloads_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/schema.json");
        let copy = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            copy == super::text(),
            "workloads/schema.json is old: flexdit workload schema > workloads/schema.json"
        );
    }
}
