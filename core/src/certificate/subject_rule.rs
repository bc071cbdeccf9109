//! Which subjects of certificates are let in, in the form that grepplabs/kafka-proxy has for it
//! (`--proxy-listener-tls-required-client-subject`).
//!
//! `s:/CN=[alice]/OU=[eng,ops]` asks for these values of each attribute and no others, in any
//! order; `r:/CN=[^svc-[a-z]+$]` for values that match these patterns, one after the other.
//! Attributes that are not named may be anything.

use std::collections::BTreeMap;

use super::distinguished_name::DistinguishedName;
use super::pattern::{BadPattern, Pattern};

/// The attributes that can be named, and what RFC 2253 calls them.
const ATTRIBUTES: [(&str, &str); 6] = [
    ("CN", "CN"),
    ("C", "C"),
    ("L", "L"),
    ("O", "O"),
    ("OU", "OU"),
    ("S", "ST"),
];

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubjectRule {
    /// It does not begin like one, or asks for nothing.
    #[error("it is neither s:/CN=[value,...]/... nor r:/CN=[pattern,...]/...")]
    Form,
    /// An attribute that cannot be named.
    #[error("{0:?} is none of the attributes CN, C, L, O, OU and S")]
    Attribute(String),
    /// An attribute is there twice.
    #[error("{0} is there twice: all of its values belong into one pair of brackets")]
    Twice(String),
    /// The values of an attribute.
    #[error("behind {0}= there are no values in square brackets")]
    Values(String),
    /// A pattern.
    #[error("in the pattern {pattern:?}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: BadPattern,
    },
}

/// What a subject must have, by the keywords of its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRule {
    /// These values of each, in order.
    Values(BTreeMap<&'static str, Vec<String>>),
    /// Values in which these patterns are.
    Patterns(BTreeMap<&'static str, Vec<Pattern>>),
}

impl SubjectRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// [`BadSubjectRule`].
    pub fn parse(text: &str) -> Result<Self, BadSubjectRule> {
        let parsed = if let Some(attributes) = text.strip_prefix("s:") {
            let mut all = attribute_values(attributes)?;
            for values in all.values_mut() {
                values.iter_mut().for_each(|it| *it = unescaped(it));
                values.sort_unstable();
            }
            Self::Values(all)
        } else if let Some(attributes) = text.strip_prefix("r:") {
            let each = attribute_values(attributes)?.into_iter();
            let each = each.map(|(keyword, patterns)| Ok((keyword, compiled(patterns)?)));
            Self::Patterns(each.collect::<Result<_, _>>()?)
        } else {
            return Err(BadSubjectRule::Form);
        };
        Ok(parsed)
    }

    /// Whether a subject has what this rule asks for.
    #[must_use]
    pub fn matches(&self, subject: &DistinguishedName<'_>) -> bool {
        match self {
            Self::Values(all) => all.iter().all(|(keyword, expected)| {
                subject.values(keyword).is_some_and(|mut values| {
                    values.sort_unstable();
                    values == *expected
                })
            }),
            Self::Patterns(all) => all.iter().all(|(keyword, patterns)| {
                subject.values(keyword).is_some_and(|values| {
                    let mut both = patterns.iter().zip(&values);
                    patterns.len() == values.len() && both.all(|(it, value)| it.is_in(value))
                })
            }),
        }
    }
}

fn compiled(patterns: Vec<String>) -> Result<Vec<Pattern>, BadSubjectRule> {
    let each = patterns.into_iter().map(|pattern| {
        let compiled = Pattern::new(&pattern);
        compiled.map_err(|why| BadSubjectRule::Pattern { pattern, why })
    });
    each.collect()
}

/// The values of each attribute as they stand in the text.
fn attribute_values(mut rest: &str) -> Result<BTreeMap<&'static str, Vec<String>>, BadSubjectRule> {
    let mut all = BTreeMap::new();
    while !rest.is_empty() {
        let attribute = rest.strip_prefix('/').and_then(|it| it.split_once('='));
        let (name, behind) = attribute.ok_or(BadSubjectRule::Form)?;
        let known = ATTRIBUTES.iter().find(|(known, _)| *known == name);
        let (_, keyword) = known.ok_or_else(|| BadSubjectRule::Attribute(name.to_owned()))?;
        let values = behind.strip_prefix('[').and_then(values);
        let (values, behind) = values.ok_or_else(|| BadSubjectRule::Values(name.to_owned()))?;
        if all.insert(*keyword, values).is_some() {
            return Err(BadSubjectRule::Twice(name.to_owned()));
        }
        rest = behind;
    }
    if all.is_empty() {
        return Err(BadSubjectRule::Form);
    }
    Ok(all)
}

