//! Prices of forming groups, as measured: the file that `flexdit bench group-setup --write-costs` writes.
//!
//! A price is what a change to a never-used group takes beyond a collective on a group in use: forming, plus what the
//! first collective takes longer. Invariant: every file says on which machine and when it was measured.

use super::spec::ProfileFile;
use crate::experiment::SetupProfile;
use crate::input::{Document, InputError, suggestion};
use crate::quantity::Duration;
use flexdit_core::Nanos;
use flexdit_sim::GroupSetup;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What forming groups takes on one machine, for one or several ways of communicating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupFile {
    /// What kind of numbers these are.
    pub label: SetupLabel,
    /// What wrote the file.
    pub source: String,
    /// The machine.
    pub machine: String,
    /// The day (UTC).
    pub date: String,
    /// The ways of communicating.
    pub contestants: Vec<SetupContestant>,
}

/// Numbers taken with a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SetupLabel {
    /// Timed on a machine.
    Measured,
}

/// One way of communicating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupContestant {
    /// Its name, as in the results of the benchmark: `group-free-thread`.
    pub name: String,
    /// When the price is paid.
    pub charge: SetupCharge,
    /// Medians by the number of ranks in a group, ascending.
    pub degrees: Vec<SetupEntry>,
}

/// When forming a group is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetupCharge {
    /// At every multi-rank task: groups are formed anew and not kept.
    PerUse,
    /// At the first task on a rank set: communicators are kept.
    FirstUse,
}

/// Groups of so many ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupEntry {
    /// Ranks of the group.
    pub degree: u16,
    /// Ranks of the world in which it was measured.
    pub world: u16,
    /// Forming the group or its descriptor.
    pub form: Duration,
    /// First collective on a never-used tuple.
    pub first: Duration,
    /// Collective on a group in use.
    pub steady: Duration,
}

impl SetupEntry {
    /// What a change to a never-used group takes beyond a collective on a group in use.
    pub fn price(&self) -> Nanos {
        self.form.0 + self.first.0.saturating_sub(self.steady.0)
    }
}

/// What the simulator charges for forming groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetupPrices {
    /// When it is paid, and how much where no degree is listed.
    pub mode: GroupSetup,
    /// Prices by degree, ascending; empty for one price.
    pub by_degree: Vec<(u16, Nanos)>,
    /// Machine, day and contestant, if it was measured.
    pub source: Option<String>,
}

/// Whose prices of a measured profile: groups are values.
pub const GROUP_FREE: &str = "group-free";

/// Reads the prices that an experiment names, for groups of 2 to `world` ranks; `folder` is the experiment's.
///
/// # Errors
/// The file cannot be read, is none, has no such contestant, or does not price every degree.
pub fn load_setup(
    profile: &SetupProfile,
    folder: &Path,
    world: u16,
) -> Result<SetupPrices, InputError> {
    let document = Document::read(&folder.join(&profile.file))?;
    if document.root.find("entries").is_some() {
        return of_profile(&document, profile);
    }
    let file = read(&document)?;
    let names: Vec<&str> = file.contestants.iter().map(|one| one.name.as_str()).collect();
    let Some(index) = names.iter().position(|name| *name == profile.contestant) else {
        let (message, hint) = suggestion("contestant", &profile.contestant, &names);
        return Err(InputError { hint, ..document.error("contestants", message) });
    };
    let one = &file.contestants[index];
    let (least, most) = (one.degrees[0].degree, one.degrees[one.degrees.len() - 1].degree);
    if least > 2 || most < world {
        let message = format!(
            "prices groups of {least} to {most} ranks, but the experiment's cluster has {world}"
        );
        return Err(document.error(&format!("contestants[{index}].degrees"), message));
    }
    Ok(SetupPrices {
        mode: match one.charge {
            SetupCharge::PerUse => GroupSetup::PerUse(one.degrees[0].price()),
            SetupCharge::FirstUse => {
                GroupSetup::FirstUse { cost: one.degrees[0].price(), capacity: profile.capacity }
            }
        },
        by_degree: one.degrees.iter().map(|entry| (entry.degree, entry.price())).collect(),
        source: Some(format!("{}, measured on {}, {}", one.name, file.machine, file.date)),
    })
}

