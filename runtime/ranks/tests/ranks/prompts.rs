//! Texts that reach the models, weights that do not fit them, and numbers that overflow.

use crate::dit::{DIT, Offer, requests, run};
use crate::restless::{Chain, believing};
use flexdit_core::{ModelId, Request, Shape};
use flexdit_kernels::error::Result as Weighed;
use flexdit_kernels::model::{Seeded, TensorSpec, WeightSource};
use flexdit_kernels::pipeline::Config;
use flexdit_kernels::{DType, Shape as Sizes, Tensor, weights};
use flexdit_ranks::dit::{Dit, Prompts, Source, Weights};
use flexdit_ranks::{Compute, Driver, GroupFree};
use std::path::Path;
use std::sync::Arc;

fn prompts(texts: &[&str], negative: &str) -> Prompts {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Prompts { texts, negative: negative.to_owned() }
}

/// The models of `DIT` with these texts; texts of videos are padded with zeros if `pad`.
fn shown(prompts: Prompts, pad: bool) -> Arc<Dit> {
    let mut sources = ["tiny-image", "tiny-video"].map(|n| Source::seeded(n, 5).expect("listed"));
    sources[1].config.text.pad = pad;
    Arc::new(Dit::prompted(&sources, 11, prompts).expect("seeded"))
}

fn image(text_tokens: u32) -> Request {
    let request = requests(1, 1)[0];
    let shape =
        Shape { model: ModelId(0), frames: 1, guidance: true, text_tokens, ..request.shape };
    Request { shape, ..request }
}

#[test]
fn pictures_with_texts_have_the_same_bits_on_any_ranks() {
    let texts =
        ["a red fox in the snow", "sea", "a lighthouse above the sea, at dawn, in the rain"];
    for (seed, pad) in [(1, false), (2, true), (3, false), (4, true)] {
        let dit = shown(prompts(&texts, "blurry"), pad);
        let (requests, world) = (requests(400 + seed, 8), [2, 4, 8, 3][seed as usize - 1]);
        let mut system = believing(Box::new(Offer::all(world)), world, seed, (seed % 3) as u8);
        let ran = run(&requests, world, Arc::clone(&dit) as Arc<dyn Compute>, &mut system);
        assert_eq!(ran.outcome.failed_tasks, 0, "{:?}", ran.outcome.failures);
        for request in &requests {
            let expected = dit.serial(request).expect("a request of the models");
            assert!(ran.pictures[&request.id.0] == expected, "pad {pad}: {request:?}");
        }
    }
}

#[test]
fn a_picture_hangs_on_its_text_and_its_negative_one() {
    let request = image(12);
    let picture = |texts: &[&str], negative: &str| {
        shown(prompts(texts, negative), false).serial(&request).expect("a request")
    };
    let fox = picture(&["a red fox"], "");
    assert_eq!(fox, picture(&["a red fox", "the sea"], ""), "the first request takes the first");
    assert_ne!(fox, picture(&["the sea", "a red fox"], ""));
    assert_ne!(fox, picture(&["a red fox"], "blurry"));
    assert_ne!(fox, DIT.serial(&request).expect("random tokens"));
    assert_eq!(
        shown(prompts(&[], ""), false).serial(&request).expect("random tokens"),
        DIT.serial(&request).expect("random tokens")
    );
}

#[test]
fn a_text_is_cut_to_the_shapes_tokens_and_is_not_padded_to_them() {
    let dit = shown(prompts(&["a red fox in the snow"], ""), false);
    let picture = |tokens| dit.serial(&image(tokens)).expect("a request");
    // Six words and the end.
    assert_eq!(picture(7), picture(40));
    assert_ne!(picture(7), picture(6));
}

#[test]
fn rows_of_zeros_count_where_a_model_pads() {
    let texts = || prompts(&["a red fox"], "");
    let request = requests(1, 1)[0];
    let shape = Shape { model: ModelId(1), frames: 1, text_tokens: 12, ..request.shape };
    let request = Request { shape, ..request };
    let [plain, padded] = [false, true].map(|pad| shown(texts(), pad).serial(&request));
    assert_ne!(plain.expect("a request"), padded.expect("a request"));
}

