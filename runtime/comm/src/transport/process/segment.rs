//! The memory of a world: one memfd with every rank's heap, one after the other, and a mapping of it.
//!
//! Invariant: what is mapped cannot shrink, so no access faults.

use crate::config::WorldConfig;
use crate::layout::HeapLayout;
use crate::mapped::Mapped;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::{Errno, Result};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of all heaps.
fn bytes(config: &WorldConfig) -> usize {
    HeapLayout::new(config).total() * config.ranks
}

/// Seals that a world's memory has: its size is what it is.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Makes the memory of a world, zeroed. Pages take room when they are first touched.
pub(super) fn create(config: &WorldConfig) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("flexdit", flags)?;
    rustix::fs::ftruncate(&file, bytes(config) as u64)?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

/// Fails unless `file` has the size that the settings ask for, for ever.
pub(super) fn check(file: BorrowedFd<'_>, config: &WorldConfig) -> Result<()> {
    let sealed = rustix::fs::fcntl_get_seals(file)?.contains(SEALS);
    let fits = rustix::fs::fstat(file)?.st_size.cast_unsigned() == bytes(config) as u64;
    if sealed && fits { Ok(()) } else { Err(Errno::BADFD) }
}

/// A shared mapping, undone when it is dropped.
struct Mapping {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: owns a range of addresses; whoever uses the pointer answers for it.
unsafe impl Send for Mapping {}
// SAFETY: as above; this type itself never touches the bytes.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; `Mapped` drops it last, so nobody has a pointer into it. It cannot
        // fail for a range that is mapped.
        let _ = unsafe { rustix::mm::munmap(self.base.cast(), self.bytes) };
    }
}

/// Maps the heaps of a world into this process.
pub(super) fn map(file: impl AsFd, config: &WorldConfig) -> Result<Mapped> {
    check(file.as_fd(), config)?;
    let bytes = bytes(config);
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the kernel picks the address, so the mapping overlaps nothing of this process.
    let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, flags, file, 0) }?;
    let mapping = Mapping { base: base.cast(), bytes };
    let layout = HeapLayout::new(config);
    // SAFETY: the heaps lie one after the other inside the mapping.
    let heap = |rank| unsafe { mapping.base.add(rank * layout.total()) };
    let bases: Vec<*mut u8> = (0..config.ranks).map(heap).collect();
    // SAFETY: the mapping and so each heap are page-aligned, sealed to be as large as the layout says, zeroed when made, apart
    // from each other, and owned by what is returned alone; other processes map the same bytes through this type too.
    Ok(unsafe { Mapped::new(config, bases, false, Box::new(mapping)) })
}

/// Touches the pages of all signals and windows, so that no operation pays for its first use of a peer. Before ranks use them.
pub(super) fn touch(memory: &Mapped, config: &WorldConfig) {
    let (used, _) = HeapLayout::new(config).arena();
    for base in memory.bases() {
        // SAFETY: the range lies inside the mapping; filling page tables changes no byte. An old kernel that does not know
        // the advice refuses it, and pages are then touched one by one as they are used.
        let _ = unsafe { rustix::mm::madvise(base.cast(), used, Advice::LinuxPopulateWrite) };
    }
}
