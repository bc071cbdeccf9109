//! Cuts a stream of bytes into frames.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Memory for a frame is taken in such steps, as its bytes come: a length is only a claim.
const READ_BYTES: usize = 64 << 10;
/// Shorter than any request header.
const FRAME_BYTES_MIN: usize = 8;

/// Reads frames.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    stream: R,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(stream: R, frame_bytes_max: usize) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            frame_bytes_max,
        }
    }

    /// The next frame without its length; None at a clean end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let clean = self.buffer.is_empty();
                return if clean {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn cut(&mut self) -> io::Result<Option<Bytes>> {
        let Ok(length) = self.buffer.as_ref().try_get_i32() else {
            return Ok(None);
        };
        let legal = usize::try_from(length).ok();
        let legal = legal.filter(|len| (FRAME_BYTES_MIN..=self.frame_bytes_max).contains(len));
        let Some(length) = legal else {
            let what = format!("a frame of {length} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        };
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(bytes: &[u8]) -> Vec<io::Result<Option<Bytes>>> {
        let mut frames = Frames::new(bytes, 16);
        let mut all = Vec::new();
        loop {
            let frame = frames.next().await;
            let last = !matches!(frame, Ok(Some(_)));
            all.push(frame);
            if last {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn frames_are_cut_and_the_end_is_clean_between_them() {
        let all = frames(b"\0\0\0\x08abcdefgh\0\0\0\x09123456789").await;
        assert_eq!(all[0].as_ref().unwrap().as_deref(), Some(&b"abcdefgh"[..]));
        assert_eq!(all[1].as_ref().unwrap().as_deref(), Some(&b"123456789"[..]));
        assert_eq!(all[2].as_ref().unwrap().as_deref(), None);
        let cut_off = frames(b"\0\0\0\x08abc").await;
        assert_eq!(
            cut_off[0].as_ref().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[tokio::test]
    async fn lengths_that_make_no_sense_are_errors_at_once() {
        for length in [-1_i32, 0, 7, 17, i32::MAX] {
            let all = frames(&length.to_be_bytes()).await;
            assert_eq!(
                all[0].as_ref().unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }
}
