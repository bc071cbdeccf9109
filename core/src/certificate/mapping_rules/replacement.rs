//! What a rule puts in the place of what its pattern finds, as `Matcher.appendReplacement` of Java
//! reads it.

use super::super::pattern::Pattern;
use super::TooLong;

/// Why a replacement cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReplacement {
    /// It ends with a backslash.
    #[error("nothing is behind its last backslash")]
    Backslash,
    /// A dollar sign is followed by neither a number nor a name.
    #[error("a $ is followed by neither a number nor a name in braces; \\$ is the sign itself")]
    Reference,
    /// A reference names a group that the pattern does not have.
    #[error("its pattern has no group {0}")]
    Group(String),
}

/// A replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// What a group has found, or nothing; group 0 is all.
    Group(usize),
}

impl Replacement {
    /// # Errors
    /// [`BadReplacement`].
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, BadReplacement> {
        let text = escape_unknown_groups(text, pattern.groups())?;
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.as_str();
        while let Some((char, behind)) = split_first(rest) {
            rest = behind;
            match char {
                '\\' => {
                    let (char, behind) = split_first(rest).ok_or(BadReplacement::Backslash)?;
                    literal.push(char);
                    rest = behind;
                }
                '$' => {
                    let (group, behind) = reference(rest, pattern)?;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Group(group));
                    rest = behind;
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Replaces all that the pattern finds one after the other, as `String.replaceAll` of Java:
    /// that may be nothing at the end of what was found before.
    pub(super) fn replace_all(
        &self,
        pattern: &Pattern,
        text: &str,
        bytes_max: usize,
    ) -> Result<String, TooLong> {
        let mut replaced = String::new();
        // Up to where the text has been taken, and from where it is searched.
        let (mut taken, mut from) = (0, 0);
        while let Some(found) = pattern.find_at(text, from) {
            let all = found.get(0).map_or(from..from, |it| it.range());
            replaced.push_str(text.get(taken..all.start).unwrap_or_default());
            for part in &self.0 {
                match part {
                    Part::Text(text) => replaced.push_str(text),
                    Part::Group(group) => {
                        replaced.push_str(found.get(*group).map_or("", |it| it.as_str()));
                    }
                }
            }
            if replaced.len() > bytes_max {
                return Err(TooLong);
            }
            taken = all.end;
            from = if all.is_empty() {
                let behind = text.get(all.end..).unwrap_or_default();
                // Behind the last one nothing is left to be searched.
                all.end + behind.chars().next().map_or(1, char::len_utf8)
            } else {
                all.end
            };
        }
        replaced.push_str(text.get(taken..).unwrap_or_default());
        Ok(replaced)
    }
}

fn split_first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|char| (char, chars.as_str()))
}

/// `SslPrincipalMapper.escapeLiteralBackReferences`, which puts a backslash before references to
/// groups that there are not. It looks for them in the text as it was, and puts the second one
/// where the first has moved something else to; so does this.
fn escape_unknown_groups(text: &str, groups: usize) -> Result<String, BadReplacement> {
    let mut escaped: Vec<char> = text.chars().collect();
    if groups == 0 {
        return Ok(text.to_owned());
    }
    let chars = escaped.clone();
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        at += 1;
        if *char != '$' {
            continue;
        }
        let digits = chars.iter().skip(at);
        let digits: String = digits.take_while(|it| it.is_ascii_digit()).collect();
        let dollar = at - 1;
        at += digits.len();
        if digits.is_empty() || digits.starts_with('0') {
            continue;
        }
        // Integer.parseInt takes no more.
        let number = digits.parse::<i32>();
        let mut group = number.map_err(|_| BadReplacement::Group(digits))?;
        let exists = |group: i32| usize::try_from(group).is_ok_and(|it| it <= groups);
        while !exists(group) && group >= 10 {
            group /= 10;
        }
        if !exists(group) {
            escaped.insert(dollar, '\\');
        }
    }
    Ok(escaped.into_iter().collect())
}

/// The group that is meant by what is behind a dollar sign, and what follows.
fn reference<'a>(text: &'a str, pattern: &Pattern) -> Result<(usize, &'a str), BadReplacement> {
    if let Some(name) = text.strip_prefix('{') {
        let (name, behind) = name.split_once('}').ok_or(BadReplacement::Reference)?;
        let is_name = name.starts_with(|it: char| it.is_ascii_alphabetic())
            && name.chars().all(|it| it.is_ascii_alphanumeric());
        if !is_name {
            return Err(BadReplacement::Reference);
        }
        let group = pattern.group(name);
        let group = group.ok_or_else(|| BadReplacement::Group(name.to_owned()))?;
        return Ok((group, behind));
    }
    let digit = |text: &str| text.chars().next().and_then(|it| it.to_digit(10));
    let mut group = digit(text).ok_or(BadReplacement::Reference)? as usize;
    if group > pattern.groups() {
        return Err(BadReplacement::Group(group.to_string()));
    }
    let mut rest = text.get(1..).unwrap_or_default();
    // As many digits as make the number of a group.
    while let Some(digit) = digit(rest) {
        let longer = group * 10 + digit as usize;
        if longer > pattern.groups() {
            break;
        }
        group = longer;
        rest = rest.get(1..).unwrap_or_default();
    }
    Ok((group, rest))
}
