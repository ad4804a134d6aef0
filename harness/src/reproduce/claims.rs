//! The table of claims: name, source, the experiments each needs, and its check.

use super::row::Row;
use super::runs::Ran;
use super::{facts, gains};

/// One claim of a paper.
pub struct Claim {
    /// Name on the command line.
    pub name: &'static str,
    /// Where it is published.
    pub source: &'static str,
    /// The experiments that bear on it, by file name without extension.
    pub experiments: &'static [&'static str],
    /// The check, given those experiments that were run.
    pub check: fn(&'static str, &[&Ran]) -> Vec<Row>,
}

const GF_DIT: &str = "GF-DiT, arXiv 2606.13501";
const TETRISERVE: &str = "TetriServe, arXiv 2510.01565";

/// The campaigns that the headline figures are looked for in: the paper's, on its machines and on derived
/// ones, and its batch.
pub const CAMPAIGNS: &[&str] = &[
    "qwen-a100-short",
    "qwen-a100-foreground",
    "qwen-h20-short",
    "qwen-h20-foreground",
    "qwen-h100-short",
    "qwen-h100-foreground",
    "wan-a100-short",
    "wan-a100-foreground",
    "wan-h20-short",
    "wan-h20-foreground",
    "wan-h20-inflight",
    "wan-h20-tridentserve",
    "wan-h100-short",
    "wan-h100-foreground",
    "batch-throughput",
    "batch-mixed",
];

const TETRI: &[&str] = &["tetriserve-uniform", "tetriserve-skewed"];

/// Every claim, in the order of the table.
pub static CLAIMS: &[Claim] = &[
    Claim { name: "throughput", source: GF_DIT, experiments: CAMPAIGNS, check: gains::headline },
    Claim { name: "latency", source: GF_DIT, experiments: CAMPAIGNS, check: gains::headline },
    Claim { name: "violations", source: GF_DIT, experiments: CAMPAIGNS, check: gains::headline },
    Claim {
        name: "degrees",
        source: "not in the papers: where the gain comes from",
        experiments: CAMPAIGNS,
        check: gains::degrees,
    },
    Claim {
        name: "group-setup",
        source: GF_DIT,
        experiments: &["break-even", "break-even-per-use"],
        check: facts::group_setup,
    },
    Claim {
        name: "small-on-one",
        source: "derived from GF-DiT's step times",
        experiments: &["batch-throughput"],
        check: facts::small_on_one,
    },
    Claim {
        name: "closed-form",
        source: "derived from GF-DiT's step times and artifact",
        experiments: &["batch-throughput"],
        check: facts::closed_form,
    },
    Claim {
        name: "sweet-spots",
        source: "GF-DiT, step times of Qwen-Image on H20",
        experiments: &["sp-sweet-spot"],
        check: facts::sweet_spots,
    },
    Claim {
        name: "fixed-degree",
        source: TETRISERVE,
        experiments: TETRI,
        check: facts::tetriserve_fixed,
    },
    Claim {
        name: "round-gain",
        source: TETRISERVE,
        experiments: TETRI,
        check: facts::tetriserve_gain,
    },
    Claim {
        name: "flux-degrees",
        source: TETRISERVE,
        experiments: &["flux-degrees"],
        check: facts::flux_degrees,
    },
    Claim {
        name: "video-scaling",
        source: "xDiT, HunyuanVideo",
        experiments: &["hunyuanvideo-h20", "hunyuanvideo-h100"],
        check: facts::hunyuan,
    },
    Claim {
        name: "promotion",
        source: "DDiT, arXiv 2506.13497",
        experiments: &[],
        check: |claim, _| {
            let mut row = Row::new(claim, "OpenSora: p99 and mean latency", "1.44x, 1.43x");
            row.why = "Needs DDiT's policy and OpenSora's step times: neither is here yet.".into();
            vec![row]
        },
    },
];
