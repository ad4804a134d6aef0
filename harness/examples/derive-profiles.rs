//! Writes the derived parts of `workloads/profiles/` and the schema of profile files.
//!
//! `cargo run --example derive-profiles`, from anywhere in the repository.

use flexdit::profile::{schema, setup::setup_schema, shipped::RECIPES};
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/profiles");
    for recipe in RECIPES {
        let base = std::fs::read_to_string(folder.join(recipe.base))?;
        std::fs::write(folder.join(recipe.file), recipe.text(&base)?)?;
        println!("{}", recipe.file);
    }
    std::fs::write(folder.join("schema.json"), schema())?;
    std::fs::write(folder.join("group-setup/schema.json"), setup_schema())?;
    Ok(())
}
