//! The parts of the project's documents that are made from the program's own tables.
//!
//! A document marks such a part with `<!-- flexdit:NAME -->` and `<!-- flexdit:end -->`; [`splice`]
//! replaces what stands between. `cargo run --example update-docs` writes the parts of [`DOCUMENTS`] again and
//! a test compares them, so they cannot drift. The result table of the README comes from a results
//! folder instead: `flexdit report DIR --splice README.md`.

use crate::glossary::{self, Kind};
use crate::metrics::{Better, METRICS};
use crate::results::{classes_table, summary_table};
use flexdit_core::policy::POLICIES;
use std::fmt::Write as _;

/// What closes every part.
const END: &str = "<!-- flexdit:end -->";

/// Every document with parts made here: its path in the repository and the names of the parts.
pub const DOCUMENTS: &[(&str, &[&str])] =
    &[("docs/results-folder.md", &["columns"]), ("docs/policies.md", &["policies", "charges"])];

/// The text of a part, by name.
pub fn part(name: &str) -> Option<String> {
    match name {
        "columns" => Some(columns()),
        "policies" => Some(policies()),
        "charges" => Some(charges()),
        _ => None,
    }
}

/// `text` with the part `name` replaced by `content`; `None` if it has no such part.
///
/// ```
/// use flexdit::docs::splice;
/// let text = "a\n<!-- flexdit:x -->\nold\n<!-- flexdit:end -->\nb\n";
/// let new = splice(text, "x", "new\n").unwrap();
/// assert_eq!(new, "a\n<!-- flexdit:x -->\n\nnew\n\n<!-- flexdit:end -->\nb\n");
/// assert_eq!(splice(text, "y", "new"), None);
/// ```
pub fn splice(text: &str, name: &str, content: &str) -> Option<String> {
    let (start, end) = place(text, name)?;
    Some(format!("{}\n\n{}\n\n{}", &text[..start], content.trim(), &text[end..]))
}

/// What stands in the part `name`; `None` if the text has no such part.
pub fn spliced<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    place(text, name).map(|(start, end)| text[start..end].trim())
}

fn place(text: &str, name: &str) -> Option<(usize, usize)> {
    let marker = format!("<!-- flexdit:{name} -->");
    let start = text.find(&marker)? + marker.len();
    let end = start + text[start..].find(END)?;
    Some((start, end))
}

/// The columns of `summary.csv` and `classes.csv`.
fn columns() -> String {
    let classes = classes_table(&[], &[]);
    debug_assert!(summary_table(&[], &[]).column("requests").is_some());
    let mut out = String::from(
        "| column | unit | better | per class | meaning |\n|---|---|---|---|---|\n\
         | `system` | | | yes | The system's name in the experiment. |\n\
         | `seed` | | | yes | The seed of the workload. |\n\
         | `class` | | | only | The request class. |\n\
         | swept keys | as written | | yes | One column for each key under `sweep:`. |\n",
    );
    for metric in METRICS {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "",
        };
        let per_class = if classes.column(metric.name).is_some() { "yes" } else { "no" };
        let (name, unit, doc) = (metric.name, metric.unit, metric.doc);
        let _ = writeln!(out, "| `{name}` | {unit} | {better} | {per_class} | {doc} |");
    }
    out
}

/// Every registered policy with its parameters.
fn policies() -> String {
    let mut out = String::new();
    for info in POLICIES {
        let _ = write!(out, "\n### {}\n\n{}.\n", info.name, sentence(info.doc));
        if info.params.is_empty() {
            continue;
        }
        out += "\n| parameter | default | takes | meaning |\n|---|---|---|---|\n";
        for param in info.params {
            let unit = if param.unit.is_empty() { "" } else { " " };
            let default = format!("{}{unit}{}", param.kind.default(), param.unit);
            let _ = writeln!(
                out,
                "| `{}` | {default} | {} | {}. |",
                param.name,
                param.kind,
                sentence(param.doc)
            );
        }
    }
    out
}

/// Every key under `costs:`.
fn charges() -> String {
    let mut out = String::from("| key | meaning |\n|---|---|\n");
    for charge in glossary::all().into_iter().filter(|meaning| meaning.kind == Kind::Charge) {
        let _ = writeln!(out, "| `{}` | {} |", charge.name, charge.text);
    }
    out
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
