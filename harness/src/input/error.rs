//! The error of everything that a person wrote.

use super::wording;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;

/// What is wrong with something a person wrote, and where. The program prints it and exits with 2.
///
/// ```
/// use flexdit::input::InputError;
/// let error = InputError::new("a.yaml", "expected a number, got \"x\"").at(3, 9).key("cluster.world");
/// assert_eq!(error.to_string(), "a.yaml:3:9: cluster.world: expected a number, got \"x\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The file as it was named, or the option of the command line.
    pub file: String,
    /// Line from 1; 0 when the input has no lines.
    pub line: u32,
    /// Column from 1; 0 when only the line is known.
    pub column: u32,
    /// Dotted path of the key, empty when no key is concerned.
    pub key: String,
    /// What was expected and what was found.
    pub message: String,
    /// The nearest valid name, if one is near.
    pub hint: Option<String>,
}

impl InputError {
    /// An error about the input named `file` as a whole.
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { file: file.into(), line: 0, column: 0, key: String::new(), message, hint: None }
    }

    /// An error about a file that cannot be opened, read or written.
    pub fn io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
                "a file is in the way".to_owned()
            }
            _ => {
                let text = error.to_string();
                text.split(" (os error").next().unwrap_or_default().to_lowercase()
            }
        };
        Self::new(path.display().to_string(), format!("cannot {doing}: {reason}"))
    }

    /// The same error at a line and column, both from 1.
    pub fn at(mut self, line: u32, column: u32) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    /// The same error about a key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The same error with the nearest valid name.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for InputError {
    /// One line, whatever characters the input has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.file.clone();
        if self.line > 0 {
            text += &format!(":{}", self.line);
        }
        if self.line > 0 && self.column > 0 {
            text += &format!(":{}", self.column);
        }
        text += ": ";
        if !self.key.is_empty() {
            text += &format!("{}: ", self.key);
        }
        text += &self.message;
        if let Some(hint) = &self.hint {
            text += &format!("; did you mean `{hint}`?");
        }
        for part in text.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => {
                    write!(f, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for InputError {}

/// Parses JSON text from `file`.
///
/// # Errors
/// Line, column and key of the first thing that is not as `T` asks.
pub fn parse_json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, InputError> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        json_error(file, &path, error.inner())
    })?;
    parser.end().map_err(|error| json_error(file, ".", &error))?;
    Ok(value)
}

/// An error of `serde_json` at a key path (`.` for the root), in this program's wording.
pub fn json_error(file: &str, path: &str, error: &serde_json::Error) -> InputError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let (message, hint) = if error.is_eof() {
        ("the file ends in the middle of a value (truncated?)".to_owned(), None)
    } else {
        wording::reword(message)
    };
    InputError {
        file: file.to_owned(),
        line: u32::try_from(error.line()).unwrap_or(u32::MAX),
        column: u32::try_from(error.column()).unwrap_or(u32::MAX),
        key: if path == "." || error.is_eof() { String::new() } else { path.to_owned() },
        message,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Row {
        arrival_ms: f64,
        steps: u32,
    }

    fn message(text: &str) -> String {
        parse_json::<Vec<Row>>("a.json", text).unwrap_err().to_string()
    }

    #[test]
    fn json_errors_name_line_column_and_key() {
        assert_eq!(
            message("[{\"arrival_ms\": 1,\n \"steps\": \"x\"}]"),
            "a.json:2:13: [0].steps: expected a whole number from 0 to 4294967295, got \"x\""
        );
        assert_eq!(
            message("[{\"arrival\": 1}]"),
            "a.json:1:11: [0].arrival: unknown key `arrival`, expected `arrival_ms` or `steps`; \
             did you mean `arrival_ms`?"
        );
    }

    #[test]
    fn an_error_is_one_line_whatever_the_input() {
        let error = InputError::new("a\n.yaml", "expected text, got \"x\u{1b}[31m\"");
        assert_eq!(error.to_string(), "a\\n.yaml: expected text, got \"x\\u{1b}[31m\"");
    }

    #[test]
    fn truncated_json_says_so() {
        assert_eq!(
            message("[{\"arrival_ms\": 1,\n"),
            "a.json:2:0: the file ends in the middle of a value (truncated?)".replace(":0", "")
        );
    }
}
