//! Whether the systems can run the workload at the profile's prices: needs both, so it comes after
//! [`Loaded::read`](super::Loaded::read).

use super::{Experiment, Routing, SystemKind};
use crate::input::{Document, InputError, suggestion};
use crate::workload::ClassInfo;
use flexdit_core::Parallelism;
use flexdit_core::cost::{CostBook, CostModel, CostStage, CostTable};

/// Checks that systems name classes of the workload, that single-rank stages are priced, and that
/// every static degree has a priced layout for each class it serves.
///
/// # Errors
/// The first system that cannot run, with the rule of geometry or the layout that has no price.
pub fn check_workload(
    experiment: &Experiment,
    document: &Document,
    classes: &[ClassInfo],
    book: &CostBook,
) -> Result<(), InputError> {
    let check = Check { document, classes, book };
    for class in classes {
        check.single_rank_stages(class)?;
    }
    let world = experiment.cluster.world;
    for (index, system) in experiment.systems.iter().enumerate() {
        let key = format!("systems[{index}].{}", system.kind.key());
        check.system(&key, &system.kind, world)?;
    }
    Ok(())
}

struct Check<'a> {
    document: &'a Document,
    classes: &'a [ClassInfo],
    book: &'a CostBook,
}

impl Check<'_> {
    fn single_rank_stages(&self, class: &ClassInfo) -> Result<(), InputError> {
        let missing = match self.book.table(&class.shape) {
            None => "any stage",
            Some(table) if table.encode(&class.shape).is_none() => {
                "text-encode, dit-prepare and timestep-prepare"
            }
            Some(table) if table.decode(&class.shape, 1).is_none() => "vae-decode and finalize",
            Some(_) => return Ok(()),
        };
        let message = format!("the profile has no price for {missing} of class `{}`", class.name);
        Err(self.document.error("profile", message))
    }

    fn system(&self, key: &str, kind: &SystemKind, world: u16) -> Result<(), InputError> {
        let all = || self.classes.iter();
        match kind {
            SystemKind::FixedPipeline(spec) => {
                if let Routing::ClassMap(map) = &spec.routing {
                    let groups = world / spec.degree;
                    for (class, numbers) in map.iter() {
                        let key = format!("{key}.routing.class-map.{class}");
                        self.class(&key, class)?;
                        if let Some(number) = numbers.iter().find(|number| **number >= groups) {
                            let message =
                                format!("expected a group from 0 to {}, got {number}", groups - 1);
                            return Err(self.document.error(&key, message));
                        }
                    }
                }
                self.degree(&format!("{key}.degree"), spec.degree, all())
            }
            SystemKind::Legacy(_) => self.degree(key, world, all()),
            SystemKind::Lanes(spec) => self.degree(&format!("{key}.degree"), spec.degree, all()),
            SystemKind::Rssp(spec) => {
                for (class, &degree) in spec.degrees.iter().flat_map(|map| map.iter()) {
                    let key = format!("{key}.degrees.{class}");
                    let class = self.class(&key, class)?;
                    self.degree(&key, degree, std::iter::once(class))?;
                }
                Ok(())
            }
            SystemKind::ClassMap(spec) => {
                for (index, pool) in spec.pools.iter().enumerate() {
                    let key = format!("{key}.pools[{index}]");
                    let named = |class: &ClassInfo| {
                        spec.pools.iter().any(|pool| pool.classes.contains(&class.name))
                    };
                    for (index, class) in pool.classes.iter().enumerate() {
                        self.class(&format!("{key}.classes[{index}]"), class)?;
                    }
                    let served = all().filter(|class| match pool.classes.as_slice() {
                        [] => !named(class),
                        names => names.contains(&class.name),
                    });
                    self.degree(&format!("{key}.degree"), pool.degree, served)?;
                }
                Ok(())
            }
            SystemKind::BestStatic(_) | SystemKind::Elastic(_) => Ok(()),
        }
    }

    fn class(&self, key: &str, name: &str) -> Result<&ClassInfo, InputError> {
        self.classes.iter().find(|class| class.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
            let (message, hint) = suggestion("class", name, &names);
            InputError { hint, ..self.document.error(key, message) }
        })
    }

    fn degree<'c>(
        &self,
        key: &str,
        degree: u16,
        classes: impl Iterator<Item = &'c ClassInfo>,
    ) -> Result<(), InputError> {
        for class in classes {
            let Some(table) = self.book.table(&class.shape) else { continue };
            if let Some(reason) = unpriced(table, class, degree) {
                let message =
                    format!("class `{}` cannot run at degree {degree}: {reason}", class.name);
                return Err(self.document.error(key, message));
            }
        }
        Ok(())
    }
}

/// Why no layout of `degree` ranks can run a step of the class; `None` if one can.
fn unpriced(table: &CostTable, class: &ClassInfo, degree: u16) -> Option<String> {
    let stage = CostStage::Step { guidance: class.shape.guidance };
    let mut layouts = table.layouts(stage).filter(|layout| layout.degree() == degree).peekable();
    let mut reason = None;
    if layouts.peek().is_none() {
        let ulysses = u8::try_from(degree).ok().map(Parallelism::ulysses);
        reason = ulysses.and_then(|layout| table.step_or_reason(&class.shape, layout).err());
    }
    for layout in layouts {
        match table.step_or_reason(&class.shape, layout) {
            Ok(_) => return None,
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    let priced = table.layouts(stage).map(|layout| layout.degree().to_string());
    let mut priced: Vec<String> = priced.collect();
    priced.dedup();
    let reason = reason.map_or("no layout is that wide".to_owned(), |reason| reason.to_string());
    Some(format!("{reason} (the profile prices degrees {})", priced.join(", ")))
}
