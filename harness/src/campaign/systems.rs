//! From what an experiment says about a system to the system itself.

use super::guard::Guard;
use super::setting::Setting;
use crate::experiment::{Elastic, Lanes, ParamValue, Routing as RoutingSpec, SystemKind};
use crate::input::InputError;
use crate::workload::Workload;
use flexdit_baselines::{
    ClassOffer, FixedPipeline, Layout, LayoutError, Options, Pool, Routing, StaticLayout,
};
use flexdit_core::model::Infeasible;
use flexdit_core::policy::params::{ParamInfo, ParamKind};
use flexdit_core::policy::{Params, Value, registry};
use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
use flexdit_core::{ClassId, Nanos, Parallelism, System};
use std::collections::BTreeMap;

/// Builds systems of one sweep point for one workload.
pub struct Builder<'a> {
    setting: &'a Setting,
    workload: &'a Workload,
    /// Key of the system in the file: `systems[2]`.
    key: String,
}

/// A system that can run on any thread.
pub type BoxedSystem = Box<dyn System + Send>;

impl<'a> Builder<'a> {
    /// A builder for the system at `index` of the experiment's list.
    pub fn new(setting: &'a Setting, workload: &'a Workload, index: usize) -> Self {
        Self { setting, workload, key: format!("systems[{index}]") }
    }

