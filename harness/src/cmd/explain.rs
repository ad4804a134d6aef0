//! `flexdit explain`: what a term, metric, charge, system or policy means.

use flexdit::glossary::{self, Kind};
use flexdit::input::{InputError, nearest};
use std::fmt::Write;
use std::process::ExitCode;

/// Explain a term, metric, charge, system or policy
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  flexdit explain                    every name that can be explained
  flexdit explain slo_attainment
  flexdit explain group set-up       words may be joined by spaces, - or _")]
pub struct Args {
    /// What to explain; left out, all names are listed
    #[arg(num_args = 0..)]
    name: Vec<String>,
}

/// Prints the meaning, or all names.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.name.is_empty() {
        return super::print(&listing());
    }
    let name = args.name.join(" ");
    let found = glossary::find(&name);
    if found.is_empty() {
        let all = glossary::all();
        let near = nearest(&name, all.iter().map(|meaning| meaning.name)).map(str::to_owned);
        let message = "nothing of that name; `flexdit explain` lists all";
        let error = InputError::new(name.clone(), message);
        return Err(InputError { hint: near, ..error }.into());
    }
    let mut text = String::new();
    for meaning in found {
        writeln!(text, "{} ({})\n  {}", meaning.name, meaning.kind.name(), meaning.text)?;
    }
    super::print(&text)
}

fn listing() -> String {
    let all = glossary::all();
    let mut text = String::new();
    for kind in Kind::ALL {
        let names: Vec<&str> =
            all.iter().filter(|m| m.kind == kind).map(|meaning| meaning.name).collect();
        if !names.is_empty() {
            text += &format!("{}\n", plural(kind));
            text += &fill(&names.join(", "));
        }
    }
    text
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Term => "Terms",
        Kind::Metric => "Metrics",
        Kind::Charge => "Charges",
        Kind::System => "Systems",
        Kind::Policy => "Policies",
    }
}

/// Breaks text at spaces to lines of at most 96 characters, indented by two.
fn fill(text: &str) -> String {
    let mut filled = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > 94 {
            filled += &format!("  {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    filled + &format!("  {line}\n")
}
