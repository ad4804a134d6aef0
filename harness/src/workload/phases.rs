//! Phases of constant arrival rate: the paper's named profiles, and how they scale.

use super::spec::ProfileName;

/// One phase of a named profile, as published: rates are requests a minute at 8 ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedPhase {
    /// When it ends, seconds from the start.
    pub until_s: f64,
    /// Requests a minute at [`REFERENCE_WORLD`] ranks.
    pub per_min: f64,
    /// Shares of classes S, M, L.
    pub mix: [f64; 3],
}

/// The world the published rates are for.
pub const REFERENCE_WORLD: f64 = 8.0;

/// The classes of the published mixes, in their order.
pub const MIX_CLASSES: [&str; 3] = ["S", "M", "L"];

const fn phase(until_s: f64, per_min: f64, s: f64, m: f64, l: f64) -> PublishedPhase {
    PublishedPhase { until_s, per_min, mix: [s, m, l] }
}

const SHORT: &[PublishedPhase] = &[
    phase(60.0, 0.8, 0.50, 0.35, 0.15),
    phase(360.0, 1.5, 0.55, 0.35, 0.10),
    phase(540.0, 2.5, 0.70, 0.25, 0.05),
    phase(600.0, 0.0, 0.0, 0.0, 0.0),
];

const TRIDENTSERVE: &[PublishedPhase] = &[
    phase(600.0, 0.8, 0.50, 0.35, 0.15),
    phase(1500.0, 1.4, 0.35, 0.40, 0.25),
    phase(2400.0, 2.4, 0.50, 0.30, 0.20),
    phase(3000.0, 1.2, 0.20, 0.35, 0.45),
    phase(3600.0, 0.6, 0.55, 0.35, 0.10),
];

const FOREGROUND_BURST: &[PublishedPhase] = &[
    phase(180.0, 0.5, 0.0, 0.4, 0.6),
    phase(360.0, 3.0, 0.85, 0.10, 0.05),
    phase(900.0, 0.8, 0.30, 0.30, 0.40),
    phase(1080.0, 3.0, 0.85, 0.10, 0.05),
    phase(1800.0, 0.5, 0.40, 0.30, 0.30),
];

const INFLIGHT_BURST: &[PublishedPhase] = &[
    phase(300.0, 0.6, 0.0, 0.0, 1.0),
    phase(600.0, 0.0, 0.0, 0.0, 0.0),
    phase(780.0, 4.0, 1.0, 0.0, 0.0),
    phase(1500.0, 0.0, 0.0, 0.0, 0.0),
];

/// The published phases of a profile.
///
/// # Source
/// The workload generator of the GF-DiT artifact (arXiv 2606.13501).
pub fn published(name: ProfileName) -> &'static [PublishedPhase] {
    match name {
        ProfileName::Short => SHORT,
        ProfileName::Tridentserve => TRIDENTSERVE,
        ProfileName::ForegroundBurst => FOREGROUND_BURST,
        ProfileName::InflightBurst => INFLIGHT_BURST,
    }
}

/// One phase as generated: seconds, requests a second, a weight per class.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// When it starts, seconds.
    pub start: f64,
    /// When it ends, seconds.
    pub end: f64,
    /// Requests a second.
    pub per_sec: f64,
    /// Share of each class, by index; sums to 1 unless the rate is 0.
    pub mix: Vec<f64>,
}

impl Phase {
    /// Length in seconds.
    pub fn length(&self) -> f64 {
        self.end - self.start
    }
}

/// Stretches the boundaries of `phases` so that the last ends at `duration` seconds.
pub fn stretch(phases: &mut [Phase], duration: f64) {
    let Some(total) = phases.last().map(|last| last.end) else { return };
    for phase in phases {
        phase.start *= duration / total;
        phase.end *= duration / total;
    }
}

/// From the start of the first to the end of the last phase with a rate above 0, in seconds.
pub fn active_window(phases: &[Phase]) -> f64 {
    let mut active = phases.iter().filter(|phase| phase.per_sec > 0.0);
    let Some(first) = active.next() else { return 0.0 };
    active.next_back().unwrap_or(first).end - first.start
}

/// Expected offered load: work that `phases` bring (seconds on one rank, `t_single` by class) over
/// world x active window; `None` if a class that occurs has no T_single or nothing arrives.
pub fn expected_load(phases: &[Phase], t_single: &[Option<f64>], world: u16) -> Option<f64> {
    let mut work = 0.0;
    for phase in phases.iter().filter(|phase| phase.per_sec > 0.0) {
        for (share, time) in phase.mix.iter().zip(t_single) {
            if *share > 0.0 {
                work += phase.per_sec * phase.length() * share * (*time)?;
            }
        }
    }
    let capacity = f64::from(world) * active_window(phases);
    (capacity > 0.0).then_some(work / capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(name: ProfileName) -> Vec<Phase> {
        let mut start = 0.0;
        published(name)
            .iter()
            .map(|p| {
                let per_sec = p.per_min / 60.0;
                let phase = Phase { start, end: p.until_s, per_sec, mix: p.mix.to_vec() };
                start = p.until_s;
                phase
            })
            .collect()
    }

    #[test]
    fn the_active_window_runs_from_the_first_to_the_last_phase_with_arrivals() {
        assert_eq!(active_window(&phases(ProfileName::Short)), 540.0);
        assert_eq!(active_window(&phases(ProfileName::Tridentserve)), 3600.0);
        assert_eq!(active_window(&phases(ProfileName::ForegroundBurst)), 1800.0);
        assert_eq!(active_window(&phases(ProfileName::InflightBurst)), 780.0);
    }

    #[test]
    fn every_active_phase_has_a_mix_that_sums_to_one() {
        for name in [
            ProfileName::Short,
            ProfileName::Tridentserve,
            ProfileName::ForegroundBurst,
            ProfileName::InflightBurst,
        ] {
            for phase in published(name) {
                let sum: f64 = phase.mix.iter().sum();
                assert!((sum - f64::from(u8::from(phase.per_min > 0.0))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_duration_stretches_boundaries_and_leaves_rates() {
        let mut stretched = phases(ProfileName::Short);
        stretch(&mut stretched, 1200.0);
        let ends: Vec<f64> = stretched.iter().map(|phase| phase.end).collect();
        assert_eq!(ends, [120.0, 720.0, 1080.0, 1200.0]);
        assert_eq!(stretched[1].per_sec, 1.5 / 60.0);
    }

    /// # Source
    /// The artifact's sample workload: four ranks, profile short, target load 0.4 gives these
    /// rates.
    #[test]
    fn rates_scaled_to_a_load_are_those_of_the_artifact() {
        let short = phases(ProfileName::Short);
        let t_single = [7.957_523_592_96, 30.457_594_371_84, 78.057_712_336_64].map(Some);
        let load = expected_load(&short, &t_single, 4).unwrap();
        let rates: Vec<f64> = short.iter().map(|p| p.per_sec * 60.0 * 0.4 / load).collect();
        for (ours, theirs) in rates.iter().zip([2.156_267_325, 4.043_001_235, 6.738_335_392, 0.0]) {
            assert!((ours - theirs).abs() < 1e-6, "{rates:?}");
        }
    }
}
