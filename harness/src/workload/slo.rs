//! Deadlines: from each class's base to the time between arrival and deadline.

use super::classes::{ClassInfo, index_of};
use super::spec::{AlphaSlo, EstimateSlo, SloSpec, TableSlo, not_negative, positive};
use super::{Context, Named};
use crate::input::InputError;
use flexdit_core::Nanos;

/// Sets every class's budget by the workload's SLO base; without one, alpha x T_single.
///
/// # Errors
/// A class has no T_single where one is needed, a table misses a class, or a number is out of
/// range.
pub(super) fn assign(
    slo: Option<&SloSpec>,
    classes: &mut [ClassInfo],
    context: &Context<'_>,
) -> Result<(), InputError> {
    match slo {
        Some(SloSpec::None) => Ok(()),
        None => alpha(&AlphaSlo::default(), classes, context),
        Some(SloSpec::Alpha(base)) => alpha(base, classes, context),
        Some(SloSpec::Table(base)) => table(base, classes, context),
        Some(SloSpec::Estimate(base)) => estimate(base, classes, context),
    }
}

fn alpha(
    base: &AlphaSlo,
    classes: &mut [ClassInfo],
    context: &Context<'_>,
) -> Result<(), InputError> {
    for (name, &alpha) in base.alpha.iter().flat_map(Named::iter) {
        let key = format!("slo.alpha.alpha.{name}");
        positive(alpha).map_err(|message| context.error(&key, message))?;
        let class = index_of(name, classes, &key, context)?;
        classes[class].alpha = alpha;
    }
    let client = base.client.map_or(Nanos::ZERO, |client| client.0);
    for class in classes {
        let alone = priced(class, context)?;
        class.budget = Some(alone.scale(class.alpha).saturating_add(client));
    }
    Ok(())
}

fn table(
    base: &TableSlo,
    classes: &mut [ClassInfo],
    context: &Context<'_>,
) -> Result<(), InputError> {
    positive(base.scale).map_err(|message| context.error("slo.table.scale", message))?;
    for (name, _) in base.latency.iter() {
        index_of(name, classes, &format!("slo.table.latency.{name}"), context)?;
    }
    for class in classes {
        let target = base.latency.get(&class.name).ok_or_else(|| {
            let message = format!("expected a target for class `{}`", class.name);
            context.error("slo.table.latency", message)
        })?;
        class.budget = Some(target.0.scale(base.scale));
    }
    Ok(())
}

fn estimate(
    base: &EstimateSlo,
    classes: &mut [ClassInfo],
    context: &Context<'_>,
) -> Result<(), InputError> {
    positive(base.factor).map_err(|message| context.error("slo.estimate.factor", message))?;
    let volume = |class: &ClassInfo| {
        let shape = &class.shape;
        [shape.height, shape.width, shape.frames, shape.steps].map(f64::from).iter().product()
    };
    let reference: Option<(f64, f64)> = match &base.reference {
        None => None,
        Some(name) => {
            let index = index_of(name, classes, "slo.estimate.reference", context)?;
            Some((priced(&classes[index], context)?.0 as f64, volume(&classes[index])))
        }
    };
    for class in classes {
        let expected = match reference {
            None => priced(class, context)?.0 as f64,
            Some((time, pixels)) => time * (volume(class) / pixels),
        };
        class.budget = Some(Nanos::from_f64(expected * base.factor));
    }
    Ok(())
}

fn priced(class: &ClassInfo, context: &Context<'_>) -> Result<Nanos, InputError> {
    class.t_single.ok_or_else(|| {
        let model = context.models[class.shape.model.index()].name;
        let message = format!(
            "the profile has no price for {model} at {}x{}, {} frames, on one rank, \
             which the deadline needs",
            class.shape.width, class.shape.height, class.shape.frames
        );
        context.error(&format!("classes.{}", class.name), message)
    })
}

/// The budget that a trace's SLO of `ms` milliseconds gives.
///
/// # Errors
/// Not a finite number of at least 0.
pub(super) fn of_millis(ms: f64) -> Result<Nanos, String> {
    not_negative(ms).map(|()| Nanos::from_millis_f64(ms))
}
