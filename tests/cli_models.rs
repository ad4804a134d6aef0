//! What an experiment says of its models on real ranks: texts, configurations, sizes; what becomes of them and what is
//! refused.

mod program;

use flexdit::picture::decode;
use flexdit_kernels::DType;
use flexdit_kernels::model::Seeded;
use flexdit_kernels::pipeline::Config;
use flexdit_kernels::weights::save;
use program::flexdit;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const PROFILE: &str = include_str!("data/tiny-image.yaml");
const MODEL: &str = include_str!("../workloads/models/tiny-image.yaml");

/// The last line is `real`, which each test fills.
const EXPERIMENT: &str = "\
name: models
seeds: [1]
cluster: {world: 2, gpu: cpu}
model: tiny-image
profile: profile.yaml
workload:
  classes:
    S: {height: 40, width: 32, steps: 2, text_tokens: 16, share: 1, alpha: 50, guidance: true}
  arrivals: {batch: {requests: 3}}
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-best-fit}}
";

/// A folder with the experiment, its profile and a configuration that differs from the preset.
fn folder(real: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("profile.yaml", PROFILE);
    write("exp.yaml", &format!("{EXPERIMENT}{real}\n"));
    write("my.yaml", &MODEL.replace("ffn: 512", "ffn: 96"));
    folder
}

/// System, request and checksum of every picture of a run, after its files were looked at.
fn pictures(folder: &Path, more: &[&str], look: impl Fn(u32, &[u8])) -> Vec<[String; 3]> {
    let mut args = vec!["run", "exp.yaml", "--engine", "cpu", "--out", "out"];
    args.extend(["--save-images", "pictures"]);
    args.extend(more);
    let (code, out, error) = flexdit(folder, &args);
    assert_eq!(code, 0, "{out}{error}");
    let images = folder.join("pictures");
    let table = fs::read_to_string(images.join("index.csv")).unwrap();
    let mut rows = csv(&table);
    let columns = rows.remove(0);
    let cell = |row: &[String], name: &str| -> String {
        row[columns.iter().position(|column| column == name).unwrap()].clone()
    };
    for row in &rows {
        let request = cell(row, "request").parse().unwrap();
        look(request, &fs::read(images.join(cell(row, "file"))).unwrap());
    }
    let found = rows.iter().map(|row| ["system", "request", "sha256"].map(|name| cell(row, name)));
    let found = found.collect();
    let report = fs::read_to_string(folder.join("out/report.md")).unwrap();
    assert!(report.contains("32x32 of 40x32 asked for, in whole tokens"), "{report}");
    fs::remove_dir_all(images).unwrap();
    fs::remove_dir_all(folder.join("out")).unwrap();
    found
}

