//! Bytes of which some are masked: of those only the number is kept.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pieces(Vec<Piece>);

/// Neighbouring bytes that are all kept or all masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Piece {
    /// As they are.
    Plain(PlainBytes),
    /// By their number.
    Masked(MaskedBytes),
}

/// Bytes as text: those of ASCII that can be seen as they are, the others, `%`, `"` and `\` as `%`
/// with two digits of hex. It is read as easily by people as by programs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlainBytes(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskedBytes {
    /// How many bytes.
    mask: usize,
    /// The fingerprint of all of the value that ends with them; none where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
}

/// A fingerprint: sixteen digits of hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub u64);

impl Pieces {
    /// Adds bytes as they are.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(Piece::Plain(PlainBytes(last))) = self.0.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.0.push(Piece::Plain(PlainBytes(bytes.to_vec())));
        }
    }

    /// Adds so many masked bytes.
    pub(crate) fn mask(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        if let Some(Piece::Masked(MaskedBytes { mask, hash: None })) = self.0.last_mut() {
            *mask += count;
        } else {
            let (mask, hash) = (count, None);
            self.0.push(Piece::Masked(MaskedBytes { mask, hash }));
        }
    }

    /// The value of which the masked bytes at the end are the last has ended.
    pub(crate) fn masked_value_ends(&mut self, of_it: u64) {
        if let Some(Piece::Masked(MaskedBytes { hash, .. })) = self.0.last_mut() {
            *hash = Some(Hash(of_it));
        }
    }

    /// How many bytes these are.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        let counts = self.0.iter().map(|piece| match piece {
            Piece::Plain(PlainBytes(bytes)) => bytes.len(),
            Piece::Masked(MaskedBytes { mask, .. }) => *mask,
        });
        counts.fold(0, usize::saturating_add)
    }

    /// As many bytes, with others in the place of the masked ones: always the same.
    #[must_use]
    pub fn filled(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(PlainBytes(plain)) => bytes.extend_from_slice(plain),
                Piece::Masked(MaskedBytes { mask, hash }) => {
                    let Hash(hash) = hash.unwrap_or(Hash(0));
                    bytes.extend(hash.to_be_bytes().into_iter().cycle().take(*mask));
                }
            }
        }
        bytes
    }

    /// A fingerprint of the bytes that are kept, and of the places of the masked ones (FNV-1a).
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for piece in &self.0 {
            match piece {
                Piece::Plain(PlainBytes(bytes)) => {
                    add(b"+");
                    add(bytes);
                }
                Piece::Masked(MaskedBytes { mask, .. }) => {
                    add(b"-");
                    add(&(*mask as u64).to_be_bytes());
                }
            }
        }
        Hash(hash)
    }
}

impl Serialize for PlainBytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            if matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"' | b'\\') {
                text.push(char::from(*byte));
            } else {
                let digit = |value| char::from_digit(value, 16).unwrap_or('0');
                let byte = u32::from(*byte);
                text.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for PlainBytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut rest = text.as_bytes();
        let mut bytes = Vec::with_capacity(rest.len());
        while let Some((first, tail)) = rest.split_first() {
            if *first != b'%' {
                bytes.push(*first);
                rest = tail;
                continue;
            }
            let Some((digits, tail)) = tail.split_first_chunk::<2>() else {
                return Err(D::Error::custom("a % without two digits of hex"));
            };
            let byte = str::from_utf8(digits).map(|it| u8::from_str_radix(it, 16));
            let Ok(Ok(byte)) = byte else {
                return Err(D::Error::custom("a % without two digits of hex"));
            };
            bytes.push(byte);
            rest = tail;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let hash = u64::from_str_radix(&text, 16);
        hash.map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_back_and_those_of_ascii_can_be_read() {
        let all: Vec<u8> = (0..=255).collect();
        let mut pieces = Pieces::default();
        pieces.keep(&all);
        pieces.mask(3);
        pieces.masked_value_ends(0x1122_3344_5566_7788);
        pieces.keep(b"orders");
        let text = serde_json::to_string(&pieces).unwrap();
        assert!(
            text.ends_with(r#"{"mask":3,"hash":"1122334455667788"},"orders"]"#),
            "{text}"
        );
        assert!(text.contains(r"abc") && !text.contains('\\'), "{text}");
        let read: Pieces = serde_json::from_str(&text).unwrap();
        assert_eq!(read, pieces);
        let filled = read.filled();
        assert_eq!(filled.len(), read.byte_count());
        assert_eq!(filled.split_at(256), (&*all, &b"\x11\x22\x33orders"[..]));
    }

    #[test]
    fn a_fingerprint_depends_on_where_bytes_are_masked_but_not_on_which() {
        let of = |hash| {
            let mut pieces = Pieces::default();
            pieces.keep(b"ab");
            pieces.mask(3);
            pieces.masked_value_ends(hash);
            pieces
        };
        assert_eq!(of(1).fingerprint(), of(2).fingerprint());
        let mut longer = of(1);
        longer.mask(1);
        assert_ne!(longer.fingerprint(), of(1).fingerprint());
    }

    #[test]
    fn text_of_another_form_is_an_error() {
        for text in [
            r#"["%"]"#,
            r#"["%zz"]"#,
            r#"[{"mask":-1}]"#,
            r#"[{"mask":1,"x":2}]"#,
        ] {
            assert!(serde_json::from_str::<Pieces>(text).is_err(), "{text}");
        }
    }
}
