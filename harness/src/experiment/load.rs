//! From a file to checked experiments: overrides first, then the sweep, then every check.

use super::{Experiment, validate};
use crate::input::{Document, InputError, Node, Place, Value};
use crate::record::SweepPoint;
use std::path::{Path, PathBuf};

/// Most points a sweep may have.
pub const MAX_POINTS: usize = 10_000;

/// An experiment file, read and checked, with one experiment for each point of its sweep.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file after the overrides: gives semantic errors their places.
    pub document: Document,
    /// The folder that paths in the file are relative to.
    pub folder: PathBuf,
    /// The points, in the order of the sweep's values, the last key varying fastest.
    pub points: Vec<Point>,
}

/// One point of a sweep.
#[derive(Clone, Debug)]
pub struct Point {
    /// The values of the swept keys; empty without a sweep.
    pub sweep: SweepPoint,
    /// The experiment at this point.
    pub experiment: Experiment,
}

impl Loaded {
    /// Reads an experiment and applies `key=value` overrides in order.
    ///
    /// # Errors
    /// The first thing that is wrong in the file, an override, or any point of the sweep.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, InputError> {
        let mut document = Document::read(path)?;
        for assignment in overrides {
            document.assign(assignment)?;
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::from_document(document, folder)
    }

    /// Checks a parsed document whose relative paths start at `folder`.
    ///
    /// # Errors
    /// As [`Loaded::read`].
    pub fn from_document(document: Document, folder: PathBuf) -> Result<Self, InputError> {
        let base: Experiment = document.get()?;
        let mut points = Vec::new();
        for sweep in combinations(&document)? {
            let mut at_point = document.clone();
            at_point.root.take("sweep");
            for (key, node) in &sweep {
                at_point
                    .root
                    .set(key, node.clone())
                    .map_err(|reason| document.error("sweep", format!("`{key}`: {reason}")))?;
            }
            let mut experiment: Experiment = at_point.get()?;
            validate::check(&experiment, &at_point)?;
            same_names(&base, &experiment, document.root.place("sweep"), &document)?;
            experiment.sweep = base.sweep.clone();
            let values = sweep.iter().map(|(key, node)| (key.clone(), node.inline())).collect();
            points.push(Point { sweep: SweepPoint(values), experiment });
        }
        Ok(Self { document, folder, points })
    }

    /// Whether the file, an override or the sweep gives a value at `key`, or at a key within it.
    pub fn gives(&self, point: usize, key: &str) -> bool {
        let within = |swept: &str| {
            swept.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let swept = &self.points[point].sweep.0;
        self.document.root.find(key).is_some() || swept.iter().any(|(swept, _)| within(swept))
    }

    /// The first point: all there is without a sweep.
    pub fn first(&self) -> &Experiment {
        &self.points[0].experiment
    }
}

/// Refuses a point whose systems or classes are called otherwise: tables and plots compare points by
/// name.
fn same_names(
    base: &Experiment,
    point: &Experiment,
    at: Place,
    document: &Document,
) -> Result<(), InputError> {
    let systems = |experiment: &Experiment| {
        experiment.systems.iter().map(|system| system.name.clone()).collect::<Vec<_>>()
    };
    let classes = |experiment: &Experiment| {
        let classes = experiment.workload.classes.iter().flat_map(|classes| classes.iter());
        classes.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    for (what, names) in
        [("systems", systems as fn(&Experiment) -> Vec<String>), ("classes", classes)]
    {
        if names(base) != names(point) {
            let message = format!("a sweep may not change which {what} there are");
            return Err(document.error_at(at, "sweep", message));
        }
    }
    Ok(())
}

/// Every combination of the swept values; one empty combination without a sweep.
fn combinations(document: &Document) -> Result<Vec<Vec<(String, Node)>>, InputError> {
    let mut all = vec![Vec::new()];
    let Some(Node { value: Value::Map(entries), .. }) = document.root.find("sweep") else {
        return Ok(all);
    };
    for entry in entries {
        let key = format!("sweep[{}]", entry.key);
        let Value::List(values) = &entry.node.value else { continue };
        if values.is_empty() {
            return Err(document.error_at(entry.at, &key, "expected at least one value, got none"));
        }
        if matches!(entry.key.split(['.', '[']).next(), Some("sweep" | "expect" | "seeds" | "name"))
        {
            let message = format!("`{}` cannot be swept", entry.key);
            return Err(document.error_at(entry.at, &key, message));
        }
        if all.len() * values.len() > MAX_POINTS {
            let message = format!("the sweep has more than {MAX_POINTS} points");
            return Err(document.error_at(entry.at, &key, message));
        }
        all = all
            .into_iter()
            .flat_map(|point: Vec<(String, Node)>| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((entry.key.clone(), value.clone()));
                    point
                })
            })
            .collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The experiment that every case below changes in one place.
    const BASE: &str = "\
name: test
cluster: {world: 4, gpu: h20}
model: qwen-image
profile: profile.yaml
workload: {arrivals: {phased: short}}
systems:
  - {name: base, fixed-pipeline: {degree: 4}}
  - {name: elastic, elastic: {policy: edf-best-fit, hopeless-last: true}}
";

