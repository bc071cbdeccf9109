//! Regular expressions as Java reads them, on names of one line, in time that grows with the name.
//!
//! A pattern is read by Java's rules and written anew for `regex`, whose syntax differs where it
//! looks the same: `\w` is ASCII in Java, `a*+` takes without giving back, `[a[b]]` is a union.
//! What cannot be said exactly is an error that names it. So is what is left to the version of Java
//! (`\b`), and a repetition of what may match nothing, whose groups differ between engines.

mod class;
mod translate;

use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};

/// What a compiled pattern may take of memory.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Java knows it, and it is not supported here.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// Java does not know it either.
    #[error("{0}")]
    Syntax(&'static str),
    /// A repetition of what may match nothing.
    #[error(
        "a part that may match nothing is repeated: what its groups hold then differs between \
         engines, so it is not supported"
    )]
    RepeatsNothing,
    /// It would take too much memory.
    #[error("it is too large")]
    TooLarge,
}

/// A pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    java: String,
    /// Finds it anywhere.
    anywhere: Regex,
    /// Finds it where it is all of a text.
    whole: Regex,
    groups: usize,
    names: BTreeMap<String, usize>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.java == other.java
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn new(java: &str) -> Result<Self, BadPattern> {
        let translated = translate::translate(java)?;
        let compiled = |text: &str| {
            let built = RegexBuilder::new(text)
                .size_limit(PATTERN_BYTES_MAX)
                .build();
            built.map_err(|_| BadPattern::TooLarge)
        };
        Ok(Self {
            java: java.to_owned(),
            anywhere: compiled(&translated.text)?,
            whole: compiled(&format!("\\A(?:{})\\z", translated.text))?,
            groups: translated.groups,
            names: translated.names,
        })
    }

    /// Whether it matches all of a text, as `Matcher.matches`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// Whether it matches any part of a text, as `Matcher.find`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.anywhere.is_match(text)
    }

    /// The first match that begins there or behind it.
    pub(super) fn find_at<'t>(&self, text: &'t str, from: usize) -> Option<Captures<'t>> {
        if from > text.len() {
            return None;
        }
        self.anywhere.captures_at(text, from)
    }

    /// How many groups it has, without the whole.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// The number of a group that has a name.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }
}

#[cfg(test)]
mod tests;
