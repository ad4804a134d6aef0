//! From profile files to cost tables, refusing what makes no sense at the place where it stands.

use super::gf_dit::import_gf_dit;
use super::spec::{EntrySpec, ProfileFile, QuadraticSpec};
use crate::experiment::ProfileRef;
use crate::input::{Document, InputError, suggestion};
use flexdit_core::Parallelism;
use flexdit_core::cost::{CostBook, CostEntry, CostStage, CostTable, Curve, Quadratic};
use flexdit_core::model::{self, GpuSpec, ModelSpec};
use std::path::Path;

/// Reads a profile file.
///
/// # Errors
/// The file cannot be read, is no profile, or says something impossible.
pub fn load(path: &Path) -> Result<CostTable, InputError> {
    table(&Document::read(path)?)
}

/// Reads a profile from text; `file` is the name that errors carry.
///
/// ```
/// let text = "{model: qwen-image, gpu: h20, label: measured, source: me,
///              entries: [{stage: step, samples: [[1024, 155]]}]}";
/// let table = flexdit::profile::parse("p.yaml", text).unwrap();
/// assert_eq!(table.entries().count(), 1);
/// ```
///
/// # Errors
/// It is no profile or says something impossible.
pub fn parse(file: &str, text: &str) -> Result<CostTable, InputError> {
    table(&Document::parse(file, text)?)
}

