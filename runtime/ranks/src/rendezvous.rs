//! Where the ranks of a reset meet, so that nobody's time-out runs while another still computes.

use flexdit_core::Group;
use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// All were there.
    Met,
    /// It was called off before all were there.
    Void,
}

#[derive(Debug, Default)]
struct Inner {
    arrived: usize,
    state: State,
}

/// A meeting of some ranks, once. Whether it takes place is decided once, and is the same for all.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    pub id: u64,
    pub members: Group,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Rendezvous {
    pub(crate) fn new(id: u64, members: Group) -> Self {
        Self { id, members, inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for all members; false if the meeting was called off.
    pub(crate) fn meet(&self) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.arrived += 1;
        if inner.state == State::Open && inner.arrived == self.members.len() {
            inner.state = State::Met;
            self.changed.notify_all();
        }
        while inner.state == State::Open {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.state == State::Met
    }

    /// Whether all were there.
    pub(crate) fn has_met(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).state == State::Met
    }

    /// Calls the meeting off, unless all are there. Who comes later finds nobody and does not wait.
    pub(crate) fn void(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.state == State::Open {
            inner.state = State::Void;
            self.changed.notify_all();
        }
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
        // The last one to come is told what the others were.
        assert!(!off.meet() && !off.meet());
        let met = Rendezvous::new(3, Group::single(Rank(0)));
        assert!(met.meet());
        met.void();
        assert!(met.has_met());
    }
}
