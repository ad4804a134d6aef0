//! Tests of the trace importers, malformed lines included.

use super::super::fixture::{from_yaml, refusal};
use super::{csv, gf_dit, mooncake, vllm_omni};
use crate::workload::export;
use flexdit_core::{ClassId, Nanos};
use std::path::Path;

const GF_DIT: &str = "workload: {import: {format: gf-dit, path: gf-dit/workload-qwen-short.json}}";

#[test]
fn the_sample_of_the_artifact_imports_with_its_load() {
    let workload = from_yaml(GF_DIT, 1).unwrap();
    assert_eq!(workload.requests.len(), 34);
    let names: Vec<&str> = workload.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["S", "M", "L"]);
    let counts: Vec<usize> = (0..3)
        .map(|class| workload.requests.iter().filter(|r| r.class == ClassId(class)).count())
        .collect();
    assert_eq!(counts, [23, 9, 2]);
    let load = workload.offered_load_realised.unwrap();
    assert!((load - 0.2969).abs() < 5e-5, "{load}");
    let first = workload.requests[0];
    assert_eq!(first.arrival, Nanos(12_443_257_000));
    assert_eq!(first.deadline, Some(Nanos(24_379_542_000)));
    assert!((first.t_single.unwrap().as_millis_f64() - 7_957.524).abs() < 1e-3);
    let client = GF_DIT.replace("json}", "json, client_deadline: true}");
    let first = from_yaml(&client, 1).unwrap().requests[0];
    assert_eq!(first.deadline, Some(Nanos(25_379_542_000)));
}

#[test]
fn an_slo_in_the_experiment_replaces_the_files_deadlines() {
    let yaml = GF_DIT.replace("json}}", "json}, slo: {alpha: {alpha: {S: 3}}}}");
    let first = from_yaml(&yaml, 1).unwrap().requests[0];
    assert_eq!(first.deadline, Some(first.arrival + first.t_single.unwrap().scale(3.0)));
}

#[test]
fn exported_workloads_import_unchanged() {
    let yaml = "workload: {arrivals: {phased: short}, target_load: 1.0}";
    let original = from_yaml(yaml, 5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (format, text) in
        [("gf-dit", export::gf_dit(&original, 4, Some(5))), ("csv", export::csv(&original))]
    {
        let path = folder.path().join(format);
        std::fs::write(&path, text).unwrap();
        let yaml =
            format!("workload: {{import: {{format: {format}, path: \"{}\"}}}}", path.display());
        let imported = from_yaml(&yaml, 1).unwrap();
        assert_eq!(imported.requests, original.requests, "{format}");
    }
}

#[test]
fn vllm_omni_lines_become_requests() {
    let text = "# a comment
Request(request_id='a', prompt=\"it's (a), cat\\\"\", height=512, width=512, num_frames=None, \
                num_inference_steps=20, seed=1, fps=[16, (2)], timestamp=0.5, slo_ms=3000.0)

Request(height=1024, width=1024, timestamp=2, num_frames=1, negative_prompt='blurry',)
";
    let rows = vllm_omni::parse("t.txt", text).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].arrival_ms, rows[0].steps, rows[0].slo_ms), (500.0, Some(20), Some(3e3)));
    assert_eq!((rows[1].line, rows[1].guidance, rows[1].height), (4, Some(true), Some(1024)));
}

