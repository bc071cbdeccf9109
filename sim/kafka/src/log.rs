//! The log of one partition: batches in memory, offsets, leader epochs, retention.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use crate::batch::{self, Header, Records};
use crate::producer_state::{BatchCheck, ProducerState};
use crate::transaction::Outcome;
use crate::transactions::Marker;

/// What a kept batch costs besides its bytes: a million one-record batches are not free.
const BATCH_COST_BYTES: usize = 128;

/// An offset with the time of its record and the epoch of the leader that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetAt {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) leader_epoch: i32,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendInfo {
    pub(crate) base_offset: i64,
    pub(crate) log_start_offset: i64,
}

#[derive(Debug)]
struct Batch {
    base_offset: i64,
    last_offset: i64,
    leader_epoch: i32,
    header: Header,
    bytes: Bytes,
}

impl Batch {
    fn cost(&self) -> usize {
        self.bytes.len() + BATCH_COST_BYTES
    }

    /// The first record that `wanted` takes by its timestamp. The model cannot look into
    /// compressed batches: there the whole batch stands for its records.
    fn find(&self, wanted: impl Fn(i64) -> bool) -> Option<OffsetAt> {
        let at = |offset, timestamp| OffsetAt {
            offset,
            timestamp,
            leader_epoch: self.leader_epoch,
        };
        if self.header.codec() != 0 {
            return Some(at(self.base_offset, self.header.max_timestamp));
        }
        Records::of(&self.bytes, self.header.records)
            .flatten()
            .map(|r| {
                let timestamp = self.header.base_timestamp.saturating_add(r.timestamp_delta);
                at(self.base_offset.saturating_add(r.offset_delta), timestamp)
            })
            .find(|record| wanted(record.timestamp))
    }
}

/// A transaction that was aborted: its producer's records from one offset to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedTxn {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Of the marker.
    last_offset: i64,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    pub(crate) bytes: Vec<Bytes>,
    /// The offset after the last of them.
    pub(crate) end_offset: i64,
}

/// The log of one partition. All replicas of the model share it, so the high watermark is its end.
#[derive(Debug)]
pub(crate) struct Log {
    batches: VecDeque<Batch>,
    kept_bytes: usize,
    start_offset: i64,
    end_offset: i64,
    /// Leader epochs that wrote, each with its first offset.
    epochs: Vec<(i32, i64)>,
    producers: ProducerState,
    /// The first offsets of transactions that have not ended.
    ongoing: BTreeMap<i64, i64>,
    /// In the order of their markers.
    aborted: VecDeque<AbortedTxn>,
    retention_bytes: usize,
}

