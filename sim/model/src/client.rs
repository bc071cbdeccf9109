//! A Kafka client as a value: makes the frames that a script asks for, and remembers of the
//! answers what later requests need.

mod batch;
mod dialogue;
mod encode;
mod memory;

pub use dialogue::{Client, Dialogue, Heard};
pub use encode::{Context, TopicIds, encode};
pub use memory::Memory;
