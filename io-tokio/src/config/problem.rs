//! What is wrong with a configuration file, and where.

use std::fmt;

use super::tree::{Path, Position};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is served with this file.
    Error,
    /// Probably not what was meant.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands, or the nearest place.
    pub at: Position,
    /// The keys that lead there; empty if the file is no YAML.
    pub path: Path,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named.
    pub file: String,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.at, a.severity, &a.path).cmp(&(b.at, b.severity, &b.path)));
        Self {
            file: file.to_owned(),
            problems,
        }
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many there are of that kind.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let alike = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(alike).count()
    }
}

impl fmt::Display for Problems {
    /// One line a problem: `file:line:column: error: path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if problem.at.line > 0 {
                write!(f, ":{}:{}", problem.at.line, problem.at.column)?;
            }
            f.write_str(match problem.severity {
                Severity::Error => ": error: ",
                Severity::Warning => ": warning: ",
            })?;
            if problem.path != Path::default() {
                write!(f, "{}: ", problem.path)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
