//! Turns serde's terse messages into "expected .., got .." and finds the nearest valid name.

/// The candidate nearest to `name`, if it is near enough to be a likely slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    let limit = (name.chars().count() / 3).max(2);
    let lower = name.to_lowercase().replace('_', "-");
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let plain = candidate.to_lowercase().replace('_', "-");
        let extended = lower.len() >= 4 && plain.starts_with(&lower)
            || plain.len() >= 4 && lower.starts_with(&plain);
        let distance = match strsim::osa_distance(&lower, &plain) {
            _ if extended => 1,
            distance if distance <= limit && distance < plain.chars().count() => distance,
            _ => continue,
        };
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Longest list of valid names that a message spells out.
const LISTED: usize = 16;

/// "unknown `kind` `name`, expected a, b or c" with the nearest candidate as the hint; a long list
/// of candidates is left out.
pub fn suggestion(kind: &str, name: &str, candidates: &[&str]) -> (String, Option<String>) {
    let hint = nearest(name, candidates.iter().copied()).map(str::to_owned);
    let name = shorten(name);
    let listed: Vec<String> = candidates.iter().map(|c| format!("`{c}`")).collect();
    let message = match listed.as_slice() {
        many if many.len() > LISTED => format!("unknown {kind} `{name}`"),
        [] => format!("unknown {kind} `{name}`, none is allowed here"),
        [only] => format!("unknown {kind} `{name}`, expected {only}"),
        [init @ .., last] => {
            format!("unknown {kind} `{name}`, expected {} or {last}", init.join(", "))
        }
    };
    (message, hint)
}

/// One of serde's standard messages in this program's words, with the nearest valid name if it is
/// about a name. Other messages pass unchanged.
pub(crate) fn reword(message: &str) -> (String, Option<String>) {
    for (prefix, kind) in [("unknown field ", "key"), ("unknown variant ", "value")] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let mut names = rest.split('`').skip(1).step_by(2);
            let name = names.next().unwrap_or_default();
            let candidates: Vec<&str> = names.collect();
            return suggestion(kind, name, &candidates);
        }
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return (format!("missing key {rest}"), None);
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        let Some(rest) = message.strip_prefix(prefix) else { continue };
        if let Some((got, expected)) = rest.rsplit_once(", expected ") {
            return (format!("expected {}, got {}", expectation(expected), finding(got)), None);
        }
    }
    (message.to_owned(), None)
}

fn expectation(expected: &str) -> String {
    let whole = |low: &str, high: &str| format!("a whole number from {low} to {high}");
    match expected {
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" => whole("0", "4294967295"),
        "u64" | "usize" => "a whole number of at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "string" | "a borrowed string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit" => "nothing".to_owned(),
        "option" => "a value".to_owned(),
        "map" | "a map" => "a map".to_owned(),
        _ if expected.starts_with("struct ") => "a map of keys".to_owned(),
        _ if expected.starts_with("enum ") => "a name, or a map with one key".to_owned(),
        other => other.to_owned(),
    }
}

fn finding(got: &str) -> String {
    for prefix in ["string ", "integer ", "floating point ", "boolean ", "character "] {
        if let Some(rest) = got.strip_prefix(prefix) {
            return shorten(rest.trim_matches('`'));
        }
    }
    match got {
        "sequence" => "a list".to_owned(),
        "map" => "a map".to_owned(),
        "unit value" | "null" | "Option value" => "nothing".to_owned(),
        "newtype variant" | "struct variant" | "tuple variant" => "a map".to_owned(),
        "unit variant" => "a bare name".to_owned(),
        other => other.to_owned(),
    }
}

/// At most 60 characters, so that an error stays one readable line.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("..\"".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_refuses_strangers() {
        let keys = ["world", "gpu", "ranks_per_node", "memory"];
        assert_eq!(nearest("wrld", keys), Some("world"));
        assert_eq!(nearest("ranks-per-node", keys), Some("ranks_per_node"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("xy", keys), None);
        assert_eq!(nearest("a100", ["a100-80", "h100"]), Some("a100-80"));
    }

    #[test]
    fn serde_messages_become_expected_got() {
        let cases = [
            ("invalid type: string \"x\", expected f64", "expected a number, got \"x\""),
            ("invalid type: sequence, expected a string", "expected text, got a list"),
            ("missing field `world`", "missing key `world`"),
            ("something else", "something else"),
        ];
        for (from, to) in cases {
            assert_eq!(reword(from).0, to);
        }
    }
}
