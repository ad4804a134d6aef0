//! The seam between measuring and what is measured: one rank of a world that can form groups and run collectives on them.

use flexdit_comm::{Collectives, CommError};
use flexdit_core::Group;

/// What is run on a group.
pub type Body<'a> = dyn FnMut(&mut dyn Collectives) -> Result<(), CommError> + 'a;

/// One rank of a contestant's world. The caller numbers the groups that it keeps and gives every run a sequence number
/// that increases and is the same for all members.
///
/// # Errors
///
/// Every method: whatever the collectives report; the world is not used again.
pub trait Contender {
    /// Forms `group`, of which this rank is a member, and keeps it as number `id`.
    fn form(&mut self, id: usize, group: &Group) -> Result<(), CommError>;

    /// Forms `group` `count` times and keeps none, where forming contacts nobody. Returns whether it did so;
    /// the default does not.
    fn form_many(&mut self, group: &Group, count: u32) -> Result<bool, CommError> {
        let _ = (group, count);
        Ok(false)
    }

    /// Runs `body` on the operations of group number `id`.
    fn run(&mut self, id: usize, sequence: u64, body: &mut Body<'_>) -> Result<(), CommError>;

    /// Gives group number `id` up.
    fn release(&mut self, id: usize) -> Result<(), CommError>;
}
