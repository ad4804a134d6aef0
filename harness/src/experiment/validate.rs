//! Whether the keys make sense together. Every refusal names the key, its place and the reason.

use super::expect::Expectation;
use super::{Cluster, Costs, Experiment, Faults, LanePolicy, SystemKind};
use crate::input::{Document, InputError, suggestion};
use crate::metrics::{Better, METRICS, metric};
use crate::policies;
use crate::quantity::Duration;
use flexdit_core::model::{GPUS, MODELS};

/// Most ranks a world may have.
pub const MAX_WORLD: u16 = 1024;

/// Checks one experiment; `document` gives places.
///
/// # Errors
/// The first thing that does not make sense.
pub fn check(experiment: &Experiment, document: &Document) -> Result<(), InputError> {
    let check = Check { document };
    check.seeds(experiment)?;
    check.cluster(&experiment.cluster)?;
    check.models(experiment)?;
    experiment.real.check(&experiment.model_names(), document)?;
    check.costs(&experiment.costs, experiment.cluster.world)?;
    let bias = experiment.estimates.bias;
    check.require(bias > 0.0, "estimates.bias", || format!("expected above 0, got {bias}"))?;
    check.systems(experiment)?;
    check.expectations(experiment)
}

struct Check<'a> {
    document: &'a Document,
}

