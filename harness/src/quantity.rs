//! Quantities as experiments write them: a number and its unit, as in `60us`.

use core::fmt;
use flexdit_core::Nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

/// A duration: a number and `ns`, `us`, `ms`, `s`, `min` or `h`; the number 0 needs no unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Nanos);

const DURATION_UNITS: [(&str, f64); 6] =
    [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 60e9), ("h", 3600e9)];

impl Duration {
    /// Parses `60us`, `1.5 s`, `0`.
    ///
    /// # Errors
    /// A sentence saying what was expected, for anything else, negative and non-finite numbers.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ns = parse_unit(text, &DURATION_UNITS).ok_or_else(|| {
            format!("expected a duration such as 60us, 3ms or 1.5s, got `{text}`")
        })?;
        Ok(Self(Nanos::from_f64(ns)))
    }
}

/// The value of `text` in base units; `None` unless it is a non-negative number and a known unit.
fn parse_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..end].trim().parse().ok()?;
    if !(number.is_finite() && number >= 0.0) {
        return None;
    }
    match units.iter().find(|(unit, _)| *unit == &text[end..]) {
        Some((_, factor)) => Some(number * factor),
        None => (number == 0.0 && end == text.len()).then_some(0.0),
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 60us, 3ms or 1.5s")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number and its unit: ns, us, ms, s, min or h; 0 needs no unit.",
            "type": ["string", "integer"],
            "pattern": r"^\s*[0-9.]+(e-?[0-9]+)?\s*(ns|us|ms|s|min|h)\s*$|^\s*0\s*$",
            "examples": ["60us", "3ms", "1.5s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        assert_eq!(Duration::parse("60us"), Ok(Duration(Nanos::from_micros(60))));
        assert_eq!(Duration::parse("1.5 s"), Ok(Duration(Nanos::from_millis(1500))));
        assert_eq!(Duration::parse("0"), Ok(Duration(Nanos::ZERO)));
        for bad in ["60", "-1s", "nan s", "s", "1 fortnight", ""] {
            assert!(Duration::parse(bad).is_err(), "{bad}");
        }
    }
}
