//! One partition as one share group reads it (KIP-932): `SharePartition`.
//!
//! Records are kept as ranges of offsets in the same state; a range is cut where a part of it
//! changes its state.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

use crate::config::Limits;

/// What becomes of a record that a member had (`AcknowledgeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// It is done, or shall never come again, or was no record at all.
    Done,
    /// Somebody shall have it again.
    Release,
}

/// What a member says of some offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcknowledgedOffsets {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// One for all of them, or one for each.
    pub(crate) kinds: Vec<Acknowledgement>,
}

/// Offsets that a member got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcquiredRange {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) deliveries: i16,
}

/// `RecordState`; acknowledged and archived are the same to everybody who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Available,
    Acquired { member: String, lock_end: Instant },
    Done,
}

/// Records in flight that have the same state, from the offset under which they are kept.
#[derive(Clone, Debug)]
struct Range {
    last: i64,
    deliveries: i16,
    state: State,
}

impl Range {
    fn is_of(&self, of: &str) -> bool {
        matches!(&self.state, State::Acquired { member, .. } if member == of)
    }

    /// Gives the records back; who was delivered too often is given up
    /// (`InFlightState.tryUpdateState`).
    fn release(&mut self, deliveries_max: i16) {
        self.state = if self.deliveries >= deliveries_max {
            State::Done
        } else {
            State::Available
        };
    }
}

/// What a group knows of a partition.
#[derive(Debug)]
pub(crate) struct SharePartition {
    /// The epoch of the leader that keeps it in memory.
    leader_epoch: i32,
    /// Everything before it is done.
    start: i64,
    /// Nothing from it on was ever given out.
    end: i64,
    in_flight: BTreeMap<i64, Range>,
}

impl SharePartition {
    /// A group begins at the end of the log (`share.auto.offset.reset=latest`).
    pub(crate) const fn at(offset: i64, leader_epoch: i32) -> Self {
        Self {
            leader_epoch,
            start: offset,
            end: offset,
            in_flight: BTreeMap::new(),
        }
    }

    pub(crate) const fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// A new leader knows only what was written down: records that somebody had are free again, and
    /// the delivery does not count, since only what becomes of a record is written.
    pub(crate) fn moved_to(&mut self, leader_epoch: i32) {
        if self.leader_epoch == leader_epoch {
            return;
        }
        self.leader_epoch = leader_epoch;
        for range in self.in_flight.values_mut() {
            if matches!(range.state, State::Acquired { .. }) {
                range.deliveries = range.deliveries.saturating_sub(1);
                range.state = State::Available;
            }
        }
    }

    /// Records before `offset` are gone from the log.
    pub(crate) fn log_starts_at(&mut self, offset: i64) {
        if offset <= self.start {
            return;
        }
        self.cut(offset);
        self.in_flight = self.in_flight.split_off(&offset);
        self.start = offset;
        self.end = self.end.max(offset);
        self.advance();
    }

    /// From where on there may be something to give out; None while too much is out already
    /// (`SharePartition.canAcquireRecords`).
    pub(crate) fn next_offset(&self, limits: &Limits) -> Option<i64> {
        let mut ranges = self.in_flight.iter();
        let free = ranges.find(|(_, range)| range.state == State::Available);
        let has_room = self.end - self.start < limits.share_record_locks_max;
        free.map(|(first, _)| *first)
            .or_else(|| has_room.then_some(self.end))
    }

    /// Gives a member what is free in these batches, each with its first and last offset; whole
    /// batches of what is new, until `records_max` records are reached (`SharePartition.acquire`).
    pub(crate) fn acquire(
        &mut self,
        member: &str,
        lock_end: Instant,
        batches: &[(i64, i64)],
        records_max: i64,
    ) -> Vec<AcquiredRange> {
        let state = State::Acquired {
            member: member.to_owned(),
            lock_end,
        };
        let mut acquired = Vec::<AcquiredRange>::new();
        let mut count = 0;
        for (first, last) in batches.iter().copied() {
            if count >= records_max {
                break;
            }
            let first = first.max(self.start);
            if first > last {
                continue;
            }
            if last >= self.end {
                let range = Range {
                    last,
                    deliveries: 0,
                    state: State::Available,
                };
                self.in_flight.insert(first.max(self.end), range);
                self.end = last + 1;
            }
            for (at, range) in self.between(first, last) {
                if range.state != State::Available {
                    continue;
                }
                range.deliveries = range.deliveries.saturating_add(1);
                range.state = state.clone();
                count += range.last - at + 1;
                push(&mut acquired, at, range);
            }
        }
        acquired
    }

