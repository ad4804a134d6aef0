//! `report.html`: one self-contained file, pictures and style inside, nothing fetched.

use super::document::{Block, Document, Table};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

const TEMPLATE: &str = include_str!("../../templates/report.html");

/// The document as one HTML file.
///
/// # Errors
/// When the template does not fit the document, which a test excludes.
pub fn html(document: &Document) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.add_template("report.html", TEMPLATE)?;
    let sections: Vec<Value> = document
        .sections
        .iter()
        .enumerate()
        .map(|(i, section)| {
            context! {
                id => format!("section-{}", i + 1),
                title => section.title.as_str(),
                warning => section.warning,
                blocks => section.blocks.iter().map(block).collect::<Vec<Value>>(),
            }
        })
        .collect();
    environment.get_template("report.html")?.render(context! {
        title => document.title.as_str(),
        lead => document.lead.clone(),
        sections => sections,
    })
}

fn block(block: &Block) -> Value {
    match block {
        Block::Paragraph(text) => context! { kind => "paragraph", text => text.as_str() },
        Block::List(lines) => context! { kind => "list", lines => lines.clone() },
        Block::Commands(lines) => context! { kind => "commands", text => lines.join("\n") },
        Block::Table(table) => context! { kind => "table", table => table_value(table) },
        // The SVG is our own; all text in it is escaped where it is drawn.
        Block::Picture(picture) => context! {
            kind => "picture",
            svg => Value::from_safe_string(picture.svg.0.clone()),
            caption => picture.caption.trim(),
        },
    }
}

fn table_value(table: &Table) -> Value {
    let columns = table.columns.iter().map(|column| {
        context! { name => column.name.as_str(), number => column.number }
    });
    let rows = table.rows.iter().map(|row| -> Vec<Value> {
        row.iter()
            .map(|cell| context! { text => cell.text.as_str(), detail => cell.detail.as_str() })
            .collect()
    });
    context! {
        caption => table.caption.as_str(),
        folded => table.folded,
        columns => columns.collect::<Vec<Value>>(),
        rows => rows.collect::<Vec<Vec<Value>>>(),
    }
}
