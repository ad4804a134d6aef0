//! Arrival generators: when requests come and of which class.
//!
//! Times are drawn from stream `arrivals`, classes from stream `classes`, so changing the mix moves
//! no arrival. Gaps add up in seconds as `f64` and are rounded to the nanosecond once.

use super::phases::Phase;
use super::spec::SessionsSpec;
use super::stream::Stream;
use flexdit_core::Nanos;

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Nanos,
    /// Index of its class.
    pub class: usize,
}

/// The most requests a workload may have; a rate that asks for more is a mistake of units.
pub const MAX_REQUESTS: usize = 10_000_000;

/// When an open-loop generator stops: at a count, at a time, or at what comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// At most this many.
    pub requests: usize,
    /// Before this time, in seconds.
    pub until: f64,
}

/// Poisson arrivals by phase; memoryless, so each phase starts its gaps anew at its own start.
pub fn phased(seed: u64, phases: &[Phase]) -> Vec<Arrival> {
    let mut times = Stream::new(seed, "arrivals");
    let mut classes = Stream::new(seed, "classes");
    let mut arrivals = Vec::new();
    for phase in phases.iter().filter(|phase| phase.per_sec > 0.0) {
        let mut at = phase.start;
        loop {
            at += times.exponential(1.0 / phase.per_sec);
            if at >= phase.end || arrivals.len() == MAX_REQUESTS {
                break;
            }
            let class = classes.choose(&phase.mix);
            arrivals.push(Arrival { at: Nanos::from_secs_f64(at), class });
        }
    }
    arrivals
}

/// Poisson arrivals at `per_sec` with classes by `mix`.
pub fn poisson(seed: u64, per_sec: f64, limit: Limit, mix: &[f64]) -> Vec<Arrival> {
    renewal(seed, limit, mix, |times| times.exponential(1.0 / per_sec))
}

/// Gamma-distributed gaps of mean `1 / per_sec` and coefficient of variation `cv`.
pub fn gamma(seed: u64, per_sec: f64, cv: f64, limit: Limit, mix: &[f64]) -> Vec<Arrival> {
    let shape = 1.0 / (cv * cv);
    let scale = 1.0 / (per_sec * shape);
    renewal(seed, limit, mix, |times| times.gamma(shape) * scale)
}

fn renewal(
    seed: u64,
    limit: Limit,
    mix: &[f64],
    mut gap: impl FnMut(&mut Stream) -> f64,
) -> Vec<Arrival> {
    let mut times = Stream::new(seed, "arrivals");
    let mut classes = Stream::new(seed, "classes");
    let mut arrivals = Vec::new();
    let mut at = 0.0;
    while arrivals.len() < limit.requests.min(MAX_REQUESTS) {
        at += gap(&mut times);
        if at >= limit.until {
            break;
        }
        arrivals.push(Arrival { at: Nanos::from_secs_f64(at), class: classes.choose(mix) });
    }
    arrivals
}

/// Arrivals of user sessions whose gaps are divided by `speed`; each user has a stream of its own.
pub fn sessions(seed: u64, spec: &SessionsSpec, speed: f64, mix: &[f64]) -> Vec<Arrival> {
    let [shortest, longest] = spec.gap.map(|gap| gap.0.as_secs_f64() / speed);
    let (active, silent) = (spec.active.0.as_secs_f64(), spec.silent.0.as_secs_f64());
    let end = spec.duration.0.as_secs_f64();
    let mut times = Vec::new();
    for user in 0..spec.users {
        let mut stream = Stream::new(seed, &format!("sessions/{user}"));
        let mut start = -stream.uniform(0.0, active + silent);
        while start < end {
            let mut at = start;
            while at < (start + active).min(end) && times.len() < MAX_REQUESTS {
                if at >= 0.0 {
                    times.push((Nanos::from_secs_f64(at), user));
                }
                at += stream.uniform(shortest, longest);
            }
            start += active + silent;
        }
    }
    times.sort_unstable();
    let mut classes = Stream::new(seed, "classes");
    times.into_iter().map(|(at, _)| Arrival { at, class: classes.choose(mix) }).collect()
}

/// `requests` arrivals at time 0 with classes drawn by `mix`.
pub fn batch(seed: u64, requests: usize, mix: &[f64]) -> Vec<Arrival> {
    let mut classes = Stream::new(seed, "classes");
    (0..requests).map(|_| Arrival { at: Nanos::ZERO, class: classes.choose(mix) }).collect()
}

