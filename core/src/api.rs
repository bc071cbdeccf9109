//! The APIs: which ones clients are offered.

use std::collections::BTreeSet;

use crate::id::ApiKey;

/// Which of the APIs in our table clients are offered on one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    allowed: BTreeSet<ApiKey>,
}

impl Offered {
    /// What is offered by default, and these besides: APIs that act on upstream principals.
    #[must_use]
    pub fn with(allowed: impl IntoIterator<Item = ApiKey>) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
        }
    }
}
