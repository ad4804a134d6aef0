//! The repository's rules that no compiler checks: sizes, words, imports, licences.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MOST_LINES: usize = 700;
const MOST_COLUMNS: usize = 100;
const MOST_FUNCTION_LINES: usize = 70;

/// Files with a function that is one long table.
const LONG_TABLES: [&str; 2] = ["harness/src/publish/notes.rs", "harness/src/report/sample.rs"];

/// Words that no Rust file may have, in two parts so that this file has none of them.
const BANNED_WORDS: [(&str, &str); 8] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("todo", "!("),
    ("unimpl", "emented!("),
    ("db", "g!("),
    ("#[ig", "nore"),
    ("thread::sl", "eep"),
    ("XX", "X"),
];

/// Folders of somebody's machine.
const MACHINE_PATHS: [(&str, &str); 3] = [("/ho", "me/"), ("/wo", "rk/"), ("/Us", "ers/")];

/// Who may import whom; everything else is refused.
const ARROWS: [(&str, &[&str]); 7] = [
    ("flexdit-core", &[]),
    ("flexdit-comm", &["flexdit-core"]),
    ("flexdit-kernels", &[]),
    ("flexdit-sim", &["flexdit-core"]),
    ("flexdit-ranks", &["flexdit-core", "flexdit-comm", "flexdit-kernels"]),
    ("flexdit-baselines", &["flexdit-core", "flexdit-comm", "flexdit-kernels"]),
    (
        "flexdit",
        &[
            "flexdit-core",
            "flexdit-comm",
            "flexdit-kernels",
            "flexdit-sim",
            "flexdit-ranks",
            "flexdit-baselines",
        ],
    ),
];

/// Files of the repository with one of these extensions, as (path in the repository, text).
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(Path::new(ROOT), &mut found);
    found.sort();
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted))
    };
    found
        .into_iter()
        .filter(wanted)
        .map(|path| {
            let text = fs::read_to_string(&path).expect("UTF-8 text");
            let name = path.strip_prefix(ROOT).expect("inside").to_string_lossy().into_owned();
            (name, text)
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
        if path.is_dir() && !hidden && name != "target" && name != "results" {
            walk(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} breaches:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rust_files_are_short_narrow_and_say_what_they_own() {
    let mut wrong = Vec::new();
    for (name, text) in files(&["rs"]) {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{name}: {lines} lines, at most {MOST_LINES}"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: does not begin with `//!`"));
        }
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            // Text cannot always be broken; rustfmt leaves it as it is.
            if columns > MOST_COLUMNS && !line.contains('"') && !is_prose(line) {
                wrong.push(format!("{name}:{}: {columns} columns", at + 1));
            }
        }
        if !LONG_TABLES.contains(&&*name) {
            wrong.extend(long_functions(&name, &text));
        }
    }
    report(&wrong);
}

/// A comment, or a line of a text that goes over several lines.
fn is_prose(line: &str) -> bool {
    let line = line.trim_start();
    let code = ["let ", "if ", "fn ", "pub ", "match ", "return ", "."];
    let starts = |word: &str| line.starts_with(word);
    line.starts_with("//")
        || !code.iter().any(|word| starts(word)) && !line.ends_with([';', '{', ','])
}

/// Functions by indentation, which rustfmt guarantees.
fn long_functions(name: &str, text: &str) -> Vec<String> {
    let mut open: Vec<(usize, usize, &str)> = Vec::new();
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let plain = ["pub ", "pub(super) ", "pub(crate) ", "const ", "async "]
            .iter()
            .fold(body, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        if plain.starts_with("fn ") && !body.ends_with(';') && !body.ends_with('}') {
            open.push((indent, at, body));
        } else if body == "}" && open.last().is_some_and(|(begun, ..)| *begun == indent) {
            let (_, begun, head) = open.pop().expect("just seen");
            let lines = at - begun + 1;
            if lines > MOST_FUNCTION_LINES {
                wrong.push(format!("{name}:{}: {lines} lines: {head}", begun + 1));
            }
        }
    }
    wrong
}

#[test]
fn nothing_is_left_undone_and_no_path_is_of_one_machine() {
    let mut wrong = Vec::new();
    for (name, text) in files(&["rs", "md", "yaml", "yml", "toml", "csv", "jsonl", "html"]) {
        let banned = if name.ends_with(".rs") { &BANNED_WORDS[..] } else { &[] };
        for (left, right) in banned.iter().chain(&MACHINE_PATHS) {
            let word = format!("{left}{right}");
            if let Some(at) = text.lines().position(|line| line.contains(&word)) {
                wrong.push(format!("{name}:{}: has `{word}`", at + 1));
            }
        }
    }
    report(&wrong);
}

