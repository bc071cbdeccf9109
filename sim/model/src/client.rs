//! A Kafka client as a value: makes the frames that a script asks for, and remembers of the
//! responses what later requests need.

pub(crate) mod batch;
mod dialogue;
mod encode;
mod memory;
mod sequences;

pub use dialogue::{Client, Dialogue, ReceivedResponse};
pub use encode::{Context, TopicIds, encode};
pub use memory::{About, Memory};
pub use sequences::Sequences;
