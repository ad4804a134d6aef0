//! From the `arrivals:` key to arrivals: checks, scaling to a load, generation.

use super::arrivals::{self, Arrival, Limit, MAX_REQUESTS};
use super::classes::{ClassInfo, index_of};
use super::mix::{self, Mix};
use super::phases::{self, MIX_CLASSES, Phase, REFERENCE_WORLD};
use super::spec::{ArrivalSpec, BatchSpec, PhasedSpec, SessionsSpec, WavesSpec, WorkloadSpec};
use super::spec::{not_negative, positive};
use super::{Context, Duration, trace};
use crate::input::InputError;
use flexdit_core::Nanos;

/// What a generator gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Generated {
    /// In order of time.
    pub arrivals: Vec<Arrival>,
    /// Offered load in expectation, where the generator has one.
    pub expected_load: Option<f64>,
    /// Requests in the system, for a closed loop.
    pub closed_loop: Option<u32>,
    /// Phases of constant rate, where there are any.
    pub phases: Vec<Phase>,
}

/// Generates the arrivals of `workload`.
///
/// # Errors
/// A number out of range, or a target load that the arrivals cannot be scaled to.
pub(super) fn generate(
    workload: &WorkloadSpec,
    spec: &ArrivalSpec,
    classes: &[ClassInfo],
    context: &Context<'_>,
) -> Result<Generated, InputError> {
    if let Some(load) = workload.target_load {
        positive(load).map_err(|message| context.error("target_load", message))?;
    }
    let profiled = matches!(spec, ArrivalSpec::Phased(PhasedSpec { profile: Some(_), .. }));
    let mix = mix::resolve(workload.mix.as_ref(), classes, profiled, context)?;
    let generator = Generator { classes, mix, target: workload.target_load, context };
    match spec {
        ArrivalSpec::Phased(spec) => generator.phased(spec),
        ArrivalSpec::Poisson(spec) => {
            let limit = generator.limit("poisson", spec.requests, spec.duration)?;
            generator.constant("poisson", spec.per_min, limit, arrivals::poisson)
        }
        ArrivalSpec::Gamma(spec) => {
            if !(0.05..=20.0).contains(&spec.cv) {
                let message = format!("expected a number from 0.05 to 20, got {}", spec.cv);
                return Err(context.error("arrivals.gamma.cv", message));
            }
            let limit = generator.limit("gamma", spec.requests, spec.duration)?;
            generator.constant("gamma", spec.per_min, limit, |seed, rate, limit, mix| {
                arrivals::gamma(seed, rate, spec.cv, limit, mix)
            })
        }
        ArrivalSpec::Sessions(spec) => generator.sessions(spec),
        ArrivalSpec::Batch(spec) => generator.batch(spec),
        ArrivalSpec::Closed(spec) => {
            let count = generator.count("closed.requests", Some(spec.requests))?;
            generator.count("closed.concurrency", Some(spec.concurrency))?;
            generator.refuse_target("a closed loop")?;
            let arrivals = arrivals::batch(context.seed, count, generator.fixed()?);
            let closed_loop = Some(spec.concurrency);
            Ok(Generated { arrivals, closed_loop, ..Generated::default() })
        }
        ArrivalSpec::Waves(spec) => generator.waves(spec),
        ArrivalSpec::Trace(spec) => {
            let times = trace::arrival_times(spec, context)?;
            generator.trace(times)
        }
    }
}

struct Generator<'a> {
    classes: &'a [ClassInfo],
    mix: Mix,
    target: Option<f64>,
    context: &'a Context<'a>,
}

