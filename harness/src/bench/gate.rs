//! The host's barrier before every sample: it lets the members of one turn start together and everybody else sleep.
//!
//! Turns pass one after the other. A turn opens when the one before is over and all its members have come; they are
//! told an instant a little ahead and spin until it, so that they start within a clock reading of each other. Ranks
//! that are not members wait, blocked, for a turn of theirs. Nothing under test takes part.

use super::clock::{self, Moment};
use super::plan::Plan;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Time from the opening of a turn to its start, so that blocked members are awake by then.
pub const LEAD_NS: u64 = 100_000;

/// The run was given up: another rank failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// One rank's side of the barrier.
pub trait Gate {
    /// Waits for the turn; returns the instant at which all members start.
    ///
    /// # Errors
    /// If the run was given up.
    fn enter(&mut self, turn: usize) -> Result<Moment, Stopped>;

    /// Says that this rank is done with the turn.
    fn leave(&mut self, turn: usize);
}

/// The barrier itself, shared by the threads of the ranks or by those that speak for rank processes.
#[derive(Debug)]
pub struct Doorman {
    /// Members of each turn.
    degrees: Vec<usize>,
    state: Mutex<State>,
    seats: Vec<Seat>,
    lead: u64,
}

#[derive(Debug)]
struct State {
    /// The turn that is open, or opens next.
    turn: usize,
    /// Who has come, by turn.
    come: Vec<Vec<usize>>,
    /// Whether its members have been called.
    open: bool,
    /// Members of the open turn that are done.
    done: usize,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Seat {
    call: Mutex<Option<Result<Moment, Stopped>>>,
    wake: Condvar,
}

impl Doorman {
    /// For the turns of a plan; `lead` as [`LEAD_NS`].
    pub fn new(plan: &Plan, lead: u64) -> Self {
        let degrees: Vec<usize> = (0..plan.turns.len()).map(|t| plan.members(t).len()).collect();
        let come = degrees.iter().map(|_| Vec::new()).collect();
        let state = Mutex::new(State { turn: 0, come, open: false, done: 0, stopped: false });
        let seats = (0..plan.world).map(|_| Seat::default()).collect();
        Self { degrees, state, seats, lead }
    }

    /// [`Gate::enter`] of a rank.
    ///
    /// # Errors
    /// If the run was given up.
    pub fn enter(&self, rank: usize, turn: usize) -> Result<Moment, Stopped> {
        {
            let mut state = lock(&self.state);
            if state.stopped {
                return Err(Stopped);
            }
            state.come[turn].push(rank);
            self.open(&mut state);
        }
        let seat = &self.seats[rank];
        let mut call = lock(&seat.call);
        loop {
            if let Some(call) = call.take() {
                return call;
            }
            call = seat.wake.wait(call).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// [`Gate::leave`] of a rank.
    pub fn leave(&self, turn: usize) {
        let mut state = lock(&self.state);
        debug_assert_eq!(state.turn, turn, "only the open turn can be left");
        state.done += 1;
        if state.done == self.degrees[turn] {
            (state.turn, state.open, state.done) = (turn + 1, false, 0);
            self.open(&mut state);
        }
    }

    /// Gives the run up: everybody who waits, or will, is told so.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        (0..self.seats.len()).for_each(|rank| self.call(rank, Err(Stopped)));
    }

    /// Opens the next turn if all its members have come, once.
    fn open(&self, state: &mut State) {
        let Some(degree) = self.degrees.get(state.turn) else { return };
        let come = &state.come[state.turn];
        if !state.open && come.len() == *degree {
            state.open = true;
            let start = clock::now().after(self.lead);
            come.iter().for_each(|&rank| self.call(rank, Ok(start)));
        }
    }

    fn call(&self, rank: usize, call: Result<Moment, Stopped>) {
        let seat = &self.seats[rank];
        *lock(&seat.call) = Some(call);
        seat.wake.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The barrier for a rank that is a thread of this process.
#[derive(Debug)]
pub struct ThreadGate<'a> {
    doorman: &'a Doorman,
    rank: usize,
}

impl<'a> ThreadGate<'a> {
    /// The side of `rank`.
    pub fn new(doorman: &'a Doorman, rank: usize) -> Self {
        Self { doorman, rank }
    }
}

impl Gate for ThreadGate<'_> {
    fn enter(&mut self, turn: usize) -> Result<Moment, Stopped> {
        self.doorman.enter(self.rank, turn)
    }

    fn leave(&mut self, turn: usize) {
        self.doorman.leave(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Act;
    use flexdit_core::{Group, Rank};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn turns_pass_one_by_one_and_members_start_together() {
        let mut plan = Plan::new(4, 0);
        for turn in 0..200_u16 {
            let group = Group::consecutive(Rank(turn % 3), 2);
            let group = plan.group(group);
            plan.turn(group, Act::Release);
        }
        let doorman = Doorman::new(&plan, 0);
        let (inside, started) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let rank = |rank: usize| {
            let mut gate = ThreadGate::new(&doorman, rank);
            for turn in 0..plan.turns.len() {
                if plan.members(turn).contains(&Rank(rank as u16)) {
                    gate.enter(turn).unwrap();
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                    assert_eq!(started.fetch_add(1, Ordering::SeqCst) / 2, turn);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    gate.leave(turn);
                }
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|index| drop(scope.spawn(move || rank(index))));
        });
        assert_eq!(started.into_inner(), 400);
    }

    #[test]
    fn a_run_that_is_given_up_lets_everybody_go() {
        let mut plan = Plan::new(2, 0);
        let group = plan.group(Group::consecutive(Rank(0), 2));
        plan.turn(group, Act::Release);
        let doorman = Doorman::new(&plan, 0);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| doorman.enter(0, 0));
            doorman.stop();
            assert_eq!(waits.join().unwrap(), Err(Stopped));
        });
        assert_eq!(doorman.enter(1, 0), Err(Stopped));
    }
}