impl Log {
    pub(crate) const fn new(retention_bytes: usize, producers_max: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            kept_bytes: 0,
            start_offset: 0,
            end_offset: 0,
            epochs: Vec::new(),
            producers: ProducerState::new(producers_max),
            ongoing: BTreeMap::new(),
            aborted: VecDeque::new(),
            retention_bytes,
        }
    }

    pub(crate) const fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset after the last record; also the high watermark.
    pub(crate) const fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The offset below which every transaction has ended.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        let first = self.ongoing.keys().next();
        first.map_or(self.end_offset, |first| (*first).max(self.start_offset))
    }

    /// Whether the producer has a transaction here that has not ended.
    pub(crate) fn has_transaction(&self, header: &Header) -> bool {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        self.producers.has_transaction(id, epoch)
    }

    /// The aborted transactions that a reader of these offsets has to skip
    /// (`UnifiedLog.collectAbortedTransactions`).
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = &AbortedTxn> {
        let overlaps = move |txn: &&AbortedTxn| txn.last_offset >= from && txn.first_offset < to;
        self.aborted.iter().filter(overlaps)
    }

    /// A leader begins to write. Epochs that wrote nothing are forgotten, as in
    /// `LeaderEpochFileCache.assign`.
    pub(crate) fn begin_epoch(&mut self, leader_epoch: i32) {
        while self
            .epochs
            .last()
            .is_some_and(|(_, first)| *first >= self.end_offset)
        {
            self.epochs.pop();
        }
        self.epochs.push((leader_epoch, self.end_offset));
    }

    /// Appends a batch that [`crate::batch::validate`] accepted.
    pub(crate) fn append(
        &mut self,
        leader_epoch: i32,
        header: &Header,
        batch: &[u8],
    ) -> Result<AppendInfo, ResponseError> {
        if let BatchCheck::Duplicate { base_offset } = self.producers.check(header)? {
            return Ok(AppendInfo {
                base_offset,
                log_start_offset: self.start_offset,
            });
        }
        let base_offset = self.end_offset;
        if self.producers.appended(header, base_offset) {
            self.ongoing.insert(base_offset, header.producer_id);
        }
        self.store(leader_epoch, header, batch);
        Ok(AppendInfo {
            base_offset,
            log_start_offset: self.start_offset,
        })
    }

    /// Appends the marker of a transaction that has ended.
    pub(crate) fn end_transaction(&mut self, leader_epoch: i32, marker: &Marker) {
        let offset = self.end_offset;
        let (id, epoch) = (marker.producer.id, marker.producer.epoch);
        if let Some(first_offset) = self.producers.ended(id, epoch, offset) {
            self.ongoing.remove(&first_offset);
            if marker.outcome == Outcome::Abort {
                self.aborted.push_back(AbortedTxn {
                    producer_id: id,
                    first_offset,
                    last_offset: offset,
                });
            }
        }
        let (header, batch) = batch::end_of_transaction(marker);
        self.store(leader_epoch, &header, &batch);
    }

    fn store(&mut self, leader_epoch: i32, header: &Header, batch: &[u8]) {
        let base_offset = self.end_offset;
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        let stored = Batch {
            base_offset,
            last_offset,
            leader_epoch,
            header: *header,
            bytes: with_offset(batch, base_offset, leader_epoch),
        };
        self.kept_bytes += stored.cost();
        self.batches.push_back(stored);
        self.end_offset = last_offset + 1;
        self.retain();
    }

    /// Drops the oldest batches over the retention, never the newest batch.
    fn retain(&mut self) {
        while self.kept_bytes > self.retention_bytes && self.batches.len() > 1 {
            self.drop_oldest();
        }
        if let Some(oldest) = self.batches.front() {
            self.start_offset = self.start_offset.max(oldest.base_offset);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.kept_bytes = self.kept_bytes.saturating_sub(batch.cost());
            self.start_offset = self.start_offset.max(batch.last_offset + 1);
        }
        let start = self.start_offset;
        self.aborted.retain(|txn| txn.last_offset >= start);
        // The newest epoch that begins at or before the start still describes the start.
        while self.epochs.get(1).is_some_and(|(_, first)| *first <= start) {
            self.epochs.remove(0);
        }
    }

    /// `DeleteRecords`: moves the start up to `offset`; -1 means the end.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<i64, ResponseError> {
        let offset = if offset == -1 {
            self.end_offset
        } else {
            offset
        };
        if offset < 0 || offset > self.end_offset {
            return Err(ResponseError::OffsetOutOfRange);
        }
        self.start_offset = self.start_offset.max(offset);
        while self
            .batches
            .front()
            .is_some_and(|oldest| oldest.last_offset < self.start_offset)
        {
            self.drop_oldest();
        }
        Ok(self.start_offset)
    }

    /// The batches from `offset` up to `end` that fit; with `at_least_one`, the first even if it
    /// does not.
    pub(crate) fn read(
        &self,
        offset: i64,
        end: i64,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Result<Batches, ResponseError> {
        if offset < self.start_offset || offset > self.end_offset {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let from = self
            .batches
            .partition_point(|batch| batch.last_offset < offset);
        let mut left = bytes_max;
        let mut read = Batches {
            bytes: Vec::new(),
            end_offset: offset,
        };
        for batch in self.batches.range(from..) {
            let forced = at_least_one && read.bytes.is_empty();
            if batch.base_offset >= end || (batch.bytes.len() > left && !forced) {
                break;
            }
            left = left.saturating_sub(batch.bytes.len());
            read.bytes.push(batch.bytes.clone());
            read.end_offset = batch.last_offset + 1;
        }
        Ok(read)
    }

    /// `ListOffsets` with -2: where the log starts.
    pub(crate) fn earliest(&self) -> OffsetAt {
        let leader_epoch = self.epochs.first().map_or(-1, |(epoch, _)| *epoch);
        OffsetAt {
            offset: self.start_offset,
            timestamp: -1,
            leader_epoch,
        }
    }

    /// `ListOffsets` with -1: where the log ends for its reader, under the leader of
    /// `leader_epoch`.
    pub(crate) const fn latest(end: i64, leader_epoch: i32) -> OffsetAt {
        OffsetAt {
            offset: end,
            timestamp: -1,
            leader_epoch,
        }
    }

    /// `ListOffsets` with -3: the first record with the largest timestamp.
    pub(crate) fn max_timestamp(&self) -> Option<OffsetAt> {
        let max = self
            .batches
            .iter()
            .map(|batch| batch.header.max_timestamp)
            .max()?;
        self.at_timestamp(max)
    }

    /// `ListOffsets` with a time: the first record at or after it.
    pub(crate) fn at_timestamp(&self, timestamp: i64) -> Option<OffsetAt> {
        self.batches
            .iter()
            .filter(|batch| batch.header.max_timestamp >= timestamp)
            .filter_map(|batch| batch.find(|t| t >= timestamp))
            .find(|record| record.offset >= self.start_offset)
    }

    /// `OffsetForLeaderEpoch`: the last epoch not after `epoch`, and where it ends
    /// (`LeaderEpochFileCache.endOffsetFor`).
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        if self
            .epochs
            .last()
            .is_some_and(|(latest, _)| *latest == epoch)
        {
            return Some((epoch, self.end_offset));
        }
        let next = self.epochs.partition_point(|(known, _)| *known <= epoch);
        // An epoch after the newest is unknown.
        let (_, end) = self.epochs.get(next)?;
        let found = next.checked_sub(1).and_then(|i| self.epochs.get(i));
        Some(found.map_or((epoch, *end), |(known, _)| (*known, *end)))
    }
}

