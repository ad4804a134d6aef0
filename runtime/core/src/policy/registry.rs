//! The table of policies. Help text and documentation are made from it; adding a policy is one file
//! and one line here.

use super::params::{ParamError, ParamInfo, Params};
use super::{edf_best_fit, edf_greedy, fallback, lanes, load_adaptive};
use crate::scheduler::Policy;
use alloc::boxed::Box;

/// Makes a policy for a world of so many ranks out of checked parameters.
pub type Build = fn(&Params, u16) -> Result<Box<dyn Policy>, ParamError>;

/// One registered policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInfo {
    /// Its name in experiments.
    pub name: &'static str,
    /// One line on what it does.
    pub doc: &'static str,
    /// The parameters it declares.
    pub params: &'static [ParamInfo],
    /// Builds it for a world from checked parameters; [`build`] is the safe way in.
    pub build: Build,
}

/// Every policy, in the order of help texts.
pub const POLICIES: &[PolicyInfo] = &[
    lanes::FCFS,
    lanes::SJF,
    lanes::SRTF,
    edf_greedy::INFO,
    edf_best_fit::INFO,
    load_adaptive::INFO,
    fallback::INFO,
];

/// The policy named `name`.
pub fn find(name: &str) -> Option<&'static PolicyInfo> {
    POLICIES.iter().find(|info| info.name == name)
}

/// Builds the policy `name` for a world of `world` ranks.
///
/// ```
/// use flexdit_core::policy::{Params, Value, registry};
/// let params = Params::new().with("hopeless-last", Value::Flag(true));
/// assert!(registry::build("edf-best-fit", &params, 8).is_ok());
/// let error = registry::build("edf-greedy", &params, 8).err().unwrap();
/// assert_eq!(error.to_string(), "policy `edf-greedy` has no parameter `hopeless-last`");
/// ```
///
/// # Errors
/// An unknown policy or parameter, a value that its parameter does not take, a degree that does not
/// divide the world.
pub fn build(name: &str, params: &Params, world: u16) -> Result<Box<dyn Policy>, ParamError> {
    let info = find(name).ok_or_else(|| ParamError::UnknownPolicy(name.into()))?;
    (info.build)(&params.check(info.name, info.params)?, world)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Value;
    use alloc::string::ToString;

    #[test]
    fn names_are_distinct_and_every_default_is_admitted() {
        for (i, info) in POLICIES.iter().enumerate() {
            assert!(POLICIES[..i].iter().all(|other| other.name != info.name));
            assert!(info.params.iter().all(|p| p.kind.admits(p.kind.default())), "{}", info.name);
            assert!(build(info.name, &Params::new(), 8).is_ok(), "{}", info.name);
        }
    }

    #[test]
    fn bad_parameters_are_refused_with_what_was_expected() {
        let error = |name: &str, params: Params, world| {
            build(name, &params, world).err().expect("refused").to_string()
        };
        let degree = |degree| Params::new().with("degree", Value::Integer(degree));
        insta::assert_snapshot!(error("srft", Params::new(), 4), @"no policy is named `srft`");
        insta::assert_snapshot!(error("srtf", degree(0), 4), @"parameter `degree` of policy `srtf` is 0, expected an integer from 1 to 64");
        insta::assert_snapshot!(error("srtf", degree(3), 4), @"degree 3 does not divide the world of 4 ranks");
        insta::assert_snapshot!(
            error("srtf", Params::new().with("degree", Value::Flag(true)), 4),
            @"parameter `degree` of policy `srtf` is true, expected an integer from 1 to 64"
        );
    }
}
