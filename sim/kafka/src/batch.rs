//! Record batches (magic 2): the header that a broker reads, and what it checks before it appends.
//!
//! Rules: `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
//! `LogValidator.validateBatch`.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use crate::transaction::Outcome;
use crate::transactions::Marker;

/// Offset and length: what the length does not count.
const OVERHEAD_BYTES: usize = 12;
/// A batch without records.
const HEADER_BYTES: usize = 61;
/// Where the checksummed part begins.
const CRC_FROM: usize = 21;
/// Where the timestamps of the first and the last record are.
const TIMES: Range<usize> = 27..43;
/// What [`end_of_transaction`] makes.
const MARKER_BYTES: usize = 78;
/// Before that, batches looked different.
const MAGIC: i8 = 2;
/// `LegacyRecord.RECORD_OVERHEAD_V0`: no batch of any format is shorter.
const SHORTEST_LEGACY: usize = 14;
/// The codec number of zstd, which Produce allows from version 7.
const ZSTD: i16 = 4;

/// The header of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The offset of the first record.
    pub base_offset: i64,
    /// Compression, kind of timestamps, and whether it is transactional or a control batch.
    pub attributes: i16,
    /// The offset of the last record, counted from the first.
    pub last_offset_delta: i32,
    /// The time of the first record, in milliseconds.
    pub base_timestamp: i64,
    /// The latest time of all records, in milliseconds.
    pub max_timestamp: i64,
    /// The producer, or -1 where it is not idempotent.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records there are.
    pub records: i32,
}

