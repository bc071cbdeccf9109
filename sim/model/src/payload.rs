//! Tagged payloads: every value that a fake client produces says where it comes from and what it
//! is, so that it can be known again wherever it turns up.

use bytes::{BufMut, Bytes, BytesMut};

use crate::script::Topic;
use doorkeeper_kafka_model::Rng;

/// Begins every tag. Nothing else that is sent looks like it.
const MAGIC: [u8; 8] = [0xd0, 0x0b, 0x1e, 0xaf, 0x7a, 0x65, 0x90, 0x3d];

/// Magic, client, topic, number, length.
const HEAD_BYTES: usize = MAGIC.len() + 1 + 1 + 4 + 4;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The client that made it.
    pub client: u8,
    /// The topic that it was made for.
    pub topic: Topic,
    /// Counts the payloads of that client.
    pub number: u32,
}

/// A payload of about `len` bytes: never shorter than its tag.
#[must_use]
pub fn payload(tag: Tag, len: usize) -> Bytes {
    let fill = len.saturating_sub(HEAD_BYTES);
    let mut out = BytesMut::with_capacity(HEAD_BYTES + fill);
    out.put_slice(&MAGIC);
    out.put_u8(tag.client);
    out.put_u8(code(tag.topic));
    out.put_u32(tag.number);
    out.put_u32(u32::try_from(fill).unwrap_or(u32::MAX));
    out.put_slice(&filling(tag, fill));
    out.freeze()
}

/// All payloads in some bytes; one that is not what it says to be is an error.
///
/// # Errors
/// The tag of a payload whose bytes have changed or are not all there.
pub fn payloads(bytes: &[u8]) -> Result<Vec<Tag>, Tag> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find_magic(rest) {
        rest = rest.get(at + MAGIC.len()..).unwrap_or_default();
        let Some((head, tail)) = rest.split_first_chunk::<10>() else {
            break;
        };
        let Some((tag, len)) = tag(head) else {
            continue;
        };
        match tail.split_at_checked(len) {
            Some((fill, tail)) if fill == filling(tag, len) => rest = tail,
            Some(_) | None => return Err(tag),
        }
        found.push(tag);
    }
    Ok(found)
}

/// The tags of all payloads in some bytes, whether they are intact or not.
#[must_use]
pub(crate) fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find_magic(rest) {
        rest = rest.get(at + MAGIC.len()..).unwrap_or_default();
        found.extend(rest.first_chunk().and_then(tag).map(|(tag, _)| tag));
    }
    found
}

/// What the bytes behind the magic ones say: the tag, and how long the rest is.
fn tag(head: &[u8; 10]) -> Option<(Tag, usize)> {
    let [client, topic, n0, n1, n2, n3, l0, l1, l2, l3] = *head;
    let tag = Tag {
        client,
        topic: *Topic::ALL.get(usize::from(topic))?,
        number: u32::from_be_bytes([n0, n1, n2, n3]),
    };
    Some((tag, u32::from_be_bytes([l0, l1, l2, l3]) as usize))
}

fn find_magic(bytes: &[u8]) -> Option<usize> {
    let [first, ..] = MAGIC;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(&MAGIC) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn code(topic: Topic) -> u8 {
    let index = Topic::ALL.iter().position(|known| *known == topic);
    index
        .and_then(|at| u8::try_from(at).ok())
        .unwrap_or(u8::MAX)
}

fn filling(tag: Tag, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(tag.number) << 16 | u64::from(tag.client) << 8);
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend_from_slice(&rng.next_u64().to_be_bytes());
    }
    out.truncate(len);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_known_again_and_changes_are_noticed() {
        let tag = |number| Tag {
            client: 3,
            topic: Topic::Audit,
            number,
        };
        let mut bytes = b"before".to_vec();
        for number in 0..3 {
            bytes.extend_from_slice(&payload(tag(number), 100 * number as usize));
            bytes.extend_from_slice(b"between");
        }
        assert_eq!(payloads(&bytes), Ok(vec![tag(0), tag(1), tag(2)]));
        let at = bytes.len() - b"between".len() - 1;
        bytes[at] ^= 1;
        assert_eq!(payloads(&bytes), Err(tag(2)));
        assert_eq!(payloads(&bytes[..at]), Err(tag(2)));
        assert_eq!(tags(&bytes), [tag(0), tag(1), tag(2)]);
    }
}