/// Seeded weights, but for one tensor whose elements are so much larger.
struct Huge(Seeded, &'static str, f32);

impl WeightSource for Huge {
    fn tensor(&mut self, name: &str, shape: Sizes) -> Weighed<Tensor> {
        let mut tensor = self.0.tensor(name, shape)?;
        if name == self.1 {
            tensor.data_mut().iter_mut().for_each(|x| *x *= self.2);
        }
        Ok(tensor)
    }
}

/// Writes weights of tiny-image, the tensors of each part as `spoil` leaves them, one made huge.
fn written(folder: &Path, huge: (&'static str, f32), spoil: impl Fn(&str, &mut Vec<TensorSpec>)) {
    let config = Config::preset("tiny-image").expect("listed");
    let parts = [
        ("text_encoder", config.text.tensors()),
        ("transformer", config.transformer.tensors()),
        ("vae", config.vae.tensors()),
    ];
    for (seed, (part, mut specs)) in (5..).zip(parts) {
        spoil(part, &mut specs);
        std::fs::create_dir_all(folder.join(part)).expect("writable");
        let file = folder.join(part).join("model.safetensors");
        let mut source = Huge(Seeded::new(seed), huge.0, huge.1);
        weights::save(&file, &specs, &mut source, DType::F32).expect("writable");
    }
}

fn load(folder: &Path, prompts: Prompts) -> Result<Dit, String> {
    let weights = Weights::Folder(folder.into());
    let source = Source::preset("tiny-image", weights).expect("listed");
    Dit::prompted(&[source], 11, prompts).map_err(|error| error.to_string())
}

#[test]
fn latents_that_overflow_are_told_with_the_step() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), ("proj_out.weight", 3e38), |_, _| {});
    let dit = Arc::new(load(folder.path(), Prompts::default()).expect("finite weights"));
    let request = Request { shape: Shape { steps: 3, ..image(4).shape }, ..image(4) };
    let told = "latents are not finite after denoising step ";
    let error = dit.serial(&request).expect_err("overflows").to_string();
    assert!(error.starts_with(told), "{error}");
    let workload = flexdit_core::Workload { requests: vec![request], ..Default::default() };
    let (fabric, offer) = (GroupFree::default(), Offer::all(2));
    let driver = Driver::new(crate::bench::options(2), dit as Arc<dyn Compute>, &fabric);
    let mut system = Chain::believing(Box::new(offer), 2);
    let outcome = driver.run(&mut system, workload, &mut (), &mut ());
    // The warm-up of the ranks meets it already, or else the first task.
    let said = match outcome {
        Ok(outcome) => outcome.failures.join("\n"),
        Err(error) => error.to_string(),
    };
    assert!(said.contains(told), "{said}");
}

#[test]
fn what_is_wrong_with_several_parts_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("nowhere");
    let error = load(&nowhere, Prompts::default()).expect_err("nothing there");
    let ending = "nowhere: no such folder; expected one with the folders text_encoder, transformer and vae of \
                  safetensors files";
    assert!(error.ends_with(ending), "{error}");
    written(folder.path(), ("", 1.0), |_, specs| drop(specs.remove(2)));
    std::fs::remove_dir_all(folder.path().join("text_encoder")).expect("writable");
    let error = load(folder.path(), Prompts::default()).expect_err("three parts are wrong");
    for part in ["text_encoder: ", "transformer: tensors", "vae: tensors"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_tokenizer_beside_the_weights_is_read_or_refused_but_only_for_texts() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), ("", 1.0), |_, _| {});
    let tokenizer = folder.path().join("tokenizer");
    std::fs::create_dir(&tokenizer).expect("writable");
    let text = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "vocab": {"red": 5, "fox": 6, "?": 0},
        "unk_token": "?"}}"#;
    std::fs::write(tokenizer.join("tokenizer.json"), text).expect("writable");
    load(folder.path(), Prompts::default()).expect("random tokens need no tokenizer");
    let loaded = load(folder.path(), prompts(&["red fox"], "?"));
    if cfg!(feature = "tokenizers") {
        let picture = loaded.expect("a tokenizer").serial(&image(12)).expect("a request");
        let hashed = shown(prompts(&["red fox"], "?"), false).serial(&image(12));
        assert_ne!(picture, hashed.expect("a request"), "the stand-in makes other tokens");
        let error = load(folder.path(), prompts(&[" "], "?")).expect_err("no token");
        assert_eq!(error, "tiny-image: the prompt ` ` has no token");
    } else {
        let error = loaded.expect_err("the feature is off");
        assert!(error.starts_with("tiny-image: ") && error.contains("tokenizer.json"), "{error}");
        assert!(error.ends_with("needs a build with the feature `tokenizers`"), "{error}");
    }
}
