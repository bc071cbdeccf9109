//! Reads a file that somebody has recorded.

use crate::line::{self, Cut, Line, Opening};
use crate::snapshot::InvalidAddress;

/// One session, as far as it is in the file.
#[derive(Clone, Debug)]
pub struct Recording {
    /// How it began.
    pub opening: Opening,
    /// What happened, in order.
    pub steps: Vec<line::Step>,
    /// How it ended, if the file says so; if not, doorkeeper was ended or could not write.
    pub end: Option<String>,
    /// Why there is no more, if something is missing.
    pub cut: Option<Cut>,
    /// Whether the last line breaks off.
    pub torn: bool,
}

/// Why a file cannot be read or replayed.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is something else.
    #[error("this is no recording of a session")]
    NoRecording,
    /// It is of another version.
    #[error("the recording is of version {0}, and this code reads {1}")]
    Version(u64, u32),
    /// One line is not as it must be.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// One snapshot is not as it must be.
    #[error("{0}")]
    RecordedSnapshot(#[from] InvalidAddress),
    /// A read gave more bytes than any can.
    #[error("step {0} claims to have read {1} bytes at once")]
    Claim(usize, usize),
}

impl Recording {
    /// Whether a text begins like a recording.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with("{\"recording\":")
    }

    /// Reads a whole file. What was written last may break off anywhere: then the rest counts.
    ///
    /// # Errors
    /// It is no recording, or damaged before its end.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if !Self::is_one(text) {
            return Err(Unreadable::NoRecording);
        }
        let mut lines = (1..).zip(text.split_inclusive('\n')).peekable();
        let opening = match lines.next() {
            Some((_, first)) => opening(first)?,
            None => return Err(Unreadable::NoRecording),
        };
        let mut recording = Self {
            opening,
            steps: Vec::new(),
            end: None,
            cut: None,
            torn: false,
        };
        while let Some((number, text)) = lines.next() {
            let is_last = lines.peek().is_none();
            match serde_json::from_str(text) {
                Ok(line) if text.ends_with('\n') => recording.add(number, line)?,
                Ok(_) | Err(_) if is_last => recording.torn = true,
                Ok(_) => {}
                Err(why) => return Err(Unreadable::Line(number, why.to_string())),
            }
        }
        Ok(recording)
    }

    fn add(&mut self, number: usize, line: Line) -> Result<(), Unreadable> {
        let wrong = |what: &str| Err(Unreadable::Line(number, what.to_owned()));
        if self.end.is_some() {
            return wrong("behind the end");
        }
        match line {
            Line::Recording(_) => return wrong("a second beginning"),
            Line::Step(_) if self.cut.is_some() => return wrong("behind the cut"),
            Line::Step(step) => self.steps.push(step),
            Line::Cut(cut) => self.cut = Some(cut),
            Line::End(reason) => self.end = Some(reason),
        }
        Ok(())
    }
}

/// The version is looked at first: of others nothing else is known.
fn opening(line: &str) -> Result<Opening, Unreadable> {
    let bad = |why: serde_json::Error| Unreadable::Line(1, why.to_string());
    let value: serde_json::Value = serde_json::from_str(line).map_err(bad)?;
    let version = value.pointer("/recording/version");
    let version = version.and_then(serde_json::Value::as_u64);
    match version {
        Some(version) if version == u64::from(line::VERSION) => {}
        Some(other) => return Err(Unreadable::Version(other, line::VERSION)),
        None => return Err(Unreadable::NoRecording),
    }
    match serde_json::from_str(line).map_err(bad)? {
        Line::Recording(opening) => Ok(*opening),
        Line::Step(_) | Line::Cut(_) | Line::End(_) => Err(Unreadable::NoRecording),
    }
}
