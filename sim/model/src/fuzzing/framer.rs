//! Frames and headers of a hostile stream: found in the same places however the bytes are cut.

use std::iter;

use bytes::Bytes;
use doorkeeper_core::wire::framer::{Framer, take};
use doorkeeper_core::wire::header::{
    HeaderEnd, PREFIX_BYTES, REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES,
};
use doorkeeper_core::wire::malformed::{BadLength, Malformed};
use doorkeeper_core::wire::rope::Rope;

use super::chunks::chunks;

/// Input: flags, how to cut, the longest frame (two bytes); the stream.
pub fn framer(data: &[u8]) {
    let Some((&[flags, pattern, max0, max1], stream)) = data.split_first_chunk() else {
        return;
    };
    let is_request = flags & 1 == 0;
    let head = if is_request {
        REQUEST_HEAD_BYTES
    } else {
        RESPONSE_HEAD_BYTES
    };
    let max = usize::from(u16::from_be_bytes([max0, max1]));
    let framer = Framer { min: head, max };
    let (frames, end) = split(framer, stream);
    let (cut_frames, cut_end) = assemble(framer, chunks(stream, pattern));
    assert_eq!(end, cut_end, "chunking matters to the end of the stream");
    assert!(frames.iter().eq(&cut_frames), "chunking matters to frames");
    for frame in frames {
        let Some(rest) = frame.get(PREFIX_BYTES + head..) else {
            continue;
        };
        let flexible = flags & 2 != 0;
        let of = || match is_request {
            true => HeaderEnd::of_request(flexible, rest.len()),
            false => HeaderEnd::of_response(flexible, rest.len()),
        };
        let whole = header(of(), [rest].into_iter());
        assert_eq!(
            whole,
            header(of(), chunks(rest, pattern)),
            "chunking matters to a header"
        );
        if let Ok(taken) = whole {
            // The claimed length is there in full, so a header ends or is at fault.
            assert!(
                taken.is_some_and(|it| it <= rest.len()),
                "a header without an end"
            );
        }
    }
}

/// What a reader of the whole stream says: the frames, and why it stopped.
fn split(framer: Framer, stream: &[u8]) -> (Vec<&[u8]>, Result<(), BadLength>) {
    let mut frames = Vec::new();
    let mut rest = stream;
    while let Some((prefix, _)) = rest.split_first_chunk::<PREFIX_BYTES>() {
        let Ok(length) = usize::try_from(i32::from_be_bytes(*prefix)) else {
            return (frames, Err(BadLength::Negative));
        };
        if length < framer.min {
            return (frames, Err(BadLength::TooShort));
        }
        if length > framer.max {
            return (frames, Err(BadLength::TooLarge));
        }
        let Some((frame, tail)) = rest.split_at_checked(PREFIX_BYTES + length) else {
            break;
        };
        frames.push(frame);
        rest = tail;
    }
    (frames, Ok(()))
}

/// What the frame reader says, buffered bytes and all.
fn assemble<'a>(
    framer: Framer,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result<(), BadLength>) {
    let mut frames = Vec::new();
    let mut held = Rope::default();
    for piece in pieces {
        let mut chunk = Bytes::copy_from_slice(piece);
        while !chunk.is_empty() {
            match framer.frame_len(&held, &chunk) {
                Err(bad) => return (frames, Err(bad)),
                Ok(None) => held.push(std::mem::take(&mut chunk)),
                Ok(Some(len)) => {
                    held.push(take(&mut chunk, len.saturating_sub(held.len())));
                    if held.len() == len {
                        frames.push(held.copy(0..len));
                        held.clear();
                    }
                }
            }
        }
        held.settle(piece.len());
    }
    (frames, Ok(()))
}

/// How many bytes a header took; `None` when it wants more.
fn header<'a>(
    mut header: HeaderEnd,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<usize>, Malformed> {
    let mut taken = 0;
    // An empty piece takes nothing, and lets a header without bytes end.
    for piece in iter::once(&[][..]).chain(pieces) {
        let mut input = piece;
        let done = header.step(&mut input)?;
        taken += piece.len() - input.len();
        if done {
            return Ok(Some(taken));
        }
        assert!(input.is_empty(), "wants more and leaves some");
    }
    Ok(None)
}
