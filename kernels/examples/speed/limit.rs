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

/// Operations a second of this core, a multiply-add counting two.
pub fn limit() -> f64 {
    const ROUNDS: usize = 2_000_000;
    let mut lanes = 0;
    let seconds = best(5, &mut || {
        let (sum, width) = Arch::new().dispatch(Chains(ROUNDS));
        std::hint::black_box(sum);
        lanes = width;
    });
    (2 * ROUNDS * CHAINS * lanes) as f64 / seconds
}
