//! The clock, and the rate of multiply-adds that a core cannot exceed: chains in registers, no memory.

use pulp::{Arch, Simd, WithSimd};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The least CPU time of `runs` calls, after one to warm up.
pub fn best(runs: usize, run: &mut dyn FnMut()) -> f64 {
    run();
    let time = |run: &mut dyn FnMut()| {
        let begin = cpu_seconds();
        run();
        cpu_seconds() - begin
    };
    (0..runs).map(|_| time(run)).fold(f64::INFINITY, f64::min)
}

/// Independent chains: enough to hide the latency of two units.
const CHAINS: usize = 16;

struct Chains(usize);

impl WithSimd for Chains {
    type Output = (f32, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let (factor, term) = (simd.splat_f32s(0.999), simd.splat_f32s(1e-3));
        let mut chains = [simd.splat_f32s(0.0); CHAINS];
        for _ in 0..self.0 {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, term);
            }
        }
        let sum = chains.into_iter().reduce(|a, b| simd.add_f32s(a, b));
        (simd.reduce_sum_f32s(sum.unwrap_or(term)), S::F32_LANES)
    }
}

/// Operations a second of this core in one probe of some milliseconds, a multiply-add counting two.
fn probe() -> f64 {
    const ROUNDS: usize = 400_000;
    let begin = cpu_seconds();
    let (sum, lanes) = Arch::new().dispatch(Chains(ROUNDS));
    std::hint::black_box(sum);
    (2 * ROUNDS * CHAINS * lanes) as f64 / (cpu_seconds() - begin)
}

/// A rate and its share of the core's limit: medians of `runs` pairs, each a run between two probes.
///
/// Neighbours on the host slow the core by the second, so a limit that is measured once and a best time that is measured
/// later are of two machines; a pair is not.
pub fn paired(runs: usize, operations: f64, run: &mut dyn FnMut()) -> [f64; 2] {
    run();
    let mut before = probe();
    let mut pair = || {
        let begin = cpu_seconds();
        run();
        let rate = operations / (cpu_seconds() - begin);
        let after = probe();
        let share = rate / before.midpoint(after);
        before = after;
        [rate, share]
    };
    let pairs: Vec<[f64; 2]> = (0..runs).map(|_| pair()).collect();
    [0, 1].map(|which| {
        let mut values: Vec<f64> = pairs.iter().map(|pair| pair[which]).collect();
        values.sort_by(f64::total_cmp);
        values[runs / 2]
    })
}
