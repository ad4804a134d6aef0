//! Who makes the memory of a world: threads of one process, or processes that share a mapping.

pub mod process;
pub mod thread;
