//! `costs.measured`: charges of a measured profile, for every key that the experiment does not give itself.

use super::{CollectiveKind, Costs, GroupSetup, Occupy, SetupProfile};
use crate::input::{Document, InputError};
use crate::profile::{ProfileFile, setup};
use std::path::Path;

impl Costs {
    /// These costs with the measured ones in place, and where those were measured; as they are if none are asked for.
    /// `given` tells whether the experiment gives a key, as in `migration.latency`; the file is looked for from `folder`.
    ///
    /// # Errors
    /// The profile cannot be read or holds no charges.
    pub fn with_measured(
        &self,
        given: &dyn Fn(&str) -> bool,
        folder: &Path,
    ) -> Result<(Self, Option<String>), InputError> {
        let mut costs = self.clone();
        let Some(path) = &self.measured else { return Ok((costs, None)) };
        let document = Document::read(&folder.join(path))?;
        let file: ProfileFile = document.get()?;
        let Some(charges) = &file.charges else {
            let message = "expected measured charges, as `flexdit profile` writes them: this \
                           profile has none";
            return Err(document.error("charges", message));
        };
        let on = file.measured.as_ref().map(|measured| measured.collectives);
        if on == Some(CollectiveKind::Communicators) && !given("group_setup") {
            let message = "a profile taken on communicators does not say what forming a group takes: \
                           expected `costs.group_setup` beside it";
            return Err(document.error("measured.collectives", message));
        }
        if !given("launch") {
            costs.launch = charges.launch;
        }
        if !given("control_plane") {
            costs.control_plane = charges.control_plane;
        }
        if let Some(copy) = &charges.migration {
            if !given("migration.latency") {
                costs.migration.latency = copy.latency;
            }
            if !given("migration.bandwidth") {
                costs.migration.bandwidth = Some(copy.bandwidth);
            }
            if !given("migration.occupy") {
                // Real ranks pull: the source goes on computing.
                costs.migration.occupy = Occupy::Destination;
            }
        }
        if !given("group_setup") {
            costs.group_setup = match charges.group_setup.is_empty() {
                true => GroupSetup::Free,
                false => GroupSetup::Profile(SetupProfile {
                    file: path.clone(),
                    contestant: setup::GROUP_FREE.to_owned(),
                    capacity: 0,
                }),
            };
        }
        let machine =
            file.measured.map(|measured| format!("{}, {}", measured.machine, measured.date));
        Ok((costs, Some(machine.unwrap_or_else(|| path.display().to_string()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::{Bandwidth, Duration};
    use flexdit_core::Nanos;
    use flexdit_sim::GroupSetup::PerUse;

    const PROFILE: &str = "\
model: qwen-image
gpu: h20
label: measured
source: a test
measured: {machine: a machine, date: 2026-11-21, flexdit: 0.1.0, world: 2, pinned: true,
  optimised: true, chunk_steps: 1, rounds: 7}
charges:
  launch: 3us
  control_plane: 21us
  migration: {latency: 9us, bandwidth: 5GB/s}
  group_setup: [{ranks: 2, time: 1us}, {ranks: 4, time: 3us}]
entries: []
";

    fn resolve(profile: &str, costs: &Costs, given: &[&str]) -> Result<(Costs, String), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.yaml"), profile).unwrap();
        let resolved = costs.with_measured(&|key| given.contains(&key), folder.path());
        let (costs, source) =
            resolved.map_err(|error| InputError { file: "p.yaml".into(), ..error }.to_string())?;
        let prices = costs.setup_prices(folder.path(), 4).unwrap();
        if given.is_empty() {
            assert_eq!(prices.mode, PerUse(Nanos(1_000)));
            assert_eq!(prices.by_degree, [(2, Nanos(1_000)), (4, Nanos(3_000))]);
            assert!(prices.source.unwrap().contains("measured on a machine"));
        }
        Ok((costs, source.unwrap()))
    }

    #[test]
    fn measured_charges_stand_where_the_experiment_says_nothing() {
        let asked = Costs { measured: Some("p.yaml".into()), ..Costs::default() };
        let (costs, source) = resolve(PROFILE, &asked, &[]).unwrap();
        assert_eq!(costs.launch, Duration(Nanos(3_000)));
        assert_eq!(costs.control_plane, Duration(Nanos(21_000)));
        assert_eq!(costs.migration.bandwidth, Some(Bandwidth(5e9)));
        assert_eq!(costs.migration.occupy, Occupy::Destination);
        assert_eq!(source, "a machine, 2026-11-21");
        let (costs, _) =
            resolve(PROFILE, &asked, &["launch", "group_setup", "migration.occupy"]).unwrap();
        assert_eq!((costs.launch, costs.migration.occupy), (asked.launch, Occupy::Both));
        assert_eq!(costs.group_setup, asked.group_setup);
        assert_eq!(costs.control_plane, Duration(Nanos(21_000)));
    }

    #[test]
    fn communicators_do_not_price_groups_that_are_values() {
        let text = PROFILE.replace("rounds: 7}", "rounds: 7, collectives: communicators}");
        let asked = Costs { measured: Some("p.yaml".into()), ..Costs::default() };
        let error = resolve(&text, &asked, &[]).unwrap_err();
        assert!(error.starts_with("p.yaml:6:60: measured.collectives: a profile"), "{error}");
        assert!(resolve(&text, &asked, &["group_setup"]).is_ok());
    }

    #[test]
    fn a_profile_without_charges_is_refused() {
        let asked = Costs { measured: Some("p.yaml".into()), ..Costs::default() };
        let text = "{model: qwen-image, gpu: h20, entries: []}";
        let error = resolve(text, &asked, &[]).unwrap_err();
        assert_eq!(
            error,
            "p.yaml:1:1: charges: expected measured charges, as `flexdit profile` writes them: this \
             profile has none"
        );
    }
}
