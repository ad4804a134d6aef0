//! Writes the generated parts of the documents again:
//!
//! ```text
//! cargo run --example update-docs
//! ```

use flexdit::docs::{DOCUMENTS, part, splice};
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (file, names) in DOCUMENTS {
        let path = root.join(file);
        let mut text = fs::read_to_string(&path)?;
        for name in *names {
            let content = part(name).unwrap_or_else(|| panic!("no part is named `{name}`"));
            text = splice(&text, name, &content)
                .unwrap_or_else(|| panic!("{file} has no part `{name}`"));
        }
        fs::write(&path, text)?;
        println!("{file}: {}", names.join(", "));
    }
    Ok(())
}
