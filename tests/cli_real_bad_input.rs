//! Bad input of real runs: weights, sizes, degrees, memory. One line with file, line, column and key, exit code 2, nothing
//! written.

mod program;

use flexdit_kernels::model::{Seeded, TensorSpec};
use flexdit_kernels::pipeline::Config;
use flexdit_kernels::tensor::DType;
use flexdit_kernels::weights::save;
use program::flexdit;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const EXPERIMENT: &str = "\
name: test
seeds: [1]
cluster: {world: 2, gpu: cpu}
model: tiny-image
profile: profile.yaml
real:
  weights: {folder: weights}
workload:
  classes:
    S: {height: 64, width: 96, steps: 2, text_tokens: 8, share: 1}
  arrivals: {poisson: {per_min: 6000, requests: 2}}
systems:
  - {name: fixed, fixed-pipeline: {degree: 2}}
  - {name: elastic, elastic: {policy: edf-greedy}}
";

const PROFILE: &str = "\
model: tiny-image
gpu: cpu
label: derived
source: made up for tests
entries:
  - {stage: text-encode, constant: 1}
  - {stage: dit-prepare, constant: 0}
  - {stage: timestep-prepare, constant: 0}
  - {stage: step, samples: [[4, 1], [1024, 9]]}
  - {stage: step, degree: 2, samples: [[4, 1], [1024, 5]]}
  - {stage: vae-decode, constant: 1}
  - {stage: finalize, constant: 0.5}
";

/// The experiment after `spoil`, the profile, and weights of the model.
fn folder(spoil: impl Fn(String) -> String) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("profile.yaml"), PROFILE).expect("writes");
    fs::write(folder.path().join("exp.yaml"), spoil(EXPERIMENT.to_owned())).expect("writes");
    folder
}

/// Writes the weights of the model, each list of tensors as `spoil` leaves it.
fn weights(folder: &Path, spoil: impl Fn(&str, &mut Vec<TensorSpec>)) {
    let config = Config::preset("tiny-image").expect("a preset");
    let parts = [
        ("text_encoder", config.text.tensors()),
        ("transformer", config.transformer.tensors()),
        ("vae", config.vae.tensors()),
    ];
    for (seed, (part, mut specs)) in (0..).zip(parts) {
        spoil(part, &mut specs);
        let path = folder.join("weights/tiny-image").join(part);
        fs::create_dir_all(&path).expect("a folder");
        let file = path.join("model.safetensors");
        save(&file, &specs, &mut Seeded::new(seed), DType::F32).expect("writes");
    }
}

/// What the program says when it refuses to run, without `error: `; the same for both commands that need real ranks.
fn refused(folder: &Path) -> String {
    let run = flexdit(folder, &["run", "exp.yaml", "--engine", "cpu", "--out", "out"]);
    let verify = flexdit(folder, &["verify", "exp.yaml"]);
    assert_eq!(run, verify);
    let (code, _, error) = run;
    assert_eq!((code, error.lines().count()), (2, 1), "{error}");
    assert!(!folder.join("out").exists());
    error.trim_end().strip_prefix("error: ").expect("starts with `error: `").to_owned()
}

#[test]
fn weights_of_a_folder_are_read() {
    let folder = folder(|text| text);
    weights(folder.path(), |_, _| {});
    let (code, _, error) = flexdit(folder.path(), &["verify", "exp.yaml", "--requests", "1"]);
    assert_eq!((code, error.as_str()), (0, ""));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = refused(folder(|text| text).path());
    let expected = "exp.yaml:7:12: real.weights: tiny-image: weights/tiny-image: no such folder; expected one \
                    with the folders text_encoder, transformer and vae of safetensors files";
    assert_eq!(error, expected);
}

#[test]
fn a_missing_tensor_is_named() {
    let folder = folder(|text| text);
    let mut gone = String::new();
    let config = Config::preset("tiny-image").expect("a preset");
    gone.clone_from(&config.transformer.tensors()[3].name);
    weights(folder.path(), |part, specs| {
        if part == "transformer" {
            specs.remove(3);
        }
    });
    let expected = format!(
        "exp.yaml:7:12: real.weights: tiny-image: weights/tiny-image/transformer: tensors that are not as \
         needed, 1 in all: tensor `{gone}` is missing"
    );
    assert_eq!(refused(folder.path()), expected);
}

