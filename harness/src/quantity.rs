//! Quantities as people write them: `60us`, `200GB/s`, `96GB`. Integers inside, units outside.

use flexdit_core::{Bytes, Nanos};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const TIMES: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 60e9), ("h", 3600e9)];
const SIZES: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];
const RATES: &[(&str, f64)] =
    &[("B/s", 1.0), ("kB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9), ("TB/s", 1e12)];

/// Largest value in the base unit: about three years of nanoseconds, so that sums do not overflow.
const LARGEST: f64 = 1e17;

/// Splits `12.5 ms` into 12.5 and the factor of its unit.
fn parse(text: &str, units: &[(&str, f64)], what: &str) -> Result<f64, String> {
    let refuse = || {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        format!("expected {what} (a number and one of {}), got \"{text}\"", names.join(", "))
    };
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(0.0);
    }
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+'))
        .ok_or_else(refuse)?;
    let (number, unit) = trimmed.split_at(split);
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let unit = unit.trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    if number < 0.0 {
        return Err(format!("expected {what} of at least 0, got \"{text}\""));
    }
    let value = number * factor;
    if value > LARGEST {
        return Err(format!("expected a smaller value, got \"{text}\""));
    }
    Ok(value)
}

/// The value in its largest unit that leaves it at least 1, in decimal units only.
fn show(value: f64, units: &[(&str, f64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value == 0.0 {
        return f.write_str("0");
    }
    let decimal = || units.iter().filter(|(name, _)| !name.contains('i'));
    let (name, factor) = decimal()
        .rev()
        .find(|(_, factor)| value >= *factor)
        .or_else(|| units.first())
        .copied()
        .unwrap_or(("", 1.0));
    write!(f, "{}{name}", value / factor)
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty), $units:ident, $what:literal, $wrap:expr, $get:expr,
     $example:literal $(, derive $also:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd $(, $also)*)]
        pub struct $name(pub $inner);

        impl $name {
            /// Parses a number with its unit; plain `0` needs none.
            ///
            /// # Errors
            /// A sentence saying what was expected, for anything else and for negative numbers.
            pub fn parse(text: &str) -> Result<Self, String> {
                parse(text, $units, $what).map($wrap).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show($get(self.0), $units, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($what, ", with its unit"))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$name, E> {
                        if value == 0 {
                            return Ok($name::default());
                        }
                        Err(E::invalid_type(de::Unexpected::Unsigned(value), &self))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let units: Vec<&str> = $units.iter().map(|(name, _)| *name).collect();
                json_schema!({
                    "description": concat!($what, ", with its unit"),
                    "type": ["string", "integer"],
                    "pattern": format!("^(0|[0-9]+(\\.[0-9]+)? ?({}))$", units.join("|")),
                    "maximum": 0,
                    "minimum": 0,
                    "examples": [$example],
                })
            }
        }
    };
}

quantity!(
    /// A length of time: `60us`, `3ms`, `2s`, `1h`; plain `0` needs no unit.
    Duration(Nanos),
    TIMES,
    "a duration such as 60us, 3ms, 2s or 1h",
    Nanos::from_f64,
    |value: Nanos| value.0 as f64,
    "60us",
    derive Eq,
    derive Ord
);
quantity!(
    /// Bytes moved a second: `200GB/s` (decimal).
    Bandwidth(f64),
    RATES,
    "a bandwidth such as 200GB/s",
    |value: f64| value,
    |value: f64| value,
    "200GB/s"
);
quantity!(
    /// A number of bytes: `96GB` (decimal) or `512MiB` (binary).
    Size(Bytes),
    SIZES,
    "a size such as 96GB",
    |value: f64| Bytes(libm::round(value) as u64),
    |value: Bytes| value.0 as f64,
    "96GB",
    derive Eq,
    derive Ord
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_and_show_their_units() {
        let time = |text: &str| text.parse::<Duration>();
        assert_eq!(time("60us"), Ok(Duration(Nanos::from_micros(60))));
        assert_eq!(time("1.5 ms"), Ok(Duration(Nanos::from_micros(1500))));
        assert_eq!(time("1h"), Ok(Duration(Nanos::from_secs(3600))));
        assert_eq!(time("0"), Ok(Duration(Nanos::ZERO)));
        assert_eq!(time("778ms").unwrap().to_string(), "778ms");
        assert_eq!("200GB/s".parse::<Bandwidth>(), Ok(Bandwidth(200e9)));
        assert_eq!("96GB".parse::<Size>(), Ok(Size(Bytes(96_000_000_000))));
        assert_eq!("1MiB".parse::<Size>().unwrap().to_string(), "1.048576MB");
    }

    #[test]
    fn quantities_refuse_with_what_they_expect() {
        let message = |text: &str| text.parse::<Duration>().unwrap_err();
        assert_eq!(
            message("5 parsecs"),
            "expected a duration such as 60us, 3ms, 2s or 1h (a number and one of ns, us, ms, s, \
             min, h), got \"5 parsecs\""
        );
        assert!(message("5").starts_with("expected a duration"));
        assert!(message("-5ms").contains("at least 0"));
        assert!(message("nan s").starts_with("expected a duration"));
        assert!(message("99999999999h").starts_with("expected a smaller value"));
    }
}
