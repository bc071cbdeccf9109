//! The name of a certificate's subject: read from DER, and written as Java writes it.

use std::fmt::{self, Write as _};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The tags of the types that Java writes as a text: UTF8String, PrintableString, T61String,
/// IA5String, GeneralString and BMPString (`AVA.isDerString`). It takes all of them for UTF-8.
const TEXTS: [u8; 6] = [0x0c, 0x13, 0x14, 0x16, 0x1b, 0x1e];

/// The attributes that RFC 2253 has keywords for (section 2.3), by the DER of their identifiers.
const KEYWORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
];

/// The DER is no name (X.501, RFC 5280 section 4.1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAName;

/// A distinguished name, in the order of the certificate.
///
/// It is displayed exactly as Java's `X500Principal.getName()` does, which is what Kafka's mapping
/// rules and ACLs go by: RFC 2253, the last part first. Bytes that are no UTF-8 become U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName<'a> {
    /// Each has one attribute or more.
    parts: Vec<Vec<Attribute<'a>>>,
}

/// One attribute of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attribute<'a> {
    /// The contents of its object identifier.
    kind: &'a [u8],
    value: Element<'a>,
}

/// One element of DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element<'a> {
    tag: u8,
    contents: &'a [u8],
    /// With its tag and length.
    whole: &'a [u8],
}

impl<'a> DistinguishedName<'a> {
    /// Reads the DER of a name, which must be all of these bytes.
    ///
    /// # Errors
    /// It is none.
    pub fn from_der(der: &'a [u8]) -> Result<Self, NotAName> {
        let (name, rest) = element(der).ok_or(NotAName)?;
        if name.tag != SEQUENCE || !rest.is_empty() {
            return Err(NotAName);
        }
        let parts = elements(name.contents).map(|part| {
            let part = part.filter(|it| it.tag == SET).ok_or(NotAName)?;
            let attributes: Vec<_> = elements(part.contents)
                .map(|it| it.and_then(attribute).ok_or(NotAName))
                .collect::<Result<_, _>>()?;
            if attributes.is_empty() {
                return Err(NotAName);
            }
            Ok(attributes)
        });
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    /// The values of all attributes with this keyword of RFC 2253, in the order of the certificate;
    /// nothing if one of them is no text, or no UTF-8.
    #[must_use]
    pub fn values(&self, keyword: &str) -> Option<Vec<&'a str>> {
        let named = self.parts.iter().flatten();
        let named = named.filter(|it| it.keyword() == Some(keyword));
        named
            .map(|it| {
                let is_text = TEXTS.contains(&it.value.tag);
                let text = std::str::from_utf8(it.value.contents).ok();
                text.filter(|_| is_text)
            })
            .collect()
    }
}

impl Attribute<'_> {
    fn keyword(&self) -> Option<&'static str> {
        let known = KEYWORDS.iter().find(|(kind, _)| *kind == self.kind);
        known.map(|(_, keyword)| *keyword)
    }
}

impl fmt::Display for DistinguishedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().rev().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            for (at, attribute) in part.iter().enumerate() {
                if at > 0 {
                    f.write_char('+')?;
                }
                attribute.fmt(f)?;
            }
        }
        Ok(())
    }
}

/// `AVA.toRFC2253String` of Java.
impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = self.keyword();
        match keyword {
            Some(keyword) => f.write_str(keyword)?,
            None => write_identifier(f, self.kind)?,
        }
        f.write_char('=')?;
        if keyword.is_some() && TEXTS.contains(&self.value.tag) {
            write_text(f, &String::from_utf8_lossy(self.value.contents))
        } else {
            f.write_char('#')?;
            self.value
                .whole
                .iter()
                .try_for_each(|it| write!(f, "{it:02x}"))
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let blank = [' ', '\r'];
    let inner = text.trim_matches(blank);
    let lead = text.len() - text.trim_start_matches(blank).len();
    for (at, char) in text.char_indices() {
        let is_outer = !(lead..lead + inner.len()).contains(&at);
        match char {
            '\0' => f.write_str("\\00")?,
            _ if is_outer || ",=+<>#;\"\\".contains(char) => write!(f, "\\{char}")?,
            _ => f.write_char(char)?,
        }
    }
    Ok(())
}