/// The tables of an experiment's models, in their order, from its profiles (paths relative to
/// `base`). Several profiles of one model are joined; of equal entries the last counts.
///
/// # Errors
/// A profile cannot be read, is for another GPU or model, differs in mode from another one of its
/// model, or a model has none.
pub fn load_book(
    profiles: &[ProfileRef],
    models: &[&'static ModelSpec],
    gpu: &'static GpuSpec,
    base: &Path,
) -> Result<CostBook, InputError> {
    let mut tables: Vec<Option<CostTable>> = vec![None; models.len()];
    for profile in profiles {
        let path = base.join(profile.path());
        let file = path.display().to_string();
        let table = match (profile, models) {
            (ProfileRef::File(_), _) => load(&path)?,
            (ProfileRef::Import { .. }, &[only]) => import_gf_dit(&path, only, gpu)?,
            (ProfileRef::Import { .. }, _) => {
                let message =
                    "an imported cost model names no model: the experiment needs one model";
                return Err(InputError::new(file, message));
            }
        };
        if table.gpu.name != gpu.name {
            let message = format!(
                "a profile for {}, but the experiment's cluster has {}",
                table.gpu.name, gpu.name
            );
            return Err(InputError::new(file, message).key("gpu"));
        }
        let Some(place) = models.iter().position(|model| model.name == table.model.name) else {
            let names: Vec<&str> = models.iter().map(|model| model.name).collect();
            let message = format!(
                "a profile for {}, but the experiment serves {}",
                table.model.name,
                names.join(", ")
            );
            return Err(InputError::new(file, message).key("model"));
        };
        match &mut tables[place] {
            Some(known) if known.mode != table.mode => {
                let message = format!(
                    "this profile is {}, another one of {} is {}",
                    table.mode, table.model.name, known.mode
                );
                return Err(InputError::new(file, message).key("mode"));
            }
            Some(known) => known.extend(table),
            empty => *empty = Some(table),
        }
    }
    let found = tables.into_iter().zip(models).map(|(table, model)| {
        let message = || format!("no profile for {}", model.name);
        table.ok_or_else(|| InputError::new(base.display().to_string(), message()).key("profile"))
    });
    Ok(CostBook::new(found.collect::<Result<_, _>>()?))
}

fn table(document: &Document) -> Result<CostTable, InputError> {
    let file: ProfileFile = document.get()?;
    let unknown = |key: &str, name: &str, names: &[&str]| {
        let (message, hint) = suggestion(key, name, names);
        InputError { hint, ..document.error(key, message) }
    };
    let model = model::model(&file.model).ok_or_else(|| {
        let names: Vec<&str> = model::MODELS.iter().map(|spec| spec.name).collect();
        unknown("model", &file.model, &names)
    })?;
    let gpu = model::gpu(&file.gpu).ok_or_else(|| {
        let names: Vec<&str> = model::GPUS.iter().map(|spec| spec.name).collect();
        unknown("gpu", &file.gpu, &names)
    })?;
    let mut table = CostTable::new(model, gpu, file.mode.value());
    for (i, spec) in file.entries.iter().enumerate() {
        let refuse = |(key, message): (&str, String)| {
            let dot = if key.is_empty() { "" } else { "." };
            document.error(&format!("entries[{i}]{dot}{key}"), message)
        };
        let stage = spec.stage.value();
        let layout = layout(spec, stage, model).map_err(refuse)?;
        let curve = curve(spec, file.unit.value()).map_err(refuse)?;
        let missing = |what| ("", format!("neither the entry nor the file has a `{what}`"));
        let label = spec.label.or(file.label).ok_or_else(|| refuse(missing("label")))?;
        let source = spec.source.clone().or_else(|| file.source.clone());
        let source = source.ok_or_else(|| refuse(missing("source")))?;
        let entry = CostEntry { curve, provenance: label.value(), source };
        if table.insert(stage, layout, entry).is_some() {
            let message = format!("{} at layout {layout} stands twice", stage.name());
            return Err(refuse(("", message)));
        }
    }
    Ok(table)
}

type Refusal = (&'static str, String);

/// The layout of an entry.
fn layout(spec: &EntrySpec, stage: CostStage, model: &ModelSpec) -> Result<Parallelism, Refusal> {
    let layout =
        Parallelism { ulysses: spec.degree, ring: spec.ring, cfg: spec.cfg, patch: spec.patch };
    for (key, degree) in
        [("degree", spec.degree), ("ring", spec.ring), ("cfg", spec.cfg), ("patch", spec.patch)]
    {
        if degree == 0 {
            return Err((key, "expected a degree of at least 1, got 0".to_owned()));
        }
    }
    if !model.heads.is_multiple_of(u32::from(spec.degree)) {
        let message = format!(
            "ulysses degree {} does not divide the {} heads of {}",
            spec.degree, model.heads, model.name
        );
        return Err(("degree", message));
    }
    if spec.cfg > 2 {
        return Err(("cfg", format!("expected a CFG degree of 1 or 2, got {}", spec.cfg)));
    }
    let step = matches!(stage, CostStage::Step { .. });
    let allowed = [
        ("degree", spec.degree, step),
        ("ring", spec.ring, step),
        ("cfg", spec.cfg, stage == CostStage::Step { guidance: true }),
        ("patch", spec.patch, stage == CostStage::VaeDecode),
    ];
    match allowed.into_iter().find(|(_, degree, allowed)| *degree > 1 && !allowed) {
        Some((key, ..)) => Err((key, format!("{} is not split this way", stage.name()))),
        None => Ok(layout),
    }
}

/// The curve of an entry, in milliseconds.
fn curve(spec: &EntrySpec, unit: f64) -> Result<Curve, Refusal> {
    let quadratic = spec.quadratic.as_ref().map(|q| fit(q, unit)).transpose()?;
    let curve = match (&spec.samples, quadratic, spec.constant) {
        (Some(samples), fit, None) => {
            let curve = samples_curve(spec, samples, unit)?;
            match fit {
                Some((_, Some(_))) => {
                    let message = "samples give the range already";
                    return Err(("quadratic", message.to_owned()));
                }
                Some((fit, None)) => curve.with_fit(fit),
                None => curve,
            }
        }
        (None, Some((fit, range)), None) => Curve::quadratic(fit, range),
        (None, None, Some(constant)) if constant >= 0.0 => Curve::constant(constant * unit),
        (None, None, Some(constant)) => {
            return Err(("constant", format!("expected a time of at least 0, got {constant}")));
        }
        _ => {
            let message = "expected one of `samples`, `quadratic` and `constant`, \
                           or samples with a quadratic";
            return Err(("", message.to_owned()));
        }
    };
    if spec.steps_per_sample.is_some() && spec.samples.is_none() {
        return Err(("steps_per_sample", "there are no samples to divide".to_owned()));
    }
    Ok(curve)
}

fn samples_curve(spec: &EntrySpec, samples: &[(f64, f64)], unit: f64) -> Result<Curve, Refusal> {
    let steps = spec.steps_per_sample.unwrap_or(1);
    if steps == 0 {
        return Err(("steps_per_sample", "expected at least 1, got 0".to_owned()));
    }
    if samples.is_empty() {
        return Err(("samples", "expected at least one pair of size and time".to_owned()));
    }
    for (i, &(size, time)) in samples.iter().enumerate() {
        if size < 0.0 || time <= 0.0 {
            let message = format!("expected a size and a time above 0, got [{size}, {time}]");
            return Err(("samples", message));
        }
        if samples[..i].iter().any(|earlier| earlier.0 == size) {
            return Err(("samples", format!("the size {size} stands twice")));
        }
    }
    let per_step = |&(size, time): &(f64, f64)| (size, time * unit / f64::from(steps));
    Ok(Curve::samples(samples.iter().map(per_step).collect()))
}

type Ranged = (Quadratic, Option<(f64, f64)>);

fn fit(spec: &QuadraticSpec, unit: f64) -> Result<Ranged, Refusal> {
    let quadratic = Quadratic { a: spec.a, b: spec.b, c: spec.c }.scaled(unit);
    let range = match (spec.from, spec.to) {
        (None, None) => None,
        (from, to) => Some((from.unwrap_or(0.0), to.unwrap_or(f64::INFINITY))),
    };
    match range {
        Some((from, to)) if from > to => {
            Err(("quadratic", format!("expected `from` up to `to`, got {from} and {to}")))
        }
        _ => Ok((quadratic, range)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(entry: &str) -> String {
        let text = format!(
            "model: qwen-image\ngpu: h20\nlabel: published\nsource: x\nentries:\n  - {entry}\n"
        );
        parse("p.yaml", &text).unwrap_err().to_string()
    }

    #[test]
    fn impossible_entries_are_refused_where_they_stand() {
        assert_eq!(
            refusal("{stage: step, degree: 5, constant: 1}"),
            "p.yaml:6:27: entries[0].degree: ulysses degree 5 does not divide the 24 heads of \
             qwen-image"
        );
        assert_eq!(
            refusal("{stage: vae-decode, degree: 2, constant: 1}"),
            "p.yaml:6:33: entries[0].degree: vae-decode is not split this way"
        );
        assert_eq!(
            refusal("{stage: step, samples: [[1024, -1]]}"),
            "p.yaml:6:28: entries[0].samples: expected a size and a time above 0, got [1024, -1]"
        );
        assert_eq!(
            refusal("{stage: step}"),
            "p.yaml:6:5: entries[0]: expected one of `samples`, `quadratic` and `constant`, or \
             samples with a quadratic"
        );
        assert_eq!(
            refusal("{stage: stepp, constant: 1}"),
            "p.yaml:6:13: entries[0].stage: unknown value `stepp`, expected `text-encode`, \
             `dit-prepare`, `timestep-prepare`, `step`, `guided-step`, `vae-decode` or `finalize`; \
             did you mean `step`?"
        );
        assert_eq!(
            refusal("{stage: step, samples: [[1024, .nan]]}"),
            "p.yaml:6:36: entries[0].samples[0][1]: expected a finite number, got NaN"
        );
    }

    #[test]
    fn unknown_models_have_a_suggestion_and_doubles_are_refused() {
        let error = parse("p.yaml", "{model: qwen-imag, gpu: h20, entries: []}").unwrap_err();
        assert_eq!((error.line, error.hint.as_deref()), (1, Some("qwen-image")));
        let double = "{stage: finalize, constant: 1}\n  - {stage: finalize, constant: 2}";
        assert!(refusal(double).ends_with("entries[1]: finalize at layout 1 stands twice"));
        let text = "{model: qwen-image, gpu: h20, entries: [{stage: finalize, constant: 1}]}";
        let error = parse("p.yaml", text).unwrap_err();
        assert!(error.to_string().ends_with("neither the entry nor the file has a `label`"));
    }

    #[test]
    fn units_and_totals_are_converted() {
        let text = "{model: flux.1-dev, gpu: h100, unit: s, label: published, source: x,
             entries: [{stage: step, samples: [[4096, 6.72]], steps_per_sample: 28}]}";
        let table = parse("p.yaml", text).expect("profile");
        let entry = table.get(CostStage::Step { guidance: false }, Parallelism::SINGLE);
        let points = entry.expect("priced").curve.points();
        assert!((points[0].1 - 240.0).abs() < 1e-9);
    }
}
