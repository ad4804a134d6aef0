//! Reading YAML: the only module that calls the parser. Bounded in bytes, depth and nodes.

use super::error::InputError;
use super::tree::{Entry, Node, Place, Value};
use super::wording::reword;
use serde::de::{self, Deserialize, DeserializeOwned, Visitor};
use serde_yaml::Spanned;
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Largest YAML file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Deepest nesting of lists and maps.
pub const MAX_DEPTH: usize = 32;
/// Most keys, values, lists and maps, aliases expanded.
pub const MAX_NODES: usize = 20_000;

/// A YAML file as a tree, with the changes made to it by the command line.
///
/// ```
/// use flexdit::input::Document;
/// let mut document = Document::parse("a.yaml", "cluster: {world: 4}").unwrap();
/// document.assign("cluster.world=8").unwrap();
/// assert_eq!(document.root.find("cluster.world").unwrap().inline(), "8");
/// ```
#[derive(Clone, Debug)]
pub struct Document {
    /// The file as named by the user.
    pub file: String,
    /// The content.
    pub root: Node,
    overrides: Vec<String>,
}

/// Reads a YAML file into `T`.
///
/// # Errors
/// The file cannot be read, is not YAML, exceeds the limits, or is not what `T` asks.
pub fn load_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, InputError> {
    Document::read(path)?.get()
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// The file cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, InputError> {
    let read = |error: std::io::Error| InputError::io(path, "read", &error);
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.is_dir() {
        return Err(InputError::new(name(), "cannot read: it is a folder"));
    }
    // Not by the file's stated length: devices and pipes have none.
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > limit {
        let message = format!("expected at most {limit} bytes, got more");
        return Err(InputError::new(name(), message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        InputError::new(name(), format!("expected UTF-8 text, got other bytes at offset {offset}"))
    })
}

impl Document {
    /// Reads a YAML file.
    ///
    /// # Errors
    /// The file cannot be read, is not YAML, or exceeds the limits.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        Self::parse(&path.display().to_string(), &read_text(path, MAX_FILE_BYTES)?)
    }

    /// Parses YAML text.
    ///
    /// # Errors
    /// It is not YAML or exceeds the limits.
    pub fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        let parsed: Result<Spanned<Raw>, _> =
            serde_yaml::with_deserializer_from_str_with_options(text, options(), |parser| {
                Spanned::<Raw>::deserialize(parser)
            });
        let root = parsed.map_err(|error| parse_error(file, &error))?.into_node();
        Ok(Self { file: file.to_owned(), root, overrides: Vec::new() })
    }

    /// Applies one `key=value` of the command line; the value is YAML.
    ///
    /// # Errors
    /// No `=`, a value that is not YAML, or a path that leads nowhere.
    pub fn assign(&mut self, assignment: &str) -> Result<(), InputError> {
        let option = format!("--set {assignment}");
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(InputError::new(option, "expected key=value"));
        };
        let mut node = Self::parse(&option, text)
            .map_err(|error| InputError { line: 0, column: 0, ..error })?
            .root;
        if path.trim().is_empty() {
            return Err(InputError::new(option, "expected key=value"));
        }
        self.overrides.push(option.clone());
        let column = u32::try_from(self.overrides.len() - 1).unwrap_or(u32::MAX);
        mark(&mut node, Place { line: 0, column });
        self.root.set(path.trim(), node).map_err(|reason| InputError::new(option, reason))
    }

    /// The document as a `T`.
    ///
    /// # Errors
    /// The first thing that is not as `T` asks.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, InputError> {
        T::deserialize(&self.root).map_err(|error| {
            let (message, hint) = reword(&error.message);
            let at = error.at.unwrap_or(self.root.at);
            InputError { hint, ..self.error_at(at, &error.key(), message) }
        })
    }

    /// An error about the value at `key`, placed where it, or the nearest part of its path, stands.
    pub fn error(&self, key: &str, message: impl Into<String>) -> InputError {
        self.error_at(self.root.place(key), key, message.into())
    }

    /// An error about `key` at a known place.
    pub fn error_at(&self, at: Place, key: &str, message: impl Into<String>) -> InputError {
        match self.overrides.get(at.column as usize) {
            Some(option) if at.line == 0 => InputError::new(option.clone(), message).key(key),
            _ => InputError::new(self.file.clone(), message).at(at.line, at.column).key(key),
        }
    }
}

