//! Reads a pattern of Java and writes it for `regex`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::BadPattern;
use super::class::{self, Class};

/// How deep groups may be nested.
const DEPTH_MAX: usize = 50;
/// How often something may be repeated by a number.
const REPETITIONS_MAX: u32 = 1000;

/// A pattern for `regex`. It holds on texts without ends of lines, where `.` is any character and
/// `$` nothing but the end.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) groups: usize,
    pub(super) names: BTreeMap<String, usize>,
}

pub(super) fn translate(java: &str) -> Result<Translated, BadPattern> {
    let mut reader = Reader {
        rest: java,
        ignores_case: false,
        is_quoted: false,
        depth: 0,
        groups: 0,
        names: BTreeMap::new(),
    };
    let whole = reader.alternatives()?;
    if !reader.rest.is_empty() {
        return Err(BadPattern::Syntax("a ) closes no group"));
    }
    Ok(Translated {
        text: whole.text,
        groups: reader.groups,
        names: reader.names,
    })
}

/// A part of a pattern.
struct Piece {
    text: String,
    may_be_empty: bool,
}

impl Piece {
    const fn one(text: String) -> Self {
        Self {
            text,
            may_be_empty: false,
        }
    }

    fn anchor(text: &str) -> Self {
        Self {
            text: format!("(?:{text})"),
            may_be_empty: true,
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    ignores_case: bool,
    /// Between `\Q` and `\E`.
    is_quoted: bool,
    depth: usize,
    groups: usize,
    names: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let behind = self.rest.strip_prefix(prefix);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn alternatives(&mut self) -> Result<Piece, BadPattern> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(BadPattern::TooLarge);
        }
        let mut all = self.sequence()?;
        while self.skip("|") {
            let other = self.sequence()?;
            all.text.push('|');
            all.text.push_str(&other.text);
            all.may_be_empty |= other.may_be_empty;
        }
        self.depth -= 1;
        Ok(all)
    }

    fn sequence(&mut self) -> Result<Piece, BadPattern> {
        let mut all = Piece {
            text: String::new(),
            may_be_empty: true,
        };
        loop {
            if !self.is_quoted && (self.rest.is_empty() || self.rest.starts_with(['|', ')'])) {
                return Ok(all);
            }
            let Some(atom) = self.atom()? else { continue };
            let repeated = if self.is_quoted && !self.skip("\\E") {
                atom
            } else {
                self.is_quoted = false;
                self.repeated(atom)?
            };
            all.text.push_str(&repeated.text);
            all.may_be_empty &= repeated.may_be_empty;
        }
    }

    /// What can be repeated; nothing where a setting or a quotation begins or ends.
    fn atom(&mut self) -> Result<Option<Piece>, BadPattern> {
        if self.is_quoted {
            if self.rest.is_empty() || self.skip("\\E") {
                self.is_quoted = false;
                return Ok(None);
            }
            return Ok(self.next().map(|char| self.literal(char)));
        }
        let Some(char) = self.next() else {
            return Ok(None);
        };
        Ok(Some(match char {
            '.' => Piece::one("(?s:.)".to_owned()),
            '^' => Piece::anchor("\\A"),
            '$' => Piece::anchor("\\z"),
            '(' => return self.group(),
            '[' => {
                let (class, rest) = class::read(self.rest)?;
                self.rest = rest;
                self.class(class)
            }
            '\\' => return self.escape(),
            '*' | '+' | '?' => {
                return Err(BadPattern::Syntax("nothing is before a *, + or ?"));
            }
            '{' => {
                return Err(BadPattern::Syntax(
                    "nothing is before a {: \\{ is the brace",
                ));
            }
            other => self.literal(other),
        }))
    }

    fn literal(&self, char: char) -> Piece {
        self.class(Class::of(char))
    }

    fn class(&self, mut class: Class) -> Piece {
        if self.ignores_case {
            class.ignore_case();
        }
        Piece::one(class.to_string())
    }

    fn group(&mut self) -> Result<Option<Piece>, BadPattern> {
        const UNSUPPORTED: [(&str, &str); 5] = [
            ("?=", "look-ahead, (?=...)"),
            ("?!", "negative look-ahead, (?!...)"),
            ("?<=", "look-behind, (?<=...)"),
            ("?<!", "negative look-behind, (?<!...)"),
            ("?>", "an independent group, (?>...)"),
        ];
        let unsupported = UNSUPPORTED.iter().find(|(it, _)| self.rest.starts_with(it));
        if let Some((_, what)) = unsupported {
            return Err(BadPattern::Unsupported(what));
        }
        let ignored_case = self.ignores_case;
        let opening = if self.skip("?<") {
            self.groups += 1;
            self.name()?;
            "("
        } else if self.skip("?") {
            if self.settings()? {
                return Ok(None);
            }
            "(?:"
        } else {
            self.groups += 1;
            "("
        };
        let inner = self.alternatives()?;
        if !self.skip(")") {
            return Err(BadPattern::Syntax("a group is not closed"));
        }
        self.ignores_case = ignored_case;
        Ok(Some(Piece {
            text: format!("{opening}{})", inner.text),
            may_be_empty: inner.may_be_empty,
        }))
    }

