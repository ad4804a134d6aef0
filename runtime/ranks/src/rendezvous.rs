//! Where the ranks of a reset meet, so that nobody's time-out runs while another still computes.

use flexdit_core::Group;
use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
struct Met {
    arrived: usize,
    void: bool,
}

/// A meeting of some ranks, once.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    pub id: u64,
    pub members: Group,
    met: Mutex<Met>,
    changed: Condvar,
}

impl Rendezvous {
    pub(crate) fn new(id: u64, members: Group) -> Self {
        Self { id, members, met: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for all members; false if the meeting was called off.
    pub(crate) fn meet(&self) -> bool {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.arrived += 1;
        if met.arrived == self.members.len() {
            self.changed.notify_all();
        }
        while met.arrived < self.members.len() && !met.void {
            met = self.changed.wait(met).unwrap_or_else(PoisonError::into_inner);
        }
        met.arrived == self.members.len()
    }

    /// Calls the meeting off, unless all are there.
    pub(crate) fn void(&self) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).void = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexdit_core::Rank;

    #[test]
    fn all_meet_or_none_waits_for_ever() {
        let all = Rendezvous::new(1, Group::consecutive(Rank(0), 3));
        std::thread::scope(|scope| {
            let ranks: Vec<_> = (0..3).map(|_| scope.spawn(|| all.meet())).collect();
            assert!(ranks.into_iter().all(|rank| rank.join().expect("no panic")));
        });
        let off = Rendezvous::new(2, Group::consecutive(Rank(0), 2));
        std::thread::scope(|scope| {
            let rank = scope.spawn(|| off.meet());
            off.void();
            assert!(!rank.join().expect("no panic"));
        });
    }
}
