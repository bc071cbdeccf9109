//! Sans-IO models of Kafka brokers and clients.

pub mod fuzzing;
