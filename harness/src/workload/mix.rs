//! How requests spread over the classes.

use super::Context;
use super::classes::{ClassInfo, index_of};
use super::named::Named;
use super::phases::MIX_CLASSES;
use super::spec::{MixSpec, not_negative};
use crate::input::InputError;

/// What decides a request's class.
#[derive(Clone, Debug, PartialEq)]
pub enum Mix {
    /// The named profile's own mix in each phase.
    Phases,
    /// The same weights all the time, by class; they sum to 1.
    Fixed(Vec<f64>),
}

impl Mix {
    /// The fixed weights.
    ///
    /// # Errors
    /// The mix is the profile's and there is no profile.
    pub(super) fn fixed(&self, context: &Context<'_>) -> Result<&[f64], InputError> {
        match self {
            Self::Fixed(weights) => Ok(weights),
            Self::Phases => {
                let message = "`phases` needs `arrivals: {phased: ..}` with a named profile";
                Err(context.error("mix", message))
            }
        }
    }
}

/// Decides the mix: as written, else the classes' shares, else the profile's, else uniform.
///
/// # Errors
/// Some classes have a share and some have none, or all shares are 0.
pub(super) fn resolve(
    mix: Option<&MixSpec>,
    classes: &[ClassInfo],
    profiled: bool,
    context: &Context<'_>,
) -> Result<Mix, InputError> {
    let shared = classes.iter().filter(|class| class.share.is_some()).count();
    let known = classes.iter().all(|class| MIX_CLASSES.contains(&class.name.as_str()));
    let mix = match mix {
        Some(mix) => mix,
        None if shared > 0 => &MixSpec::Shares,
        None if profiled && known => &MixSpec::Phases,
        None => &MixSpec::Uniform,
    };
    let weights = match mix {
        MixSpec::Phases => return Ok(Mix::Phases),
        MixSpec::Uniform => vec![1.0; classes.len()],
        MixSpec::Skewed => skewed(classes),
        MixSpec::Shares => {
            if let Some(class) = classes.iter().find(|class| class.share.is_none()) {
                let message = "missing key `share`: give it for all classes or for none";
                return Err(context.error(&format!("classes.{}", class.name), message));
            }
            classes.iter().map(|class| class.share.unwrap_or(0.0)).collect()
        }
    };
    normalised(weights)
        .map(Mix::Fixed)
        .ok_or_else(|| context.error("classes", "empty mix: all shares are 0"))
}

/// Weights in proportion to exp(tokens / most tokens).
///
/// # Source
/// TetriServe (arXiv 2510.01565), the skewed workload.
fn skewed(classes: &[ClassInfo]) -> Vec<f64> {
    let most = classes.iter().map(|class| class.tokens).max().unwrap_or(1) as f64;
    classes.iter().map(|class| libm::exp(class.tokens as f64 / most)).collect()
}

/// A phase's written mix as weights by class.
///
/// # Errors
/// An unknown class, a share that is negative or not finite, or no share above 0.
pub(super) fn of_phase(
    mix: &Named<f64>,
    classes: &[ClassInfo],
    key: &str,
    context: &Context<'_>,
) -> Result<Vec<f64>, InputError> {
    let mut weights = vec![0.0; classes.len()];
    for (name, &share) in mix.iter() {
        let key = format!("{key}.{name}");
        not_negative(share).map_err(|message| context.error(&key, message))?;
        weights[index_of(name, classes, &key, context)?] = share;
    }
    normalised(weights).ok_or_else(|| context.error(key, "empty mix: expected a share above 0"))
}

fn normalised(mut weights: Vec<f64>) -> Option<Vec<f64>> {
    let sum: f64 = weights.iter().sum();
    if sum.is_finite() && sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
        return Some(weights);
    }
    None
}
