//! Reads a log, line by line, in constant memory.

use super::{Header, Step, VERSION};
use crate::input::{InputError, parse_json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

/// An iterator over the steps of a log.
pub struct LogReader<R: Read> {
    file: String,
    header: Header,
    lines: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    line: u32,
    text: String,
}

impl LogReader<File> {
    /// Opens a log.
    ///
    /// # Errors
    /// If it cannot be read, or does not begin with the header of a log of this version.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let file =
            File::open(path).map_err(|error| InputError::io(path, "read the log", &error))?;
        Self::new(&path.display().to_string(), file)
    }
}

impl<R: Read> LogReader<R> {
    /// Reads a log from `input`, called `file` in messages.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn new(file: &str, input: R) -> Result<Self, InputError> {
        let damaged = |error| InputError::new(file, format!("not a readable log: {error}"));
        let lines = BufReader::new(zstd::Decoder::new(input).map_err(damaged)?);
        let (header, text) = (Header::default(), String::new());
        let mut reader = Self { file: file.to_owned(), header, lines, line: 0, text };
        if !reader.advance()? {
            return Err(InputError::new(file, "the log is empty"));
        }
        reader.header = reader.parse()?;
        let found = reader.header.flexdit_log;
        if found != VERSION {
            let message = format!("the log has version {found}, this program reads {VERSION}");
            return Err(InputError::new(file, message).at(1, 0));
        }
        Ok(reader)
    }

    /// Which run this is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next line; false at the end.
    fn advance(&mut self) -> Result<bool, InputError> {
        self.text.clear();
        self.line += 1;
        let read = self.lines.read_line(&mut self.text).map_err(|error| {
            let message = format!("the log ends here or is damaged: {error}");
            InputError::new(&self.file, message).at(self.line, 0)
        })?;
        Ok(read > 0)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, InputError> {
        parse_json(&self.file, &self.text).map_err(|error| {
            let column = error.column;
            error.at(self.line, column)
        })
    }
}

impl<R: Read> Iterator for LogReader<R> {
    type Item = Result<Step, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(true) => Some(self.parse()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
