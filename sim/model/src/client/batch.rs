//! A record batch (magic 2) of one record, as a producer sends it.

use bytes::{BufMut, Bytes, BytesMut};

/// The batch of a producer that is not idempotent.
pub(super) fn batch(value: &[u8]) -> Bytes {
    let mut record = BytesMut::new();
    record.put_u8(0);
    // Deltas of timestamp and offset, no key.
    put_varint(&mut record, 0);
    put_varint(&mut record, 0);
    put_varint(&mut record, -1);
    put_varint(&mut record, i64::try_from(value.len()).unwrap_or(i64::MAX));
    record.put_slice(value);
    put_varint(&mut record, 0);

    let mut sealed = BytesMut::new();
    sealed.put_i16(0);
    sealed.put_i32(0);
    sealed.put_i64(1_000);
    sealed.put_i64(1_000);
    sealed.put_i64(-1);
    sealed.put_i16(-1);
    sealed.put_i32(-1);
    sealed.put_i32(1);
    put_varint(&mut sealed, i64::try_from(record.len()).unwrap_or(i64::MAX));
    sealed.put_slice(&record);

    let mut out = BytesMut::new();
    out.put_i64(0);
    // Leader epoch, magic and checksum stand before what is sealed.
    out.put_u32(u32::try_from(sealed.len() + 9).unwrap_or(u32::MAX));
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(crc32c::crc32c(&sealed));
    out.put_slice(&sealed);
    out.freeze()
}

/// A zigzag varint.
fn put_varint(out: &mut BytesMut, value: i64) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::validate;

    #[test]
    fn brokers_take_what_clients_make() {
        for len in [0, 1, 100, 70_000] {
            let made = batch(&vec![7; len]);
            let (header, whole) = validate(&made, 9, 1 << 20).unwrap();
            assert_eq!(header.records, 1);
            assert_eq!(whole, made);
        }
    }
}
