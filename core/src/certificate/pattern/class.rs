//! Sets of characters: what is in square brackets, and what a backslash stands for.

use std::fmt::{self, Write as _};

use super::BadPattern;

/// First and last character of each range, in order.
type Ranges = &'static [(char, char)];

/// The classes of POSIX that Java knows as `\p{Name}`, all within ASCII.
const POSIX: [(&str, Ranges); 13] = [
    ("ASCII", &[('\0', '\x7f')]),
    ("Alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("Alpha", &[('A', 'Z'), ('a', 'z')]),
    ("Blank", &[('\t', '\t'), (' ', ' ')]),
    ("Cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("Digit", DIGIT),
    ("Graph", &[('!', '~')]),
    ("Lower", &[('a', 'z')]),
    ("Print", &[(' ', '~')]),
    ("Punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("Space", SPACE),
    ("Upper", &[('A', 'Z')]),
    ("XDigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

const DIGIT: Ranges = &[('0', '9')];
const SPACE: Ranges = &[('\t', '\r'), (' ', ' ')];
const WORD: Ranges = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// A set of characters. It is displayed as `regex` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// First and last of each range.
    ranges: Vec<(char, char)>,
    is_negated: bool,
}

impl Class {
    pub(super) fn of(char: char) -> Self {
        Self::from(&[(char, char)])
    }

    fn from(ranges: &[(char, char)]) -> Self {
        Self {
            ranges: ranges.to_vec(),
            is_negated: false,
        }
    }

    const fn negated_if(mut self, is_negated: bool) -> Self {
        self.is_negated = is_negated;
        self
    }

    fn has(&self, char: char) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&char))
    }

    /// Takes in the other case of every letter of ASCII; Java leaves all others as they are.
    pub(super) fn ignore_case(&mut self) {
        for lower in 'a'..='z' {
            let upper = lower.to_ascii_uppercase();
            match (self.has(lower), self.has(upper)) {
                (true, false) => self.ranges.push((upper, upper)),
                (false, true) => self.ranges.push((lower, lower)),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Adds all of another one, which is negated by itself.
    fn add(&mut self, other: &Self) {
        if !other.is_negated {
            self.ranges.extend(&other.ranges);
            return;
        }
        // Only classes within ASCII, in order, come negated here.
        let mut from = '\0';
        for (first, last) in &other.ranges {
            if from < *first {
                self.ranges.push((from, before(*first)));
            }
            from = behind(*last);
        }
        self.ranges.push((from, char::MAX));
    }
}

fn before(char: char) -> char {
    char::from_u32(u32::from(char).saturating_sub(1)).unwrap_or(char)
}

fn behind(char: char) -> char {
    char::from_u32(u32::from(char).saturating_add(1)).unwrap_or(char)
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        if self.is_negated {
            f.write_char('^')?;
        }
        for (first, last) in &self.ranges {
            write!(
                f,
                "\\x{{{:x}}}-\\x{{{:x}}}",
                u32::from(*first),
                u32::from(*last)
            )?;
        }
        f.write_char(']')
    }
}

/// Reads what is behind a `[`, up to its `]`. Gives also what follows.
pub(super) fn read(text: &str) -> Result<(Class, &str), BadPattern> {
    const OPEN: BadPattern = BadPattern::Syntax("a [ is not closed");
    let (is_negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut class = Class::from(&[]).negated_if(is_negated);
    loop {
        if rest.starts_with("&&") {
            return Err(BadPattern::Unsupported("&& in square brackets"));
        }
        let (char, behind) = split_first(rest).ok_or(OPEN)?;
        rest = behind;
        let first = match char {
            ']' if !class.ranges.is_empty() => return Ok((class, rest)),
            '[' => return Err(BadPattern::Unsupported("a [ in square brackets (\\[ is)")),
            '\\' => {
                let (escaped, behind) = escape(rest)?;
                rest = behind;
                match single(&escaped) {
                    Some(char) => char,
                    None => {
                        class.add(&escaped);
                        continue;
                    }
                }
            }
            other => other,
        };
        let mut last = first;
        if let Some(behind) = rest.strip_prefix('-') {
            match split_first(behind).ok_or(OPEN)? {
                // It stands for itself.
                (']', _) => {}
                ('[', _) => {
                    return Err(BadPattern::Unsupported("a [ in square brackets (\\[ is)"));
                }
                ('\\', behind) => {
                    let (escaped, behind) = escape(behind)?;
                    let bad = BadPattern::Syntax("a range ends with a class");
                    last = single(&escaped).ok_or(bad)?;
                    rest = behind;
                }
                (char, behind) => (last, rest) = (char, behind),
            }
        }
        if last < first {
            return Err(BadPattern::Syntax("a range ends before its beginning"));
        }
        class.ranges.push((first, last));
    }
}

fn single(class: &Class) -> Option<char> {
    match class.ranges.as_slice() {
        [(first, last)] if first == last && !class.is_negated => Some(*first),
        _ => None,
    }
}

/// Reads what is behind a backslash, where it stands for characters. Gives also what follows.
pub(super) fn escape(text: &str) -> Result<(Class, &str), BadPattern> {
    let bad = BadPattern::Syntax("a \\ is followed by what Java does not know");
    let (char, rest) = split_first(text).ok_or_else(|| bad.clone())?;
    let class = match char {
        'd' | 'D' => Class::from(DIGIT).negated_if(char == 'D'),
        's' | 'S' => Class::from(SPACE).negated_if(char == 'S'),
        'w' | 'W' => Class::from(WORD).negated_if(char == 'W'),
        'p' | 'P' => {
            let (name, rest) = posix(rest)?;
            return Ok((Class::from(name).negated_if(char == 'P'), rest));
        }
        't' => Class::of('\t'),
        'n' => Class::of('\n'),
        'r' => Class::of('\r'),
        'f' => Class::of('\x0c'),
        'a' => Class::of('\x07'),
        'e' => Class::of('\x1b'),
        'u' => return hexadecimal(rest, 4),
        'x' => {
            let Some(rest) = rest.strip_prefix('{') else {
                return hexadecimal(rest, 2);
            };
            let (digits, rest) = rest.split_once('}').ok_or(bad)?;
            let (class, _) = hexadecimal(digits, digits.len())?;
            return Ok((class, rest));
        }
        '0' => return Err(BadPattern::Unsupported("an octal number, \\0")),
        '1'..='9' | 'k' => return Err(BadPattern::Unsupported("a back-reference, like \\1,")),
        'b' | 'B' => {
            let what = "a word boundary, \\b, which differs between versions of Java,";
            return Err(BadPattern::Unsupported(what));
        }
        'c' | 'G' | 'h' | 'H' | 'N' | 'Q' | 'R' | 'v' | 'V' | 'X' => {
            return Err(BadPattern::Unsupported(
                "one of \\c \\G \\h \\H \\N \\Q \\R \\v \\V \\X",
            ));
        }
        letter if letter.is_ascii_alphabetic() => return Err(bad),
        other => Class::of(other),
    };
    Ok((class, rest))
}

fn posix(text: &str) -> Result<(Ranges, &str), BadPattern> {
    let found = POSIX.iter().find_map(|(name, ranges)| {
        let rest = text.strip_prefix('{')?.strip_prefix(name)?;
        Some((*ranges, rest.strip_prefix('}')?))
    });
    found.ok_or(BadPattern::Unsupported(
        "a \\p other than those of POSIX, like \\p{Alpha},",
    ))
}

/// So many digits of hex as one character.
fn hexadecimal(text: &str, digits: usize) -> Result<(Class, &str), BadPattern> {
    let number = text.split_at_checked(digits).and_then(|(number, rest)| {
        let is_hex = !number.is_empty() && number.bytes().all(|it| it.is_ascii_hexdigit());
        let number = u32::from_str_radix(number, 16).ok().filter(|_| is_hex)?;
        Some((Class::of(char::from_u32(number)?), rest))
    });
    number.ok_or(BadPattern::Syntax(
        "a \\x or \\u is followed by no character's number",
    ))
}

fn split_first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|char| (char, chars.as_str()))
}
