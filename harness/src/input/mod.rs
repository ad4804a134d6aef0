//! Everything a person hands in, and what they read when it is wrong.
//!
//! Owns [`InputError`] and the one YAML parser of the program ([`Document`]). Does not know what an
//! experiment is. Invariant: bad input becomes one [`InputError`] with a place, never a panic.

mod document;
mod error;
mod reader;
mod tree;
mod wording;

pub use document::{Document, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, load_yaml, read_text};
pub use error::{InputError, json_error, parse_json};
pub use reader::TreeError;
pub use tree::{Entry, Node, Place, Value};
pub use wording::{nearest, suggestion};
