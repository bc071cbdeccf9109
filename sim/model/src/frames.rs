//! Bytes cut into frames.

use bytes::{Buf, Bytes, BytesMut};

const PREFIX_BYTES: usize = 4;

/// Cuts a stream into frames. After a length that no frame has there are no more.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: BytesMut,
    broken: bool,
}

impl Cutter {
    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame, with its length.
    pub fn next_frame(&mut self) -> Option<Bytes> {
        let (prefix, _) = self.buffer.split_first_chunk::<PREFIX_BYTES>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*prefix)) else {
            self.broken = true;
            self.buffer.clear();
            return None;
        };
        let whole = PREFIX_BYTES + length;
        (self.buffer.len() >= whole).then(|| self.buffer.split_to(whole).freeze())
    }

    /// Whether a length came that no frame has.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The beginning of a frame whose end has not come.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

/// A frame without its length.
#[must_use]
pub fn without_length(mut frame: Bytes) -> Bytes {
    frame.advance(PREFIX_BYTES.min(frame.len()));
    frame
}

/// A frame with its length.
#[must_use]
pub fn with_length(body: &[u8]) -> Bytes {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + body.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut() {
        let stream = [
            &with_length(b"one")[..],
            &with_length(b""),
            &with_length(b"three"),
        ]
        .concat();
        for piece in 1..stream.len() {
            let mut cutter = Cutter::default();
            let mut found = Vec::new();
            for bytes in stream.chunks(piece) {
                cutter.push(bytes);
                found.extend(std::iter::from_fn(|| cutter.next_frame()).map(without_length));
            }
            assert_eq!(found, ["one", "", "three"]);
        }
    }

    #[test]
    fn nothing_follows_a_length_that_no_frame_has() {
        let mut cutter = Cutter::default();
        cutter.push(&[0xff, 0, 0, 0, 0, 0, 0, 1, 9]);
        assert_eq!(cutter.next_frame(), None);
        assert!(cutter.is_broken());
        assert_eq!(cutter.next_frame(), None);
    }
}