/// Exactly `counts[class]` arrivals of each class at time 0, interleaved so that every prefix is as
/// close to the overall mix as can be (ties go to the earlier class).
pub fn batch_of(counts: &[usize]) -> Vec<Arrival> {
    let total: usize = counts.iter().sum();
    let mut sent = vec![0_usize; counts.len()];
    let mut arrivals = Vec::with_capacity(total);
    for n in 1..=total {
        let lag = |class: usize| (n * counts[class]) as i128 - (sent[class] * total) as i128;
        let open = (0..counts.len()).filter(|&class| sent[class] < counts[class]);
        let Some(class) = open.reduce(|a, b| if lag(b) > lag(a) { b } else { a }) else { break };
        sent[class] += 1;
        arrivals.push(Arrival { at: Nanos::ZERO, class });
    }
    arrivals
}

/// `waves` groups of `size` arrivals, `gap` apart; classes take turns.
pub fn waves(waves: usize, size: usize, gap: Nanos, classes: usize) -> Vec<Arrival> {
    let arrival = |n: usize| Arrival { at: gap * (n / size) as u64, class: n % classes };
    (0..waves * size).map(arrival).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Duration;

    const MIX: [f64; 3] = [0.5, 0.3, 0.2];

    fn head(arrivals: &[Arrival]) -> Vec<(u64, usize)> {
        arrivals.iter().take(3).map(|arrival| (arrival.at.0, arrival.class)).collect()
    }

    fn first(requests: usize) -> Limit {
        Limit { requests, until: f64::INFINITY }
    }

    #[test]
    fn the_first_phased_arrivals_never_change() {
        let phase = |start, end, per_sec| Phase { start, end, per_sec, mix: MIX.to_vec() };
        let arrivals = phased(42, &[phase(0.0, 60.0, 0.1), phase(60.0, 90.0, 0.0)]);
        assert!(arrivals.iter().all(|arrival| arrival.at < Nanos::from_secs(60)));
        assert_eq!(head(&arrivals), [(276764004, 0), (3777307147, 0), (12968364233, 1)]);
    }

    #[test]
    fn the_first_poisson_arrivals_never_change() {
        assert_eq!(
            head(&poisson(42, 0.2, first(9), &MIX)),
            [(138382002, 0), (1888653573, 0), (6484182117, 1)]
        );
    }

    #[test]
    fn the_first_gamma_arrivals_never_change() {
        assert_eq!(
            head(&gamma(42, 0.2, 3.0, first(9), &MIX)),
            [(11302499057, 0), (12739040428, 0), (12743315724, 1)]
        );
    }

    fn an_hour_of_sessions(users: u32) -> SessionsSpec {
        SessionsSpec {
            users,
            gap: [Duration(Nanos::from_secs(30)), Duration(Nanos::from_secs(100))],
            active: Duration(Nanos::from_secs(3600)),
            silent: Duration(Nanos::from_secs(3600)),
            duration: Duration(Nanos::from_secs(3600)),
        }
    }

    #[test]
    fn the_first_session_arrivals_never_change() {
        let arrivals = sessions(42, &an_hour_of_sessions(5), 1.0, &MIX);
        assert_eq!(head(&arrivals), [(4213160563, 0), (16572329522, 0), (23795078397, 1)]);
    }

    #[test]
    fn sessions_bring_the_load_of_users_that_are_active_half_the_time() {
        let arrivals = sessions(1, &an_hour_of_sessions(400), 1.0, &MIX);
        let expected = 400.0 * 0.5 * 3600.0 / 65.0;
        assert!((arrivals.len() as f64 / expected - 1.0).abs() < 0.1, "{}", arrivals.len());
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
    }

    #[test]
    fn gamma_arrivals_keep_the_rate_and_spread_with_cv() {
        for cv in [0.3, 1.0, 3.0] {
            let arrivals = gamma(5, 2.0, cv, first(100_000), &MIX);
            let span = arrivals[99_999].at.as_secs_f64();
            assert!((span / 50_000.0 - 1.0).abs() < 0.03, "cv {cv}: {span}");
            let gaps = arrivals.windows(2).map(|w| (w[1].at - w[0].at).as_secs_f64());
            let variance = gaps.map(|gap| (gap - 0.5) * (gap - 0.5)).sum::<f64>() / 99_999.0;
            assert!((variance.sqrt() / 0.5 / cv - 1.0).abs() < 0.05, "cv {cv}");
        }
    }

    #[test]
    fn a_batch_of_counts_holds_each_class_exactly_and_interleaves() {
        let classes: Vec<usize> = batch_of(&[4, 2, 1]).iter().map(|a| a.class).collect();
        assert_eq!(classes.iter().filter(|&&class| class == 0).count(), 4);
        assert_eq!(classes, [0, 1, 0, 2, 0, 1, 0]);
    }

    #[test]
    fn waves_come_at_equal_distances_with_classes_in_turn() {
        let arrivals = waves(2, 2, Nanos::from_secs(3), 3);
        let listed: Vec<_> = arrivals.iter().map(|a| (a.at.0 / 1_000_000_000, a.class)).collect();
        assert_eq!(listed, [(0, 0), (0, 1), (3, 2), (3, 0)]);
    }
}