/// A copy with offset and leader epoch set, which no checksum covers. A copy, so that the log does
/// not pin the frame that the batch came in.
fn with_offset(batch: &[u8], base_offset: i64, leader_epoch: i32) -> Bytes {
    let mut out = BytesMut::with_capacity(batch.len());
    out.put_i64(base_offset);
    out.put_slice(batch.get(8..12).unwrap_or_default());
    out.put_i32(leader_epoch);
    out.put_slice(batch.get(16..).unwrap_or_default());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::records::RecordBatchDecoder;

    use crate::batch::{tests::batch_of, validate};
    use crate::transaction::Producer;

    fn append(log: &mut Log, epoch: i32, values: &[&str]) -> AppendInfo {
        let (header, batch) = validate(&batch_of(values, None), 9, 1 << 20).unwrap();
        log.append(epoch, &header, &batch).unwrap()
    }

    fn log_of(batches: &[(i32, &[&str])]) -> Log {
        let mut log = Log::new(1 << 20, 10);
        for (epoch, values) in batches {
            if log.epochs.last().is_none_or(|(known, _)| known != epoch) {
                log.begin_epoch(*epoch);
            }
            append(&mut log, *epoch, values);
        }
        log
    }

    fn read_all(
        log: &Log,
        offset: i64,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ResponseError> {
        let read = log.read(offset, log.end_offset(), bytes_max, at_least_one);
        read.map(|read| read.bytes)
    }

    #[test]
    fn offsets_follow_and_are_written_into_the_batch() {
        let log = log_of(&[(0, &["a", "b"]), (3, &["c"])]);
        assert_eq!((log.start_offset(), log.end_offset()), (0, 3));
        let read = read_all(&log, 2, 1000, true).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(&read[0][..8], 2_i64.to_be_bytes());
        assert_eq!(&read[0][12..16], 3_i32.to_be_bytes());
        // Offset 1 lies inside the first batch, which comes whole.
        assert_eq!(read_all(&log, 1, 1000, true).unwrap().len(), 2);
        assert!(read_all(&log, 3, 1000, true).unwrap().is_empty());
        assert_eq!(
            read_all(&log, 4, 1000, true),
            Err(ResponseError::OffsetOutOfRange)
        );
    }

    #[test]
    fn limits_cut_between_batches() {
        let log = log_of(&[(0, &["a"]), (0, &["b"])]);
        assert_eq!(read_all(&log, 0, 1, true).unwrap().len(), 1);
        assert!(read_all(&log, 0, 1, false).unwrap().is_empty());
    }

    #[test]
    fn retention_moves_the_start() {
        let mut log = Log::new(500, 10);
        for _ in 0..10 {
            append(&mut log, 0, &["0123456789"]);
        }
        assert!(log.start_offset() > 0 && log.kept_bytes <= 500);
        assert_eq!(
            read_all(&log, 0, 1000, true),
            Err(ResponseError::OffsetOutOfRange)
        );
        assert_eq!(log.end_offset(), 10);
    }

    #[test]
    fn deleting_records_moves_the_start() {
        let mut log = log_of(&[(0, &["a", "b"]), (1, &["c"])]);
        assert_eq!(log.delete_before(1), Ok(1));
        assert_eq!(log.delete_before(4), Err(ResponseError::OffsetOutOfRange));
        assert_eq!(log.delete_before(-1), Ok(3));
        assert_eq!(read_all(&log, 3, 1000, true), Ok(Vec::new()));
        assert_eq!(
            log.earliest(),
            OffsetAt {
                offset: 3,
                timestamp: -1,
                leader_epoch: 1
            }
        );
    }

    #[test]
    fn timestamps_find_records() {
        let log = log_of(&[(0, &["a", "b"]), (1, &["c", "d", "e"])]);
        let at = |offset, timestamp, leader_epoch| OffsetAt {
            offset,
            timestamp,
            leader_epoch,
        };
        assert_eq!(log.at_timestamp(1001), Some(at(1, 1001, 0)));
        assert_eq!(log.at_timestamp(1002), Some(at(4, 1002, 1)));
        assert_eq!(log.max_timestamp(), Some(at(4, 1002, 1)));
        assert_eq!(log.at_timestamp(1003), None);
        assert_eq!(Log::new(1, 1).max_timestamp(), None);
    }

    #[test]
    fn epochs_end_where_the_next_begins() {
        let mut log = log_of(&[(0, &["a"]), (2, &["b", "c"])]);
        assert_eq!(log.end_of_epoch(0), Some((0, 1)));
        assert_eq!(log.end_of_epoch(1), Some((0, 1)));
        assert_eq!(log.end_of_epoch(2), Some((2, 3)));
        assert_eq!(log.end_of_epoch(3), None);
        log.begin_epoch(5);
        assert_eq!(log.end_of_epoch(2), Some((2, 3)));
        log.begin_epoch(6);
        assert_eq!(log.epochs, [(0, 0), (2, 1), (6, 3)]);
    }
    #[test]
    fn readers_of_what_is_committed_wait_for_the_end_of_transactions() {
        let mut log = log_of(&[(0, &["a"])]);
        let mut begin = |id| {
            let bytes = batch_of(&["b", "c"], Some((id, 0, 0)));
            let (mut header, batch) = validate(&bytes, 9, 1 << 20).unwrap();
            header.attributes |= 0x10;
            log.append(0, &header, &batch).unwrap();
        };
        begin(7);
        begin(8);
        assert_eq!((log.last_stable_offset(), log.end_offset()), (1, 5));
        let stable = |log: &Log| {
            let read = log.read(0, log.last_stable_offset(), 1 << 20, true);
            read.unwrap().end_offset
        };
        assert_eq!(stable(&log), 1);
        let mut end = |id, outcome| {
            let producer = Producer { id, epoch: 1 };
            let marker = Marker {
                producer,
                outcome,
                coordinator_epoch: 3,
                timestamp: 9,
            };
            log.end_transaction(0, &marker);
            log.last_stable_offset()
        };
        assert_eq!(end(8, Outcome::Abort), 1, "7 has begun before");
        assert_eq!(end(7, Outcome::Commit), 7);
        assert_eq!(stable(&log), 7);
        let aborted = |from, to| {
            let found = log.aborted_between(from, to);
            found
                .map(|a| (a.producer_id, a.first_offset))
                .collect::<Vec<_>>()
        };
        assert_eq!(aborted(0, 7), [(8, 3)]);
        assert!(aborted(0, 3).is_empty() && aborted(6, 7).is_empty());
    }

    #[test]
    fn markers_are_batches_that_a_client_can_read() {
        let mut log = log_of(&[(0, &["a"])]);
        let marker = Marker {
            producer: Producer { id: 7, epoch: 1 },
            outcome: Outcome::Commit,
            coordinator_epoch: 3,
            timestamp: 9,
        };
        log.end_transaction(0, &marker);
        let mut bytes = read_all(&log, 1, 1000, true).unwrap().remove(0);
        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        let record = &set.records[0];
        assert!(record.control && record.transactional);
        assert_eq!((record.offset, record.timestamp), (1, 9));
        assert_eq!((record.producer_id, record.producer_epoch), (7, 1));
        assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, 1][..]));
        assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 3][..]));
    }
}
