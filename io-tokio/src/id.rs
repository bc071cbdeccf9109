//! What names a listener or a cluster for as long as the configuration has it.
//!
//! An id is the name in the configuration, so it stays the same when others come or go.

use std::fmt;
use std::sync::Arc;

/// One listener of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(Arc<str>);

/// One cluster of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(Arc<str>);

macro_rules! named {
    ($id:ident) => {
        impl $id {
            /// The name in the configuration, and the label of metrics.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $id {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

named!(ListenerId);
named!(ClusterId);
