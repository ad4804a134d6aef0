//! Parameters of policies: declared once, checked before a policy is built.

use crate::units::Nanos;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

/// A parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// Yes or no.
    Flag(bool),
    /// A length of time.
    Duration(Nanos),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Duration(value) => write!(f, "{value}"),
        }
    }
}

/// What values a parameter takes, and which one it has when none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A whole number in a closed range.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// When none is given.
        default: u64,
    },
    /// Yes or no.
    Flag {
        /// When none is given.
        default: bool,
    },
    /// A length of time in a closed range.
    Duration {
        /// Shortest.
        min: Nanos,
        /// Longest.
        max: Nanos,
        /// When none is given.
        default: Nanos,
    },
}

impl ParamKind {
    /// The value when none is given.
    pub const fn default(&self) -> Value {
        match *self {
            Self::Integer { default, .. } => Value::Integer(default),
            Self::Flag { default } => Value::Flag(default),
            Self::Duration { default, .. } => Value::Duration(default),
        }
    }

    /// Whether `value` is of this kind and in its range.
    pub fn admits(&self, value: Value) -> bool {
        match (*self, value) {
            (Self::Integer { min, max, .. }, Value::Integer(value)) => (min..=max).contains(&value),
            (Self::Flag { .. }, Value::Flag(_)) => true,
            (Self::Duration { min, max, .. }, Value::Duration(value)) => {
                (min..=max).contains(&value)
            }
            _ => false,
        }
    }
}

impl fmt::Display for ParamKind {
    /// What is expected: `an integer from 1 to 64`, `true or false`, `a duration from 0 to 10 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max, .. } => write!(f, "an integer from {min} to {max}"),
            Self::Flag { .. } => f.write_str("true or false"),
            Self::Duration { min, max, .. } => write!(f, "a duration from {min} to {max}"),
        }
    }
}

/// The declaration of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its key.
    pub name: &'static str,
    /// Values and default.
    pub kind: ParamKind,
    /// What one unit of it is: `ranks`, `requests`; empty for flags and durations.
    pub unit: &'static str,
    /// One line of help.
    pub doc: &'static str,
}

/// A policy that cannot be built from what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// No policy of that name is registered.
    #[error("no policy is named `{0}`")]
    UnknownPolicy(String),
    /// The policy declares no such parameter.
    #[error("policy `{policy}` has no parameter `{name}`")]
    Unknown {
        /// The policy.
        policy: &'static str,
        /// The key as given.
        name: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("parameter `{name}` of policy `{policy}` is {given}, expected {expected}")]
    Invalid {
        /// The policy.
        policy: &'static str,
        /// The parameter.
        name: &'static str,
        /// The value as given.
        given: Value,
        /// What it takes.
        expected: ParamKind,
    },
    /// Lanes of this degree would leave ranks over.
    #[error("degree {degree} does not divide the world of {world} ranks")]
    NotDivisible {
        /// Ranks of a lane.
        degree: u16,
        /// Ranks there are.
        world: u16,
    },
}

/// Values by name: those that were given, and the defaults of the rest once [checked](Params::check).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, Value>);

impl Params {
    /// No value: every parameter has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.into(), value);
        self
    }

    /// Checks every value against its declaration and fills in the defaults.
    ///
    /// # Errors
    /// A name that is not declared; a value of the wrong kind or outside its range.
    pub fn check(&self, policy: &'static str, declared: &[ParamInfo]) -> Result<Self, ParamError> {
        let mut all = BTreeMap::new();
        for info in declared {
            all.insert(info.name.into(), info.kind.default());
        }
        for (name, &given) in &self.0 {
            let Some(info) = declared.iter().find(|info| info.name == name) else {
                return Err(ParamError::Unknown { policy, name: name.clone() });
            };
            if !info.kind.admits(given) {
                let (name, expected) = (info.name, info.kind);
                return Err(ParamError::Invalid { policy, name, given, expected });
            }
            all.insert(name.clone(), given);
        }
        Ok(Self(all))
    }

    /// The integer `name`.
    ///
    /// # Panics
    /// If it is not declared so: a broken registry entry.
    pub fn integer(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Value::Integer(value)) => *value,
            other => panic!("parameter {name} is {other:?}, not an integer"),
        }
    }

    /// The flag `name`.
    ///
    /// # Panics
    /// If it is not declared so: a broken registry entry.
    pub fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Flag(value)) => *value,
            other => panic!("parameter {name} is {other:?}, not a flag"),
        }
    }

    /// The duration `name`.
    ///
    /// # Panics
    /// If it is not declared so: a broken registry entry.
    pub fn duration(&self, name: &str) -> Nanos {
        match self.0.get(name) {
            Some(Value::Duration(value)) => *value,
            other => panic!("parameter {name} is {other:?}, not a duration"),
        }
    }
}
