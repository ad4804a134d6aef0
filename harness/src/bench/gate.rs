//! The host's barrier before every sample: it lets the members of one turn start together and everybody else sleep.
//!
//! Turns pass one after the other. A turn opens when the one before is over and all its members have come; they are
//! told an instant a little ahead and spin until it, so that they start within a clock reading of each other. Ranks
//! that are not members wait, blocked, for a turn of theirs. Nothing under test takes part.

use super::clock::{self, Moment};
use super::plan::Plan;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Time from the opening of a turn to its start, so that blocked members are awake by then.
pub const LEAD_NS: u64 = 100_000;
/// The same where members are told through a socket.
pub const SOCKET_LEAD_NS: u64 = 200_000;

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

/// How the doorman tells a rank that its turn begins, or that the run was given up.
pub trait Seat: Send + Sync {
    /// Tells it; does not wait.
    fn call(&self, call: Result<Moment, Stopped>);
}

/// The barrier itself: it knows who has come, and calls the members of a turn when it opens.
pub struct Doorman {
    /// Members of each turn.
    degrees: Vec<usize>,
    state: Mutex<State>,
    seats: Vec<Box<dyn Seat>>,
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

impl Doorman {
    /// For the turns of a plan and the seats of its ranks, in order; `lead` as [`LEAD_NS`].
    pub fn new(plan: &Plan, lead: u64, seats: Vec<Box<dyn Seat>>) -> Self {
        let degrees: Vec<usize> = (0..plan.turns.len()).map(|t| plan.members(t).len()).collect();
        let come = degrees.iter().map(|_| Vec::new()).collect();
        let state = Mutex::new(State { turn: 0, come, open: false, done: 0, stopped: false });
        Self { degrees, state, seats, lead }
    }

    /// A rank has come for a turn; its seat is called when the turn opens.
    pub fn come(&self, rank: usize, turn: usize) {
        let mut state = lock(&self.state);
        if state.stopped {
            return self.seats[rank].call(Err(Stopped));
        }
        state.come[turn].push(rank);
        self.open(&mut state);
    }

    /// A rank is done with the turn.
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
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.stopped, true) {
            self.seats.iter().for_each(|seat| seat.call(Err(Stopped)));
        }
    }

    /// Opens the next turn if all its members have come, once.
    fn open(&self, state: &mut State) {
        let Some(degree) = self.degrees.get(state.turn) else { return };
        let come = &state.come[state.turn];
        if !state.open && come.len() == *degree {
            state.open = true;
            let start = clock::now().after(self.lead);
            come.iter().for_each(|&rank| self.seats[rank].call(Ok(start)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a thread sleeps until it is called.
#[derive(Debug, Default)]
struct Chair {
    call: Mutex<Option<Result<Moment, Stopped>>>,
    wake: Condvar,
}

impl Seat for Arc<Chair> {
    fn call(&self, call: Result<Moment, Stopped>) {
        *lock(&self.call) = Some(call);
        self.wake.notify_one();
    }
}

/// The barrier for a rank that is a thread of this process.
pub struct ThreadGate {
    doorman: Arc<Doorman>,
    rank: usize,
    chair: Arc<Chair>,
}

impl ThreadGate {
    /// A barrier and its sides, by rank, for threads that run `plan`.
    pub fn world(plan: &Plan, lead: u64) -> (Arc<Doorman>, Vec<Self>) {
        let chairs: Vec<Arc<Chair>> = (0..plan.world).map(|_| Arc::default()).collect();
        let seat = |chair: &Arc<Chair>| Box::new(Arc::clone(chair)) as Box<dyn Seat>;
        let doorman = Arc::new(Doorman::new(plan, lead, chairs.iter().map(seat).collect()));
        let side = |(rank, chair)| Self { doorman: Arc::clone(&doorman), rank, chair };
        let sides = chairs.into_iter().enumerate().map(side).collect();
        (doorman, sides)
    }
}

impl Gate for ThreadGate {
    fn enter(&mut self, turn: usize) -> Result<Moment, Stopped> {
        self.doorman.come(self.rank, turn);
        let mut call = lock(&self.chair.call);
        loop {
            if let Some(call) = call.take() {
                return call;
            }
            call = self.chair.wake.wait(call).unwrap_or_else(PoisonError::into_inner);
        }
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
        let (_, gates) = ThreadGate::world(&plan, 0);
        let (inside, started) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let rank = |rank: usize, mut gate: ThreadGate| {
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
            let rank = &rank;
            for (index, gate) in gates.into_iter().enumerate() {
                scope.spawn(move || rank(index, gate));
            }
        });
        assert_eq!(started.into_inner(), 400);
    }

    #[test]
    fn a_run_that_is_given_up_lets_everybody_go() {
        let mut plan = Plan::new(2, 0);
        let group = plan.group(Group::consecutive(Rank(0), 2));
        plan.turn(group, Act::Release);
        let (doorman, mut gates) = ThreadGate::world(&plan, 0);
        let (mut late, mut early) = (gates.pop().unwrap(), gates.pop().unwrap());
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || early.enter(0));
            doorman.stop();
            assert_eq!(waits.join().unwrap(), Err(Stopped));
        });
        assert_eq!(late.enter(0), Err(Stopped));
    }
}
