//! The words of one line, and what is wrong with a script.

use std::fmt;
use std::str::FromStr;

/// A line that is not a step or a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScript {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for BadScript {}

/// What is wrong with one line.
pub(super) type Bad = String;

/// The words of a line, taken from the front.
#[derive(Debug)]
pub(super) struct Words<'a> {
    rest: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self {
            rest: line.split_ascii_whitespace(),
        }
    }

    pub(super) fn next(&mut self) -> Result<&'a str, Bad> {
        self.rest.next().ok_or_else(|| "ends too soon".to_owned())
    }

    /// The next word as a number, or as whatever else can be read of a word.
    pub(super) fn read<T: FromStr>(&mut self) -> Result<T, Bad> {
        let word = self.next()?;
        read(word)
    }

    /// The next word, which is `name=value`.
    pub(super) fn option<T: FromStr>(&mut self, name: &str) -> Result<T, Bad> {
        let word = self.next()?;
        match word.split_once('=') {
            Some((known, value)) if known == name => read(value),
            Some(_) | None => Err(format!("{word:?} is not {name}=...")),
        }
    }

    /// All other words.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = &'a str> {
        self.rest.by_ref()
    }

    /// All other words, read.
    pub(super) fn list<T: FromStr>(&mut self) -> Result<Vec<T>, Bad> {
        self.rest().map(read).collect()
    }

    pub(super) fn end(mut self) -> Result<(), Bad> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }
}

pub(super) fn read<T: FromStr>(word: &str) -> Result<T, Bad> {
    word.parse()
        .map_err(|_| format!("{word:?} makes no sense here"))
}

/// Words that stand for values of an enum, both ways.
macro_rules! names {
    ($type:ty { $($value:path = $name:literal),+ $(,)? }) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($value => $name),+ })
            }
        }
        impl std::str::FromStr for $type {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($name => Ok($value),)+ _ => Err(()) }
            }
        }
    };
}
pub(super) use names;

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        use fmt::Write as _;
        let _ = write!(out, "{byte:02x}");
        out
    })
}

pub(super) fn unhex(word: &str) -> Result<Vec<u8>, Bad> {
    let digits = word.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|t| t.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    digits
        .map(|pair| byte(pair).ok_or_else(|| format!("{word:?} is not hexadecimal")))
        .collect()
}
