//! Reads the text of a decoded message: its derived `Debug`.
//!
//! The decoder has a type for each message and no way to go through their fields; this text has
//! all of them, by name and in full.

use std::collections::BTreeMap;

use super::value::{MessageValue, plain};

/// The value of a text; `None` when it is no such text.
pub(super) fn canonical(text: &str) -> Option<MessageValue> {
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<MessageValue> {
        self.skip();
        match self.rest.as_bytes() {
            [b'[', ..] => self.list(),
            [b'{', ..] => self.map(),
            [b'"', ..] | [b'b', b'"', ..] => self.quoted(),
            [b'A'..=b'Z', ..] => self.named(),
            _ => self.word().and_then(literal),
        }
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', ',']);
    }

    fn take(&mut self, what: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> Option<&'a str> {
        self.skip();
        let end = self.rest.find([',', ' ', ')', ']', '}', ':', '(', '{']);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn list(&mut self) -> Option<MessageValue> {
        self.take('[');
        let mut items = Vec::new();
        while !self.take(']') {
            items.push(self.value()?);
        }
        Some(MessageValue::List(items))
    }

    /// Unknown tagged fields, which are read over.
    fn map(&mut self) -> Option<MessageValue> {
        self.take('{');
        while !self.take('}') {
            self.value()?;
            self.take(':').then_some(())?;
            self.value()?;
        }
        Some(MessageValue::Null)
    }

    /// `None`, `Some(..)`, another wrapper, or a structure.
    fn named(&mut self) -> Option<MessageValue> {
        let name = self.word()?;
        if name == "None" {
            return Some(MessageValue::Null);
        }
        // Infinity and its like are no names, though one of them begins as one.
        if name == "NaN" {
            return Some(MessageValue::Float(f64::NAN));
        }
        if self.take('(') {
            let inner = self.value()?;
            return self.take(')').then_some(inner);
        }
        self.take('{').then_some(())?;
        let mut fields = BTreeMap::new();
        while !self.take('}') {
            let field = plain(self.word()?);
            self.take(':').then_some(())?;
            fields.insert(field, self.value()?);
        }
        Some(MessageValue::Struct(fields))
    }

    /// A string, or bytes: with the escapes of both.
    fn quoted(&mut self) -> Option<MessageValue> {
        let is_bytes = self.rest.starts_with('b');
        let mut chars = self.rest.chars();
        if is_bytes {
            chars.next();
        }
        chars.next();
        let mut bytes = Vec::new();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => bytes.push(b'\n'),
                    'r' => bytes.push(b'\r'),
                    't' => bytes.push(b'\t'),
                    '0' => bytes.push(0),
                    'x' => {
                        let digits = chars.as_str().get(..2)?;
                        bytes.push(u8::from_str_radix(digits, 16).ok()?);
                        chars = chars.as_str().get(2..)?.chars();
                    }
                    'u' => {
                        let (digits, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                        let letter = u32::from_str_radix(digits, 16)
                            .ok()
                            .and_then(char::from_u32)?;
                        bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                        chars = rest.chars();
                    }
                    other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
                },
                other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.rest = chars.as_str();
        Some(MessageValue::Bytes(bytes))
    }
}

fn literal(word: &str) -> Option<MessageValue> {
    match word {
        "true" => return Some(MessageValue::Int(1)),
        "false" => return Some(MessageValue::Int(0)),
        _ => {}
    }
    if let Ok(value) = word.parse() {
        return Some(MessageValue::Int(value));
    }
    if let Ok(uuid) = uuid::Uuid::try_parse(word)
        && word.len() == 36
    {
        return Some(MessageValue::Uuid(uuid.into_bytes()));
    }
    word.parse().ok().map(MessageValue::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "for its text")]
        struct Inner {
            _type: f64,
            id: uuid::Uuid,
            unknown_tagged_fields: BTreeMap<i32, bytes::Bytes>,
        }
        let inner = Inner {
            _type: -1e300,
            id: uuid::Uuid::from_bytes([7; 16]),
            unknown_tagged_fields: [(3, bytes::Bytes::from_static(b"\"}x"))].into(),
        };
        let all = (
            Some([inner]),
            None::<i32>,
            bytes::Bytes::from_static(b"\0\x01\xff\"\\n{"),
            "ü\u{301}\n\"'\\\u{1}",
            -5_i64,
            true,
        );
        let text = format!(
            "Outer {{ all: {:?}, none: {:?}, bytes: {:?}, text_: {:?}, int: {}, flag: {} }}",
            all.0, all.1, all.2, all.3, all.4, all.5
        );
        let inner = MessageValue::Struct(
            [
                ("type".to_owned(), MessageValue::Float(-1e300)),
                ("id".to_owned(), MessageValue::Uuid([7; 16])),
                ("unknowntaggedfields".to_owned(), MessageValue::Null),
            ]
            .into(),
        );
        let expected = MessageValue::Struct(
            [
                ("all".to_owned(), MessageValue::List(vec![inner])),
                ("none".to_owned(), MessageValue::Null),
                (
                    "bytes".to_owned(),
                    MessageValue::Bytes(b"\0\x01\xff\"\\n{".to_vec()),
                ),
                (
                    "text".to_owned(),
                    MessageValue::Bytes("ü\u{301}\n\"'\\\u{1}".into()),
                ),
                ("int".to_owned(), MessageValue::Int(-5)),
                ("flag".to_owned(), MessageValue::Int(1)),
            ]
            .into(),
        );
        assert_eq!(canonical(&text), Some(expected), "{text}");
        assert_eq!(canonical("Outer { all: "), None);
    }
}
