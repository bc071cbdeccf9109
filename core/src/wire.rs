//! The wire layer: frames, headers, schemas, walking and editing. Knows no policy.

pub(crate) mod body_walk;
pub(crate) mod codec;
pub(crate) mod config_resource;
pub mod edit;
pub mod framer;
pub mod header;
pub mod malformed;
pub(crate) mod named;
pub mod quick_scan;
pub(crate) mod response_fields;
pub mod rope;
pub mod schema;
pub mod walk;