#[test]
fn every_workload_names_its_schema_for_editors() {
    let mut wrong = Vec::new();
    for (name, text) in files(&["yaml"]) {
        // Configurations of models have no schema: the kernels' own reader names what is wrong.
        let is_workload = name.starts_with("workloads/") && !name.starts_with("workloads/models/");
        if is_workload && !text.starts_with("# yaml-language-server: $schema=") {
            wrong.push(format!("{name}: the first line does not name its schema"));
        }
    }
    report(&wrong);
}

#[test]
fn every_integration_test_is_listed() {
    let manifest = fs::read_to_string(format!("{ROOT}/harness/Cargo.toml")).expect("a manifest");
    let mut wrong = Vec::new();
    for (name, _) in files(&["rs"]) {
        let file = name.strip_prefix("tests/").filter(|file| !file.contains('/'));
        let listed = |file: &str| manifest.contains(&format!("path = \"../tests/{file}\""));
        if file.is_some_and(|file| !listed(file)) {
            wrong.push(format!("{name}: no [[test]] of harness/Cargo.toml has it"));
        }
    }
    report(&wrong);
}

/// What a sub-command of cargo prints, if it works without a network.
fn cargo(args: &[&str]) -> Option<String> {
    let mut cargo = Command::new(env!("CARGO"));
    let plain = ["--color", "never", "--locked", "--offline"];
    let output = cargo.current_dir(ROOT).args(args).args(plain).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&text.expect("a workspace")).expect("JSON");
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            wrong.push(format!("{name}: not in the table of imports"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("a name");
            if to.starts_with("flexdit") && !allowed.contains(&to) {
                wrong.push(format!("{name} imports {to}"));
            }
        }
    }
    report(&wrong);
}

/// Quoted words of deny.toml between `begin` and the closing bracket.
fn deny_list(begin: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("{ROOT}/deny.toml")).expect("deny.toml");
    let (_, list) = text.split_once(begin).expect("the list");
    let lines = list.lines().take_while(|line| *line != "]");
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

#[test]
fn licences_are_allowed_and_no_banned_crate_is_used() {
    let arguments = ["tree", "--workspace", "--prefix", "none", "--format", "{p}|{l}"];
    let Some(tree) = cargo(&arguments) else {
        eprintln!("SKIPPED: cargo tree does not work offline here; licences are not checked");
        return;
    };
    let (allowed, banned) = (deny_list("\nallow = ["), deny_list("\ndeny = ["));
    assert!(allowed.contains("MIT") && banned.contains("bincode"), "deny.toml is understood");
    let lines: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 20, "{tree}");
    let mut wrong = Vec::new();
    for line in lines {
        let (package, licence) = line.split_once('|').expect("as the format says");
        let name = package.split(' ').next().unwrap_or_default();
        if banned.contains(name) {
            wrong.push(format!("{package} is banned"));
        }
        let licence = licence.trim_end_matches("(*)").trim();
        if !is_allowed(&licence.replace('/', " OR "), &allowed) {
            wrong.push(format!("{package} has licence {licence}"));
        }
    }
    report(&wrong);
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (result, rest) = any(&words, allowed);
    result && rest.is_empty()
}

fn any<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<String>) -> (bool, &'b [&'a str]) {
    let (mut result, mut rest) = all(words, allowed);
    while let ["OR", tail @ ..] = rest {
        let (next, after) = all(tail, allowed);
        (result, rest) = (result || next, after);
    }
    (result, rest)
}

fn all<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<String>) -> (bool, &'b [&'a str]) {
    let (mut result, mut rest) = one(words, allowed);
    while let ["AND", tail @ ..] = rest {
        let (next, after) = one(tail, allowed);
        (result, rest) = (result && next, after);
    }
    (result, rest)
}

fn one<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<String>) -> (bool, &'b [&'a str]) {
    match words {
        ["(", inner @ ..] => match any(inner, allowed) {
            (result, [")", rest @ ..]) => (result, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => {
            (allowed.contains(&format!("{licence} WITH {exception}")), rest)
        }
        [licence, rest @ ..] => (allowed.contains(*licence), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_read_with_their_precedence() {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into_iter().collect();
    for good in ["MIT", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND ISC", "GPL-3.0 AND X OR ISC"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "GPL-3.0 AND MIT", "MIT AND (X OR Y)", "MIT WITH X", "(MIT", ""] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
