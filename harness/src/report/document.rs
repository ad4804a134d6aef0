//! A report as sections of paragraphs, tables and pictures: what both renderers are given.

use crate::plot::Svg;

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its interval or other small print; may be empty.
    pub detail: String,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), detail: String::new() }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, detail: String::new() }
    }
}

impl From<(String, Option<String>)> for Cell {
    fn from((text, detail): (String, Option<String>)) -> Self {
        Self { text, detail: detail.unwrap_or_default() }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name with unit.
    pub name: String,
    /// Whether it holds numbers, which stand at the right.
    pub number: bool,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows, and the label of its numbers.
    pub caption: String,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows, each with a cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// Whether long tables may be folded away.
    pub folded: bool,
}

impl Table {
    /// An empty table. A column name that begins with `#` holds numbers.
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let column = |name: &&str| Column {
            name: name.trim_start_matches('#').to_owned(),
            number: name.starts_with('#'),
        };
        Self {
            caption: caption.into(),
            columns: columns.iter().map(column).collect(),
            ..Self::default()
        }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell per column");
        self.rows.push(cells);
    }
}

/// A picture with its file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// File name without extension: "latency-cdf".
    pub name: String,
    /// What to see in it, and what was left out.
    pub caption: String,
    /// The drawing.
    pub svg: Svg,
}

/// A part of a section, in reading order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Plain text.
    Paragraph(String),
    /// A list.
    List(Vec<String>),
    /// Commands to type.
    Commands(Vec<String>),
    /// A table.
    Table(Table),
    /// A picture.
    Picture(Picture),
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Whether it warns the reader.
    pub warning: bool,
    /// Content.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section.
    pub fn new(title: &str, blocks: Vec<Block>) -> Self {
        Self { title: title.to_owned(), warning: false, blocks }
    }
}

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Title.
    pub title: String,
    /// Opening paragraphs.
    pub lead: Vec<String>,
    /// Sections.
    pub sections: Vec<Section>,
}

impl Document {
    /// Every picture.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Picture(picture) => Some(picture),
            _ => None,
        })
    }
}
