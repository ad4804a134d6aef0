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

/// Independent chains: enough to hide the latency of two units, few enough for 16 registers.
const CHAINS: usize = 12;

/// So many rounds of chains, each of `CHAINS` multiply-adds; with a factor in a register, or loaded from the first-level
/// cache every time.
struct Chains<'a> {
    rounds: usize,
    factors: Option<&'a [f32]>,
}

impl WithSimd for Chains<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let (factor, term) = (simd.splat_f32s(0.999), simd.splat_f32s(1e-3));
        let mut chains = [simd.splat_f32s(0.0); CHAINS];
        match self.factors {
            None => {
                for _ in 0..self.rounds {
                    for chain in &mut chains {
                        *chain = simd.mul_add_f32s(*chain, factor, term);
                    }
                }
            }
            Some(factors) => {
                let lines = S::as_simd_f32s(factors).0.as_chunks::<CHAINS>().0;
                for line in lines.iter().cycle().take(self.rounds) {
                    for (chain, factor) in chains.iter_mut().zip(line) {
                        *chain = simd.mul_add_f32s(*chain, *factor, term);
                    }
                }
            }
        }
        let sum = chains.into_iter().reduce(|a, b| simd.add_f32s(a, b));
        (simd.reduce_sum_f32s(sum.unwrap_or(term)), S::F32_LANES)
    }
}

/// Operations a second of chains, a multiply-add counting two.
fn rate(rounds: usize, factors: Option<&[f32]>) -> f64 {
    let begin = cpu_seconds();
    let rounds = std::hint::black_box(rounds);
    let (sum, lanes) = Arch::new().dispatch(Chains { rounds, factors });
    std::hint::black_box(sum);
    (2 * rounds * CHAINS * lanes) as f64 / (cpu_seconds() - begin)
}

/// What a core does in some milliseconds.
#[derive(Clone, Copy)]
struct Probe {
    /// Operations a second with everything in registers: the limit.
    limit: f64,
    /// The same with one load for each, as a share: less than nine tenths where somebody else uses the core's other half.
    loads: f64,
}

impl Probe {
    fn take(factors: &[f32]) -> Self {
        let limit = rate(400_000, None);
        Self { limit, loads: rate(100_000, Some(factors)) / limit }
    }

    fn is_quiet(self) -> bool {
        self.loads >= 0.9
    }
}

/// What was found in pairs of a run and probes around it.
pub struct Found {
    /// Operations a second, median.
    pub rate: f64,
    /// Share of the core's limit, median.
    pub share: f64,
    /// Time of the peer over that of the run, median, if there is a peer.
    pub peer: Option<f64>,
    /// Pairs that count.
    pub pairs: usize,
    /// Whether those are of a core that nobody else used.
    pub quiet: bool,
}

/// The rate of `run` as a share of the core's limit, over `pairs` pairs, each a run between two probes, with `peer` in turn.
///
/// Neighbours on the host slow the core by the second, so a limit that is measured once and a best time that is measured
/// later are of two machines; a pair is not. Neighbours on the same physical core take loads rather than multiply-adds, so
/// they move the share itself: pairs count whose probes are quiet, among up to three times as many. If there are fewer
/// than three of them, all count, and the result says that it is not of a quiet core.
pub fn paired(
    pairs: usize,
    operations: f64,
    run: &mut dyn FnMut(),
    mut peer: Option<&mut dyn FnMut()>,
) -> Found {
    let factors = vec![0.999; 16 * CHAINS * 8];
    run();
    if let Some(peer) = peer.as_mut() {
        peer();
    }
    let timed = |run: &mut dyn FnMut()| {
        let begin = cpu_seconds();
        run();
        cpu_seconds() - begin
    };
    let (mut quiet, mut all) = (Vec::new(), Vec::new());
    while quiet.len() < pairs && all.len() < 3 * pairs {
        let before = Probe::take(&factors);
        let seconds = timed(run);
        let after = Probe::take(&factors);
        let rate = operations / seconds;
        let share = rate / before.limit.midpoint(after.limit);
        let against = peer.as_mut().map(|peer| timed(*peer) / seconds);
        let pair = [rate, share, against.unwrap_or(0.0)];
        all.push(pair);
        if before.is_quiet() && after.is_quiet() {
            quiet.push(pair);
        }
    }
    let enough = quiet.len() >= 3;
    let counted = if enough { quiet } else { all };
    let [rate, share, against] = [0, 1, 2].map(|which| {
        let mut values: Vec<f64> = counted.iter().map(|pair| pair[which]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    let peer = peer.is_some().then_some(against);
    Found { rate, share, peer, pairs: counted.len(), quiet: enough }
}
