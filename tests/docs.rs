//! The documents say what the program does: generated parts, links, named experiments.

use flexdit::docs::{DOCUMENTS, part, spliced};
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS_BY_HAND: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "METHODOLOGY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/results-folder.md",
    "docs/policies.md",
    "docs/ci-guide.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn generated_parts_are_up_to_date() {
    for (file, names) in DOCUMENTS {
        let text = text(file);
        for name in *names {
            let shown = spliced(&text, name).unwrap_or_else(|| panic!("{file}: no part {name}"));
            let made = part(name).unwrap_or_else(|| panic!("no part {name}"));
            assert!(
                shown == made.trim(),
                "{file}: part {name} is out of date; cargo run --example update-docs"
            );
        }
    }
}

/// Relative links of Markdown: `](path)` or `](path#place)`.
#[test]
fn every_link_into_the_repository_leads_somewhere() {
    for file in DOCUMENTS_BY_HAND {
        let folder = root().join(file).parent().unwrap().to_owned();
        for link in text(file).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{file} links to {target}");
        }
    }
}

/// Experiments that a document names must exist.
#[test]
fn every_experiment_that_is_named_exists() {
    for file in DOCUMENTS_BY_HAND {
        let text = text(file);
        let words = text.split(|c: char| c.is_whitespace() || "`()|,;".contains(c));
        for word in words.filter(|word| word.starts_with("workloads/") && word.ends_with(".yaml")) {
            let placeholder = word.contains('*') || word.contains("NAME");
            assert!(placeholder || root().join(word).exists(), "{file} names {word}");
        }
    }
}
