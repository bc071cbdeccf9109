//! What the load generator and the counting of instructions have in common.
#![expect(
    clippy::missing_errors_doc,
    reason = "a tool of the project: a frame that cannot be encoded ends it"
)]

pub mod frames;