    /// What a member says of records that it has: all of it counts, or nothing.
    pub(crate) fn acknowledge(
        &mut self,
        member: &str,
        batches: &[AcknowledgedOffsets],
        limits: &Limits,
    ) -> Result<(), ResponseError> {
        let before = self.in_flight.clone();
        let deliveries_max = limits.share_deliveries_max;
        let start = self.start;
        for batch in batches.iter().filter(|batch| batch.last >= start) {
            if let Err(error) = self.acknowledge_one(member, batch, deliveries_max) {
                self.in_flight = before;
                return Err(error);
            }
        }
        self.advance();
        Ok(())
    }

    fn acknowledge_one(
        &mut self,
        member: &str,
        batch: &AcknowledgedOffsets,
        deliveries_max: i16,
    ) -> Result<(), ResponseError> {
        let begins = self.in_flight.first_key_value().map(|(first, _)| *first);
        let was_there = begins.is_some_and(|begins| begins <= batch.first.max(self.start));
        if !was_there {
            return Err(ResponseError::InvalidRecordState);
        }
        if batch.last >= self.end {
            return Err(ResponseError::InvalidRequest);
        }
        let each = batch.kinds.len() > 1;
        let mut spans = Vec::new();
        if let (false, Some(kind)) = (each, batch.kinds.first()) {
            spans.push((batch.first.max(self.start), batch.last, *kind));
        } else {
            let kinds = (batch.first..).zip(&batch.kinds);
            let kinds = kinds.filter(|(offset, _)| *offset >= self.start);
            spans.extend(kinds.map(|(offset, kind)| (offset, offset, *kind)));
        }
        for (first, last, kind) in spans {
            for (_, range) in self.between(first, last) {
                if !range.is_of(member) {
                    return Err(ResponseError::InvalidRecordState);
                }
                match kind {
                    Acknowledgement::Done => range.state = State::Done,
                    Acknowledgement::Release => range.release(deliveries_max),
                }
            }
        }
        Ok(())
    }

    /// A member's session has ended: it gives back what it has.
    pub(crate) fn release(&mut self, member: &str, limits: &Limits) {
        for range in self.in_flight.values_mut() {
            if range.is_of(member) {
                range.release(limits.share_deliveries_max);
            }
        }
        self.advance();
    }

    /// When [`SharePartition::tick`] must be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ranges = self.in_flight.values();
        let ends = ranges.filter_map(|range| match &range.state {
            State::Acquired { lock_end, .. } => Some(*lock_end),
            State::Available | State::Done => None,
        });
        ends.min()
    }

    /// Who had records too long has them no more. Whether there were any.
    pub(crate) fn tick(&mut self, now: Instant, limits: &Limits) -> bool {
        let mut any = false;
        for range in self.in_flight.values_mut() {
            if let State::Acquired { lock_end, .. } = &range.state
                && *lock_end <= now
            {
                range.release(limits.share_deliveries_max);
                any = true;
            }
        }
        self.advance();
        any
    }

    /// The ranges of exactly these offsets, as far as they are in flight.
    fn between(&mut self, first: i64, last: i64) -> impl Iterator<Item = (i64, &mut Range)> {
        self.cut(first);
        self.cut(last.saturating_add(1));
        let ranges = self.in_flight.range_mut(first..=last);
        ranges.map(|(at, range)| (*at, range))
    }

    /// Lets no range go over the border before `offset`.
    fn cut(&mut self, offset: i64) {
        let before = self.in_flight.range_mut(..offset).next_back();
        let Some((_, range)) = before.filter(|(_, range)| range.last >= offset) else {
            return;
        };
        let rest = range.clone();
        range.last = offset - 1;
        self.in_flight.insert(offset, rest);
    }

    /// What is done at the front is forgotten.
    fn advance(&mut self) {
        while let Some(first) = self.in_flight.first_entry()
            && first.get().state == State::Done
        {
            self.start = first.get().last + 1;
            first.remove();
        }
        if self.in_flight.is_empty() {
            self.start = self.end;
        }
    }
}

/// Ranges that follow each other and came as often are reported as one.
fn push(acquired: &mut Vec<AcquiredRange>, first: i64, range: &Range) {
    match acquired.last_mut() {
        Some(known) if known.last + 1 == first && known.deliveries == range.deliveries => {
            known.last = range.last;
        }
        Some(_) | None => acquired.push(AcquiredRange {
            first,
            last: range.last,
            deliveries: range.deliveries,
        }),
    }
}
