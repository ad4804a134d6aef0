//! `flexdit bench`: what its commands leave behind, on tiny parameters. Never how long anything takes.

mod program;

use flexdit::results::Table;
use program::flexdit;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// Runs a benchmark into `out` and returns its folder and what it printed.
fn bench(args: &[&str]) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = [&["bench"], args, &["--out", "out"]].concat();
    let (code, text, error) = flexdit(folder.path(), &args);
    assert_eq!(code, 0, "{error}");
    (folder, text)
}

fn table(folder: &TempDir, name: &str) -> Table {
    Table::read(&folder.path().join("out").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// The cells of a column.
fn column<'a>(table: &'a Table, name: &str) -> Vec<&'a str> {
    let at = table.column(name).unwrap_or_else(|| panic!("no {name}"));
    table.rows.iter().map(|row| row[at].as_str()).collect()
}

fn json(folder: &TempDir, name: &str) -> Value {
    let text = fs::read_to_string(folder.path().join("out").join(name)).expect("is there");
    serde_json::from_str(&text).expect("JSON")
}

/// Every benchmark's folder has these, and checked data without an error.
fn is_complete(folder: &TempDir, name: &str, pictures: &[&str]) {
    let out = folder.path().join("out");
    for file in ["report.md", "report.html", "report.json", "manifest.json"] {
        assert!(out.join(file).exists(), "{file}");
    }
    for picture in pictures {
        assert!(out.join(format!("plots/{picture}.svg")).exists(), "{picture}");
    }
    let manifest = json(folder, "manifest.json");
    assert_eq!((&manifest["name"], &manifest["label"]), (&name.into(), &"measured".into()));
    let machine = &manifest["machine"];
    assert!(machine["cpu"].is_string() && machine["cores"].is_u64() && machine["os"].is_string());
    assert_eq!(machine["date"].as_str().expect("a date").len(), 10);
    assert_eq!(manifest["seed"], 7);
    let checked = &json(folder, "report.json")["checked"];
    assert!(checked["bytes"].as_u64() > Some(0), "{checked}");
    assert_eq!(checked["wrong"], 0);
}

#[test]
fn group_setup_tells_the_four_numbers_of_every_contestant() {
    let (folder, text) = bench(&[
        "group-setup",
        "--quick",
        "--worlds=3",
        "--degrees=2,3",
        "--lives=2",
        "--contestants=thread,communicator",
        "--seed=7",
    ]);
    is_complete(&folder, "bench-group-setup", &["group-setup"]);
    let found = table(&folder, "group-setup.csv");
    let wanted = |contestant: &str, degree: &str, phase: &str, history: &str| {
        let columns = ["contestant", "degree", "phase", "history"].map(|name| column(&found, name));
        let cells = [contestant, degree, phase, history];
        let is = |row: usize| columns.iter().zip(cells).all(|(column, cell)| column[row] == cell);
        (0..found.rows.len()).any(is)
    };
    for contestant in ["group-free-thread", "communicator-tcp"] {
        for degree in ["2", "3"] {
            for phase in ["form", "first", "form-and-first"] {
                for history in ["cold", "new-degree", "new-tuple"] {
                    assert!(wanted(contestant, degree, phase, history), "{contestant} {phase}");
                }
            }
            assert!(wanted(contestant, degree, "steady", "used"));
        }
    }
    assert!(wanted("group-free-thread", "2", "form-many", "used"));
    assert!(!wanted("communicator-tcp", "2", "form-many", "used"));
    for (phase, label) in column(&found, "phase").into_iter().zip(column(&found, "label")) {
        assert_eq!(label, if phase == "form-and-first" { "derived" } else { "measured" });
    }
    assert!(column(&found, "time_ns_p99").iter().all(|p99| p99.is_empty()), "too few samples");
    assert!(text.contains("NCCL communicator (published)") && text.contains("778 ms"), "{text}");
    assert!(text.contains("forming a group takes 100 ns or less"), "{text}");
    let ratios = table(&folder, "ratios.csv");
    assert_eq!(column(&ratios, "degree"), ["2", "3"]);
}

#[test]
fn collectives_are_checked_and_stand_beside_the_references() {
    let (folder, text) = bench(&[
        "collectives",
        "--quick",
        "--sizes=64B,5000B",
        "--ranks=3",
        "--contestants=thread",
        "--seed=7",
    ]);
    is_complete(&folder, "bench-collectives", &["latency", "bandwidth"]);
    let found = table(&folder, "collectives.csv");
    // A barrier has no size, the seven others have two each.
    assert_eq!(found.rows.len(), 15);
    assert!(column(&found, "wrong_bytes").iter().all(|wrong| *wrong == "0"));
    assert!(column(&found, "used_bytes").contains(&"4992"), "a multiple of 12");
    assert!(column(&found, "label").iter().all(|label| *label == "measured"));
    let references = table(&folder, "references.csv");
    let copies = column(&references, "reference").iter().filter(|r| **r == "memory-copy").count();
    assert_eq!(copies, 4, "two sizes by one thread and by three");
    assert!(text.contains("busbw = S/t x 2(n-1)/n"), "{text}");
}

#[test]
fn churn_stands_beside_fixed_groups() {
    let (folder, text) = bench(&[
        "churn",
        "--quick",
        "--worlds=2,3",
        "--degrees=2",
        "--contestants=thread",
        "--bytes=64B",
        "--seed=7",
    ]);
    is_complete(&folder, "bench-churn", &[]);
    let found = table(&folder, "churn.csv");
    let modes = ["churn", "fixed", "disjoint"];
    assert_eq!(column(&found, "mode"), [modes, modes].concat());
    assert!(text.contains("a new group at every operation within 1.1x of a fixed group"), "{text}");
}

