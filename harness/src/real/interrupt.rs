//! Stopping a campaign of real runs: the run that goes on ends at its next step, those to come do not begin.

use flexdit_ranks::Control;
use std::sync::{Mutex, PoisonError};

/// Tells a campaign to stop. May be told from any thread, at any time.
#[derive(Debug, Default)]
pub struct Interrupt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    running: Option<Control>,
}

impl Interrupt {
    /// Stops the campaign; false if it was stopped before.
    pub fn stop(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &state.running {
            running.stop();
        }
        !std::mem::replace(&mut state.stopped, true)
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// From now on this run is the one to stop.
    pub(crate) fn watch(&self, control: Control) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            control.stop();
        }
        state.running = Some(control);
    }
}
