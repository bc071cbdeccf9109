//! The APIs: one place that says which are offered, and how their frames are forwarded.
//!
//! Each has one row in `api/rows.rs`; everything else asks the row.

mod forward;
pub mod keys;
mod offered;
mod row;
mod rows;
pub(crate) mod versions;

use crate::id::ApiKey;
use crate::wire::schema;

pub use crate::wire::codec::denial::Denial;
pub(crate) use forward::{
    ForwardMode, ResponseForm, STREAM_BYTES_MIN, request_forward_mode, request_wait_is_unread,
    response_forward_mode,
};
pub use offered::{Access, OfferedApi, OfferedApis, Offering, offering};
pub(crate) use row::{Editing, LoginStep, Row, Timeout, TopicRule};
pub(crate) use rows::{ILLEGAL_SASL_STATE, login_rows, row};

/// The name of an API as Kafka writes it, from the table alone: safe as a metric label.
#[must_use]
pub fn name(api: ApiKey) -> &'static str {
    schema::api(api.0).map_or("unknown", |entry| entry.name)
}

/// The API of that name, in Kafka's spelling.
#[must_use]
pub fn by_name(name: &str) -> Option<ApiKey> {
    schema::APIS
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| ApiKey(entry.key))
}