/// Values with commas between them, up to the bracket that closes them, and what is behind it.
/// Brackets and braces within a value come in pairs, with all that is in between, unless a
/// backslash is before them.
fn values(text: &str) -> Option<(Vec<String>, &str)> {
    let mut all = Vec::new();
    let mut value = String::new();
    let mut open = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ']' if open.is_empty() => {
                all.push(value);
                return Some((all, chars.as_str()));
            }
            ',' if open.is_empty() => all.push(std::mem::take(&mut value)),
            '\\' => value.extend([char, chars.next()?]),
            _ => {
                if Some(&char) == open.last() {
                    open.pop();
                } else if open.is_empty() || open.last() == Some(&']') && char == '[' {
                    open.extend(match char {
                        '[' => Some(']'),
                        '{' => Some('}'),
                        _ => None,
                    });
                }
                value.push(char);
            }
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut is_escaped = false;
    let kept = text.chars().filter(|char| {
        is_escaped = *char == '\\' && !is_escaped;
        !is_escaped
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CN=alice,OU=ops,OU=eng,ST=Berlin` as Java writes it.
    fn subject() -> Vec<u8> {
        let attribute = |kind: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let head = [
                0x31,
                length + 9,
                0x30,
                length + 7,
                6,
                3,
                0x55,
                4,
                kind,
                0x0c,
                length,
            ];
            [&head[..], text.as_bytes()].concat()
        };
        let parts = [
            attribute(8, "Berlin"),
            attribute(11, "eng"),
            attribute(11, "ops"),
            attribute(3, "alice"),
        ];
        let parts = parts.concat();
        [&[0x30, u8::try_from(parts.len()).unwrap()][..], &parts].concat()
    }

    #[test]
    fn a_subject_must_have_what_a_rule_names_and_no_more_of_it() {
        let der = subject();
        let subject = DistinguishedName::from_der(&der).unwrap();
        assert_eq!(subject.to_string(), "CN=alice,OU=ops,OU=eng,ST=Berlin");
        for (rule, expected) in [
            ("s:/CN=[alice]", true),
            ("s:/CN=[bob]", false),
            ("s:/CN=[Alice]", false),
            ("s:/CN=[alice]/S=[Berlin]", true),
            ("s:/CN=[alice]/S=[Paris]", false),
            ("s:/OU=[ops,eng]", true),
            ("s:/OU=[eng,ops]", true),
            ("s:/OU=[eng]", false),
            ("s:/OU=[eng,eng]", false),
            ("s:/O=[x]", false),
            ("s:/CN=[ali\\ce]", true),
            ("s:/CN=[.*]", false),
            ("r:/CN=[^ali.{2}$]", true),
            ("r:/CN=[li]", true),
            ("r:/CN=[^[^a]]", false),
            ("r:/OU=[^e,^o]", true),
            ("r:/OU=[^o,^e]", false),
            ("r:/OU=[.*]", false),
            ("r:/OU=[[ef],[n-p]{1,2}]", true),
        ] {
            let parsed = SubjectRule::parse(rule).unwrap();
            assert_eq!(parsed.matches(&subject), expected, "{rule}");
        }
    }

    #[test]
    fn what_is_no_rule_is_an_error() {
        use BadSubjectRule as Bad;
        let of = |text| SubjectRule::parse(text).err();
        for text in [
            "",
            "CN=[a]",
            "t:/CN=[a]",
            "s:",
            "r:",
            "s:CN=[a]",
            "s:/CN",
            "s:/CN=[a]x",
        ] {
            assert_eq!(of(text), Some(Bad::Form), "{text}");
        }
        for text in [
            "s:/CN=a",
            "s:/CN=[a",
            "s:/CN=[a\\]",
            "r:/CN=[[a]",
            "r:/CN=[{]",
        ] {
            assert_eq!(of(text), Some(Bad::Values("CN".to_owned())), "{text}");
        }
        assert_eq!(of("s:/X=[a]"), Some(Bad::Attribute("X".to_owned())));
        assert_eq!(of("s:/C=[a]/C=[b]"), Some(Bad::Twice("C".to_owned())));
        assert!(matches!(of("r:/CN=[(?=a)]"), Some(Bad::Pattern { .. })));
    }
}
