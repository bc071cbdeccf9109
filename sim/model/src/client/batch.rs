//! A record batch (magic 2) of one record, as a producer sends it.

use bytes::{BufMut, Bytes, BytesMut};

use doorkeeper_kafka_model::batch::{Header, put_varint, sealed};

/// Who writes a batch, if it is an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) transactional: bool,
}

impl Writer {
    /// A producer that is not idempotent.
    pub(crate) const NOBODY: Self = Self {
        producer_id: -1,
        epoch: -1,
        sequence: -1,
        transactional: false,
    };
}

/// A batch with one record of this value.
pub(crate) fn batch(value: &[u8], writer: Writer) -> Bytes {
    const TRANSACTIONAL: i16 = 0x10;
    let mut record = BytesMut::new();
    record.put_u8(0);
    // Deltas of timestamp and offset, no key.
    put_varint(&mut record, 0);
    put_varint(&mut record, 0);
    put_varint(&mut record, -1);
    put_varint(&mut record, i64::try_from(value.len()).unwrap_or(i64::MAX));
    record.put_slice(value);
    put_varint(&mut record, 0);
    let header = Header {
        base_offset: 0,
        attributes: if writer.transactional {
            TRANSACTIONAL
        } else {
            0
        },
        last_offset_delta: 0,
        base_timestamp: 1_000,
        max_timestamp: 1_000,
        producer_id: writer.producer_id,
        producer_epoch: writer.epoch,
        base_sequence: writer.sequence,
        records: 1,
    };
    sealed(&header, &record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorkeeper_kafka_model::batch::validate;

    #[test]
    fn brokers_take_what_clients_make() {
        for len in [0, 1, 100, 70_000] {
            let made = batch(&vec![7; len], Writer::NOBODY);
            let (header, whole) = validate(&made, 9, 1 << 20).unwrap();
            assert_eq!(header.records, 1);
            assert_eq!(whole, made);
        }
    }
}
