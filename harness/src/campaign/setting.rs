//! What all runs of one sweep point share: models, prices, beliefs, charges.

use crate::experiment::{CollectiveKind, Experiment, Loaded, ProfileRef};
use crate::input::{Document, InputError};
use crate::profile::load_book;
use crate::workload::{self, Workload};
use flexdit_core::cost::{CostBook, Estimator, ShapeCosts, TableEstimator};
use flexdit_core::model::{self, GpuSpec, ModelSpec};
use flexdit_core::{Bytes, Shape};
use flexdit_sim::GroupSetup::FirstUse;
use flexdit_sim::{Charges, FaultModel};
use std::path::PathBuf;
use std::sync::Arc;

/// One sweep point, ready to build workloads and systems.
pub struct Setting {
    /// The experiment at this point.
    pub experiment: Experiment,
    /// The file, for errors.
    pub document: Document,
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// The models, by [`flexdit_core::ModelId`].
    pub models: Vec<&'static ModelSpec>,
    /// The GPU.
    pub gpu: &'static GpuSpec,
    /// What the simulator charges stages by.
    pub book: Arc<CostBook>,
    /// What policies believe.
    pub estimator: Arc<TableEstimator>,
    /// What static layouts believe: the same, at every degree that is priced.
    pub static_estimator: Arc<TableEstimator>,
    /// What is charged beside stage times.
    pub charges: Charges,
    /// The same for systems with `collectives: communicators`; `None` if the experiment does not price these.
    pub communicator_charges: Option<Charges>,
    /// Whose prices of forming groups these are, and where they were measured; `None` if they were not.
    pub setup_source: Option<String>,
    /// Where the charges that the experiment does not give were measured; `None` if they were not.
    pub charges_source: Option<String>,
    /// How ranks fail.
    pub faults: FaultModel,
    /// Memory of a rank; `None` when it is not charged.
    pub memory: Option<Bytes>,
}

impl Setting {
    /// Reads the profiles of point `point` and decides every charge.
    ///
    /// # Errors
    /// A profile that cannot be read, or does not price a model of the experiment.
    pub fn new(loaded: &Loaded, point: usize) -> Result<Self, InputError> {
        let mut experiment = loaded.points[point].experiment.clone();
        let given = |key: &str| loaded.gives(point, &format!("costs.{key}"));
        let (costs, charges_source) = experiment.costs.with_measured(&given, &loaded.folder)?;
        experiment.costs = costs;
        let document = loaded.document.clone();
        let find = |name: &str| model::model(name).expect("validated with the experiment");
        let models: Vec<_> = experiment.model_names().into_iter().map(find).collect();
        let gpu = model::gpu(&experiment.cluster.gpu).expect("validated with the experiment");
        let read = |refs: &[ProfileRef]| load_book(refs, &models, gpu, &loaded.folder);
        let book = read(&experiment.profile.0)?;
        let beliefs = match &experiment.estimates.profile {
            Some(refs) => read(&refs.0)?,
            None => book.clone(),
        };
        let cluster = &experiment.cluster;
        let memory = cluster.memory.map(|size| size.0).or(gpu.memory());
        let memory = memory.filter(|_| experiment.costs.memory);
        let mut estimator =
            TableEstimator::new(beliefs, cluster.world).with_bias(experiment.estimates.bias);
        if let Some(degrees) = &cluster.degrees {
            estimator = estimator.with_degrees(degrees.clone());
        }
        estimator = estimator.with_patches(cluster.patch_degrees.clone().unwrap_or(vec![1]));
        if let Some(memory) = memory {
            estimator = estimator.with_memory(memory);
        }
        let setup = experiment.costs.setup_prices(&loaded.folder, cluster.world)?;
        let charges = experiment.costs.charges(gpu, cluster.ranks_per_node, &setup);
        let communicators = experiment.costs.communicator_prices(&loaded.folder, cluster.world)?;
        let priced = |prices| experiment.costs.charges(gpu, cluster.ranks_per_node, &prices);
        let communicator_charges = communicators.map(priced);
        let faults = experiment.costs.fault_model();
        Ok(Self {
            book: Arc::new(book),
            static_estimator: Arc::new(
                estimator.clone().with_degrees((1..=cluster.world).collect()),
            ),
            estimator: Arc::new(estimator),
            folder: loaded.folder.clone(),
            experiment,
            document,
            models,
            gpu,
            charges,
            communicator_charges,
            setup_source: setup.source,
            charges_source,
            faults,
            memory,
        })
    }

    /// What virtual time charges a system.
    ///
    /// # Errors
    /// The experiment prices no such collectives, or no migration.
    pub fn charges_of(&self, system: usize) -> Result<&Charges, InputError> {
        if self.charges.migration.bytes_per_second == 0 {
            let message = "cores have no published link: expected `costs.migration.bandwidth`";
            return Err(self.document.error("costs.migration", message));
        }
        self.charges_but_links(system)
    }

    /// The same, where the price of migration may be unknown still.
    ///
    /// # Errors
    /// The experiment prices no such collectives.
    pub fn charges_but_links(&self, system: usize) -> Result<&Charges, InputError> {
        let is_first = |charges: &Charges| matches!(charges.group_setup, FirstUse { .. });
        let refused = |key: &str, message: &str| Err(self.document.error(key, message));
        let key = format!("systems[{system}].collectives");
        match (self.experiment.systems[system].collectives, &self.communicator_charges) {
            (Some(CollectiveKind::Communicators), Some(charges)) if is_first(charges) => {
                Ok(charges)
            }
            (Some(CollectiveKind::Communicators), Some(_)) => refused(
                "costs.communicator_setup",
                "expected first_use, or a profile of communicators",
            ),
            (Some(CollectiveKind::Communicators), None) if !is_first(&self.charges) => refused(
                &key,
                "communicators have no price: expected `costs.communicator_setup`, or first_use in \
                 `costs.group_setup`",
            ),
            (Some(CollectiveKind::GroupFree), _) if is_first(&self.charges) => refused(
                &key,
                "`costs.group_setup` prices communicators: expected that price in \
                 `costs.communicator_setup`",
            ),
            _ => Ok(&self.charges),
        }
    }

    /// Ranks.
    pub fn world(&self) -> u16 {
        self.experiment.cluster.world
    }

    /// The workload of one seed.
    ///
    /// # Errors
    /// As [`workload::build`].
    pub fn workload(&self, seed: u64) -> Result<Workload, InputError> {
        let context = workload::Context {
            models: &self.models,
            cost: &*self.book,
            world: self.world(),
            seed,
            base_dir: &self.folder,
            document: &self.document,
        };
        workload::build(&self.experiment.workload, &context)
    }

    /// What static layouts believe about a shape.
    pub fn static_beliefs(&self, shape: &Shape) -> ShapeCosts {
        self.static_estimator.costs(shape)
    }
}
