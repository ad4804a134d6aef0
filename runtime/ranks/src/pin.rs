//! Pinning a rank's thread to a core.

/// Keeps the calling thread on the `index`-th of the cores that this process may use, counted round.
///
/// # Errors
/// What the system said when it refused; the thread then runs where it may.
#[cfg(target_os = "linux")]
pub fn to_core(index: usize) -> Result<usize, String> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let Some(core) = cores.get(index % cores.len().max(1)) else {
        return Err("the process may use no core".into());
    };
    let mut only = CpuSet::new();
    only.set(*core);
    sched_setaffinity(None, &only).map_err(|error| error.to_string())?;
    Ok(*core)
}

/// Pinning is known for Linux only.
#[cfg(not(target_os = "linux"))]
pub fn to_core(_index: usize) -> Result<usize, String> {
    Err("this system has no way to pin that is known here".into())
}
