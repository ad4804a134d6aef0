//! A parsed document that remembers where every key and value stood.
//!
//! Overrides and sweeps change the tree before it is read, so a changed document is checked exactly
//! like a written one.

use super::document::MAX_DEPTH;

/// Where a key or value stood. Line 0 means override number `column` of the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line from 1.
    pub line: u32,
    /// Column from 1.
    pub column: u32,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number, possibly not finite: reading it as a number refuses that.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stood.
    pub at: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The value at a dotted path, where a segment is a key, a list index, or the `name` of an
    /// entry of a list; `None` if there is none.
    pub fn find(&self, path: &str) -> Option<&Self> {
        segments(path).try_fold(self, |node, segment| node.child(segment))
    }

    /// The place of the deepest part of `path` that exists.
    pub fn place(&self, path: &str) -> Place {
        let mut node = self;
        for segment in segments(path) {
            match node.child(segment) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.at
    }

    fn child(&self, segment: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == segment).map(|e| &e.node),
            Value::List(items) => items.get(index_in(items, segment)?),
            _ => None,
        }
    }

    /// Puts `node` at `path`, making maps on the way where nothing is.
    ///
    /// # Errors
    /// A sentence naming the part of the path that leads nowhere.
    pub fn set(&mut self, path: &str, node: Self) -> Result<(), String> {
        match segments(path).take(MAX_DEPTH + 1).count() {
            0 => return Err("expected a key".to_owned()),
            count if count > MAX_DEPTH => return Err(format!("deeper than {MAX_DEPTH} levels")),
            _ => {}
        }
        let mut target = self;
        let mut walked = String::new();
        for segment in segments(path) {
            let at = node.at;
            if target.value == Value::Null {
                target.value = Value::Map(Vec::new());
            }
            target = match &mut target.value {
                Value::Map(entries) => {
                    let found = entries.iter().position(|entry| entry.key == segment);
                    let index = found.unwrap_or_else(|| {
                        let node = Self { at, value: Value::Null };
                        entries.push(Entry { key: segment.to_owned(), at, node });
                        entries.len() - 1
                    });
                    &mut entries[index].node
                }
                Value::List(items) => match index_in(items, segment) {
                    Some(index) => &mut items[index],
                    None => return Err(format!("`{walked}` has no entry `{segment}`")),
                },
                _ => return Err(format!("`{walked}` is a plain value, it has no `{segment}`")),
            };
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(segment);
        }
        *target = node;
        Ok(())
    }

    /// Takes the value of a top-level key out of a map.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index).node)
    }

    /// The value as one would write it on one line.
    pub fn inline(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Self::inline).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|e| format!("{}: {}", e.key, e.node.inline())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// Keys of a path: `a.b[1].c` and `a.b.1.c` are the same.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty())
}

fn index_in(items: &[Node], segment: &str) -> Option<usize> {
    if let Ok(index) = segment.parse::<usize>() {
        return (index < items.len()).then_some(index);
    }
    let named = |node: &Node| matches!(node.child("name"), Some(Node { value: Value::Text(t), .. }) if t == segment);
    items.iter().position(named)
}
