//! How a run fails.

use std::fmt;

/// How a run failed, in the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It panicked.
    Crash = 11,
    /// Something waits for ever.
    Stuck = 12,
    /// Something is not as it must be.
    Wrong = 13,
    /// Two runs of one seed differ.
    Differs = 14,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "panicked",
            Self::Stuck => "stuck",
            Self::Wrong => "wrong",
            Self::Differs => "differs",
        })
    }
}

/// The text of a panic that was caught.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    let text = owned.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}