    /// The system of one kind; `BestStatic` is a search, not a system.
    ///
    /// # Errors
    /// A layout that the world, the models or the profile do not allow.
    ///
    /// # Panics
    /// On `BestStatic`.
    pub fn kind(&self, kind: &SystemKind) -> Result<BoxedSystem, InputError> {
        match kind {
            SystemKind::FixedPipeline(spec) => {
                self.priced(spec.degree, "fixed-pipeline.degree")?;
                let layout = Layout::uniform(self.world(), spec.degree);
                let layout = self.layout(layout, "fixed-pipeline.degree")?;
                let (routing, layout) = match &spec.routing {
                    RoutingSpec::LeastWork => (Routing::LeastWork, layout),
                    RoutingSpec::RoundRobin => (Routing::RoundRobin, layout),
                    RoutingSpec::ClassMap(map) => {
                        let groups = layout.groups().len();
                        let map = self.class_map(map.iter(), groups)?;
                        (Routing::LeastWork, layout.with_class_map(map))
                    }
                };
                Ok(self.pipeline(layout, routing, spec.replicated))
            }
            SystemKind::Legacy(spec) => {
                self.priced(self.world(), "legacy")?;
                let layout = self.layout(Layout::uniform(self.world(), self.world()), "legacy")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::Rssp(spec) => {
                let degrees = spec.degrees.as_ref().map(|named| {
                    named.iter().map(|(name, degree)| Ok((self.class(name, "rssp.degrees")?, *degree)))
                        .collect::<Result<BTreeMap<_, _>, InputError>>()
                });
                let degrees = degrees.transpose()?;
                let layout = Layout::rssp(self.world(), &self.offers(), degrees.as_ref());
                let layout = self.layout(layout, "rssp")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::ClassMap(spec) => {
                let mut pools = Vec::new();
                for (at, pool) in spec.pools.iter().enumerate() {
                    let key = format!("class-map.pools[{at}].classes");
                    let classes = pool.classes.iter().map(|name| self.class(name, &key));
                    let classes = classes.collect::<Result<Vec<_>, _>>()?;
                    pools.push(Pool { degree: pool.degree, groups: pool.groups, classes });
                }
                let layout = self.layout(Layout::pools(self.world(), &pools), "class-map.pools")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::Lanes(spec) => self.lanes(spec),
            SystemKind::Elastic(spec) => self.elastic(spec),
            SystemKind::BestStatic(_) => panic!("best-static is a search, not a system"),
        }
    }

    /// A static layout of the best-static search.
    ///
    /// # Errors
    /// As [`Builder::kind`].
    pub fn candidate(&self, candidate: &StaticLayout) -> Result<BoxedSystem, InputError> {
        let (routing, replicated) = match candidate {
            StaticLayout::FixedPipeline { routing, replicated, .. } => (*routing, *replicated),
            StaticLayout::ClassMap { replicated, .. } | StaticLayout::Rssp { replicated } => {
                (Routing::LeastWork, *replicated)
            }
            StaticLayout::Lanes { policy, degree } => {
                return self.scheduler(policy.name(), lane_params(*degree), None, None);
            }
        };
        let layout = candidate.groups(self.world(), &self.offers()).expect("not lanes");
        Ok(self.pipeline(self.layout(layout, "best-static")?, routing, replicated))
    }

    /// Refuses a search that would have nothing to choose from.
    ///
    /// # Errors
    /// No static layout is feasible for every class.
    pub fn any_static(&self) -> Result<(), InputError> {
        let offers = self.offers();
        let degrees: Vec<u16> = offers.iter().flat_map(|offer| offer.degrees()).collect();
        if flexdit_baselines::static_candidates(self.world(), &degrees, &offers).is_empty() {
            let message = "no static layout is priced for every class of the workload";
            return Err(self.error("best-static", message.into()));
        }
        Ok(())
    }

    /// What each class offers, as the static layouts see it.
    pub fn offers(&self) -> Vec<ClassOffer> {
        let mut counts = vec![0_u64; self.workload.classes.len()];
        for request in &self.workload.requests {
            counts[request.class.index()] += 1;
        }
        let classes = self.workload.classes.iter().enumerate().filter(|(at, _)| counts[*at] > 0);
        classes
            .map(|(at, class)| ClassOffer {
                class: ClassId(at as u16),
                name: class.name.clone(),
                share: counts[at] as f64,
                steps: class.shape.steps,
                costs: self.setting.beliefs(&class.shape),
            })
            .collect()
    }

    fn world(&self) -> u16 {
        self.setting.world()
    }

    fn error(&self, key: &str, message: String) -> InputError {
        self.setting.document.error(&format!("{}.{key}", self.key), message)
    }

    fn layout(&self, layout: Result<Layout, LayoutError>, key: &str) -> Result<Layout, InputError> {
        layout.map_err(|error| self.error(key, error.to_string()))
    }

    fn pipeline(&self, layout: Layout, routing: Routing, replicated: bool) -> BoxedSystem {
        let options = Options { routing, replicated, ..Options::default() };
        Box::new(FixedPipeline::new(layout, options, self.setting.estimator.clone()))
    }

    /// Refuses a degree that some class of the workload cannot run at, with the reason.
    fn priced(&self, degree: u16, key: &str) -> Result<(), InputError> {
        for offer in self.offers() {
            if offer.time(degree).is_some() {
                continue;
            }
            let shape = &self.workload.classes[offer.class.index()].shape;
            let model = self.setting.models[shape.model.index()];
            let ulysses = u8::try_from(degree).map(Parallelism::ulysses);
            let geometry = ulysses.ok().and_then(|layout| model.check(shape, &layout).err());
            let reason = match geometry {
                Some(reason @ Infeasible::Heads { .. }) => reason.to_string(),
                _ => {
                    let known: Vec<_> = offer.degrees().map(|d| d.to_string()).collect();
                    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                    format!("the profile prices {} of class {} at degrees {known}, not {degree}",
                        model.name, offer.name)
                }
            };
            return Err(self.error(key, reason));
        }
        Ok(())
    }

    fn class(&self, name: &str, key: &str) -> Result<ClassId, InputError> {
        let names: Vec<&str> = self.workload.classes.iter().map(|c| c.name.as_str()).collect();
        let at = names.iter().position(|known| *known == name).ok_or_else(|| {
            self.error(key, format!("unknown class `{name}`, expected one of {}", names.join(", ")))
        })?;
        Ok(ClassId(at as u16))
    }

    fn class_map<'b>(
        &self,
        map: impl Iterator<Item = (&'b str, &'b Vec<u16>)>,
        groups: usize,
    ) -> Result<BTreeMap<ClassId, Vec<usize>>, InputError> {
        let key = "fixed-pipeline.routing.class-map";
        let mut all = BTreeMap::new();
        for (name, list) in map {
            if let Some(group) = list.iter().find(|&&group| usize::from(group) >= groups) {
                let message = format!("group {group} of {name}: there are groups 0 to {}", groups - 1);
                return Err(self.error(key, message));
            }
            let list = list.iter().map(|&group| usize::from(group)).collect();
            all.insert(self.class(name, key)?, list);
        }
        Ok(all)
    }

    fn lanes(&self, spec: &Lanes) -> Result<BoxedSystem, InputError> {
        self.priced(spec.degree, "lanes.degree")?;
        self.scheduler(spec.policy.name(), lane_params(spec.degree), spec.run_ahead, None)
    }

    fn elastic(&self, spec: &Elastic) -> Result<BoxedSystem, InputError> {
        let info = registry::find(&spec.policy).expect("validated with the experiment");
        let mut params = Params::new();
        for (name, value) in &spec.params {
            let declared = info.params.iter().find(|param| param.name == name);
            let value = declared.and_then(|declared| param(declared, value)).ok_or_else(|| {
                let known: Vec<&str> = info.params.iter().map(|param| param.name).collect();
                self.error(&format!("elastic.{name}"), match declared {
                    Some(declared) => format!("expected {}, got {value}", declared.kind),
                    None if known.is_empty() => format!("policy {} has no parameters", info.name),
                    None => format!("policy {} has parameters {}", info.name, known.join(", ")),
                })
            })?;
            params = params.with(name, value);
        }
        for offer in self.offers() {
            if offer.costs.encode.is_none() || offer.degrees().next().is_none() {
                let message = format!("the profile prices no layout of class {}", offer.name);
                return Err(self.error("elastic", message));
            }
        }
        self.scheduler(&spec.policy, params, spec.run_ahead, spec.queue)
    }

    fn scheduler(
        &self,
        policy: &str,
        params: Params,
        run_ahead: Option<u8>,
        queue: Option<u32>,
    ) -> Result<BoxedSystem, InputError> {
        let world = self.world();
        let policy = registry::build(policy, &params, world)
            .map_err(|error| self.error("elastic", error.to_string()))?;
        let mut config = SchedulerConfig::new(world);
        config.credits = run_ahead.unwrap_or(config.credits);
        config.admission = queue.map_or(u64::MAX, u64::from);
        let estimator = Box::new((*self.setting.estimator).clone());
        Ok(Box::new(Scheduler::new(config, Box::new(Guard::new(policy)), estimator)))
    }
}

fn lane_params(degree: u16) -> Params {
    Params::new().with("degree", Value::Integer(u64::from(degree)))
}

/// A written value as its parameter's kind; `None` when it does not fit.
fn param(declared: &ParamInfo, written: &ParamValue) -> Option<Value> {
    let value = match (declared.kind, written) {
        (ParamKind::Integer { .. }, ParamValue::Int(value)) => {
            Value::Integer(u64::try_from(*value).ok()?)
        }
        (ParamKind::Flag { .. }, ParamValue::Bool(value)) => Value::Flag(*value),
        (ParamKind::Duration { .. }, ParamValue::Text(text)) => {
            Value::Duration(text.parse::<crate::quantity::Duration>().ok()?.0)
        }
        (ParamKind::Duration { .. }, ParamValue::Int(0)) => Value::Duration(Nanos::ZERO),
        _ => return None,
    };
    declared.kind.admits(value).then_some(value)
}
