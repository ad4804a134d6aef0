//! What a workload offers per class, and the static choices that follow from it.

use crate::layout::{LayoutError, Pool};
use flexdit_core::ClassId;
use flexdit_core::cost::ShapeCosts;
use flexdit_core::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// One class of a workload as a static layout sees it.
#[derive(Clone, Debug)]
pub struct ClassOffer {
    /// Which class.
    pub class: ClassId,
    /// Its name in the workload.
    pub name: String,
    /// Its share of the requests, in any unit common to all classes.
    pub share: f64,
    /// Denoising steps of a request.
    pub steps: u32,
    /// What its stages cost at each degree.
    pub costs: ShapeCosts,
}

impl ClassOffer {
    /// Time of one request alone at `degree`; `None` if that degree is infeasible.
    pub fn time(&self, degree: u16) -> Option<Nanos> {
        self.costs.remaining(self.steps, true, true, degree)
    }

    /// Degrees with a price, ascending.
    pub fn degrees(&self) -> impl Iterator<Item = u16> + '_ {
        self.costs.steps.iter().map(|cost| cost.degree).filter(|&d| self.time(d).is_some())
    }

    /// The degree up to `limit` with the smallest time, ties narrower.
    pub fn best_degree(&self, limit: u16) -> Option<u16> {
        self.degrees().filter(|&d| d <= limit).min_by_key(|&d| (self.time(d), d))
    }

    /// Rank-time offered at `degree`, in shares x nanoseconds; 0 if infeasible.
    pub fn work(&self, degree: u16) -> f64 {
        let time = self.time(degree).unwrap_or(Nanos::ZERO);
        self.share * time.0 as f64 * f64::from(degree)
    }
}

/// Each class's best static degree in a world.
///
/// # Errors
/// A class that is feasible at no degree up to the world.
pub fn best_degrees(
    world: u16,
    offers: &[ClassOffer],
) -> Result<BTreeMap<ClassId, u16>, LayoutError> {
    let best = |offer: &ClassOffer| {
        let degree = offer.best_degree(world).ok_or(LayoutError::Infeasible(offer.class))?;
        Ok((offer.class, degree))
    };
    offers.iter().map(best).collect()
}

/// Cuts the world between the degrees that classes use, in proportion to the work each gets.
///
/// Every degree gets one group first; each further group goes to the degree with the most work per
/// rank it has (ties: the wider), as long as one fits. When the first groups alone exceed the world,
/// the classes of the widest degree move to their best narrower one until they fit.
pub fn pools_by_work(
    world: u16,
    offers: &[ClassOffer],
    degrees: &BTreeMap<ClassId, u16>,
) -> Vec<Pool> {
    let degrees = fit(world, offers, degrees.clone());
    let mut pools: BTreeMap<u16, Pool> = BTreeMap::new();
    let mut work: BTreeMap<u16, f64> = BTreeMap::new();
    for offer in offers {
        let Some(&degree) = degrees.get(&offer.class) else { continue };
        let empty = Pool { degree, groups: 1, classes: Vec::new() };
        pools.entry(degree).or_insert(empty).classes.push(offer.class);
        *work.entry(degree).or_insert(0.0) += offer.work(degree);
    }
    let mut left = world.saturating_sub(pools.keys().sum());
    let pressure = |pool: &Pool| work[&pool.degree] / f64::from(pool.degree * pool.groups);
    loop {
        let fitting = pools.values_mut().filter(|pool| pool.degree <= left);
        let neediest = fitting.max_by(|a, b| pressure(a).total_cmp(&pressure(b)));
        let Some(pool) = neediest else { break };
        pool.groups += 1;
        left -= pool.degree;
    }
    pools.into_values().collect()
}

/// Narrows the widest classes until one group of every degree fits into the world.
fn fit(
    world: u16,
    offers: &[ClassOffer],
    mut degrees: BTreeMap<ClassId, u16>,
) -> BTreeMap<ClassId, u16> {
    loop {
        let distinct: BTreeSet<u16> = degrees.values().copied().collect();
        let total: u32 = distinct.iter().map(|&d| u32::from(d)).sum();
        let Some(&widest) = distinct.last() else { return degrees };
        if total <= u32::from(world) {
            return degrees;
        }
        for offer in offers {
            let Some(degree) = degrees.get_mut(&offer.class).filter(|d| **d == widest) else {
                continue;
            };
            // A class without a narrower price joins the next degree in use; it is then refused there.
            let narrower = distinct.range(..widest).next_back().copied();
            *degree = offer.best_degree(widest - 1).or(narrower).unwrap_or(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::qwen_offers;

    #[test]
    fn the_best_static_degree_is_one_for_small_images_and_the_widest_for_large_ones() {
        let degrees = best_degrees(4, &qwen_offers()).unwrap();
        assert_eq!(degrees.into_values().collect::<Vec<_>>(), [1, 4, 4]);
    }

    #[test]
    fn when_one_group_of_each_degree_does_not_fit_the_widest_classes_are_narrowed() {
        let offers = qwen_offers();
        let degrees = best_degrees(4, &offers).unwrap();
        let pools = pools_by_work(4, &offers, &degrees);
        let ranks: u16 = pools.iter().map(|pool| pool.degree * pool.groups).sum();
        assert_eq!(ranks, 4);
        assert_eq!(
            pools.iter().map(|p| (p.degree, p.groups)).collect::<Vec<_>>(),
            [(1, 2), (2, 1)]
        );
    }

    #[test]
    fn more_work_at_a_degree_gets_it_more_groups() {
        let mut offers = qwen_offers();
        offers[0].share = 100.0;
        let degrees = best_degrees(16, &offers).unwrap();
        let pools = pools_by_work(16, &offers, &degrees);
        assert_eq!(
            pools.iter().map(|p| (p.degree, p.groups)).collect::<Vec<_>>(),
            [(1, 12), (4, 1)]
        );
    }
}
