//! `report.md`: the document as Markdown, pictures as files beside it.

use super::document::{Block, Cell, Document, Table};
use std::fmt::Write as _;

/// The document as Markdown; pictures are referred to as `plots/<name>.svg`.
pub fn markdown(document: &Document) -> String {
    let mut out = format!("# {}\n", escape(&document.title));
    for paragraph in &document.lead {
        push(&mut out, &escape(paragraph));
    }
    for section in &document.sections {
        push(&mut out, &format!("## {}", escape(&section.title)));
        section.blocks.iter().for_each(|block| push(&mut out, &render(block)));
    }
    out
}

fn push(out: &mut String, text: &str) {
    out.push('\n');
    out.push_str(text);
    out.push('\n');
}

fn render(block: &Block) -> String {
    match block {
        Block::Paragraph(text) => escape(text),
        Block::List(lines) => {
            let lines: Vec<String> =
                lines.iter().map(|line| format!("- {}", escape(line))).collect();
            lines.join("\n")
        }
        Block::Commands(lines) => format!("```sh\n{}\n```", lines.join("\n")),
        Block::Table(table) => render_table(table),
        Block::Picture(picture) => {
            let caption = escape(picture.caption.trim());
            format!("![{caption}](plots/{}.svg)\n\n*{caption}*", picture.name)
        }
    }
}

/// One table with its caption, as Markdown.
pub fn render_table(table: &Table) -> String {
    let mut out = String::new();
    if !table.caption.is_empty() {
        let _ = write!(out, "**{}**\n\n", escape(&table.caption));
    }
    let names: Vec<String> = table.columns.iter().map(|column| escape(&column.name)).collect();
    let rules: Vec<&str> =
        table.columns.iter().map(|column| if column.number { "---:" } else { "---" }).collect();
    let _ = write!(out, "| {} |\n|{}|", names.join(" | "), rules.join("|"));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = write!(out, "\n| {} |", cells.join(" | "));
    }
    out
}

fn cell(cell: &Cell) -> String {
    match cell.detail.as_str() {
        "" => escape(&cell.text),
        detail if detail.starts_with('[') => {
            format!("{} {}", escape(&cell.text), escape(detail))
        }
        detail => format!("{} ({})", escape(&cell.text), escape(detail)),
    }
}

/// Keeps text from being read as markup: names come from the experiment file.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '\\' | '#' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_a_table() {
        let mut table = Table::new("", &["system", "#value"]);
        table.row(vec!["a|b\n<c>".into(), ("1".to_owned(), Some("[0, 2]".to_owned())).into()]);
        assert_eq!(
            render_table(&table),
            "| system | value |\n|---|---:|\n| a\\|b \\<c> | 1 [0, 2] |"
        );
    }
}
