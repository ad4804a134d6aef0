//! From what an experiment says about a system to the system itself.

use super::guard::Guard;
use super::setting::Setting;
use crate::experiment::{ClassPool, Elastic, LanePolicy, Routing as RoutingSpec, SystemKind};
use crate::input::InputError;
use crate::policies;
use crate::workload::{Named, Workload};
use flexdit_baselines::{
    ClassOffer, FixedPipeline, Layout, LayoutError, Options, Pool, Routing, StaticLayout,
    static_candidates,
};
use flexdit_core::cost::{Estimator, TableEstimator};
use flexdit_core::policy::{Params, Value, registry};
use flexdit_core::scheduler::{Scheduler, SchedulerConfig};
use flexdit_core::{ClassId, System};
use std::collections::BTreeMap;

/// Builds systems of one sweep point for one workload.
pub struct Builder<'a> {
    setting: &'a Setting,
    /// The workloads of all seeds: static layouts are cut once, by what all of them offer.
    workloads: &'a [Workload],
    /// Key of the system in the file: `systems[2]`.
    key: String,
}

/// A system that can run on any thread.
pub type BoxedSystem = Box<dyn System + Send>;

impl<'a> Builder<'a> {
    /// A builder for the system at `index` of the experiment's list.
    ///
    /// # Panics
    /// Without a workload.
    pub fn new(setting: &'a Setting, workloads: &'a [Workload], index: usize) -> Self {
        assert!(!workloads.is_empty(), "an experiment has a seed");
        Self { setting, workloads, key: format!("systems[{index}]") }
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
                let layout = Layout::uniform(self.world(), spec.degree);
                let layout = self.layout(layout, "fixed-pipeline.degree")?;
                let (routing, layout) = match &spec.routing {
                    RoutingSpec::LeastWork => (Routing::LeastWork, layout),
                    RoutingSpec::RoundRobin => (Routing::RoundRobin, layout),
                    RoutingSpec::ClassMap(map) => {
                        let numbers = |list: &[u16]| list.iter().map(|&g| usize::from(g)).collect();
                        let map = map.iter().map(|(name, list)| (self.class(name), numbers(list)));
                        (Routing::LeastWork, layout.with_class_map(map.collect()))
                    }
                };
                self.serves(&layout, "fixed-pipeline.degree")?;
                Ok(self.pipeline(layout, routing, spec.replicated))
            }
            SystemKind::Legacy(spec) => {
                let layout = self.layout(Layout::uniform(self.world(), self.world()), "legacy")?;
                self.serves(&layout, "legacy")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::Rssp(spec) => {
                let given = |named: &Named<u16>| {
                    named.iter().map(|(name, degree)| (self.class(name), *degree)).collect()
                };
                let degrees: Option<BTreeMap<ClassId, u16>> = spec.degrees.as_ref().map(given);
                let layout = Layout::rssp(self.world(), &self.offers(), degrees.as_ref());
                let layout = self.layout(layout, "rssp")?;
                self.serves(&layout, "rssp")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::ClassMap(spec) => {
                let pool = |pool: &ClassPool| Pool {
                    degree: pool.degree,
                    groups: pool.groups,
                    classes: pool.classes.iter().map(|name| self.class(name)).collect(),
                };
                let pools: Vec<Pool> = spec.pools.iter().map(pool).collect();
                let layout = self.layout(Layout::pools(self.world(), &pools), "class-map.pools")?;
                self.serves(&layout, "class-map.pools")?;
                Ok(self.pipeline(layout, Routing::LeastWork, spec.replicated))
            }
            SystemKind::Lanes(spec) => {
                let layout =
                    self.layout(Layout::uniform(self.world(), spec.degree), "lanes.degree")?;
                self.serves(&layout, "lanes.degree")?;
                self.lanes(spec.policy.name(), spec.degree, spec.run_ahead)
            }
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
            StaticLayout::Pools { .. } => (Routing::LeastWork, false),
            StaticLayout::Lanes { policy, degree } => {
                return self.lanes(policy.name(), *degree, true);
            }
        };
        let layout = candidate.groups(self.world(), &self.offers()).expect("not lanes");
        Ok(self.pipeline(self.layout(layout, "best-static")?, routing, replicated))
    }

    /// Every static layout that the offers allow.
    pub fn static_layouts(&self, offers: &[ClassOffer]) -> Vec<StaticLayout> {
        let degrees: Vec<u16> = offers.iter().flat_map(|offer| offer.degrees()).collect();
        static_candidates(self.world(), &degrees, offers)
    }

