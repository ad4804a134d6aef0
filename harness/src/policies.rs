//! The registry of policies as the command line and experiments see it.

use crate::experiment::{Elastic, ParamValue};
use crate::glossary::{Kind, Meaning};
use crate::input::suggestion;
use crate::quantity::Duration;
use flexdit_core::policy::{POLICIES, ParamInfo, ParamKind, Params, PolicyInfo, Value};

/// A key of an `elastic:` system that is wrong, with the reason and the nearest valid name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key within the map: `policy` or a parameter.
    pub key: String,
    /// What was expected and found.
    pub message: String,
    /// The nearest valid name.
    pub hint: Option<String>,
}

/// Finds the policy of `spec` and checks its parameters against their declarations.
///
/// # Errors
/// An unknown policy or parameter, a value of the wrong kind or outside its range.
pub fn resolve(spec: &Elastic) -> Result<(&'static PolicyInfo, Params), Refusal> {
    let Some(info) = POLICIES.iter().find(|info| info.name == spec.policy) else {
        let names: Vec<&str> = POLICIES.iter().map(|info| info.name).collect();
        let (message, hint) = suggestion("policy", &spec.policy, &names);
        return Err(Refusal { key: "policy".to_owned(), message, hint });
    };
    let mut params = Params::new();
    for (name, given) in &spec.params {
        let Some(declared) = info.params.iter().find(|param| param.name == name) else {
            let mut names: Vec<&str> = info.params.iter().map(|param| param.name).collect();
            names.extend(["credits", "admission", "retries", "degrees"]);
            let (message, hint) = suggestion("key", name, &names);
            return Err(Refusal { key: name.clone(), message, hint });
        };
        let value = value(given, &declared.kind).filter(|value| declared.kind.admits(*value));
        let value = value.ok_or_else(|| Refusal {
            key: name.clone(),
            message: format!("expected {}, got {given}", declared.kind),
            hint: None,
        })?;
        params = params.with(name, value);
    }
    let params = params.check(info.name, info.params).map_err(|error| Refusal {
        key: "policy".to_owned(),
        message: error.to_string(),
        hint: None,
    })?;
    Ok((info, params))
}

fn value(given: &ParamValue, kind: &ParamKind) -> Option<Value> {
    Some(match (kind, given) {
        (ParamKind::Integer { .. }, ParamValue::Int(value)) => {
            Value::Integer(u64::try_from(*value).ok()?)
        }
        (ParamKind::Flag { .. }, ParamValue::Bool(value)) => Value::Flag(*value),
        (ParamKind::Duration { .. }, ParamValue::Text(text)) => {
            Value::Duration(text.parse::<Duration>().ok()?.0)
        }
        (ParamKind::Duration { .. }, ParamValue::Int(0)) => Value::Duration(Default::default()),
        _ => return None,
    })
}

/// Every policy with its parameters, as `flexdit policies` prints it.
pub fn listing() -> String {
    POLICIES.iter().map(describe).collect::<Vec<_>>().join("\n")
}

/// One policy with its parameters.
pub fn describe(info: &PolicyInfo) -> String {
    let mut text = format!("{}\n  {}\n", info.name, info.doc);
    for param in info.params {
        text += &format!("    {}: {}\n", param.name, param_line(param));
    }
    text
}

fn param_line(param: &ParamInfo) -> String {
    let unit = match param.unit {
        "" => String::new(),
        unit => format!(" {unit}"),
    };
    let default = param.kind.default();
    format!("{} ({}{unit}; default {default})", param.doc, param.kind)
}

/// Every policy as an entry of the glossary.
pub fn meanings() -> Vec<Meaning> {
    let meaning = |info: &PolicyInfo| {
        let text = describe(info);
        let text = text.split_once('\n').map_or("", |(_, rest)| rest).trim();
        Meaning { name: info.name, kind: Kind::Policy, text: text.to_owned() }
    };
    POLICIES.iter().map(meaning).collect()
}
