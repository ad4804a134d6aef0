//! All ranks are threads of this process. Heaps are ordinary memory, and any buffer can be lent.

use crate::config::WorldConfig;
use crate::endpoint::Endpoint;
use crate::error::CommError;
use crate::layout::HeapLayout;
use crate::mapped::Mapped;
use flexdit_core::Rank;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;

/// Zeroed memory, given back when it is dropped.
#[derive(Debug)]
struct Allocation {
    base: *mut u8,
    layout: Layout,
}

// SAFETY: owns plain bytes; whoever uses the pointer answers for it.
unsafe impl Send for Allocation {}
// SAFETY: as above; this type itself never touches the bytes.
unsafe impl Sync for Allocation {}

impl Allocation {
    fn new(bytes: usize) -> Option<Self> {
        let layout = Layout::from_size_align(bytes, 4096).expect("a heap fits the address space");
        // SAFETY: a heap is never empty.
        let base = unsafe { alloc_zeroed(layout) };
        (!base.is_null()).then_some(Self { base, layout })
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base, self.layout) };
    }
}

/// A world whose ranks are threads: one endpoint per rank, in order, each to be moved to its thread.
///
/// # Errors
///
/// [`CommError::BadWorld`] if a setting is out of range or there is no memory for the heaps.
pub fn world(config: &WorldConfig) -> Result<Vec<Endpoint>, CommError> {
    let memory = Arc::new(memory(config)?);
    let config = Arc::new(config.clone());
    let join = |rank| {
        memory.touch(Rank(rank as u16));
        Endpoint::join(Arc::clone(&memory), Rank(rank as u16), &config, None)
    };
    Ok((0..config.ranks).map(join).collect())
}

/// The heaps of a world, with nobody in it.
pub(crate) fn memory(config: &WorldConfig) -> Result<Mapped, CommError> {
    config.check()?;
    let bytes = HeapLayout::new(config).total();
    let heaps: Option<Vec<_>> = (0..config.ranks).map(|_| Allocation::new(bytes)).collect();
    let heaps = heaps.ok_or_else(|| {
        let ranks = config.ranks;
        CommError::BadWorld(format!("no memory for {ranks} heaps of {bytes} bytes each"))
    })?;
    let bases = heaps.iter().map(|heap| heap.base).collect();
    // SAFETY: the allocations are page-aligned, zeroed, apart from each other, as large as the layout says, and owned by the
    // mapping alone.
    Ok(unsafe { Mapped::new(config, bases, true, Box::new(heaps)) })
}