fn csv(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

const PROMPTS: &str = "real: {prompts: [a red fox, the sea], negative_prompt: blurry}";

#[test]
fn prompts_reach_pictures_and_their_files_and_keep_every_bit() {
    let folder = folder(PROMPTS);
    let look = |request: u32, file: &[u8]| {
        let decoded = decode(file).unwrap();
        // 40 rows are 2 whole tokens.
        assert_eq!((decoded.pixels.height, decoded.pixels.width), (32, 32));
        let about = decoded.about.expect("written by this program");
        let texts = ["a red fox", "the sea", "a red fox"];
        assert_eq!(about.prompt.as_deref(), Some(texts[request as usize]));
        assert_eq!(about.negative_prompt.as_deref(), Some("blurry"));
    };
    let shown = pictures(folder.path(), &[], look);
    assert_eq!(shown.len(), 6);
    for row in &shown[..3] {
        let same = |other: &&[String; 3]| other[1..] == row[1..];
        assert_eq!(shown.iter().filter(same).count(), 2, "{shown:?}");
    }
    let other = pictures(folder.path(), &["--set", "real.negative_prompt=dark"], |_, _| {});
    assert!(shown.iter().zip(&other).all(|(one, two)| one[2] != two[2]), "{shown:?} {other:?}");
    let (code, out, error) = flexdit(folder.path(), &["verify", "exp.yaml"]);
    assert_eq!(code, 0, "{out}{error}");
}

#[test]
fn without_prompts_files_name_none() {
    let folder = folder("");
    let look = |_: u32, file: &[u8]| {
        let about = decode(file).unwrap().about.expect("written by this program");
        assert_eq!((about.prompt, about.negative_prompt), (None, None));
    };
    assert_eq!(pictures(folder.path(), &[], look).len(), 6);
}

#[cfg(target_os = "linux")]
#[test]
fn processes_compute_with_the_same_texts_and_configurations() {
    let real = "real: {prompts: [a red fox, the sea], configs: {tiny-image: my.yaml}}";
    let folder = folder(real);
    let threads = pictures(folder.path(), &[], |_, _| {});
    let apart = pictures(folder.path(), &["--set", "real.ranks=processes"], |_, _| {});
    assert_eq!(threads, apart);
    let preset = pictures(folder.path(), &["--set", "real.configs={}"], |_, _| {});
    assert!(threads.iter().zip(&preset).all(|(one, two)| one[2] != two[2]), "{threads:?}");
}

/// What the program says when it refuses the experiment, without `error: `.
fn refused(folder: &Path) -> String {
    let (code, _, error) = flexdit(folder, &["run", "exp.yaml", "--engine", "cpu"]);
    assert_eq!((code, error.lines().count()), (2, 1), "{error}");
    assert!(!folder.join("results/models").exists());
    error.trim_end().strip_prefix("error: ").expect("starts with `error: `").to_owned()
}

#[test]
fn what_makes_no_model_is_refused_where_it_stands() {
    let said = |real: &str| refused(folder(real).path());
    assert_eq!(
        said("real: {negative_prompt: dark}"),
        "exp.yaml:13:25: real.negative_prompt: expected `real.prompts` beside it: without, requests show random tokens"
    );
    assert_eq!(
        said("real: {prompts: [fox, ' ']}"),
        "exp.yaml:13:23: real.prompts[1]: expected a text, got an empty one"
    );
    let error = said("real: {configs: {tiny-imag: my.yaml}}");
    let begin =
        "exp.yaml:13:29: real.configs.tiny-imag: unknown model of the experiment `tiny-imag`";
    assert!(error.starts_with(begin) && error.contains("`tiny-image`"), "{error}");
    let error = said("real: {configs: {tiny-image: none.yaml}}");
    assert!(error.starts_with("none.yaml: "), "{error}");
    let configured = folder("real: {configs: {tiny-image: my.yaml}}");
    let spoilt = |from: &str, to: &str| {
        assert!(MODEL.contains(from), "{from}");
        fs::write(configured.path().join("my.yaml"), MODEL.replacen(from, to, 1)).unwrap();
        refused(configured.path())
    };
    let line = 1 + MODEL.lines().position(|line| line == "  heads: 8").unwrap();
    assert_eq!(
        spoilt("heads: 8", "heads: 4"),
        format!("my.yaml:{line}:10: transformer.heads: expected 8 as tiny-image has, got 4")
    );
    let error = spoilt("heads: 8", "haeds: 8");
    let begin = format!("my.yaml:{line}:3: transformer: unknown key `haeds`");
    assert!(error.starts_with(&begin) && error.contains("did you mean `heads`?"), "{error}");
}

#[cfg(not(feature = "tokenizers"))]
#[test]
fn a_tokenizer_that_this_build_cannot_read_is_refused_with_the_feature() {
    let real = "real: {weights: {folder: weights}, prompts: [a red fox]}";
    let folder = folder(real);
    let config = Config::preset("tiny-image").unwrap();
    let parts = [
        ("text_encoder", config.text.tensors()),
        ("transformer", config.transformer.tensors()),
        ("vae", config.vae.tensors()),
    ];
    let model = folder.path().join("weights/tiny-image");
    for (part, specs) in parts {
        fs::create_dir_all(model.join(part)).unwrap();
        let file = model.join(part).join("model.safetensors");
        save(&file, &specs, &mut Seeded::new(1), DType::F32).unwrap();
    }
    // Without a tokenizer of its own a stand-in makes the tokens, and the report says so.
    assert_eq!(pictures(folder.path(), &[], |_, _| {}).len(), 6);
    let run = ["run", "exp.yaml", "--engine", "cpu", "--out", "out"];
    let (code, out, error) = flexdit(folder.path(), &run);
    assert_eq!(code, 0, "{out}{error}");
    let report = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(report.contains("tiny-image: its folder of weights has no tokenizer"), "{report}");
    fs::create_dir(model.join("tokenizer")).unwrap();
    assert_eq!(
        refused(folder.path()),
        "exp.yaml:13:17: real.weights: tiny-image: weights/tiny-image/tokenizer/tokenizer.json: reading it needs a \
         build with the feature `tokenizers`"
    );
}
