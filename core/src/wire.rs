//! The wire layer: frames, headers, schemas, walking and editing. Knows no policy.

pub mod malformed;
pub mod schema;
pub mod walk;
