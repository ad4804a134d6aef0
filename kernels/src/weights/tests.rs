//! Files written and read back, and what is said of wrong ones.

use super::*;
use crate::error::Result;
use crate::model::{Seeded, TensorSpec, WeightSource};
use crate::tensor::{DType, Shape, Tensor};
use half::bf16;
use std::path::Path;

fn specs() -> Vec<TensorSpec> {
    let spec = |name: &str, shape: Shape| TensorSpec { name: name.into(), shape };
    vec![
        spec("a.weight", [3, 2].into()),
        spec("a.bias", [3].into()),
        spec("b.gamma", [2, 1, 1, 1].into()),
        spec("c.weight", [2, 2, 3].into()),
    ]
}

fn written(path: &Path, specs: &[TensorSpec], dtype: DType) -> Files {
    save(path, specs, &mut Seeded::new(1), dtype).expect("writable");
    Files::open(path).expect("just written")
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut exact = written(&folder.path().join("f32.safetensors"), &specs(), DType::F32);
    let mut rounded = written(&folder.path().join("bf16.safetensors"), &specs(), DType::Bf16);
    exact.check(&specs()).expect("all there");
    for TensorSpec { name, shape } in specs() {
        let seeded = Seeded::new(1).tensor(&name, shape).expect("seeded");
        assert_eq!(exact.tensor(&name, shape).expect("there"), seeded);
        let round = |x: &f32| bf16::from_f32(*x).to_f32();
        let nearest: Vec<f32> = seeded.data().iter().map(round).collect();
        assert_eq!(rounded.tensor(&name, shape).expect("there").data(), nearest);
    }
    // The folder holds every tensor twice.
    let error = Files::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("not as needed, 4 in all:\n  tensor `a.bias` is in two files, "),
        "{error}"
    );
}

#[test]
fn a_folder_of_parts_is_one_model() {
    let folder = tempfile::tempdir().expect("a folder");
    written(&folder.path().join("part-1.safetensors"), &specs()[..2], DType::F32);
    written(&folder.path().join("part-2.safetensors"), &specs()[2..], DType::F32);
    std::fs::write(folder.path().join("config.json"), "{}").expect("writable");
    let mut files = Files::open(folder.path()).expect("two files");
    files.check(&specs()).expect("all there");
    assert_eq!(files.names().collect::<Vec<_>>(), ["a.bias", "a.weight", "b.gamma", "c.weight"]);
    let shape = specs()[3].shape;
    let seeded = Seeded::new(1).tensor("c.weight", shape).expect("seeded");
    assert_eq!(files.tensor("c.weight", shape).expect("there"), seeded);
}

/// Writes one tensor of each type.
fn types(path: &Path) {
    use safetensors::{Dtype, tensor::TensorView};
    let half: Vec<u8> =
        [1.5, -2.0].iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
    let view = |dtype, data| TensorView::new(dtype, vec![2], data).expect("fits");
    let tensors = [("half", view(Dtype::F16, &half)), ("long", view(Dtype::I64, &[0; 16]))];
    safetensors::serialize_to_file(tensors, None, path).expect("writable");
}

#[test]
fn every_wrong_tensor_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("types.safetensors");
    types(&path);
    let mut files = Files::open(&path).expect("just written");
    assert_eq!(files.tensor("half", [2].into()).expect("f16").data(), [1.5, -2.0]);
    let spec = |name: &str, shape: Shape| TensorSpec { name: name.into(), shape };
    let wanted = [
        spec("half", [2].into()),
        spec("half", [1, 2].into()),
        spec("long", [2].into()),
        spec("x", [2].into()),
    ];
    let error = files.check(&wanted).unwrap_err().to_string();
    let expected = "types.safetensors: tensors that are not as needed, 3 in all:\n  \
         tensor `half` has shape [2], expected [1, 2]\n  \
         tensor `long` holds I64, expected F32, BF16 or F16\n  \
         tensor `x` is missing";
    assert!(error.ends_with(expected), "{error}");
    let error = files.tensor("x", [2].into()).unwrap_err().to_string();
    assert!(error.ends_with("not as needed, 1 in all:\n  tensor `x` is missing"), "{error}");
}

#[test]
fn of_many_wrong_tensors_ten_are_told_and_a_prefix_that_all_have_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = |name: String| TensorSpec { name, shape: [2].into() };
    let specs = |prefix: &str| -> Vec<TensorSpec> {
        (0..25).map(|i| spec(format!("{prefix}layer.{i:02}.bias"))).collect()
    };
    let path = folder.path().join("x.safetensors");
    let said = |files: &Files| files.check(&specs("")).unwrap_err().to_string();
    let error = said(&written(&path, &specs("model.net."), DType::F32));
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 13, "{error}");
    assert!(lines[0].ends_with("not as needed, 25 in all:"), "{error}");
    assert_eq!(
        lines[10..],
        [
            "  tensor `layer.09.bias` is missing",
            "  and 15 more",
            "  its names start with `model.net.`: remove that prefix",
        ]
    );
    let error = said(&written(&path, &[spec("unet.a".into())], DType::F32));
    assert!(error.contains("its names are others and start with `unet`"), "{error}");
    // One that is there is enough to see that names are right.
    let error = said(&written(&path, &specs("")[..1], DType::F32));
    assert!(error.ends_with("and 14 more"), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.safetensors");
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let bytes: Vec<u8> = [1.0, bad].iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &bytes);
        let tensors = [("norm.weight", view.expect("fits"))];
        safetensors::serialize_to_file(tensors, None, &path).expect("writable");
        let mut files = Files::open(&path).expect("just written");
        let error = files.tensor("norm.weight", [2].into()).unwrap_err().to_string();
        let expected =
            format!("tensor `norm.weight` holds {bad} at element 1, expected finite numbers");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn what_is_no_safetensors_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.safetensors");
    let refused = |bytes: &[u8]| -> String {
        std::fs::write(&path, bytes).expect("writable");
        let error: Result<Files> = Files::open(&path);
        error.unwrap_err().to_string()
    };
    assert!(refused(b"short").ends_with("too short for safetensors"));
    assert!(refused(&[255; 20]).ends_with("its header would be longer than the file"));
    assert!(refused(b"\x02\0\0\0\0\0\0\0no").contains("not safetensors: "));
    assert!(refused(b"\x02\0\0\0\0\0\0\0{}more").contains("is 14 bytes long"));
    let empty = tempfile::tempdir().expect("a folder");
    let error = Files::open(empty.path()).unwrap_err().to_string();
    assert!(error.ends_with("no file in it ends in .safetensors"));
    assert!(Files::open(&empty.path().join("none")).is_err());
    assert_eq!(Tensor::<f32>::zeros([1]).data(), [0.0]);
}
