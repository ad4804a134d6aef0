//! The papers' claims against this simulator: runs the experiments they rest on and says how each fared.
//!
//! Owns the list of claims and the words of each verdict. Runs experiments through the campaign, writes
//! no results folder. Invariant: no parameter is chosen by its result; what is reported per claim (which
//! elastic policy, which baseline) is fixed in the source, and every campaign is shown.

mod claims;
mod facts;
mod gains;
mod render;
mod row;
mod runs;

pub use claims::{CAMPAIGNS, CLAIMS, Claim};
pub use gains::{BASELINE, Campaign, ELASTIC, GUARDED};
pub use render::{csv, markdown, text};
pub use row::{Row, Value, Verdict};
pub use runs::Ran;

use crate::campaign::RunError;
use crate::experiment::Loaded;
use crate::input::InputError;
use serde::Serialize;
use std::path::Path;

/// Seeds of each experiment unless others are asked for: the first of its file.
pub const SEEDS: usize = 5;

/// What to reproduce.
pub struct Options<'a> {
    /// The folder with `paper/`.
    pub workloads: &'a Path,
    /// Claims or experiments; all if empty.
    pub names: &'a [String],
    /// Seeds as a YAML list, for every experiment.
    pub seeds: Option<&'a str>,
    /// Called with the number of runs in all, if it became known, and after every run without it.
    pub progress: &'a (dyn Fn(Option<usize>) + Sync),
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reproduction {
    /// The claims.
    pub rows: Vec<Row>,
    /// The campaigns behind the headline figures.
    pub campaigns: Vec<Campaign>,
}

/// Runs what the named claims need, each experiment once.
///
/// # Errors
/// An unknown name; anything wrong with an experiment, before any runs; a run that cannot go on.
pub fn reproduce(options: &Options<'_>) -> Result<Reproduction, RunError> {
    let (claims, experiments) = select(options.names)?;
    let mut loaded: Vec<(Loaded, Option<Loaded>)> = Vec::new();
    for name in &experiments {
        let path = options.workloads.join("paper").join(format!("{name}.yaml"));
        let one = runs::load(&path, options.seeds, SEEDS)?;
        let elastic = one.first().systems.iter().any(|system| system.name == ELASTIC);
        let campaign = CAMPAIGNS.contains(name) && elastic;
        let narrow = campaign.then(|| runs::load_one_rank(&path, &one)).transpose()?;
        loaded.push((one, narrow));
    }
    (options.progress)(Some(loaded.len()));
    let mut ran = Vec::new();
    for (one, narrow) in &loaded {
        let mut done = Ran::new(one, &|| ())?;
        if let Some(narrow) = narrow {
            done.add(Ran::new(narrow, &|| ())?);
        }
        ran.push(done);
        (options.progress)(None);
    }
    let of = |names: &[&str]| -> Vec<&Ran> {
        names.iter().filter_map(|name| ran.iter().find(|ran| ran.name == *name)).collect()
    };
    let rows = claims.iter().flat_map(|claim| (claim.check)(claim.name, &of(claim.experiments)));
    let headline = claims.iter().any(|claim| claim.experiments == CAMPAIGNS);
    let campaigns = if headline { of(CAMPAIGNS) } else { Vec::new() };
    Ok(Reproduction {
        rows: rows.collect(),
        campaigns: campaigns.into_iter().flat_map(gains::campaign).collect(),
    })
}

/// The claims and the experiments that `names` ask for: a claim's name asks for it, an experiment's for every
/// claim that it bears on, looked for in the named experiments alone.
fn select(names: &[String]) -> Result<(Vec<&'static Claim>, Vec<&'static str>), InputError> {
    let mut all: Vec<&'static str> = Vec::new();
    for name in CLAIMS.iter().flat_map(|claim| claim.experiments) {
        if !all.contains(name) {
            all.push(name);
        }
    }
    let is_claim = |name: &str| CLAIMS.iter().any(|claim| claim.name == name);
    for name in names {
        if !is_claim(name) && !all.contains(&name.as_str()) {
            let known: Vec<&str> = CLAIMS.iter().map(|claim| claim.name).chain(all).collect();
            let message =
                format!("no claim or experiment is called so; there are {}", known.join(", "));
            return Err(InputError::new(name.as_str(), message));
        }
    }
    let asked = |name: &str| names.iter().any(|given| given == name);
    let claims: Vec<&'static Claim> = CLAIMS
        .iter()
        .filter(|claim| {
            names.is_empty()
                || asked(claim.name)
                || claim.experiments.iter().any(|name| asked(name))
        })
        .collect();
    let some = names.iter().any(|name| !is_claim(name));
    let needed = |name: &&'static str| {
        let of_asked = |claim: &&Claim| asked(claim.name) && claim.experiments.contains(name);
        let of_any = |claim: &&Claim| claim.experiments.contains(name);
        asked(name) || claims.iter().any(of_asked) || (!some && claims.iter().any(of_any))
    };
    all.retain(needed);
    Ok((claims, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(names: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (claims, experiments) = select(&names).unwrap();
        (claims.iter().map(|claim| claim.name).collect(), experiments)
    }

    #[test]
    fn a_name_selects_a_claim_with_its_experiments_or_an_experiment_with_its_claims() {
        assert_eq!(selected(&["closed-form"]), (vec!["closed-form"], vec!["batch-throughput"]));
        let headline = vec!["throughput", "latency", "violations", "degrees"];
        assert_eq!(selected(&["wan-h20-short"]), (headline, vec!["wan-h20-short"]));
        assert_eq!(selected(&[]).0.len(), CLAIMS.len());
    }

    #[test]
    fn an_unknown_name_is_refused_with_what_there_is() {
        let error = select(&["speed".to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("speed: no claim or experiment"), "{error}");
        assert!(error.contains("throughput") && error.contains("break-even"), "{error}");
    }

    #[test]
    fn a_verdict_follows_from_the_share_of_the_improvement() {
        assert_eq!(Verdict::of_share(1.0), Verdict::Reached);
        assert_eq!(Verdict::of_share(0.75), Verdict::Partly);
        assert_eq!(Verdict::of_share(0.2), Verdict::NotReached);
        assert_eq!(Verdict::of_share(f64::NAN), Verdict::NotReached);
    }
}
