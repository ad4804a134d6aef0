//! A model's safetensors file, or all such files of a folder, as a source of weights.
//!
//! Only headers are held; a tensor is read when it is asked for and converted to f32, so that at no time more of a file
//! is in memory than one tensor.

use super::problem::Problem;
use crate::error::{KernelError, Result};
use crate::model::{TensorSpec, WeightSource};
use crate::tensor::{Shape, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest header that is read: the largest published ones have some hundred kilobytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// Weights in files.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    files: Vec<File>,
    tensors: BTreeMap<String, Entry>,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// First byte and number of bytes.
    begin: u64,
    length: usize,
}

impl Files {
    /// A safetensors file, or a folder whose files with that ending together hold a model.
    ///
    /// # Errors
    /// [`KernelError::File`] if a file cannot be read or is none; [`KernelError::Weights`] if two files hold a tensor.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |why: String| KernelError::File { path: path.into(), why };
        let paths = if path.is_dir() { folder(path)? } else { vec![path.to_path_buf()] };
        if paths.is_empty() {
            return Err(refuse("no file in it ends in .safetensors".into()));
        }
        let mut opened = Self { path: path.into(), files: Vec::new(), tensors: BTreeMap::new() };
        let mut twice = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let (file, entries) = header(path, index)?;
            opened.files.push(file);
            for (name, entry) in entries {
                let known = opened.tensors.insert(name.clone(), entry);
                if let Some(known) = known {
                    let text = |path: &Path| path.display().to_string();
                    let (first, second) = (text(&paths[known.file]), text(path));
                    twice.push(Problem::Twice { name, first, second });
                }
            }
        }
        opened.refuse(twice)?;
        Ok(opened)
    }

    /// Checks that all of `specs` are there, in their shapes, in a type that can be read. Tensors besides are no
    /// error: a VAE's file holds its encoder, too.
    ///
    /// # Errors
    /// [`KernelError::Weights`] with every tensor that is wrong.
    pub fn check(&self, specs: &[TensorSpec]) -> Result<()> {
        let problems = specs.iter().filter_map(|spec| self.problem(&spec.name, spec.shape));
        let problems: Vec<Problem> = problems.collect();
        let missing = |problem: &Problem| matches!(problem, Problem::Missing { .. });
        if problems.len() == specs.len() && problems.iter().all(missing) {
            return self.refuse_with(problems, self.hint(specs));
        }
        self.refuse(problems)
    }

    /// How the file calls its tensors, where it has none of the names that are needed.
    fn hint(&self, specs: &[TensorSpec]) -> String {
        let prefix = self.names().find_map(|name| {
            let ends = |spec: &TensorSpec| name.strip_suffix(&format!(".{}", spec.name));
            specs.iter().find_map(ends)
        });
        match (prefix, self.names().next()) {
            (Some(prefix), _) => format!("its names start with `{prefix}.`: remove that prefix"),
            (None, Some(name)) => {
                let start = name.split('.').next().unwrap_or(name);
                format!(
                    "its names are others and start with `{start}`: is it another model's, or another layout?"
                )
            }
            (None, None) => "it has no tensors".to_owned(),
        }
    }

    /// Names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    fn refuse(&self, problems: Vec<Problem>) -> Result<()> {
        self.refuse_with(problems, String::new())
    }

    fn refuse_with(&self, problems: Vec<Problem>, hint: String) -> Result<()> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(KernelError::Weights { path: self.path.clone(), problems, hint })
    }

    fn problem(&self, name: &str, expected: Shape) -> Option<Problem> {
        let name = name.to_string();
        let Some(entry) = self.tensors.get(&name) else { return Some(Problem::Missing { name }) };
        if entry.shape != expected.axes() {
            return Some(Problem::Shape { name, got: entry.shape.clone(), expected });
        }
        let readable = matches!(entry.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16);
        (!readable).then_some(Problem::Type { name, got: entry.dtype })
    }
}

impl WeightSource for Files {
    /// The tensor, in f32.
    ///
    /// # Errors
    /// [`KernelError::Weights`] if it is not as expected or holds numbers that are not finite; [`KernelError::File`] if it
    /// cannot be read.
    fn tensor(&mut self, name: &str, shape: Shape) -> Result<Tensor> {
        self.refuse(self.problem(name, shape).into_iter().collect())?;
        let entry = self.tensors[name].clone();
        let mut bytes = vec![0; entry.length];
        let file = &mut self.files[entry.file];
        file.seek(SeekFrom::Start(entry.begin)).and_then(|_| file.read_exact(&mut bytes)).map_err(
            |error| KernelError::File { path: self.path.clone(), why: error.to_string() },
        )?;
        let pairs = || bytes.as_chunks::<2>().0.iter();
        let data: Vec<f32> = match entry.dtype {
            Dtype::BF16 => pairs().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect(),
            Dtype::F16 => pairs().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect(),
            _ => bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        };
        if let Some(index) = data.iter().position(|x| !x.is_finite()) {
            let (name, got) = (name.to_owned(), data[index]);
            self.refuse(vec![Problem::NotFinite { name, index, got }])?;
        }
        Tensor::new(name, shape, data)
    }
}

/// The safetensors files of a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let failed =
        |why: std::io::Error| KernelError::File { path: path.into(), why: why.to_string() };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Opens a file and reads where its tensors lie.
fn header(path: &Path, index: usize) -> Result<(File, BTreeMap<String, Entry>)> {
    let refuse = |why: String| KernelError::File { path: path.into(), why };
    let io = |error: std::io::Error| refuse(error.to_string());
    let mut file = File::open(path).map_err(io)?;
    let total = file.metadata().map_err(io)?.len();
    let mut begin = [0; 8];
    file.read_exact(&mut begin).map_err(|_| refuse("too short for safetensors".into()))?;
    let length = u64::from_le_bytes(begin);
    if length > LONGEST_HEADER || length > total - 8 {
        return Err(refuse("not safetensors: its header would be longer than the file".into()));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(io)?;
    // The library's own reader wants the whole file in memory.
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| refuse(format!("not safetensors: {error}")))?;
    let (data, expected) = (8 + length, 8 + length + metadata.data_len() as u64);
    if expected != total {
        return Err(refuse(format!("is {total} bytes long, by its header {expected}")));
    }
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let (first, end) = info.data_offsets;
        let (shape, dtype) = (info.shape.clone(), info.dtype);
        let entry =
            Entry { file: index, dtype, shape, begin: data + first as u64, length: end - first };
        (name, entry)
    });
    Ok((file, entries.collect()))
}
