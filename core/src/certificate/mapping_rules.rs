//! From the distinguished name of a client certificate to the name of a principal, by the rules of
//! Kafka's `ssl.principal.mapping.rules` (`SslPrincipalMapper`).
//!
//! Deviations, all to the strict side: what Kafka would find wrong with a rule only when a client
//! comes is an error when the rules are read, and so are texts that Kafka skips without a word.

mod replacement;

use super::pattern::{BadPattern, Pattern};
use replacement::{BadReplacement, Replacement};

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// It is neither of the forms that a rule has.
    #[error("{0:?} is no rule: RULE:pattern/replacement/, with L or U behind it, or DEFAULT")]
    Form(String),
    /// Its pattern.
    #[error("in RULE:{pattern}/: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: BadPattern,
    },
    /// Its replacement.
    #[error("in the replacement {replacement:?}: {why}")]
    Replacement {
        /// The replacement.
        replacement: String,
        /// What is wrong with it.
        why: BadReplacement,
    },
}

/// Rules, of which the first that matches gives the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// The distinguished name as it is.
    Default,
    Replace {
        pattern: Pattern,
        replacement: Replacement,
        case: Case,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

/// The name would become longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl MappingRules {
    /// Reads rules as the value of `ssl.principal.mapping.rules`, with commas between them. An
    /// empty rule counts for nothing.
    ///
    /// # Errors
    /// [`BadRule`].
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let mut rules = Vec::new();
        let mut rest = text.trim_matches(is_blank);
        while !rest.is_empty() {
            let (rule, behind) = split_rule(rest)?;
            rules.extend(rule);
            rest = behind;
        }
        Ok(Self(rules))
    }

    /// The rule `DEFAULT` alone: the distinguished name as it is.
    #[must_use]
    pub fn default_rule() -> Self {
        Self(vec![Rule::Default])
    }

    /// These rules and, where none of them matches, those.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is no rule, so that none can match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that the first rule that matches makes of a distinguished name, in which there must
    /// be no end of a line; nothing if no rule matches.
    ///
    /// # Errors
    /// The name would have more bytes than `bytes_max`.
    pub fn name(&self, distinguished: &str, bytes_max: usize) -> Result<Option<String>, TooLong> {
        for rule in &self.0 {
            let name = match rule {
                Rule::Default => distinguished.to_owned(),
                Rule::Replace {
                    pattern,
                    replacement,
                    case,
                } => {
                    if !pattern.matches(distinguished) {
                        continue;
                    }
                    let name = replacement.replace_all(pattern, distinguished, bytes_max)?;
                    match case {
                        Case::Kept => name,
                        Case::Lower => name.to_lowercase(),
                        Case::Upper => name.to_uppercase(),
                    }
                }
            };
            return if name.len() > bytes_max {
                Err(TooLong)
            } else {
                Ok(Some(name))
            };
        }
        Ok(None)
    }
}

/// What `\s` of Java and its `String.trim` have in common.
const fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// The first rule of a text, nothing where it is empty, and what is behind the comma.
fn split_rule(text: &str) -> Result<(Option<Rule>, &str), BadRule> {
    let text = text.trim_start_matches(is_blank);
    let form = || BadRule::Form(text.to_owned());
    let (rule, behind) = if let Some(behind) = text.strip_prefix("DEFAULT") {
        (Some(Rule::Default), behind)
    } else if let Some(behind) = text.strip_prefix("RULE:") {
        let (pattern, behind) = split_at_slash(behind).ok_or_else(form)?;
        let (replacement, behind) = split_at_slash(behind).ok_or_else(form)?;
        let (case, behind) = match behind.split_at_checked(1) {
            Some(("L", behind)) => (Case::Lower, behind),
            Some(("U", behind)) => (Case::Upper, behind),
            _ => (Case::Kept, behind),
        };
        (Some(replace(pattern, replacement, case)?), behind)
    } else {
        (None, text)
    };
    let behind = behind.trim_start_matches(is_blank);
    match behind.strip_prefix(',') {
        Some(behind) => Ok((rule, behind)),
        None if behind.is_empty() => Ok((rule, behind)),
        None => Err(form()),
    }
}

/// Up to a slash without a backslash before it, and what is behind the slash.
fn split_at_slash(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let slash = text.find(|char| {
        let is_it = char == '/' && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        is_it
    })?;
    let (before, behind) = text.split_at_checked(slash)?;
    Some((before, behind.strip_prefix('/')?))
}

fn replace(pattern: &str, replacement: &str, case: Case) -> Result<Rule, BadRule> {
    let compiled = Pattern::new(pattern).map_err(|why| BadRule::Pattern {
        pattern: pattern.to_owned(),
        why,
    })?;
    let parsed = Replacement::parse(replacement, &compiled);
    Ok(Rule::Replace {
        replacement: parsed.map_err(|why| BadRule::Replacement {
            replacement: replacement.to_owned(),
            why,
        })?,
        pattern: compiled,
        case,
    })
}

#[cfg(test)]
mod tests;