impl Generator<'_> {
    fn error(&self, key: &str, message: impl Into<String>) -> InputError {
        self.context.error(&format!("arrivals.{key}"), message)
    }

    fn fixed(&self) -> Result<&[f64], InputError> {
        self.mix.fixed(self.context)
    }

    fn count(&self, key: &str, count: Option<u32>) -> Result<usize, InputError> {
        match count {
            Some(0) => Err(self.error(key, "expected at least 1, got 0")),
            Some(count) if count as usize > MAX_REQUESTS => {
                Err(self.error(key, format!("expected at most {MAX_REQUESTS}, got {count}")))
            }
            Some(count) => Ok(count as usize),
            None => Ok(MAX_REQUESTS),
        }
    }

    fn refuse_target(&self, what: &str) -> Result<(), InputError> {
        match self.target {
            None => Ok(()),
            Some(_) => {
                let message = format!("{what} has no rate that could be scaled");
                Err(self.context.error("target_load", message))
            }
        }
    }

    fn limit(
        &self,
        key: &str,
        requests: Option<u32>,
        duration: Option<Duration>,
    ) -> Result<Limit, InputError> {
        if requests.is_none() && duration.is_none() {
            return Err(self.error(key, "expected `requests` or `duration`"));
        }
        let requests = self.count(&format!("{key}.requests"), requests)?;
        let until = duration.map_or(f64::INFINITY, |duration| duration.0.as_secs_f64());
        if until <= 0.0 {
            return Err(self.error(&format!("{key}.duration"), "expected more than 0"));
        }
        Ok(Limit { requests, until })
    }

    /// T_single of each class in seconds.
    fn alone(&self) -> Vec<Option<f64>> {
        self.classes.iter().map(|class| class.t_single.map(Nanos::as_secs_f64)).collect()
    }

    /// Expected T_single of one request, in seconds.
    fn work(&self, mix: &[f64]) -> Option<f64> {
        let mut work = 0.0;
        for (share, alone) in mix.iter().zip(self.alone()) {
            if *share > 0.0 {
                work += share * alone?;
            }
        }
        Some(work)
    }

    /// The factor that brings `load` to the target; 1 without a target.
    fn factor(&self, load: Option<f64>) -> Result<f64, InputError> {
        match (self.target, load) {
            (None, _) => Ok(1.0),
            (Some(target), Some(load)) if load > 0.0 => Ok(target / load),
            (Some(_), _) => {
                let message = "the offered load is unknown: a class has no price on one rank";
                Err(self.context.error("target_load", message))
            }
        }
    }

    fn phased(&self, spec: &PhasedSpec) -> Result<Generated, InputError> {
        let mut phases = self.phases(spec)?;
        if let Some(duration) = spec.duration {
            if duration.0 == Nanos::ZERO {
                return Err(self.error("phased.duration", "expected more than 0"));
            }
            phases::stretch(&mut phases, duration.0.as_secs_f64());
        }
        let load = phases::expected_load(&phases, &self.alone(), self.context.world);
        let factor = self.factor(load)?;
        phases.iter_mut().for_each(|phase| phase.per_sec *= factor);
        let expected: f64 = phases.iter().map(|phase| phase.per_sec * phase.length()).sum();
        self.bounded("phased", expected)?;
        Ok(Generated {
            arrivals: arrivals::phased(self.context.seed, &phases),
            expected_load: load.map(|load| load * factor),
            phases,
            ..Generated::default()
        })
    }

    fn phases(&self, spec: &PhasedSpec) -> Result<Vec<Phase>, InputError> {
        let scale = spec.rate_scale.unwrap_or(1.0);
        positive(scale).map_err(|message| self.error("phased.rate_scale", message))?;
        let per_sec = |per_min: f64| {
            per_min / 60.0 * scale * (f64::from(self.context.world) / REFERENCE_WORLD)
        };
        let mut phases = Vec::new();
        let mut start = 0.0;
        match (&spec.profile, &spec.phases) {
            (Some(profile), None) => {
                for phase in phases::published(*profile) {
                    let mix = self.published_mix(phase.mix)?;
                    let per_sec = per_sec(phase.per_min);
                    phases.push(Phase { start, end: phase.until_s, per_sec, mix });
                    start = phase.until_s;
                }
            }
            (None, Some(written)) => {
                for (index, phase) in written.iter().enumerate() {
                    let key = format!("phased.phases[{index}]");
                    let end = phase.until.0.as_secs_f64();
                    if end <= start {
                        let message = format!("expected a time after {start} s, got {end} s");
                        return Err(self.error(&format!("{key}.until"), message));
                    }
                    not_negative(phase.per_min)
                        .map_err(|message| self.error(&format!("{key}.per_min"), message))?;
                    let mix = match &phase.mix {
                        Some(mix) => {
                            let key = format!("arrivals.{key}.mix");
                            mix::of_phase(mix, self.classes, &key, self.context)?
                        }
                        None => self.fixed()?.to_vec(),
                    };
                    phases.push(Phase { start, end, per_sec: per_sec(phase.per_min), mix });
                    start = end;
                }
            }
            _ => return Err(self.error("phased", "expected either `profile` or `phases`")),
        }
        if !phases.iter().any(|phase| phase.per_sec > 0.0) {
            return Err(self.error("phased", "expected a phase with a rate above 0"));
        }
        Ok(phases)
    }

    /// A published mix by class index, or the fixed one if that was asked for.
    fn published_mix(&self, published: [f64; 3]) -> Result<Vec<f64>, InputError> {
        if let Mix::Fixed(weights) = &self.mix {
            return Ok(weights.clone());
        }
        let mut weights = vec![0.0; self.classes.len()];
        for (name, share) in MIX_CLASSES.iter().zip(published) {
            if share > 0.0 {
                weights[index_of(name, self.classes, "mix", self.context)?] = share;
            }
        }
        Ok(weights)
    }

    fn constant(
        &self,
        key: &str,
        per_min: Option<f64>,
        limit: Limit,
        generator: impl Fn(u64, f64, Limit, &[f64]) -> Vec<Arrival>,
    ) -> Result<Generated, InputError> {
        let mix = self.fixed()?;
        let per_min = match (per_min, self.target) {
            (Some(rate), _) => rate,
            (None, Some(_)) => 60.0,
            (None, None) => {
                let message = "missing key `per_min`; or give `target_load`";
                return Err(self.error(key, message));
            }
        };
        positive(per_min).map_err(|message| self.error(&format!("{key}.per_min"), message))?;
        let load = self.work(mix).map(|work| per_min / 60.0 * work / self.world());
        let per_sec = per_min / 60.0 * self.factor(load)?;
        if limit.requests == MAX_REQUESTS {
            self.bounded(key, per_sec * limit.until)?;
        }
        let arrivals = generator(self.context.seed, per_sec, limit, mix);
        let end = if limit.until.is_finite() && arrivals.len() < limit.requests {
            limit.until
        } else {
            arrivals.last().map_or(0.0, |last| last.at.as_secs_f64())
        };
        let expected_load = self.work(mix).map(|work| per_sec * work / self.world());
        let phases = vec![Phase { start: 0.0, end, per_sec, mix: mix.to_vec() }];
        Ok(Generated { arrivals, expected_load, phases, closed_loop: None })
    }

    fn sessions(&self, spec: &SessionsSpec) -> Result<Generated, InputError> {
        self.count("sessions.users", Some(spec.users))?;
        let [shortest, longest] = spec.gap.map(|gap| gap.0.as_secs_f64());
        if shortest <= 0.0 || longest < shortest {
            let message = "expected [shortest, longest], the shortest above 0";
            return Err(self.error("sessions.gap", message));
        }
        for (key, duration) in [("active", spec.active), ("duration", spec.duration)] {
            if duration.0 == Nanos::ZERO {
                return Err(self.error(&format!("sessions.{key}"), "expected more than 0"));
            }
        }
        let mix = self.fixed()?;
        let (active, silent) = (spec.active.0.as_secs_f64(), spec.silent.0.as_secs_f64());
        let busy = f64::from(spec.users) * active / (active + silent);
        let per_sec = busy / (0.5 * (shortest + longest));
        let load = self.work(mix).map(|work| per_sec * work / self.world());
        let speed = self.factor(load)?;
        self.bounded("sessions", per_sec * speed * spec.duration.0.as_secs_f64())?;
        Ok(Generated {
            arrivals: arrivals::sessions(self.context.seed, spec, speed, mix),
            expected_load: load.map(|load| load * speed),
            ..Generated::default()
        })
    }

    fn batch(&self, spec: &BatchSpec) -> Result<Generated, InputError> {
        self.refuse_target("a batch")?;
        let arrivals = match (spec.requests, &spec.counts) {
            (Some(requests), None) => {
                let requests = self.count("batch.requests", Some(requests))?;
                arrivals::batch(self.context.seed, requests, self.fixed()?)
            }
            (None, Some(named)) => {
                let mut counts = vec![0; self.classes.len()];
                for (name, &count) in named.iter() {
                    let key = format!("arrivals.batch.counts.{name}");
                    counts[index_of(name, self.classes, &key, self.context)?] = count as usize;
                }
                let total: usize = counts.iter().sum();
                self.count("batch.counts", Some(u32::try_from(total).unwrap_or(u32::MAX)))?;
                arrivals::batch_of(&counts)
            }
            _ => return Err(self.error("batch", "expected either `requests` or `counts`")),
        };
        Ok(Generated { arrivals, ..Generated::default() })
    }

    fn waves(&self, spec: &WavesSpec) -> Result<Generated, InputError> {
        let waves = self.count("waves.waves", Some(spec.waves))?;
        let size = self.count("waves.size", Some(spec.size))?;
        self.bounded("waves", spec.waves as f64 * spec.size as f64)?;
        let gap = spec.gap.0.as_secs_f64();
        if gap <= 0.0 {
            return Err(self.error("waves.gap", "expected more than 0"));
        }
        let uniform = vec![1.0 / self.classes.len() as f64; self.classes.len()];
        let load = self.work(&uniform).map(|work| size as f64 / gap * work / self.world());
        let factor = self.factor(load)?;
        let gap = Nanos::from_secs_f64(gap / factor);
        Ok(Generated {
            arrivals: arrivals::waves(waves, size, gap, self.classes.len()),
            expected_load: load.map(|load| load * factor),
            ..Generated::default()
        })
    }

    /// Classes for recorded arrival times; a target load stretches or squeezes the times.
    fn trace(&self, times: Vec<Nanos>) -> Result<Generated, InputError> {
        let mut classes = super::stream::Stream::new(self.context.seed, "classes");
        let mix = self.fixed()?;
        let mut arrivals: Vec<Arrival> =
            times.into_iter().map(|at| Arrival { at, class: classes.choose(mix) }).collect();
        if self.target.is_some() {
            let requests = arrivals.iter().enumerate();
            let requests: Vec<_> =
                requests.map(|(id, arrival)| super::request(id, arrival, self.classes)).collect();
            let load = super::load_between_arrivals(&requests, self.context.world);
            let factor = self.factor(load)?;
            arrivals.iter_mut().for_each(|arrival| arrival.at = arrival.at.scale(1.0 / factor));
        }
        Ok(Generated { arrivals, ..Generated::default() })
    }

    fn world(&self) -> f64 {
        f64::from(self.context.world)
    }

    fn bounded(&self, key: &str, expected: f64) -> Result<(), InputError> {
        if expected <= 0.9 * MAX_REQUESTS as f64 {
            return Ok(());
        }
        let message = format!("about {expected:.0} requests would arrive, at most {MAX_REQUESTS}");
        Err(self.error(key, message))
    }
}
