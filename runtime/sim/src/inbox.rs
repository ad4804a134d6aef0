//! Ranks with FIFO inboxes: a work item begins when it heads the inbox of all its ranks.

use flexdit_core::{Group, Nanos, Rank, RequestId, Span, Task, Transfer};
use std::collections::VecDeque;

/// What a rank executes.
#[derive(Debug)]
pub(crate) enum Item {
    Task(Task),
    Transfer(Transfer),
}

/// One item in the inboxes of its ranks.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) item: Item,
    /// Ranks whose inboxes hold a transfer: its destinations. Empty for a task: see [`Work::ranks`].
    destinations: Group,
    pub(crate) request: RequestId,
    /// When the command reaches the ranks.
    pub(crate) not_before: Nanos,
    pub(crate) span: Span,
    /// Whether it ends as soon as it begins, since its request was cancelled.
    pub(crate) stops: bool,
    /// Whether it ends without a result.
    pub(crate) fails: bool,
    /// Ranks at whose inbox it is first.
    heads: u16,
}

/// All ranks' inboxes and the items in them.
#[derive(Debug)]
pub(crate) struct Inboxes {
    queues: Vec<VecDeque<u32>>,
    works: Vec<Option<Work>>,
    vacant: Vec<u32>,
    /// Until when a rank's link is busy with someone's pull.
    pub(crate) port_free: Vec<Nanos>,
}

impl Inboxes {
    pub(crate) fn new(world: u16) -> Self {
        Self {
            queues: vec![VecDeque::new(); usize::from(world)],
            works: Vec::new(),
            vacant: Vec::new(),
            port_free: vec![Nanos::ZERO; usize::from(world)],
        }
    }

    pub(crate) fn get(&self, at: u32) -> &Work {
        self.works[at as usize].as_ref().expect("a scheduled item is in its slot")
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Work {
        self.works[at as usize].as_mut().expect("a scheduled item is in its slot")
    }

    /// Whether the slot holds an item that heads the inboxes of all its ranks.
    pub(crate) fn is_head(&self, at: u32) -> bool {
        let work = self.works[at as usize].as_ref();
        work.is_some_and(|work| usize::from(work.heads) == work.ranks().len())
    }

    /// Appends an item to the inboxes of its ranks; returns its slot, and whether it may begin now.
    pub(crate) fn push(&mut self, item: Item, not_before: Nanos) -> (u32, bool) {
        let (destinations, request) = match &item {
            Item::Task(task) => (Group::default(), task.request),
            Item::Transfer(transfer) => (destinations(transfer), transfer.artifact.request),
        };
        let ranks = match &item {
            Item::Task(task) => &task.group,
            Item::Transfer(_) => &destinations,
        };
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.works.push(None);
            self.works.len() as u32 - 1
        });
        let mut heads = 0;
        for rank in ranks.iter() {
            let queue = &mut self.queues[rank.index()];
            queue.push_back(at);
            heads += u16::from(queue.len() == 1);
        }
        let begins = usize::from(heads) == ranks.len();
        let span = Span::default();
        let (stops, fails) = (false, false);
        let work = Work { item, destinations, request, not_before, span, stops, fails, heads };
        self.works[at as usize] = Some(work);
        (at, begins)
    }

    /// Removes a finished item; appends to `begin` the items that may begin now.
    pub(crate) fn finish(&mut self, at: u32, begin: &mut Vec<u32>) -> Work {
        let work = self.works[at as usize].take().expect("a finished item is in its slot");
        self.vacant.push(at);
        for &rank in work.ranks().iter() {
            let popped = self.queues[rank.index()].pop_front();
            debug_assert_eq!(popped, Some(at), "{rank} finished what it did not run");
            self.promote(rank, begin);
        }
        work
    }

    fn promote(&mut self, rank: Rank, begin: &mut Vec<u32>) {
        if let Some(&next) = self.queues[rank.index()].front() {
            let work = self.get_mut(next);
            work.heads += 1;
            if usize::from(work.heads) == work.ranks().len() {
                begin.push(next);
            }
        }
    }

    /// Slots of all items, in sequence order.
    pub(crate) fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> =
            (0..self.works.len() as u32).filter(|&at| self.works[at as usize].is_some()).collect();
        slots.sort_by_key(|&at| self.get(at).sequence());
        slots
    }

    /// Takes an item out wherever it is in its inboxes; appends to `begin` what may begin now.
    pub(crate) fn kill(&mut self, at: u32, begin: &mut Vec<u32>) -> Work {
        let work = self.works[at as usize].take().expect("a killed item is in its slot");
        self.vacant.push(at);
        for &rank in work.ranks().iter() {
            let queue = &mut self.queues[rank.index()];
            let place = queue.iter().position(|&other| other == at).expect("in its inbox");
            queue.remove(place);
            if place == 0 {
                self.promote(rank, begin);
            }
        }
        work
    }
}

impl Work {
    /// Ranks whose inboxes hold it: a task's group, a transfer's destinations.
    pub(crate) fn ranks(&self) -> &Group {
        match &self.item {
            Item::Task(task) => &task.group,
            Item::Transfer(_) => &self.destinations,
        }
    }

    /// The item's global sequence number.
    pub(crate) fn sequence(&self) -> u64 {
        match &self.item {
            Item::Task(task) => task.id.0,
            Item::Transfer(transfer) => transfer.id.0,
        }
    }

    /// Whether the item needs `rank`, also as a source of a transfer.
    pub(crate) fn involves(&self, rank: Rank) -> bool {
        self.ranks().contains(&rank)
            || matches!(&self.item, Item::Transfer(t) if t.edges.iter().any(|e| e.src == rank))
    }
}

fn destinations(transfer: &Transfer) -> Group {
    let mut ranks = Group::default();
    for edge in &transfer.edges {
        if !ranks.contains(&edge.dst) {
            ranks.push(edge.dst);
        }
    }
    ranks
}