/// An object identifier as numbers with dots between them (X.690 section 8.19). A number that has
/// more bits than any real one is cut off.
fn write_identifier(f: &mut fmt::Formatter<'_>, contents: &[u8]) -> fmt::Result {
    let mut number: u128 = 0;
    let mut is_first = true;
    for byte in contents {
        number = (number << 7) | u128::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            // The first two numbers are in one.
            let first = (number / 40).min(2);
            write!(f, "{first}.{}", number - first * 40)?;
        } else {
            write!(f, ".{number}")?;
        }
        (number, is_first) = (0, false);
    }
    Ok(())
}

fn attribute(der: Element<'_>) -> Option<Attribute<'_>> {
    let mut inner = elements(der.contents);
    let kind = inner.next()??;
    let value = inner.next()??;
    let ends = kind.contents.last().is_some_and(|it| it & 0x80 == 0);
    let is_one = der.tag == SEQUENCE && kind.tag == OBJECT_IDENTIFIER && inner.next().is_none();
    (ends && is_one).then_some(Attribute {
        kind: kind.contents,
        value,
    })
}

/// The elements one behind the other; nothing in the place of one that cannot be read, and the end.
fn elements(mut der: &[u8]) -> impl Iterator<Item = Option<Element<'_>>> {
    std::iter::from_fn(move || {
        if der.is_empty() {
            return None;
        }
        let read = element(der);
        der = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(element, _)| element))
    })
}

/// The first element, and what is behind it. Tags of more than one byte are in no name, and DER
/// has lengths in their shortest form only.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length).checked_sub(0x80)? + 0x80, rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(length));
            (length.checked_sub(0x100)? + 0x100, rest)
        }
        // No name is that long.
        _ => return None,
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    let (whole, _) = der.split_at_checked(der.len() - behind.len())?;
    let is_long_tag = tag & 0x1f == 0x1f;
    (!is_long_tag).then_some((
        Element {
            tag,
            contents,
            whole,
        },
        behind,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Java makes of names, among them hostile ones: the head of the file says with which
    /// program it was written.
    const JAVA: &str = include_str!("../../../testdata/certificates/distinguished_names.txt");

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    #[test]
    fn names_are_written_as_java_writes_them() {
        let mut count = 0;
        for line in JAVA.lines().filter(|it| !it.starts_with('#')) {
            let (der, text) = line.split_once('\t').unwrap();
            let der = bytes(der);
            let name = DistinguishedName::from_der(&der).unwrap();
            let expected: String = serde_json::from_str(text).unwrap();
            // Java has one U+FFFD for a surrogate, and Rust has one for each of its bytes.
            let squashed = |text: &str| {
                let pieces = text.split(char::REPLACEMENT_CHARACTER);
                let pieces: Vec<_> = pieces.filter(|it| !it.is_empty()).collect();
                pieces.join("\u{fffd}")
            };
            if expected.contains("\u{fffd}") {
                assert_eq!(squashed(&name.to_string()), squashed(&expected), "{line}");
            } else {
                assert_eq!(name.to_string(), expected, "{line}");
            }
            count += 1;
        }
        assert!(count > 500, "{count} names");
    }

    #[test]
    fn what_is_no_name_is_none() {
        let good = "30133111300f06035504030c08616c6963652e6161";
        assert!(DistinguishedName::from_der(&bytes(good)).is_ok());
        for bad in [
            "",
            "30",
            "3081",
            // Something behind it, less than it says, and a length that is not the shortest.
            "30133111300f06035504030c08616c6963652e616100",
            "30133111300f06035504030c08616c6963652e61",
            "308100",
            "30820001",
            // A part without an attribute, an attribute without a value, with two, without end.
            "30023100",
            "300931073005060355040",
            "30093107300506035504 03",
            "300d310b300906035504030c000c00",
            "300931073005060184 0c00",
        ] {
            let der = bytes(&bad.replace(' ', ""));
            assert_eq!(DistinguishedName::from_der(&der), Err(NotAName), "{bad}");
        }
    }

    #[test]
    fn values_are_found_by_keyword() {
        // O=one, OU=two, OU=three
        let der = bytes(concat!(
            "3028310c300a060355040a0c036f6e65",
            "310c300a060355040b0c0374776f",
            "310a300806035504030201ff",
        ));
        let name = DistinguishedName::from_der(&der).unwrap();
        assert_eq!(name.values("O"), Some(vec!["one"]));
        assert_eq!(name.values("L"), Some(vec![]));
        assert_eq!(name.values("CN"), None, "an integer is no text");
        assert_eq!(name.to_string(), "CN=#0201ff,OU=two,O=one");
    }
}