#[test]
fn misshapen_tensors_are_named_with_both_shapes() {
    let folder = folder(|text| text);
    let config = Config::preset("tiny-image").expect("a preset");
    let [first, second] = [0, 1].map(|at| config.vae.tensors()[at].clone());
    weights(folder.path(), |part, specs| {
        if part == "vae" {
            let (one, other) = specs.split_at_mut(1);
            std::mem::swap(&mut one[0].shape, &mut other[0].shape);
        }
    });
    let error = refused(folder.path());
    let start = "exp.yaml:7:12: real.weights: tiny-image: weights/tiny-image/vae: tensors that are not as needed, 2 in all: ";
    assert!(error.starts_with(start), "{error}");
    for (spec, got) in [(&first, &second), (&second, &first)] {
        let (name, expected) = (&spec.name, spec.shape);
        let said = format!("tensor `{name}` has shape {:?}, expected {expected}", got.shape.axes());
        assert!(error.contains(&said), "{error}");
    }
}

#[test]
fn what_the_models_cannot_make_is_refused_at_its_place() {
    let message = |from: &str, to: &str| {
        let spoil = |text: String| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to).replace("{folder: weights}", "{seed: 3}")
        };
        refused(folder(spoil).path())
    };
    assert_eq!(
        message("height: 64", "height: 15"),
        "exp.yaml:10:8: workload.classes.S: 96x15, 1 frames, has no latent token in tiny-image"
    );
    assert_eq!(
        message("text_tokens: 8", "text_tokens: 100"),
        "exp.yaml:10:55: workload.classes.S.text_tokens: tiny-image takes at most 64 text tokens, got 100"
    );
    assert_eq!(
        message("world: 2", "world: 66"),
        "exp.yaml:3:18: cluster.world: expected at most 64 real ranks, got 66"
    );
    let memory = message("gpu: cpu}", "gpu: cpu, memory: 1KiB}");
    assert!(memory.starts_with("exp.yaml:") && memory.contains("memory of a rank"), "{memory}");
}

#[test]
fn ranks_with_less_memory_than_the_weights_that_are_computed_with_are_refused() {
    // The transformer's parameters in bf16, which virtual time counts, would fit.
    let folder = folder(|text| {
        let text =
            text.replace("tiny-image", "small-image").replace("{folder: weights}", "{seed: 3}");
        text.replace("gpu: cpu}", "gpu: cpu, memory: 160MB}")
    });
    let profile = PROFILE.replace("tiny-image", "small-image");
    fs::write(folder.path().join("profile.yaml"), profile).expect("writes");
    assert_eq!(
        refused(folder.path()),
        "exp.yaml:3:39: cluster.memory: expected more than the weights of the models, 182.460412 MB, got 160 MB"
    );
}

#[test]
fn a_degree_that_does_not_divide_the_heads_is_refused_where_it_stands() {
    let spoil = |text: String| {
        let text = text.replace("{folder: weights}", "{seed: 3}");
        text.replace("world: 2", "world: 3").replace("{degree: 2}", "{degree: 3}")
    };
    let folder = folder(spoil);
    let error = refused(folder.path());
    let start = "exp.yaml:13:44: systems[0].fixed-pipeline.degree: class `S` cannot run at degree 3: ulysses degree 3 does \
                 not divide the 8 heads of tiny-image";
    assert!(error.starts_with(start), "{error}");
    let priced = "  - {stage: step, degree: 3, samples: [[4, 1], [1024, 4]]}\n";
    fs::write(folder.path().join("profile.yaml"), PROFILE.to_owned() + priced).expect("writes");
    let expected = "profile.yaml:13:27: entries[7].degree: ulysses degree 3 does not divide the 8 heads of tiny-image";
    assert_eq!(refused(folder.path()), expected);
}

#[test]
fn prices_of_another_gpu_do_not_run_here() {
    let folder = folder(|text| text.replace("gpu: cpu", "gpu: h20"));
    let profile = PROFILE.replace("gpu: cpu", "gpu: h20");
    fs::write(folder.path().join("profile.yaml"), profile).expect("writes");
    let error = refused(folder.path());
    assert_eq!(error, "exp.yaml:3:26: cluster.gpu: expected `cpu` for real ranks, got `h20`");
}
