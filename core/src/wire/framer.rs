//! Where frames begin and end: a big-endian signed length of four bytes before each.

use bytes::Bytes;

use crate::wire::header::PREFIX_BYTES;
use crate::wire::malformed::BadLength;
use crate::wire::rope::Rope;

/// Which lengths a leg accepts, without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    /// The shortest frame: what every header has.
    pub min: usize,
    /// The longest frame.
    pub max: usize,
}

impl Framer {
    /// The length of the frame with its prefix, once the prefix is there: its bytes may be
    /// spread over what is buffered and the chunk behind it. Nothing is consumed, and memory never
    /// follows the length that is claimed.
    ///
    /// # Errors
    /// The length is one that no frame may have.
    pub fn frame_len(self, buffered: &Rope, chunk: &[u8]) -> Result<Option<usize>, BadLength> {
        let Some(prefix) = peek::<PREFIX_BYTES>(buffered, chunk, 0) else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(prefix);
        let length = usize::try_from(length).map_err(|_| BadLength::Negative)?;
        if length < self.min {
            return Err(BadLength::TooShort);
        }
        if length > self.max {
            return Err(BadLength::TooLarge);
        }
        Ok(Some(PREFIX_BYTES + length))
    }
}

/// `N` bytes at offset `at` of what is buffered with the chunk behind it, if they have come.
#[must_use]
pub fn peek<const N: usize>(buffered: &Rope, chunk: &[u8], at: usize) -> Option<[u8; N]> {
    let mut out = [0; N];
    if let Some(in_chunk) = at.checked_sub(buffered.end()) {
        let end = in_chunk.checked_add(N)?;
        out.copy_from_slice(chunk.get(in_chunk..end)?);
        return Some(out);
    }
    let in_buffered = (buffered.end() - at).min(N);
    let (head, tail) = out.split_at_mut_checked(in_buffered)?;
    if !buffered.read(at, head) {
        return None;
    }
    tail.copy_from_slice(chunk.get(..tail.len())?);
    Some(out)
}

/// Splits off at most `count` bytes from the front of a chunk.
#[must_use]
pub fn take(chunk: &mut Bytes, count: usize) -> Bytes {
    if count >= chunk.len() {
        std::mem::take(chunk)
    } else {
        chunk.split_to(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMER: Framer = Framer { min: 8, max: 100 };

    fn len(prefix: [u8; 4]) -> Result<Option<usize>, BadLength> {
        FRAMER.frame_len(&Rope::default(), &prefix)
    }

    #[test]
    fn lengths_outside_the_limits_are_named() {
        assert_eq!(len(8i32.to_be_bytes()), Ok(Some(12)));
        assert_eq!(len(100i32.to_be_bytes()), Ok(Some(104)));
        assert_eq!(len(7i32.to_be_bytes()), Err(BadLength::TooShort));
        assert_eq!(len(101i32.to_be_bytes()), Err(BadLength::TooLarge));
        assert_eq!(len((-1i32).to_be_bytes()), Err(BadLength::Negative));
        assert_eq!(len(i32::MIN.to_be_bytes()), Err(BadLength::Negative));
        assert_eq!(len(i32::MAX.to_be_bytes()), Err(BadLength::TooLarge));
    }

    #[test]
    fn a_prefix_may_be_spread_over_buffer_and_chunk() {
        let bytes = [0, 0, 0, 9, 1, 2, 3, 4];
        for cut in 0..=8 {
            let mut buffered = Rope::default();
            buffered.push(Bytes::copy_from_slice(&bytes[..cut]));
            assert_eq!(
                FRAMER.frame_len(&buffered, &bytes[cut..]),
                Ok(Some(13)),
                "{cut}"
            );
            assert_eq!(peek::<4>(&buffered, &bytes[cut..], 4), Some([1, 2, 3, 4]));
            assert_eq!(peek::<4>(&buffered, &bytes[cut..], 5), None);
        }
        assert_eq!(FRAMER.frame_len(&Rope::default(), &[0, 0, 0]), Ok(None));
    }
}
