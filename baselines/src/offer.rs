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
/// two repairs are tried: the classes of the widest degree move to their best narrower one until
/// they fit, or those of the narrowest degree join the next wider one in use. The repair whose
/// busiest pool has less work per rank is kept (ties: the first).
///
/// # Errors
/// A class that neither repair finds a priced degree for.
pub fn pools_by_work(
    world: u16,
    offers: &[ClassOffer],
    degrees: &BTreeMap<ClassId, u16>,
) -> Result<Vec<Pool>, LayoutError> {
    if fits(world, degrees) {
        return Ok(share(world, offers, degrees));
    }
    let repaired = |with: Repair| {
        let pools = share(world, offers, &repair(world, offers, degrees.clone(), with)?);
        Ok((bottleneck(offers, &pools), pools))
    };
    match (repaired(narrow_widest), repaired(merge_narrowest)) {
        (Ok(narrowed), Ok(merged)) => Ok(if merged.0 < narrowed.0 { merged.1 } else { narrowed.1 }),
        (Ok((_, pools)), Err(_)) | (Err(_), Ok((_, pools))) => Ok(pools),
        (Err(error), Err(_)) => Err(error),
    }
}

/// Deals the ranks of the world out to the degrees in use, of which one group each fits.
fn share(world: u16, offers: &[ClassOffer], degrees: &BTreeMap<ClassId, u16>) -> Vec<Pool> {
    let mut pools: BTreeMap<u16, Pool> = BTreeMap::new();
    for offer in offers {
        let Some(&degree) = degrees.get(&offer.class) else { continue };
        let empty = Pool { degree, groups: 1, classes: Vec::new() };
        pools.entry(degree).or_insert(empty).classes.push(offer.class);
    }
    let work: BTreeMap<u16, f64> =
        pools.values().map(|pool| (pool.degree, work_of(offers, pool))).collect();
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

/// Work of all classes of a pool.
fn work_of(offers: &[ClassOffer], pool: &Pool) -> f64 {
    let served = offers.iter().filter(|offer| pool.classes.contains(&offer.class));
    served.map(|offer| offer.work(pool.degree)).sum()
}

/// Work per rank of the busiest pool.
fn bottleneck(offers: &[ClassOffer], pools: &[Pool]) -> f64 {
    let load = |pool: &Pool| work_of(offers, pool) / f64::from(pool.degree * pool.groups);
    pools.iter().map(load).fold(0.0, f64::max)
}

/// Whether one group of every degree fits into the world.
fn fits(world: u16, degrees: &BTreeMap<ClassId, u16>) -> bool {
    let distinct: BTreeSet<u16> = degrees.values().copied().collect();
    distinct.iter().map(|&degree| u32::from(degree)).sum::<u32>() <= u32::from(world)
}

/// The degree that a class at the given one of the degrees in use changes to; `None` if it has none.
type Repair = fn(&BTreeSet<u16>, &ClassOffer, u16) -> Option<u16>;

/// A class of the widest degree takes its best narrower one.
fn narrow_widest(used: &BTreeSet<u16>, offer: &ClassOffer, degree: u16) -> Option<u16> {
    if used.last() != Some(&degree) { Some(degree) } else { offer.best_degree(degree - 1) }
}

/// A class of the narrowest degree joins the next wider one in use that it has a price for.
fn merge_narrowest(used: &BTreeSet<u16>, offer: &ClassOffer, degree: u16) -> Option<u16> {
    if used.first() != Some(&degree) {
        return Some(degree);
    }
    used.range(degree + 1..).copied().find(|&wider| offer.time(wider).is_some())
}

/// Repeats `with` until one group of every degree fits into the world.
fn repair(
    world: u16,
    offers: &[ClassOffer],
    mut degrees: BTreeMap<ClassId, u16>,
    with: Repair,
) -> Result<BTreeMap<ClassId, u16>, LayoutError> {
    while !fits(world, &degrees) {
        let used: BTreeSet<u16> = degrees.values().copied().collect();
        for offer in offers {
            let Some(degree) = degrees.get_mut(&offer.class) else { continue };
            *degree = with(&used, offer, *degree).ok_or(LayoutError::Infeasible(offer.class))?;
        }
    }
    Ok(degrees)
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

    fn cut(pools: &[Pool]) -> Vec<(u16, u16, usize)> {
        pools.iter().map(|p| (p.degree, p.groups, p.classes.len())).collect()
    }

    #[test]
    fn when_one_group_of_each_degree_does_not_fit_the_repair_with_less_load_is_kept() {
        let offers = qwen_offers();
        let degrees = best_degrees(4, &offers).unwrap();
        let with = |with: Repair| {
            let pools = share(4, &offers, &repair(4, &offers, degrees.clone(), with).unwrap());
            (bottleneck(&offers, &pools), pools)
        };
        let (narrowed, merged) = (with(narrow_widest), with(merge_narrowest));
        assert_eq!(cut(&narrowed.1), [(1, 2, 1), (2, 1, 2)]);
        assert_eq!(cut(&merged.1), [(4, 1, 3)]);
        assert!(merged.0 < narrowed.0, "{} {}", merged.0, narrowed.0);
        assert_eq!(pools_by_work(4, &offers, &degrees).unwrap(), merged.1);
    }

    #[test]
    fn many_small_images_make_the_wide_classes_narrower_instead() {
        let mut offers = qwen_offers();
        offers[0].share = 1_000.0;
        let degrees = best_degrees(4, &offers).unwrap();
        assert_eq!(cut(&pools_by_work(4, &offers, &degrees).unwrap()), [(1, 2, 1), (2, 1, 2)]);
    }

    #[test]
    fn classes_without_another_priced_degree_are_infeasible() {
        let mut offers = qwen_offers();
        offers[0].costs.steps.retain(|cost| cost.degree == 1);
        offers[2].costs.steps.retain(|cost| cost.degree == 4);
        offers[1].costs.steps.retain(|cost| cost.degree == 1);
        let degrees = best_degrees(4, &offers).unwrap();
        let refused = pools_by_work(4, &offers, &degrees).unwrap_err();
        assert_eq!(refused, LayoutError::Infeasible(offers[2].class));
    }

    #[test]
    fn more_work_at_a_degree_gets_it_more_groups() {
        let mut offers = qwen_offers();
        offers[0].share = 100.0;
        let degrees = best_degrees(16, &offers).unwrap();
        let pools = pools_by_work(16, &offers, &degrees).unwrap();
        assert_eq!(
            pools.iter().map(|p| (p.degree, p.groups)).collect::<Vec<_>>(),
            [(1, 12), (4, 1)]
        );
    }
}