    /// Refuses a search that would have nothing to choose from.
    ///
    /// # Errors
    /// No static layout is feasible for every class.
    pub fn any_static(&self) -> Result<(), InputError> {
        let offers = self.offers();
        if self.static_layouts(&offers).is_empty() {
            let message = "no static layout is priced for every class of the workload";
            return Err(self.error("best-static", message.into()));
        }
        Ok(())
    }

    /// What each class offers, as the static layouts see it.
    pub fn offers(&self) -> Vec<ClassOffer> {
        let all = &self.workloads[0].classes;
        let mut counts = vec![0_u64; all.len()];
        for request in self.workloads.iter().flat_map(|workload| &workload.requests) {
            counts[request.class.index()] += 1;
        }
        let classes = all.iter().enumerate().filter(|(at, _)| counts[*at] > 0);
        classes
            .map(|(at, class)| ClassOffer {
                class: ClassId(at as u16),
                name: class.name.clone(),
                share: counts[at] as f64,
                steps: class.shape.steps,
                costs: self.setting.static_beliefs(&class.shape),
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

    /// Refuses groups that would turn a class away: every class needs one, and must be feasible on each
    /// of its groups by price, geometry and memory.
    fn serves(&self, layout: &Layout, key: &str) -> Result<(), InputError> {
        for offer in self.offers() {
            let groups = layout.groups_of(offer.class);
            if groups.is_empty() {
                return Err(self.error(key, format!("no group serves class `{}`", offer.name)));
            }
            let mut degrees = groups.iter().map(|&group| layout.groups()[group].len() as u16);
            if let Some(degree) = degrees.find(|&degree| offer.time(degree).is_none()) {
                let message = format!(
                    "class `{}` cannot run at degree {degree}: not priced, or more than the memory of a \
                     rank",
                    offer.name
                );
                return Err(self.error(key, message));
            }
        }
        Ok(())
    }

    fn pipeline(&self, layout: Layout, routing: Routing, replicated: bool) -> BoxedSystem {
        let options = Options { routing, replicated, ..Options::default() };
        let estimator = self.setting.static_estimator.clone();
        Box::new(FixedPipeline::new(layout, options, estimator))
    }

    /// A class that [`check_workload`](crate::experiment::check_workload) has found.
    fn class(&self, name: &str) -> ClassId {
        let at = self.workloads[0].classes.iter().position(|class| class.name == name);
        ClassId(at.expect("checked with the workload") as u16)
    }

    fn lanes(&self, policy: &str, degree: u16, run_ahead: bool) -> Result<BoxedSystem, InputError> {
        let mut params = Params::new().with("degree", Value::Integer(u64::from(degree)));
        if policy != LanePolicy::Srtf.name() {
            params = params.with("run-ahead", Value::Flag(run_ahead));
        }
        let config = SchedulerConfig::new(self.world());
        self.scheduler(policy, &params, config, &self.setting.static_estimator)
    }

    fn elastic(&self, spec: &Elastic) -> Result<BoxedSystem, InputError> {
        let (info, params) = policies::resolve(spec).map_err(|refusal| InputError {
            hint: refusal.hint,
            ..self.error(&format!("elastic.{}", refusal.key), refusal.message)
        })?;
        let mut estimator = (*self.setting.estimator).clone();
        if let Some(degrees) = &spec.degrees {
            estimator = estimator.with_degrees(degrees.clone());
        }
        for class in &self.workloads[0].classes {
            let costs = estimator.costs(&class.shape);
            if costs.encode.is_none() || costs.steps.is_empty() || costs.decodes.is_empty() {
                let message = format!("no layout of class `{}` is priced and fits", class.name);
                return Err(self.error("elastic", message));
            }
        }
        let mut config = SchedulerConfig::new(self.world());
        config.admission = spec.admission.unwrap_or(config.admission);
        config.credits = spec.credits.unwrap_or(config.credits);
        config.retries = spec.retries.unwrap_or(config.retries);
        self.scheduler(info.name, &params, config, &estimator)
    }

    fn scheduler(
        &self,
        policy: &str,
        params: &Params,
        config: SchedulerConfig,
        estimator: &TableEstimator,
    ) -> Result<BoxedSystem, InputError> {
        let policy = registry::build(policy, params, config.world)
            .map_err(|error| self.error("elastic", error.to_string()))?;
        let (policy, estimator) = (Box::new(Guard::new(policy)), Box::new(estimator.clone()));
        Ok(Box::new(Scheduler::new(config, policy, estimator)))
    }
}
