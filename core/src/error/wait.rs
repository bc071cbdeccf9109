//! What a session waits for, and not for ever.

use std::fmt;

use super::ending::Ending;

/// What was waited for when the time ran out. All that is said of it is one row, where the session
/// waits (`session/waits.rs`).
#[derive(Clone, Copy)]
pub struct Wait(&'static WaitRow);

/// The row of a [`Wait`], but for the time.
pub(crate) struct WaitRow {
    pub(crate) name: &'static str,
    pub(crate) ending: Ending,
}

impl Wait {
    pub(crate) const fn new(row: &'static WaitRow) -> Self {
        Self(row)
    }

    /// The name of a reason to close.
    pub(super) const fn name(self) -> &'static str {
        self.0.name
    }

    pub(super) const fn ending(self) -> Ending {
        self.0.ending
    }
}

impl PartialEq for Wait {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Wait {}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}