    fn load(text: &str) -> Result<Loaded, InputError> {
        Loaded::from_document(Document::parse("a.yaml", text)?, PathBuf::new())
    }

    #[test]
    fn a_small_experiment_takes_the_stated_defaults() {
        let loaded = load(BASE).unwrap();
        let experiment = loaded.first();
        assert_eq!(experiment.seeds, [1, 2, 3]);
        assert_eq!(experiment.costs.launch.to_string(), "5us");
        assert_eq!(experiment.costs.control_plane.to_string(), "10us");
        assert_eq!(experiment.costs.migration.latency.to_string(), "100us");
        assert_eq!(
            serde_json::to_string(&experiment.costs.group_setup).unwrap(),
            r#"{"per_use":"60us"}"#
        );
        let kind = serde_json::to_string(&experiment.systems[1]).unwrap();
        assert_eq!(
            kind,
            r#"{"name":"elastic","elastic":{"policy":"edf-best-fit","hopeless-last":true}}"#
        );
    }

    #[test]
    fn a_sweep_runs_every_combination() {
        let sweep = "sweep:\n  costs.group_setup: [free, {fixed: 3ms}]\n  \
                     systems.base.fixed-pipeline.degree: [1, 2]\n";
        let loaded = load(&format!("{BASE}{sweep}")).unwrap();
        let points: Vec<String> = loaded
            .points
            .iter()
            .map(|p| {
                p.sweep.0.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(points, ["free 1", "free 2", "{fixed: 3ms} 1", "{fixed: 3ms} 2"]);
        assert_eq!(
            serde_json::to_string(&loaded.points[3].experiment.systems[0]).unwrap(),
            r#"{"name":"base","fixed-pipeline":{"degree":2,"routing":"least-work","replicated":false}}"#
        );
    }

    #[test]
    fn a_bad_value_of_a_sweep_is_refused_where_it_stands() {
        let error = load(&format!("{BASE}sweep: {{costs.launch: [5us, 6 parsec]}}\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("a.yaml:9:29: costs.launch: expected a duration"),
            "{error}"
        );
        let error = load(&format!("{BASE}sweep: {{systems.0.name: [base, other]}}\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.yaml:9:8: sweep: a sweep may not change which systems there are"
        );
        let error = load(&format!("{BASE}sweep: {{systems.other.lanes: [1]}}\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.yaml:9:8: sweep: `systems.other.lanes`: `systems` has no entry `other`"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_reading_panic(
            at in 0..BASE.len(),
            cut in 0..12_usize,
            put in "[-a-z0-9:{}\\[\\],&*!|>'\"%@#.\n ~\t\u{e9}]{0,12}",
        ) {
            let end = (at + cut).min(BASE.len());
            let text = format!("{}{put}{}", &BASE[..at], &BASE[end..]);
            if let Err(error) = load(&text) {
                let shown = error.to_string();
                proptest::prop_assert!(shown.starts_with("a.yaml:") && !shown.contains('\n'));
            }
        }

        #[test]
        fn no_check_makes_parsing_panic(text in "[-a-z0-9.()+*/<>= \"\u{e9}]{0,40}") {
            let _ = text.parse::<super::super::Expectation>();
        }
    }

    #[test]
    fn refusals_name_place_key_and_reason() {
        let cases = [
            ("world: 4", "world: 0", "a.yaml:2:18: cluster.world: expected 1 to 1024 ranks, got 0"),
            (
                "degree: 4",
                "degree: 8",
                "a.yaml:7:43: systems[0].fixed-pipeline.degree: degree 8 is above the world of 4 \
                 ranks",
            ),
            (
                "degree: 4",
                "degree: 3",
                "a.yaml:7:43: systems[0].fixed-pipeline.degree: degree 3 does not divide the world \
                 of 4 ranks: 1 would stay unused",
            ),
            (
                "name: elastic, ",
                "name: base, ",
                "a.yaml:8:12: systems[1].name: `base` is already the name of systems[0]",
            ),
            (
                "fixed-pipeline: {",
                "fixed_pipline: {",
                "a.yaml:7:18: systems[0]: unknown key `fixed_pipline`, expected",
            ),
            ("model: qwen-image\n", "", "a.yaml:1:1: missing key `model` (or `models`)"),
            (
                "name: test\n",
                "name: test\nseeds: []\n",
                "a.yaml:2:8: seeds: expected at least one seed, got none",
            ),
            (
                "name: test\n",
                "name: test\nexpect: [elastic.slo_atainment > 0]\n",
                "a.yaml:2:10: expect[0]: unknown metric `slo_atainment`",
            ),
            (
                "name: test\n",
                "name: test\ncosts: {jitter: {cv: -1}}\n",
                "a.yaml:2:22: costs.jitter.cv: expected above 0 and at most 1, got -1",
            ),
            (
                "name: test\n",
                "name: test\ncosts: {group_setup: {peruse: 3ms}}\n",
                "a.yaml:2:23: costs.group_setup: unknown value `peruse`, expected",
            ),
        ];
        for (from, to, message) in cases {
            let text = BASE.replacen(from, to, 1);
            let error = load(&text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}\n{message}");
        }
    }
}