    fn name(&mut self) -> Result<(), BadPattern> {
        let bad = BadPattern::Syntax("a group's name is not letters and digits followed by a >");
        let Some((name, rest)) = self.rest.split_once('>') else {
            return Err(bad);
        };
        let is_name = name.starts_with(|it: char| it.is_ascii_alphabetic())
            && name.chars().all(|it| it.is_ascii_alphanumeric());
        if !is_name {
            return Err(bad);
        }
        self.rest = rest;
        let known = self.names.insert(name.to_owned(), self.groups);
        if known.is_some() {
            return Err(BadPattern::Syntax("two groups have the same name"));
        }
        Ok(())
    }

    /// Reads what is between `(?` and `)` or `:`. Whether it stands alone: then it holds up to the
    /// end of the group around it.
    fn settings(&mut self) -> Result<bool, BadPattern> {
        let mut is_on = true;
        while let Some(char) = self.next() {
            match char {
                ':' => return Ok(false),
                ')' => return Ok(true),
                '-' if is_on => is_on = false,
                'i' => self.ignores_case = is_on,
                // There are no lines.
                'd' | 'm' | 's' => {}
                'u' | 'U' | 'x' => {
                    let what = "a setting other than d, i, m and s, like (?u),";
                    return Err(BadPattern::Unsupported(what));
                }
                _ => break,
            }
        }
        Err(BadPattern::Syntax(
            "a (? is followed by what Java does not know",
        ))
    }

    /// What is behind a backslash.
    fn escape(&mut self) -> Result<Option<Piece>, BadPattern> {
        let what = self.rest.chars().next();
        let anchor = match what {
            Some('Q') => {
                self.next();
                self.is_quoted = true;
                return Ok(None);
            }
            Some('A') => "\\A",
            Some('z' | 'Z') => "\\z",
            _ => {
                let (class, rest) = class::escape(self.rest)?;
                self.rest = rest;
                return Ok(Some(self.class(class)));
            }
        };
        self.next();
        Ok(Some(Piece::anchor(anchor)))
    }

    /// Reads how often something is repeated.
    fn repeated(&mut self, atom: Piece) -> Result<Piece, BadPattern> {
        let Some((least, most)) = self.times()? else {
            return Ok(atom);
        };
        let is_lazy = self.skip("?");
        if self.skip("+") {
            let what = "a possessive quantifier, like .*+,";
            return Err(BadPattern::Unsupported(what));
        }
        if self.rest.starts_with(['*', '+', '?', '{']) {
            return Err(BadPattern::Syntax(
                "two quantifiers are one behind the other",
            ));
        }
        if atom.may_be_empty && most.is_none_or(|it| it > 1) {
            return Err(BadPattern::RepeatsNothing);
        }
        let mut text = atom.text;
        // Writing to a text does not fail.
        let _ = match most {
            Some(most) => write!(text, "{{{least},{most}}}"),
            None => write!(text, "{{{least},}}"),
        };
        if is_lazy {
            text.push('?');
        }
        Ok(Piece {
            text,
            may_be_empty: atom.may_be_empty || least == 0,
        })
    }

    fn times(&mut self) -> Result<Option<(u32, Option<u32>)>, BadPattern> {
        if self.skip("*") {
            return Ok(Some((0, None)));
        }
        if self.skip("+") {
            return Ok(Some((1, None)));
        }
        if self.skip("?") {
            return Ok(Some((0, Some(1))));
        }
        if !self.skip("{") {
            return Ok(None);
        }
        let bad = BadPattern::Syntax("a { is followed by no number of repetitions");
        let Some((times, rest)) = self.rest.split_once('}') else {
            return Err(bad);
        };
        self.rest = rest;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
            if !is_number {
                return Err(bad.clone());
            }
            let number = text.parse().ok().filter(|it| *it <= REPETITIONS_MAX);
            number.ok_or(BadPattern::TooLarge)
        };
        let (least, most) = match times.split_once(',') {
            None => (number(times)?, Some(number(times)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        if most.is_some_and(|most| most < least) {
            return Err(bad);
        }
        Ok(Some((least, most)))
    }
}