#[test]
fn measured_prices_can_be_charged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prices = folder.path().join("prices.yaml");
    let args = ["bench", "group-setup", "--quick", "--worlds=2", "--degrees=2", "--lives=2"];
    let rest = ["--contestants=thread", "--out=out", "--write-costs=prices.yaml"];
    let (code, _, error) = flexdit(folder.path(), &[&args[..], &rest].concat());
    assert_eq!(code, 0, "{error}");
    let text = fs::read_to_string(&prices).expect("is there");
    assert!(text.contains("label: measured") && text.contains("charge: per_use"), "{text}");

    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/profiles/qwen-image-h20.yaml");
    let experiment = format!(
        "name: small\ncluster: {{world: 2, gpu: h20}}\nmodel: qwen-image\nprofile: {profile}\n\
         workload: {{classes: {{S: {{height: 512, width: 512}}}}, arrivals: {{poisson: {{per_min: 60, requests: 3}}}}}}\n\
         systems: [{{name: elastic, elastic: {{policy: edf-greedy}}}}]\n\
         costs: {{group_setup: {{profile: {{file: prices.yaml, contestant: group-free-thread}}}}}}\n"
    );
    fs::write(folder.path().join("exp.yaml"), experiment).expect("writes");
    let (code, _, error) = flexdit(folder.path(), &["run", "exp.yaml", "--out", "run"]);
    assert_eq!(code, 0, "{error}");
    let report = fs::read_to_string(folder.path().join("run/report.md")).expect("is there");
    let line = report.lines().find(|line| line.starts_with("| group set-up | for every task"));
    let line = line.expect("the charge is stated");
    assert!(
        line.contains("| measured |") && line.contains("group-free-thread, measured on"),
        "{line}"
    );
    let manifest = fs::read_to_string(folder.path().join("run/manifest.json")).expect("is there");
    assert!(manifest.contains("\"prices.yaml\"") && manifest.contains("group_setup_by_degree"));

    let key = "costs.group_setup.profile.contestant=mpi";
    let (code, _, error) =
        flexdit(folder.path(), &["run", "exp.yaml", "--out", "no", "--set", key]);
    assert!(code == 2 && error.starts_with("error: prices.yaml:"), "{error}");
}

/// Ranks that are processes run the same plans, and what they find comes back.
#[cfg(target_os = "linux")]
#[test]
fn ranks_may_be_processes() {
    let (folder, _) = bench(&[
        "group-setup",
        "--quick",
        "--worlds=3",
        "--degrees=2",
        "--lives=1",
        "--contestants=process,communicator-process",
        "--seed=7",
    ]);
    is_complete(&folder, "bench-group-setup", &["group-setup"]);
    let found = table(&folder, "group-setup.csv");
    let names = column(&found, "contestant");
    assert!(names.contains(&"group-free-process") && names.contains(&"communicator-tcp-process"));
    assert!(column(&found, "time_ns_min").iter().all(|time| *time != "0"));
    let (folder, _) = bench(&[
        "collectives",
        "--quick",
        "--sizes=64B,5000B",
        "--contestants=process",
        "--seed=7",
    ]);
    is_complete(&folder, "bench-collectives", &["latency", "bandwidth"]);
}

#[test]
fn a_benchmarks_folder_renders_again_and_goes_into_a_document() {
    let (folder, _) = bench(&["churn", "--quick", "--worlds=2", "--contestants=thread"]);
    let page = folder.path().join("out/report.html");
    let before = fs::read_to_string(&page).expect("is there");
    fs::remove_file(&page).expect("removes");
    let document = folder.path().join("page.md");
    fs::write(&document, "a\n<!-- flexdit:result bench-churn -->\n<!-- flexdit:end -->\n")
        .expect("writes");
    let (code, text, error) = flexdit(folder.path(), &["report", "out", "--splice", "page.md"]);
    assert_eq!(code, 0, "{error}");
    assert!(text.starts_with("A new group at every operation\n"), "{text}");
    assert_eq!(fs::read_to_string(&page).expect("is there"), before);
    let spliced = fs::read_to_string(&document).expect("is there");
    assert!(spliced.contains("**Time of an operation, all\\_to\\_all of 4096 bytes"), "{spliced}");
    let (code, text, _) = flexdit(folder.path(), &["report", "out", "out", "--print-only"]);
    assert_eq!((code, text.matches("A new group at every operation\n").count()), (0, 2));
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (args, message) in [
        (&["group-setup", "--worlds=1"][..], "error: --worlds: expected 2 to 64 ranks, got 1\n"),
        (
            &["group-setup", "--worlds=4", "--degrees=8"],
            "error: --degrees: no degree fits a world of 4 ranks\n",
        ),
        (&["collectives", "--ranks=65"], "error: --ranks: expected 2 to 64 ranks, got 65\n"),
        (
            &["churn", "--op=put_get"],
            "error: --op: expected an operation in which all members take part\n",
        ),
    ] {
        let (code, out, error) = flexdit(folder.path(), &[&["bench"], args].concat());
        assert_eq!((code, out.as_str(), error.as_str()), (2, "", message));
    }
    let usage = ["bench", "collectives", "--sizes=4KiB..1KiB"];
    let (code, _, error) = flexdit(folder.path(), &usage);
    assert!(code == 2 && error.contains("expected a range such as 64B..64MiB"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 0);
}
