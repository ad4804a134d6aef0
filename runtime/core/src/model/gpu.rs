//! The table of known GPUs.

use crate::units::Bytes;

/// How the GPUs of a node reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// NVLink through a switch.
    NvLink,
    /// PCI Express.
    Pcie,
    /// The memory of one machine, which all ranks share.
    SharedMemory,
}

/// What a data sheet prints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataSheet {
    /// Dense BF16 TFLOP/s.
    pub tflops: f64,
    /// Memory in decimal gigabytes.
    pub memory_gb: f64,
    /// Memory bandwidth in TB/s.
    pub memory_tb_per_s: f64,
    /// Link bandwidth in GB/s, both directions together as data sheets print it.
    pub link_gb_per_s: f64,
}

/// A kind of rank: a GPU with its data-sheet figures, or a core of this machine, which has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuSpec {
    /// The name used in files, lower case.
    pub name: &'static str,
    /// Kind of the link between ranks.
    pub link: Link,
    /// Published figures; `None` for cores, whose figures are those of the machine at hand.
    pub sheet: Option<DataSheet>,
}

impl GpuSpec {
    /// Memory of one GPU; `None` if no figure is published.
    pub fn memory(&self) -> Option<Bytes> {
        self.sheet.map(|sheet| Bytes::from_gb_f64(sheet.memory_gb))
    }

    /// Link bandwidth in one direction, bytes per second: half of the data-sheet figure. `None` if no figure is published.
    pub fn link_one_way(&self) -> Option<f64> {
        self.sheet.map(|sheet| sheet.link_gb_per_s * 1e9 / 2.0)
    }
}

const fn spec(
    name: &'static str,
    tflops: f64,
    memory_gb: f64,
    memory_tb_per_s: f64,
    link: Link,
    link_gb_per_s: f64,
) -> GpuSpec {
    let sheet = Some(DataSheet { tflops, memory_gb, memory_tb_per_s, link_gb_per_s });
    GpuSpec { name, link, sheet }
}

/// The name of the ranks that are cores of the machine at hand.
pub const CPU: &str = "cpu";

/// Every known GPU, and the cores of the machine at hand.
///
/// # Source
/// Vendor data sheets, dense figures. `a100` is the 80 GB one. `l20` has no NVLink: its link is
/// PCIe 4.0 x16 (64 GB/s).
pub static GPUS: [GpuSpec; 9] = [
    spec("h20", 148.0, 96.0, 4.0, Link::NvLink, 900.0),
    spec("h100", 989.0, 80.0, 3.35, Link::NvLink, 900.0),
    spec("h200", 989.0, 141.0, 4.8, Link::NvLink, 900.0),
    spec("h800", 989.0, 80.0, 3.35, Link::NvLink, 400.0),
    spec("a100", 312.0, 80.0, 2.04, Link::NvLink, 600.0),
    spec("l20", 119.5, 48.0, 0.86, Link::Pcie, 64.0),
    spec("b200", 2250.0, 180.0, 8.0, Link::NvLink, 1800.0),
    spec("gb200", 2500.0, 186.0, 8.0, Link::NvLink, 1800.0),
    GpuSpec { name: CPU, link: Link::SharedMemory, sheet: None },
];

/// The GPU of this name, if it is known.
pub fn gpu(name: &str) -> Option<&'static GpuSpec> {
    GPUS.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_link_is_halved() {
        for (i, spec) in GPUS.iter().enumerate() {
            assert!(GPUS[..i].iter().all(|other| other.name != spec.name));
        }
        let h20 = gpu("h20").expect("listed");
        assert_eq!(h20.link_one_way(), Some(450e9));
        assert_eq!(h20.memory(), Some(Bytes(96_000_000_000)));
        let cpu = gpu(CPU).expect("listed");
        assert_eq!((cpu.memory(), cpu.link_one_way()), (None, None));
    }
}
