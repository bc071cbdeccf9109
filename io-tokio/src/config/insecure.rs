//! What a configuration says where something insecure is meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That something is insecure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Insecure {
    /// It is, and that is meant.
    Allow,
}