impl Check<'_> {
    fn fail<T>(&self, key: &str, message: String) -> Result<T, InputError> {
        Err(self.document.error(key, message))
    }

    fn require(
        &self,
        holds: bool,
        key: &str,
        message: impl FnOnce() -> String,
    ) -> Result<(), InputError> {
        if holds { Ok(()) } else { self.fail(key, message()) }
    }

    /// Refuses `name` unless it is a candidate.
    fn known(
        &self,
        kind: &str,
        key: &str,
        name: &str,
        candidates: &[&str],
    ) -> Result<(), InputError> {
        if candidates.contains(&name) {
            return Ok(());
        }
        let (message, hint) = suggestion(kind, name, candidates);
        Err(InputError { hint, ..self.document.error(key, message) })
    }

    fn seeds(&self, experiment: &Experiment) -> Result<(), InputError> {
        let seeds = &experiment.seeds;
        self.require(!seeds.is_empty(), "seeds", || "expected at least one seed, got none".into())?;
        for (index, seed) in seeds.iter().enumerate() {
            self.require(!seeds[..index].contains(seed), &format!("seeds[{index}]"), || {
                format!("the seed {seed} stands twice")
            })?;
        }
        Ok(())
    }

    fn cluster(&self, cluster: &Cluster) -> Result<(), InputError> {
        let world = cluster.world;
        self.require((1..=MAX_WORLD).contains(&world), "cluster.world", || {
            format!("expected 1 to {MAX_WORLD} ranks, got {world}")
        })?;
        let gpus: Vec<&str> = GPUS.iter().map(|gpu| gpu.name).collect();
        self.known("gpu", "cluster.gpu", &cluster.gpu, &gpus)?;
        if let Some(per_node) = cluster.ranks_per_node {
            self.require(
                per_node >= 1 && (per_node > world || world.is_multiple_of(per_node)),
                "cluster.ranks_per_node",
                || format!("expected a divisor of the world of {world} ranks, got {per_node}"),
            )?;
        }
        for (index, &degree) in cluster.degrees.iter().flatten().enumerate() {
            self.degree(&format!("cluster.degrees[{index}]"), degree, world)?;
        }
        for (index, &degree) in cluster.patch_degrees.iter().flatten().enumerate() {
            self.degree(&format!("cluster.patch_degrees[{index}]"), degree.into(), world)?;
        }
        Ok(())
    }

    fn degree(&self, key: &str, degree: u16, world: u16) -> Result<(), InputError> {
        self.require(degree >= 1, key, || "expected a degree of at least 1, got 0".into())?;
        self.require(degree <= world, key, || {
            format!("degree {degree} is above the world of {world} ranks")
        })
    }

    fn models(&self, experiment: &Experiment) -> Result<(), InputError> {
        if experiment.model.is_some() && experiment.models.is_some() {
            return self.fail("models", "expected either `model` or `models`, got both".into());
        }
        let names = experiment.model_names();
        if names.is_empty() {
            return match experiment.models {
                Some(_) => self.fail("models", "expected at least one model, got none".into()),
                None => self.fail("", "missing key `model` (or `models`)".into()),
            };
        }
        let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        for (index, name) in names.iter().enumerate() {
            let key = match experiment.model {
                Some(_) => "model".to_owned(),
                None => format!("models[{index}]"),
            };
            self.known("model", &key, name, &known)?;
            self.require(!names[..index].contains(name), &key, || {
                format!("the model `{name}` stands twice")
            })?;
        }
        self.require(!experiment.profile.0.is_empty(), "profile", || {
            "expected at least one profile, got none".into()
        })
    }

    fn costs(&self, costs: &Costs, world: u16) -> Result<(), InputError> {
        if let Some(bandwidth) = costs.migration.bandwidth {
            self.require(bandwidth.0 > 0.0, "costs.migration.bandwidth", || {
                format!("expected above 0, got {bandwidth}")
            })?;
        }
        if let Some(jitter) = costs.jitter.on() {
            self.require(jitter.cv > 0.0 && jitter.cv <= 1.0, "costs.jitter.cv", || {
                format!("expected above 0 and at most 1, got {}", jitter.cv)
            })?;
        }
        if let Some(stragglers) = costs.stragglers.on() {
            let chance = stragglers.probability;
            self.require((0.0..=1.0).contains(&chance), "costs.stragglers.probability", || {
                format!("expected 0 to 1, got {chance}")
            })?;
            self.slowing("costs.stragglers.factor", stragglers.factor)?;
            for (index, slow) in stragglers.slow_ranks.iter().enumerate() {
                let key = format!("costs.stragglers.slow_ranks[{index}]");
                self.rank(&format!("{key}.rank"), slow.rank, world)?;
                self.slowing(&format!("{key}.factor"), slow.factor)?;
            }
        }
        match costs.faults.on() {
            Some(faults) => self.faults(faults, world),
            None => Ok(()),
        }
    }

    fn faults(&self, faults: &Faults, world: u16) -> Result<(), InputError> {
        let positive = |key: &str, time: Option<Duration>| {
            let holds = time.is_none_or(|time| time.0.0 > 0);
            self.require(holds, key, || "expected above 0, got 0".into())
        };
        positive("costs.faults.mtbf", faults.mtbf)?;
        positive("costs.faults.repair", faults.repair)?;
        self.require(faults.mtbf.is_some() == faults.repair.is_some(), "costs.faults", || {
            "expected `mtbf` and `repair` together, got one of them".into()
        })?;
        for (index, outage) in faults.outages.iter().enumerate() {
            let key = format!("costs.faults.outages[{index}]");
            self.rank(&format!("{key}.rank"), outage.rank, world)?;
            self.require(outage.up > outage.down, &format!("{key}.up"), || {
                format!("expected after {}, got {}", outage.down, outage.up)
            })?;
        }
        Ok(())
    }

    fn rank(&self, key: &str, rank: u16, world: u16) -> Result<(), InputError> {
        let last = world - 1;
        self.require(rank < world, key, || format!("expected a rank from 0 to {last}, got {rank}"))
    }

    fn slowing(&self, key: &str, factor: f64) -> Result<(), InputError> {
        self.require(factor >= 1.0, key, || format!("expected at least 1, got {factor}"))
    }

    fn systems(&self, experiment: &Experiment) -> Result<(), InputError> {
        let systems = &experiment.systems;
        self.require(!systems.is_empty(), "systems", || {
            "expected at least one system, got none".into()
        })?;
        for (index, system) in systems.iter().enumerate() {
            let key = format!("systems[{index}]");
            let name = format!("{key}.name");
            self.require(!system.name.trim().is_empty(), &name, || {
                "expected a name, got empty text".into()
            })?;
            if let Some(first) = systems[..index].iter().position(|s| s.name == system.name) {
                return self.fail(
                    &name,
                    format!("`{}` is already the name of systems[{first}]", system.name),
                );
            }
            let key = format!("{key}.{}", system.kind.key());
            self.system(&key, &system.kind, experiment.cluster.world)?;
        }
        Ok(())
    }

    fn system(&self, key: &str, kind: &SystemKind, world: u16) -> Result<(), InputError> {
        match kind {
            SystemKind::FixedPipeline(spec) => {
                self.dividing(&format!("{key}.degree"), spec.degree, world)
            }
            SystemKind::Lanes(spec) => {
                let ahead = spec.run_ahead && spec.policy == LanePolicy::Srtf;
                self.require(!ahead, &format!("{key}.run_ahead"), || {
                    "srtf decides at every task boundary and cannot run ahead".into()
                })?;
                self.dividing(&format!("{key}.degree"), spec.degree, world)
            }
            SystemKind::Rssp(spec) => {
                for (class, &degree) in spec.degrees.iter().flat_map(|map| map.iter()) {
                    self.degree(&format!("{key}.degrees.{class}"), degree, world)?;
                }
                Ok(())
            }
            SystemKind::ClassMap(spec) => {
                let mut needed = 0;
                for (index, pool) in spec.pools.iter().enumerate() {
                    let key = format!("{key}.pools[{index}]");
                    self.degree(&format!("{key}.degree"), pool.degree, world)?;
                    self.require(pool.groups >= 1, &format!("{key}.groups"), || {
                        "expected at least 1, got 0".into()
                    })?;
                    needed += u64::from(pool.degree) * u64::from(pool.groups);
                }
                self.require(!spec.pools.is_empty(), &format!("{key}.pools"), || {
                    "expected at least one pool, got none".into()
                })?;
                self.require(needed <= u64::from(world), &format!("{key}.pools"), || {
                    format!("the pools need {needed} ranks, the world has {world}")
                })
            }
            SystemKind::BestStatic(spec) => {
                let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
                let key = format!("{key}.metric");
                self.known("metric", &key, &spec.metric, &names)?;
                let directed = metric(&spec.metric).is_some_and(|m| m.better != Better::Neither);
                self.require(directed, &key, || {
                    format!("`{}` is neither better high nor low", spec.metric)
                })
            }
            SystemKind::Elastic(spec) => match policies::resolve(spec) {
                Ok(_) => {
                    let degrees = spec.degrees.iter().flatten().enumerate();
                    for (index, &degree) in degrees {
                        self.degree(&format!("{key}.degrees[{index}]"), degree, world)?;
                    }
                    let empty = spec.degrees.as_ref().is_some_and(Vec::is_empty);
                    self.require(!empty, &format!("{key}.degrees"), || {
                        "expected at least one degree, got none".into()
                    })
                }
                Err(policies::Refusal { key: inner, message, hint }) => {
                    let error = self.document.error(&format!("{key}.{inner}"), message);
                    Err(InputError { hint, ..error })
                }
            },
            SystemKind::Legacy(_) => Ok(()),
        }
    }

    /// A degree that cuts the world into equal groups.
    fn dividing(&self, key: &str, degree: u16, world: u16) -> Result<(), InputError> {
        self.degree(key, degree, world)?;
        let left = world % degree;
        self.require(left == 0, key, || {
            format!(
                "degree {degree} does not divide the world of {world} ranks: {left} would stay \
                 unused"
            )
        })
    }

    fn expectations(&self, experiment: &Experiment) -> Result<(), InputError> {
        let systems: Vec<&str> = experiment.systems.iter().map(|s| s.name.as_str()).collect();
        let metrics: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        for (index, text) in experiment.expect.iter().enumerate() {
            let key = format!("expect[{index}]");
            let check: Expectation = match text.parse() {
                Ok(check) => check,
                Err(reason) => return self.fail(&key, reason),
            };
            for reference in check.references() {
                self.known("system", &key, &reference.system, &systems)?;
                self.known("metric", &key, &reference.metric, &metrics)?;
            }
        }
        Ok(())
    }
}
