//! Trace text of vLLM-Omni and TridentServe: one `Request(key=value, ...)` a line.
//!
//! Values are Python literals. Used: `height`, `width`, `num_frames`, `num_inference_steps`,
//! `timestamp` (seconds), `slo_ms`, `request_id`, `negative_prompt` (present and not empty:
//! guidance); `prompt`, `seed`, `fps` and others are read and left.

use super::Row;
use crate::input::InputError;

/// A Python literal, as far as needed.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list, tuple or dictionary, unread.
    Other,
}

/// Reads rows; empty lines and lines that begin with `#` are allowed.
///
/// # Errors
/// A line is not a request, a key stands twice, or a used key is missing or of another type.
pub fn parse(file: &str, text: &str) -> Result<Vec<Row>, InputError> {
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let refuse = |(column, message): (usize, String)| {
            InputError::new(file, message).at(number, column as u32 + 1)
        };
        let keys = Cursor { text: line, at: 0 }.request().map_err(refuse)?;
        rows.push(Keys { file, line: number, keys }.row()?);
    }
    Ok(rows)
}

struct Keys<'a> {
    file: &'a str,
    line: u32,
    keys: Vec<(String, Literal)>,
}

impl Keys<'_> {
    fn find(&self, key: &str) -> Option<&Literal> {
        let found = self.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        found.filter(|value| **value != Literal::None)
    }

    fn error(&self, key: &str, message: &str) -> InputError {
        InputError::new(self.file, message).at(self.line, 0).key(key)
    }

    fn number(&self, key: &str) -> Result<Option<f64>, InputError> {
        match self.find(key) {
            None => Ok(None),
            Some(Literal::Number(value)) => Ok(Some(*value)),
            Some(_) => Err(self.error(key, "expected a number")),
        }
    }

    fn count(&self, key: &str) -> Result<Option<u32>, InputError> {
        match self.number(key)? {
            None => Ok(None),
            Some(value) if value >= 0.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0 => {
                Ok(Some(value as u32))
            }
            Some(value) => Err(self.error(key, &format!("expected a whole number, got {value}"))),
        }
    }

    fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, InputError> {
        value.ok_or_else(|| InputError::new(self.file, format!("missing `{key}`")).at(self.line, 0))
    }

    fn row(&self) -> Result<Row, InputError> {
        let name = match self.find("request_id") {
            Some(Literal::Text(name)) => Some(name.clone()),
            Some(Literal::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let negative = match self.find("negative_prompt") {
            Some(Literal::Text(text)) if !text.is_empty() => Some(true),
            _ => None,
        };
        Ok(Row {
            line: self.line,
            name,
            arrival_ms: self.needed("timestamp", self.number("timestamp")?)? * 1e3,
            height: Some(self.needed("height", self.count("height")?)?),
            width: Some(self.needed("width", self.count("width")?)?),
            frames: self.count("num_frames")?,
            steps: self.count("num_inference_steps")?,
            guidance: negative,
            slo_ms: self.number("slo_ms")?,
            ..Row::default()
        })
    }
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// Byte offset and what is wrong there.
type Refusal = (usize, String);

impl Cursor<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Refusal> {
        if self.eat(token) {
            return Ok(());
        }
        let got = self
            .rest()
            .chars()
            .next()
            .map_or("the end of the line".to_owned(), |c| format!("`{c}`"));
        Err((self.at, format!("expected `{token}`, got {got}")))
    }

    fn request(&mut self) -> Result<Vec<(String, Literal)>, Refusal> {
        self.expect("Request(")?;
        let mut keys: Vec<(String, Literal)> = Vec::new();
        while !self.eat(")") {
            if !keys.is_empty() {
                self.expect(",")?;
                if self.eat(")") {
                    break;
                }
            }
            self.skip_space();
            let start = self.at;
            let key = self.word();
            if key.is_empty() {
                return Err((start, "expected a key".to_owned()));
            }
            if keys.iter().any(|(known, _)| *known == key) {
                return Err((start, format!("the key `{key}` stands twice")));
            }
            self.expect("=")?;
            let value = self.literal()?;
            keys.push((key, value));
        }
        self.skip_space();
        if self.rest().is_empty() {
            return Ok(keys);
        }
        Err((self.at, "expected the end of the line after `)`".to_owned()))
    }

    fn word(&mut self) -> String {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_owned();
        self.at += end;
        word
    }

    fn literal(&mut self) -> Result<Literal, Refusal> {
        self.skip_space();
        let start = self.at;
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => self.string(quote).map(Literal::Text),
            Some('[' | '(' | '{') => self.nested().map(|()| Literal::Other),
            _ => {
                let end = self.rest().find([',', ')']).unwrap_or(self.rest().len());
                let word = self.rest()[..end].trim().to_owned();
                self.at += end;
                match (word.as_str(), word.parse::<f64>()) {
                    ("None", _) => Ok(Literal::None),
                    ("True", _) => Ok(Literal::Bool(true)),
                    ("False", _) => Ok(Literal::Bool(false)),
                    (_, Ok(number)) if number.is_finite() => Ok(Literal::Number(number)),
                    _ => Err((start, format!("expected a value, got `{word}`"))),
                }
            }
        }
    }

    /// A quoted string; a backslash keeps the next character, and `\n` and `\t` are what they are.
    fn string(&mut self, quote: char) -> Result<String, Refusal> {
        let start = self.at;
        let mut value = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, escaped)) => value.push(escaped),
                    None => break,
                },
                c if c == quote => {
                    self.at = start + 1 + offset + 1;
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err((start, "the text has no closing quote".to_owned()))
    }

    fn nested(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        let mut depth = 0_u32;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\'' | '"' => {
                    self.string(c)?;
                    continue;
                }
                '[' | '(' | '{' => depth += 1,
                ']' | ')' | '}' => depth -= 1,
                _ => {}
            }
            self.at += c.len_utf8();
            if depth == 0 {
                return Ok(());
            }
        }
        Err((start, "the bracket is not closed".to_owned()))
    }
}