/// The prices of a measured profile. Degrees that it does not list are not priced by it either, so no task has them.
fn of_profile(document: &Document, profile: &SetupProfile) -> Result<SetupPrices, InputError> {
    let file: ProfileFile = document.get()?;
    if profile.contestant != GROUP_FREE {
        let (message, hint) = suggestion("contestant", &profile.contestant, &[GROUP_FREE]);
        return Err(InputError { hint, ..document.error("charges", message) });
    }
    let listed = file.charges.as_ref().map(|charges| &charges.group_setup);
    let Some((first, listed)) = listed.and_then(|listed| Some((listed.first()?, listed))) else {
        let message = "expected measured prices: this profile has none";
        return Err(document.error("charges.group_setup", message));
    };
    let machine = file.measured.as_ref();
    let on = machine.map(|m| format!(", measured on {}, {}", m.machine, m.date));
    Ok(SetupPrices {
        mode: GroupSetup::PerUse(first.time.0),
        by_degree: listed.iter().map(|entry| (entry.ranks, entry.time.0)).collect(),
        source: Some(format!("{}{}", profile.contestant, on.unwrap_or_default())),
    })
}

/// Reads and checks a file.
///
/// # Errors
/// It is no file of group-setup prices, or lists no degree or one twice.
pub fn read(document: &Document) -> Result<SetupFile, InputError> {
    let file: SetupFile = document.get()?;
    for (index, one) in file.contestants.iter().enumerate() {
        let rising = one.degrees.windows(2).all(|pair| pair[0].degree < pair[1].degree);
        if one.degrees.is_empty() || !rising {
            let message = "expected one entry or more, by ascending degree".to_owned();
            return Err(document.error(&format!("contestants[{index}].degrees"), message));
        }
    }
    Ok(file)
}

/// The JSON Schema of these files, as indented JSON with a final newline; a copy lies at
/// `workloads/profiles/group-setup/schema.json`.
pub fn setup_schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<SetupFile>();
    schema.insert("title".to_owned(), "flexdit group-setup prices".into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
label: measured
source: a test
machine: a machine, 2 cores
date: 2026-11-21
contestants:
  - name: group-free-thread
    charge: per_use
    degrees:
      - {degree: 2, world: 4, form: 60ns, first: 2us, steady: 1us}
      - {degree: 4, world: 4, form: 70ns, first: 3us, steady: 4us}
  - name: communicator-tcp
    charge: first_use
    degrees: [{degree: 2, world: 4, form: 90us, first: 9us, steady: 7us}]
";

    fn load(text: &str, contestant: &str, world: u16) -> Result<SetupPrices, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("setup.yaml"), text).unwrap();
        let profile = SetupProfile {
            file: "setup.yaml".into(),
            contestant: contestant.to_owned(),
            capacity: 3,
        };
        let loaded = load_setup(&profile, folder.path(), world);
        loaded.map_err(|error| InputError { file: "setup.yaml".into(), ..error }.to_string())
    }

    #[test]
    fn a_price_is_forming_and_what_the_first_collective_takes_longer() {
        let prices = load(FILE, "group-free-thread", 4).unwrap();
        assert_eq!(prices.by_degree, [(2, Nanos(1_060)), (4, Nanos(70))]);
        assert_eq!(prices.mode, GroupSetup::PerUse(Nanos(1_060)));
        let source = "group-free-thread, measured on a machine, 2 cores, 2026-11-21";
        assert_eq!(prices.source.as_deref(), Some(source));
        let communicator = load(FILE, "communicator-tcp", 2).unwrap().mode;
        assert_eq!(communicator, GroupSetup::FirstUse { cost: Nanos(92_000), capacity: 3 });
    }

    #[test]
    fn what_a_file_does_not_price_is_refused_at_its_place() {
        assert_eq!(
            load(FILE, "group-free-thread", 8).unwrap_err(),
            "setup.yaml:9:7: contestants[0].degrees: prices groups of 2 to 4 ranks, but the experiment's \
             cluster has 8"
        );
        let error = load(FILE, "group-free-tread", 4).unwrap_err();
        assert!(error.contains("did you mean `group-free-thread`?"), "{error}");
        let error = load(&FILE.replace("degree: 4", "degree: 2"), "communicator-tcp", 2);
        assert!(error.unwrap_err().contains("by ascending degree"));
        let error = load(&FILE.replace("label: measured", "label: guessed"), "x", 2).unwrap_err();
        assert!(error.starts_with("setup.yaml:1:8: label"), "{error}");
    }

    #[test]
    fn the_shipped_files_read_and_the_schema_beside_them_is_current() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/group-setup");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                read(&Document::read(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        let copy = std::fs::read_to_string(format!("{folder}/schema.json")).unwrap_or_default();
        assert!(copy == setup_schema(), "run `cargo run --example derive-profiles`");
    }
}
