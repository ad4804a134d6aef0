//! The command line: what each sub-command prints, and its exit code.

use assert_cmd::Command;

/// Runs the program; returns exit code, standard output and standard error.
fn flexdit(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flexdit")).args(args).output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("not killed"), text(output.stdout), text(output.stderr))
}

#[test]
fn help_names_every_sub_command_with_an_example() {
    let (code, help, _) = flexdit(&["--help"]);
    assert_eq!(code, 0);
    for sub in ["run", "report", "workload", "gate", "policies", "explain", "completions"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(sub)), "{sub}: {help}");
        let (code, help, _) = flexdit(&[sub, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains("Usage: flexdit"), "{help}");
    }
    assert!(help.contains("Exit codes: 0 done, 1 a check or gate failed, 2 bad input."));
}

#[test]
fn check_holds_schedules_of_collectives_against_their_oracle() {
    let (code, out, _) = flexdit(&["check", "--collectives", "--seeds", "0..20"]);
    assert_eq!((code, out.as_str()), (0, "0 of 20 seeds failed\n"));
}

#[test]
fn explain_tells_what_a_word_means() {
    let (code, out, _) = flexdit(&["explain", "SLO", "attainment"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @"
    slo_attainment (metric)
      Requests finished by their deadline over all that carry one. Higher is better.
    ");
    let (_, out, _) = flexdit(&["explain", "edf-best-fit"]);
    insta::assert_snapshot!(out, @"
    edf-best-fit (policy)
      earliest deadline first; the narrowest degree that meets it, then widen the most urgent
        hopeless-last: serve requests that miss their deadline at any degree after all others (true or false; default false)
    ");
}

#[test]
fn explain_refuses_an_unknown_word_with_the_nearest_one() {
    let (code, out, error) = flexdit(&["explain", "goodptu"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        error,
        "error: goodptu: nothing of that name; `flexdit explain` lists all; did you mean \
         `goodput`?\n"
    );
}

#[test]
fn policies_and_explain_list_the_same_policies() {
    let (_, policies, _) = flexdit(&["policies"]);
    let (_, words, _) = flexdit(&["explain"]);
    let names: Vec<&str> =
        policies.lines().filter(|l| !l.is_empty() && !l.starts_with(' ')).collect();
    assert!(names.contains(&"edf-best-fit") && names.len() >= 6, "{policies}");
    for name in names {
        assert!(words.contains(name), "{name} is not listed by explain");
    }
}

#[test]
fn completions_are_a_script_of_each_shell() {
    for (shell, mark) in
        [("bash", "_flexdit()"), ("zsh", "#compdef flexdit"), ("fish", "complete -c")]
    {
        let (code, script, _) = flexdit(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(script.contains(mark), "{shell}");
    }
}

#[test]
fn the_printed_schema_is_json_that_names_every_key() {
    let (code, schema, _) = flexdit(&["workload", "schema"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let keys = schema["properties"].as_object().expect("an object");
    for key in ["name", "seeds", "cluster", "profile", "workload", "systems", "costs", "sweep"] {
        assert!(keys[key]["description"].is_string(), "{key} is not documented");
    }
}

#[test]
fn unknown_sub_commands_and_options_are_bad_usage() {
    for args in [&["rnu"][..], &["policies", "--all"], &["workload"]] {
        let (code, out, error) = flexdit(args);
        assert_eq!(code, 2, "{args:?}");
        assert!(out.is_empty() && !error.is_empty());
    }
}
