//! What is wrong with a configuration file, and where.

use std::fmt::{self, Write as _};

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

    /// All errors, in one line.
    #[must_use]
    pub fn errors(&self) -> String {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        let errors = self.problems.iter().filter(is_error);
        let errors: Vec<String> = errors.map(|problem| self.line(problem)).collect();
        errors.join("; ")
    }

    /// `file:line:column: error: path: message`.
    fn line(&self, problem: &Problem) -> String {
        let mut line = self.file.clone();
        // Writing to a string cannot fail.
        if problem.at.line > 0 {
            let _ = write!(line, ":{}:{}", problem.at.line, problem.at.column);
        }
        line.push_str(match problem.severity {
            Severity::Error => ": error: ",
            Severity::Warning => ": warning: ",
        });
        if problem.path != Path::default() {
            let _ = write!(line, "{}: ", problem.path);
        }
        line.push_str(&problem.message);
        line
    }
}

impl fmt::Display for Problems {
    /// One line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(|it| self.line(it)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