#[test]
fn malformed_trace_text_is_refused_with_its_place() {
    let lines = [
        "Requst(height=1)",
        "Request(height=512, width=512",
        "Request(height=512, width=512)",
        "Request(height=512, width='x', timestamp=1)",
        "Request(height=512.5, width=512, timestamp=1)",
        "Request(height=512, height=512, timestamp=1)",
        "Request(prompt='abc, height=512)",
        "Request(height=512 width=512)",
        "Request(height=nan, width=512)",
        "Request(height=512, width=512, timestamp=1) x",
        "Request(fps=[1, (2], height=3)",
    ];
    let messages = lines.map(|line| vllm_omni::parse("t.txt", line).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"), @r#"
t.txt:1:1: expected `Request(`, got `R`
t.txt:1:30: expected `,`, got the end of the line
t.txt:1: missing `timestamp`
t.txt:1: width: expected a number
t.txt:1: height: expected a whole number, got 512.5
t.txt:1:21: the key `height` stands twice
t.txt:1:16: the text has no closing quote
t.txt:1:16: expected a value, got `512 width=512`
t.txt:1:16: expected a value, got `nan`
t.txt:1:45: expected the end of the line after `)`
t.txt:1:31: expected `,`, got the end of the line
"#);
}

#[test]
fn malformed_tables_and_json_lines_are_refused_with_their_place() {
    let messages = [
        csv::parse("t.csv", "height\n1").unwrap_err(),
        csv::parse("t.csv", "arrival_ms,hight\n1,2").unwrap_err(),
        csv::parse("t.csv", "arrival_ms,height\n1,2\n3").unwrap_err(),
        csv::parse("t.csv", "arrival_ms,height\n1,2\n,4").unwrap_err(),
        csv::parse("t.csv", "arrival_ms,height\n1,-2").unwrap_err(),
        mooncake::parse("t.jsonl", "{\"timestamp\": 3}\n{\"timestamp\": \"x\"}").unwrap_err(),
        mooncake::parse("t.jsonl", "{\"timestamp\": 3}\n\n{\"timestamp\": 4").unwrap_err(),
        gf_dit::parse("t.json", "{\"requests\":[\n{\"request_id\":\"a\"}]}", false).unwrap_err(),
        gf_dit::parse("t.json", "{\"requests\":[\n{\"request_id\":", false).unwrap_err(),
    ];
    insta::assert_snapshot!(messages.map(|error| error.to_string()).join("\n"), @r#"
t.csv:1: missing column `arrival_ms`
t.csv:1: unknown column `hight`, expected `request_id`, `class`, `model`, `arrival_ms`, `height`, `width`, `num_frames`, `num_steps`, `guidance`, `text_tokens`, `chunk_steps`, `priority`, `preemptible`, `deadline_ms` or `slo_ms`; did you mean `height`?
t.csv:3: expected 2 fields, got 1
t.csv:3: arrival_ms: expected a number, got nothing
t.csv:2: height: expected a whole number from 0 to 4294967295, got "-2"
t.jsonl:2:17: timestamp: expected a number, got "x"
t.jsonl:3:15: the file ends in the middle of a value (truncated?)
t.json:2:18: requests[0]: missing key `arrival_ms`
t.json:2:14: the file ends in the middle of a value (truncated?)
"#);
}

/// The message about a CSV with these lines after the header, without the folder.
fn refused(format: &str, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    std::fs::write(&path, text).unwrap();
    let yaml = format!("workload: {{import: {{format: {format}, path: \"{}\"}}}}", path.display());
    refusal(&yaml).replace(&folder.path().display().to_string(), "").replace("/t", "t")
}

#[test]
fn rows_that_make_no_sense_together_are_refused_with_their_place() {
    let csv = |lines: &str| {
        refused("csv", &format!("request_id,arrival_ms,height,width,deadline_ms\n{lines}"))
    };
    let json = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/gf-dit/workload-qwen-short.json"),
    )
    .unwrap();
    let messages = [
        csv("a,1,512,512,9\na,2,512,512,9"),
        csv("a,2,512,512,9\nb,1,512,512,9"),
        csv("a,-2,512,512,9"),
        csv("a,NaN,512,512,9"),
        csv("a,2,512,512,1"),
        csv("a,2,,512,9"),
        csv("a,2,0,512,9"),
        csv(""),
        refused("gf-dit", &json.replace("S_000022", "S_000000")),
        refused("gf-dit", &json.replace("\"deadline_ms\":540825.107", "\"deadline_ms\":1")),
        refused("gf-dit", &json[..2_000]),
        refused("gf-dit", ""),
        refusal("workload: {import: {format: csv, path: nowhere.csv}}")
            .replace(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/"), ""),
        refusal("workload: {import: {format: csv, path: x}, target_load: 1}"),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
t:3: duplicate request id `a`
t:3: arrivals are not sorted: 1 ms comes after 2 ms in the file
t:2: expected an arrival of at least 0 ms, got -2
t:2: expected an arrival of at least 0 ms, got NaN
t:2: deadline before arrival: due at 1 ms, arrives at 2 ms
t:2: missing `height`
t:2: height: expected at least 1, got 0
t: expected at least one request
t:37: duplicate request id `S_000000`
t:37: deadline before arrival: due at 1 ms, arrives at 528888.822 ms
t:6:105: the file ends in the middle of a value (truncated?)
t:1: the file ends in the middle of a value (truncated?)
nowhere.csv: cannot read: no such file
a.yaml:1:57: workload.target_load: an import has its own arrivals and classes
"#);
}

#[test]
fn recorded_arrivals_take_the_class_mix_and_the_target_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let lines: String =
        (0..100).map(|i| format!("{{\"timestamp\": {}, \"x\": []}}\n", 500 + i * i)).collect();
    std::fs::write(&path, lines).unwrap();
    let yaml = format!(
        "workload: {{arrivals: {{trace: {{format: mooncake, path: \"{}\"}}}}, target_load: 0.8}}",
        path.display()
    );
    let workload = from_yaml(&yaml, 1).unwrap();
    assert_eq!(workload.requests[0].arrival, Nanos::ZERO);
    assert!((workload.offered_load_realised.unwrap() - 0.8).abs() < 1e-6);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_an_importer_panic(
        parts in proptest::collection::vec(
            "Request\\(|[a-z_]{1,5}=|['\"\\\\,(){}\\[\\]]|[0-9.e+-]{1,4}|\\PC|\n|arrival_ms", 0..40,
        ),
    ) {
        let text = parts.concat();
        let _ = vllm_omni::parse("t", &text);
        let _ = csv::parse("t", &text);
        let _ = mooncake::parse("t", &text);
        let _ = gf_dit::parse("t", &text, false);
        let _ = vllm_omni::parse("t", &format!("Request({text}"));
    }

    #[test]
    fn any_arrival_order_is_either_sorted_or_refused(
        times in proptest::collection::vec(0_u32..50, 1..9),
    ) {
        let lines: String = times.iter().map(|t| format!("{t},512,512\n")).collect();
        let rows = csv::parse("t", &format!("arrival_ms,height,width\n{lines}")).unwrap();
        proptest::prop_assert_eq!(super::check("t", &rows).is_ok(), times.is_sorted());
    }
}
