//! Hands a document to serde, so that every error carries the place and the key path.

use super::tree::{Entry, Node, Place, Value};
use serde::de::{self, IntoDeserializer, Visitor};
use std::fmt;

/// Why a tree does not read as the type asked for.
#[derive(Clone, Debug)]
pub struct TreeError {
    /// What was expected and found, in serde's words.
    pub(crate) message: String,
    /// Where.
    pub(crate) at: Option<Place>,
    /// Key path, innermost segment first.
    path: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

impl TreeError {
    /// The key path, as `systems[1].lanes.degree`.
    pub(crate) fn key(&self) -> String {
        let mut key = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Key(name) if key.is_empty() => key.push_str(name),
                Segment::Key(name) => key.extend([".", name]),
                Segment::Index(index) => key.push_str(&format!("[{index}]")),
            }
        }
        key
    }

    fn under(mut self, at: Place, segment: Option<Segment>) -> Self {
        self.at.get_or_insert(at);
        self.path.extend(segment);
        self
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TreeError {}

impl de::Error for TreeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None, path: Vec::new() }
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = TreeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let result = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(de::Error::custom(format!("the number {value} is too large"))),
            },
            Value::Float(value) if !value.is_finite() => {
                let shown = if value.is_nan() { "NaN".to_owned() } else { value.to_string() };
                Err(de::Error::custom(format!("expected a finite number, got {shown}")))
            }
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        };
        result.map_err(|error| error.under(self.at, None))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        // Serde would also take a list for a struct, by position.
        match self.value {
            Value::List(_) => {
                let message = "expected a map of keys, got a list";
                Err(<TreeError as de::Error>::custom(message).under(self.at, None))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        let result = match &self.value {
            Value::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant { entry }),
                _ => Err(de::Error::custom(format!(
                    "expected a map with exactly one key, got {} keys",
                    entries.len()
                ))),
            },
            _ => self.deserialize_any(visitor),
        };
        result.map_err(|error| error.under(self.at, None))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, TreeError> for &'de Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = TreeError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TreeError> {
        let index = self.next;
        let Some(node) = self.items.get(index) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(node)
            .map(Some)
            .map_err(|error| error.under(node.at, Some(Segment::Index(index))))
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    next: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = TreeError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, TreeError> {
        let Some(entry) = self.entries.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(entry.key.as_str().into_deserializer())
            .map(Some)
            .map_err(|error: TreeError| error.under(entry.at, None))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, TreeError> {
        let entry = &self.entries[self.next - 1];
        let segment = || Some(Segment::Key(entry.key.clone()));
        seed.deserialize(&entry.node).map_err(|error| error.under(entry.node.at, segment()))
    }
}

struct Variant<'de> {
    entry: &'de Entry,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = TreeError;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), TreeError> {
        let value = seed
            .deserialize(self.entry.key.as_str().into_deserializer())
            .map_err(|error: TreeError| error.under(self.entry.at, None))?;
        Ok((value, self))
    }
}

impl Variant<'_> {
    fn place<T>(&self, result: Result<T, TreeError>) -> Result<T, TreeError> {
        result.map_err(|error| {
            error.under(self.entry.node.at, Some(Segment::Key(self.entry.key.clone())))
        })
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = TreeError;

    fn unit_variant(self) -> Result<(), TreeError> {
        let node = &self.entry.node;
        match &node.value {
            Value::Null => Ok(()),
            Value::Map(entries) if entries.is_empty() => Ok(()),
            _ => self.place(Err(de::Error::custom(format!(
                "`{}` takes no value, got {}",
                self.entry.key,
                node.inline()
            )))),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, TreeError> {
        let result = seed.deserialize(&self.entry.node);
        self.place(result)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TreeError> {
        let result = de::Deserializer::deserialize_any(&self.entry.node, visitor);
        self.place(result)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        let result = de::Deserializer::deserialize_any(&self.entry.node, visitor);
        self.place(result)
    }
}
