//! The part of a record that is dropped as a whole when it grows too long.

use crate::record::{IdleCause, MigrationRecord, SpanRecord};
use flexdit_core::Nanos;

/// Spans, transfers and idle causes, up to a limit of each.
#[derive(Debug)]
pub(super) struct Timeline {
    limit: usize,
    pub(super) spans: Vec<SpanRecord>,
    pub(super) migrations: Vec<MigrationRecord>,
    pub(super) causes: Vec<(Nanos, IdleCause)>,
}

impl Timeline {
    pub(super) fn new(limit: usize) -> Self {
        let causes = if limit == 0 { vec![] } else { vec![(Nanos::ZERO, IdleCause::NoWork)] };
        Self { limit, spans: vec![], migrations: vec![], causes }
    }

    pub(super) fn span(&mut self, span: SpanRecord) {
        if self.limit > 0 {
            self.spans.push(span);
            self.check(self.spans.len());
        }
    }

    pub(super) fn migration(&mut self, migration: MigrationRecord) {
        if self.limit > 0 {
            self.migrations.push(migration);
            self.check(self.migrations.len());
        }
    }

    /// Free ranks idle for `cause` from `now` on; at one instant the last word counts.
    pub(super) fn cause(&mut self, now: Nanos, cause: IdleCause) {
        if self.limit == 0 {
            return;
        }
        if let Some(last) = self.causes.last_mut().filter(|last| last.0 == now) {
            last.1 = cause;
        } else if self.causes.last().is_none_or(|last| last.1 != cause) {
            self.causes.push((now, cause));
            self.check(self.causes.len());
        }
    }

    /// Puts everything in order of start.
    pub(super) fn sort(&mut self) {
        self.spans.sort_by_key(|span| (span.started, span.request, span.stage));
        self.migrations.sort_by_key(|migration| (migration.started, migration.request));
        self.causes.dedup_by_key(|entry| entry.1);
    }

    fn check(&mut self, len: usize) {
        if len > self.limit {
            *self = Self::new(0);
        }
    }
}
