//! What a model computes: its preset, or the configuration of a file, held against what the experiment plans with.

use crate::campaign::Setting;
use crate::input::{Document, InputError};
use flexdit_core::model::ModelSpec;
use flexdit_kernels::KernelError;
use flexdit_kernels::pipeline::Config;
use std::path::{Path, PathBuf};

/// The file of a model's configuration, if the experiment names one.
pub(super) fn file(setting: &Setting, model: &str) -> Option<PathBuf> {
    let path = setting.experiment.real.configs.get(model)?;
    Some(setting.folder.join(path))
}

/// What a model computes; `None` if the kernels have no model of that name and no file is given.
///
/// # Errors
/// The file cannot be read, makes no model, or makes one that is split otherwise than the experiment plans; at its place in
/// the file.
pub fn config(model: &ModelSpec, file: Option<&Path>) -> Result<Option<Config>, InputError> {
    let Some(path) = file else { return Ok(Config::preset(model.name)) };
    let document = Document::read(path)?;
    let config: Config = document.get()?;
    config.check().map_err(|error| match error {
        KernelError::Config { key, got, expected } => {
            document.error(key, format!("expected {expected}, got {got}"))
        }
        KernelError::Setting { key, got, expected } => {
            document.error(key, format!("expected {expected}, got {got}"))
        }
        error => document.error("", error.to_string()),
    })?;
    agrees(model, &config, &document)?;
    Ok(Some(config))
}

/// Checks that tokens, layouts and state are those that prices and policies count with. Depth, widths of layers, the VAE's
/// channels and the schedule are free.
fn agrees(model: &ModelSpec, config: &Config, document: &Document) -> Result<(), InputError> {
    let (sizes, name) = (&config.transformer, model.name);
    let refuse = |key: &str, got: String, expected: String| {
        Err(document.error(key, format!("expected {expected} as {name} has, got {got}")))
    };
    let counts = |lengths: [u32; 3]| lengths.map(|length| length as usize);
    let down = config.vae.down();
    if down != counts(model.vae_down) {
        let expected =
            format!("a VAE that shrinks frames, rows and columns by {:?}", model.vae_down);
        return refuse("vae", format!("{down:?}"), expected);
    }
    if sizes.patch != counts(model.patch) {
        let expected = format!("{:?}", model.patch);
        return refuse("transformer.patch", format!("{:?}", sizes.patch), expected);
    }
    for (key, got, expected) in [
        ("transformer.channels", sizes.channels, model.channels),
        ("transformer.heads", sizes.heads, model.heads),
        ("transformer.text_dim", sizes.text_dim, model.text_dim),
        ("transformer.text_tokens", sizes.text_tokens, model.text_tokens),
    ] {
        if got != expected as usize {
            return refuse(key, got.to_string(), expected.to_string());
        }
    }
    // Models whose preset has more history than the system counts are published ones, see `ModelSpec::history`.
    let history = Config::preset(name).map(|preset| preset.method.history());
    let (got, expected) = (config.method.history(), history.unwrap_or(model.history as usize));
    if got != expected {
        let expected = format!("a solver with {expected} tensors of history");
        return refuse("method", format!("one with {got}"), expected);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::model::model;

    /// What is said of the shipped file of tiny-image after a change.
    fn refused(from: &str, to: &str) -> String {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/models/tiny-image.yaml");
        let text = std::fs::read_to_string(shipped).expect("shipped");
        assert!(text.contains(from), "{from}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my.yaml");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("writable");
        let error = config(model("tiny-image").expect("listed"), Some(&path));
        let error = error.expect_err("refused").to_string();
        let begin = format!("{}:", path.display());
        error.strip_prefix(&begin).expect("starts with the file").to_owned()
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_line_column_and_key() {
        let cases = [
            ("vocabulary: ", "vocabular: ", "text: unknown key `vocabular`"),
            ("heads: 8", "heads: 4", "transformer.heads: expected 8 as tiny-image has, got 4"),
            ("head_dim: 16", "head_dim: 17", "text.head_dim: expected an even number"),
            (
                "constant: 3",
                "constant: 0",
                "shift.constant: expected a finite number above 0, got 0",
            ),
            (
                "blocks: 0",
                "blocks: 0\n  patch: 2",
                "vae: expected a VAE that shrinks frames, rows and columns by",
            ),
            ("euler", "unipc", "method: expected a solver with 0 tensors of history"),
        ];
        for (from, to, message) in cases {
            let error = refused(from, to);
            let (place, rest) = error.split_once(": ").expect("a place");
            let (line, column) = place.split_once(':').expect("line and column");
            assert!(line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok(), "{error}");
            assert!(rest.starts_with(message), "{error}");
        }
    }

    #[test]
    fn depth_and_widths_are_free() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/models/tiny-image.yaml");
        let text = std::fs::read_to_string(shipped).expect("shipped");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep.yaml");
        let deep =
            text.replace("ffn: 512", "ffn: 96").replace("base_channels: 4", "base_channels: 6");
        std::fs::write(&path, deep).expect("writable");
        let config = config(model("tiny-image").expect("listed"), Some(&path)).expect("sound");
        let config = config.expect("a file");
        assert_eq!((config.transformer.ffn, config.vae.base_channels), (96, 6));
    }
}
