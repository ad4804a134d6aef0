//! Where stage durations come from.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// A profile file, or a directory of another project's cost model.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum ProfileRef {
    /// A profile file, relative to the experiment.
    File(PathBuf),
    /// Costs in another project's format.
    Import {
        /// What to import.
        import: ProfileImport,
    },
}

/// Costs in another project's format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileImport {
    /// The format.
    pub format: ProfileFormat,
    /// The directory, relative to the experiment.
    pub path: PathBuf,
}

/// Formats of imported costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileFormat {
    /// A GF-DiT cost-model directory: one JSON file per layout.
    GfDit,
}

impl ProfileRef {
    /// The file or directory, relative to the experiment.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Import { import } => &import.path,
        }
    }
}

impl Serialize for ProfileRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => path.serialize(serializer),
            Self::Import { import } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("import", import)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for ProfileRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ImportMap {
            import: ProfileImport,
        }
        struct PathOrImport;
        impl<'de> Visitor<'de> for PathOrImport {
            type Value = ProfileRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or `{import: {format, path}}`")
            }
            fn visit_str<E: Error>(self, path: &str) -> Result<ProfileRef, E> {
                Ok(ProfileRef::File(PathBuf::from(path)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ProfileRef, A::Error> {
                let map = ImportMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ProfileRef::Import { import: map.import })
            }
        }
        deserializer.deserialize_any(PathOrImport)
    }
}