impl Header {
    /// The number of the compression codec; 0 is none.
    pub(crate) const fn codec(&self) -> i16 {
        self.attributes & 0x07
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    pub(crate) const fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// The sequence number of the last record; sequences wrap to 0 after `i32::MAX`.
    pub(crate) const fn last_sequence(&self) -> i32 {
        let (sum, wrapped) = self.base_sequence.overflowing_add(self.last_offset_delta);
        if wrapped {
            sum.wrapping_sub(i32::MIN)
        } else {
            sum
        }
    }
}

/// Whether records say that they belong to a transaction, whatever else they are.
pub(crate) fn is_transactional(records: &[u8]) -> bool {
    header(records).is_some_and(|header| header.is_transactional())
}

/// What the first batch of some records says of itself, whether it is true or not.
pub fn header(records: &[u8]) -> Option<Header> {
    let is_current = records.get(16).map(|magic| magic.cast_signed()) == Some(MAGIC);
    is_current.then(|| read_header(records)).flatten()
}

/// The control batch that says how a transaction has ended (`EndTransactionMarker`).
pub(crate) fn end_of_transaction(marker: &Marker) -> (Header, Bytes) {
    const TRANSACTIONAL_CONTROL: i16 = 0x30;
    let mut key = BytesMut::new();
    key.put_i16(0);
    key.put_i16(match marker.outcome {
        Outcome::Abort => 0,
        Outcome::Commit => 1,
    });
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(marker.coordinator_epoch);
    let mut record = BytesMut::new();
    // Attributes, and deltas of timestamp and offset.
    record.put_slice(&[0, 0, 0]);
    for part in [&key, &value] {
        put_varint(&mut record, i64::try_from(part.len()).unwrap_or(i64::MAX));
        record.put_slice(part);
    }
    put_varint(&mut record, 0);
    let header = Header {
        base_offset: 0,
        attributes: TRANSACTIONAL_CONTROL,
        last_offset_delta: 0,
        base_timestamp: marker.timestamp,
        max_timestamp: marker.timestamp,
        producer_id: marker.producer.id,
        producer_epoch: marker.producer.epoch,
        base_sequence: -1,
        records: 1,
    };
    (header, sealed(&header, &record))
}

/// A batch of one record.
pub fn sealed(header: &Header, record: &[u8]) -> Bytes {
    let mut sealed = BytesMut::new();
    sealed.put_i16(header.attributes);
    sealed.put_i32(header.last_offset_delta);
    sealed.put_i64(header.base_timestamp);
    sealed.put_i64(header.max_timestamp);
    sealed.put_i64(header.producer_id);
    sealed.put_i16(header.producer_epoch);
    sealed.put_i32(header.base_sequence);
    sealed.put_i32(header.records);
    put_varint(&mut sealed, i64::try_from(record.len()).unwrap_or(i64::MAX));
    sealed.put_slice(record);

    let mut out = BytesMut::new();
    out.put_i64(header.base_offset);
    // Leader epoch, magic and checksum stand before what is sealed.
    out.put_u32(u32::try_from(sealed.len() + 9).unwrap_or(u32::MAX));
    out.put_i32(-1);
    out.put_i8(MAGIC);
    out.put_u32(crc32c::crc32c(&sealed));
    out.put_slice(&sealed);
    out.freeze()
}

/// A response in which the markers of transactions have no time: when one was written is the one
/// thing in a batch that no client has said.
pub fn without_times(frame: &[u8]) -> Vec<u8> {
    let mut out = frame.to_vec();
    let mut from = 0;
    while let Some(batch) = frame.get(from..from + MARKER_BYTES) {
        // Bytes whose checksum is right are what they look like.
        if header(batch).is_some_and(|header| header.is_control()) && checksum_matches(batch) {
            for range in [CRC_FROM - 4..CRC_FROM, TIMES] {
                if let Some(bytes) = out.get_mut(from + range.start..from + range.end) {
                    bytes.fill(0);
                }
            }
        }
        from += 1;
    }
    out
}

/// A zigzag varint.
pub fn put_varint(out: &mut BytesMut, value: i64) {
    let mut left = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            out.put_u8(low & 0x7f);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

/// Cuts the one batch out of the records of a Produce request and checks everything that can be
/// checked without the log.
pub fn validate(
    records: &Bytes,
    produce_version: i16,
    bytes_max: usize,
) -> Result<(Header, Bytes), ResponseError> {
    let batch = cut_single(records)?;
    // Formats 0 and 1 have their magic at the same place.
    if batch.get(16).map(|magic| magic.cast_signed()) != Some(MAGIC) {
        return Err(ResponseError::InvalidRecord);
    }
    let header = read_header(&batch).ok_or(ResponseError::CorruptMessage)?;
    if header.codec() == ZSTD && produce_version < 7 {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    if header.codec() > ZSTD || header.base_offset != 0 {
        return Err(ResponseError::InvalidRecord);
    }
    if batch.len() > bytes_max {
        return Err(ResponseError::MessageTooLarge);
    }
    if !checksum_matches(&batch) {
        return Err(ResponseError::CorruptMessage);
    }
    let counted = i64::from(header.last_offset_delta) + 1;
    let sequence_missing = header.producer_id >= 0 && header.base_sequence < 0;
    if counted <= 0
        || counted != i64::from(header.records)
        || header.is_control()
        || sequence_missing
    {
        return Err(ResponseError::InvalidRecord);
    }
    if header.codec() == 0 && !records_fill(&batch, header.records) {
        return Err(ResponseError::InvalidRecord);
    }
    Ok((header, batch))
}

/// The first batch, if it is the only one. A cut-off second one does not count, as in
/// `ByteBufferLogInputStream.nextBatchSize`.
fn cut_single(records: &Bytes) -> Result<Bytes, ResponseError> {
    let size = next_batch_size(records)?.ok_or(ResponseError::InvalidRecord)?;
    if next_batch_size(&records.slice(size..))?.is_some() {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(records.slice(..size))
}

fn next_batch_size(bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
    // The magic byte is the 17th.
    if bytes.len() < OVERHEAD_BYTES {
        return Ok(None);
    }
    let mut length = bytes.get(8..).unwrap_or_default();
    let length = length
        .try_get_i32()
        .map_err(|_| ResponseError::CorruptMessage)?;
    let length = usize::try_from(length).map_err(|_| ResponseError::CorruptMessage)?;
    if length < SHORTEST_LEGACY {
        return Err(ResponseError::CorruptMessage);
    }
    let size = length + OVERHEAD_BYTES;
    Ok((size <= bytes.len()).then_some(size))
}

fn read_header(batch: &[u8]) -> Option<Header> {
    if batch.len() < HEADER_BYTES {
        return None;
    }
    let mut from = batch;
    let base_offset = from.try_get_i64().ok()?;
    from.advance(CRC_FROM - 8);
    Some(Header {
        base_offset,
        attributes: from.try_get_i16().ok()?,
        last_offset_delta: from.try_get_i32().ok()?,
        base_timestamp: from.try_get_i64().ok()?,
        max_timestamp: from.try_get_i64().ok()?,
        producer_id: from.try_get_i64().ok()?,
        producer_epoch: from.try_get_i16().ok()?,
        base_sequence: from.try_get_i32().ok()?,
        records: from.try_get_i32().ok()?,
    })
}

fn checksum_matches(batch: &[u8]) -> bool {
    let claimed = batch
        .get(CRC_FROM - 4..)
        .and_then(|mut at| at.try_get_u32().ok());
    let actual = batch.get(CRC_FROM..).map(crc32c::crc32c);
    claimed.is_some() && claimed == actual
}

/// What is needed of one record: when, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordAt {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
}

/// Walks the records of an uncompressed batch; an `Err` item is the last one.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> Records<'a> {
    pub(crate) fn of(batch: &'a [u8], count: i32) -> Self {
        Self {
            rest: batch.get(HEADER_BYTES..).unwrap_or_default(),
            left: count,
        }
    }

    fn step(&mut self) -> Option<RecordAt> {
        let length = usize::try_from(varlong(&mut self.rest)?).ok()?;
        let (mut record, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        record.try_get_i8().ok()?;
        let at = RecordAt {
            timestamp_delta: varlong(&mut record)?,
            offset_delta: varlong(&mut record)?,
        };
        skip_nullable(&mut record)?;
        skip_nullable(&mut record)?;
        for _ in 0..usize::try_from(varlong(&mut record)?).ok()? {
            let key = usize::try_from(varlong(&mut record)?).ok()?;
            record = record.get(key..)?;
            skip_nullable(&mut record)?;
        }
        record.is_empty().then_some(at)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<RecordAt, ResponseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let step = self.step();
        if step.is_none() {
            self.left = 0;
        }
        Some(step.ok_or(ResponseError::InvalidRecord))
    }
}

fn records_fill(batch: &[u8], count: i32) -> bool {
    let mut records = Records::of(batch, count);
    records.by_ref().all(|record| record.is_ok()) && records.rest.is_empty()
}

fn skip_nullable(from: &mut &[u8]) -> Option<()> {
    let length = varlong(from)?;
    // Minus one is null.
    if length != -1 {
        *from = from.get(usize::try_from(length).ok()?..)?;
    }
    Some(())
}

/// A zigzag varint of at most 10 bytes.
fn varlong(from: &mut &[u8]) -> Option<i64> {
    let mut raw = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        raw |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kafka_protocol::records::{
        Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    /// A batch as a client would send it: one record a value, timestamps 1000, 1001, ...
    pub(crate) fn batch_of(values: &[&str], producer: Option<(i64, i16, i32)>) -> Bytes {
        let (producer_id, producer_epoch, base) = producer.unwrap_or((-1, -1, -1));
        let records: Vec<Record> = (0_i32..)
            .zip(values)
            .map(|(i, value)| Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id,
                producer_epoch,
                timestamp_type: TimestampType::Creation,
                offset: i64::from(i),
                sequence: base + i,
                timestamp: 1000 + i64::from(i),
                key: None,
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
                headers: indexmap::IndexMap::new(),
            })
            .collect();
        let mut out = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
        out.freeze()
    }

    fn error_of(records: &[u8]) -> ResponseError {
        validate(&Bytes::copy_from_slice(records), 9, 1 << 20).unwrap_err()
    }

    #[test]
    fn a_good_batch_passes_and_says_what_it_is() {
        let (header, batch) = validate(&batch_of(&["a", "b"], Some((4, 1, 7))), 9, 1000).unwrap();
        assert_eq!((header.records, header.last_offset_delta), (2, 1));
        assert_eq!((header.producer_id, header.producer_epoch), (4, 1));
        assert_eq!((header.base_sequence, header.last_sequence()), (7, 8));
        let deltas: Vec<_> = Records::of(&batch, 2)
            .map(|r| r.unwrap().timestamp_delta)
            .collect();
        assert_eq!(deltas, [0, 1]);
    }

    #[test]
    fn a_flipped_bit_is_corrupt() {
        let mut bytes = batch_of(&["value"], None).to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(error_of(&bytes), ResponseError::CorruptMessage);
    }

    #[test]
    fn zero_batches_or_two_are_invalid() {
        assert_eq!(error_of(&[]), ResponseError::InvalidRecord);
        let one = batch_of(&["a"], None);
        assert_eq!(
            error_of(&[&one[..], &one[..]].concat()),
            ResponseError::InvalidRecord
        );
        // A cut-off tail is no second batch.
        let tail = Bytes::from([&one[..], &one[..20]].concat());
        assert!(validate(&tail, 9, 1 << 20).is_ok());
    }

    #[test]
    fn too_large_and_too_old_have_errors_of_their_own() {
        let batch = batch_of(&["a"], None);
        assert_eq!(
            validate(&batch, 9, 60).unwrap_err(),
            ResponseError::MessageTooLarge
        );
        let mut old = batch.to_vec();
        old[16] = 1;
        assert_eq!(error_of(&old), ResponseError::InvalidRecord);
    }

    /// Re-seals a batch after its bytes were changed.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn a_false_count_is_invalid_and_reserves_nothing() {
        let mut bytes = batch_of(&["a"], None).to_vec();
        bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(
            error_of(&sealed(bytes.clone())),
            ResponseError::InvalidRecord
        );
        bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        assert_eq!(error_of(&sealed(bytes)), ResponseError::InvalidRecord);
    }

    #[test]
    fn clients_write_no_control_batches() {
        let mut bytes = batch_of(&["a"], None).to_vec();
        bytes[22] |= 0x20;
        assert_eq!(error_of(&sealed(bytes)), ResponseError::InvalidRecord);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let (mut header, _) = validate(&batch_of(&["a", "b"], None), 9, 1000).unwrap();
        header.base_sequence = i32::MAX;
        assert_eq!(header.last_sequence(), 0);
    }
}