fn mark(node: &mut Node, at: Place) {
    node.at = at;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| mark(item, at)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.at = at;
            mark(&mut entry.node, at);
        }),
        _ => {}
    }
}

fn options() -> serde_yaml::Options {
    let mut aliases = serde_yaml::options::AliasLimits::default();
    aliases.max_total_replayed_events = MAX_NODES;
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_aliases: MAX_NODES,
            max_anchors: MAX_NODES,
            max_recorded_anchor_events: 4 * MAX_NODES,
            max_documents: 1,
        },
        alias_limits: aliases,
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn parse_error(file: &str, error: &serde_yaml::Error) -> InputError {
    use serde_yaml::Error;
    use serde_yaml::budget::BudgetBreach;
    let inner = error.without_snippet();
    let message = match inner {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("nested deeper than {MAX_DEPTH} levels")
        }
        Error::Budget { .. } => too_large(),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` stands twice")
        }
        other => {
            let text = other.to_string();
            // The scanner meets its own limit before the budget does when it looks ahead.
            if text.contains("alias replay") || text.contains("alias expansion") {
                return parse_error_at(file, inner, too_large());
            }
            if text.contains("recursion limit") {
                return parse_error_at(
                    file,
                    inner,
                    format!("nested deeper than {MAX_DEPTH} levels"),
                );
            }
            let text = text.split(" at line ").next().unwrap_or_default();
            format!("not valid YAML: {}", text.trim().replace('\n', " "))
        }
    };
    parse_error_at(file, inner, message)
}

fn too_large() -> String {
    format!("larger than {MAX_NODES} values once its aliases are expanded")
}

fn parse_error_at(file: &str, error: &serde_yaml::Error, message: String) -> InputError {
    let (line, column) = error.location().map_or((0, 0), |l| (l.line(), l.column()));
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    InputError::new(file, message).at(narrow(line), narrow(column))
}

/// What the parser fills in: values with the parser's own places.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

trait IntoNode {
    fn into_node(self) -> Node;
}

impl IntoNode for Spanned<Raw> {
    fn into_node(self) -> Node {
        let at = place(&self.referenced);
        let value = match self.value {
            Raw::Scalar(value) => value,
            Raw::List(items) => Value::List(items.into_iter().map(Self::into_node).collect()),
            Raw::Map(entries) => {
                let entry = |(key, node): (Spanned<String>, Self)| Entry {
                    at: place(&key.referenced),
                    key: key.value,
                    node: node.into_node(),
                };
                Value::Map(entries.into_iter().map(entry).collect())
            }
        };
        Node { at, value }
    }
}

fn place(location: &serde_yaml::Location) -> Place {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Place { line: narrow(location.line()), column: narrow(location.column()) }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Int(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Int(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Int(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: de::Deserializer<'de>>(self, inner: D) -> Result<Raw, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only parsed")]
    struct Sample {
        world: u16,
        rate: Option<f64>,
        kind: Option<Kind>,
        mix: Option<BTreeMap<String, f64>>,
        list: Option<Vec<u32>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only parsed")]
    enum Kind {
        Free,
        PerUse { time: u32 },
    }

    fn message(text: &str) -> String {
        Document::parse("a.yaml", text).and_then(|d| d.get::<Sample>()).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_place_key_expectation_and_nearest_key() {
        let cases = [
            (
                "wrld: 4",
                "a.yaml:1:1: unknown key `wrld`, expected `world`, `rate`, `kind`, `mix` or `list`; did you mean `world`?",
            ),
            (
                "world: four",
                "a.yaml:1:8: world: expected a whole number from 0 to 65535, got \"four\"",
            ),
            ("world: -1", "a.yaml:1:8: world: expected a whole number from 0 to 65535, got -1"),
            ("world: 4\nrate: .nan", "a.yaml:2:7: rate: expected a finite number, got NaN"),
            (
                "world: 4\nmix: {a: 1, b: .inf}",
                "a.yaml:2:16: mix.b: expected a finite number, got inf",
            ),
            (
                "world: 4\nlist: [1, x]",
                "a.yaml:2:11: list[1]: expected a whole number from 0 to 4294967295, got \"x\"",
            ),
            ("rate: 1", "a.yaml:1:1: missing key `world`"),
            (
                "world: 4\nkind: {per-use: {tim: 3}}",
                "a.yaml:2:18: kind.per-use: unknown key `tim`, expected `time`; did you mean `time`?",
            ),
            (
                "world: 4\nkind: fre",
                "a.yaml:2:7: kind: unknown value `fre`, expected `free` or `per-use`; did you mean `free`?",
            ),
            ("world: 4\nkind: {free: 3}", "a.yaml:2:14: kind.free: `free` takes no value, got 3"),
            ("world: 4\nworld: 5", "a.yaml:2:1: the key `world` stands twice"),
            ("[1, 2]", "a.yaml:1:1: expected a map of keys, got a list"),
        ];
        for (text, expected) in cases {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_yaml_names_its_place() {
        let text = message("world: [1, 2");
        assert!(text.starts_with("a.yaml:"), "{text}");
        assert!(text.contains("not valid YAML"), "{text}");
    }

    #[test]
    fn bombs_and_deep_nesting_are_refused_at_once() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(message(&deep).ends_with("nested deeper than 32 levels"), "{}", message(&deep));
        let block: String = (0..10_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(message(&block).contains("nested deeper than 32 levels"), "{}", message(&block));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let previous = format!("*a{}", i - 1);
            bomb += &format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 9].join(", "));
        }
        assert!(
            message(&bomb).ends_with("larger than 20000 values once its aliases are expanded"),
            "{}",
            message(&bomb)
        );
    }

    #[test]
    fn aliases_and_merged_maps_are_read_as_written_out() {
        let text = "base: &b {world: 4}\nall:\n  <<: *b\n  rate: 2\nsame: *b\n";
        let document = Document::parse("a.yaml", text).unwrap();
        assert_eq!(document.root.find("all.world").unwrap().inline(), "4");
        assert_eq!(document.root.find("same.world").unwrap().inline(), "4");
    }

    #[test]
    fn paths_and_files_without_end_are_refused() {
        let mut document = Document::parse("a.yaml", "{}").unwrap();
        let long = format!("{}=1", "a.".repeat(10_000));
        let error = document.assign(&long).unwrap_err();
        assert!(error.to_string().ends_with("deeper than 32 levels"));
        assert_eq!(
            document.assign(" =5").unwrap_err().to_string(),
            "--set  =5: expected key=value"
        );
        #[cfg(unix)]
        assert_eq!(
            read_text(Path::new("/dev/zero"), 1000).unwrap_err().to_string(),
            "/dev/zero: expected at most 1000 bytes, got more"
        );
    }

    #[test]
    fn overrides_reach_into_lists_and_carry_their_own_place() {
        let mut document =
            Document::parse("a.yaml", "systems: [{name: a, lanes: {degree: 1}}]").unwrap();
        document.assign("systems.a.lanes.degree=2").unwrap();
        document.assign("systems[0].lanes.policy=srtf").unwrap();
        document.assign("costs.launch=5us").unwrap();
        assert_eq!(
            document.root.inline(),
            "{systems: [{name: a, lanes: {degree: 2, policy: srtf}}], costs: {launch: 5us}}"
        );
        let error = document.error("costs.launch", "expected less");
        assert_eq!(error.to_string(), "--set costs.launch=5us: costs.launch: expected less");
        let error = document.assign("systems.b.lanes=1").unwrap_err();
        assert_eq!(error.to_string(), "--set systems.b.lanes=1: `systems` has no entry `b`");
    }
}
