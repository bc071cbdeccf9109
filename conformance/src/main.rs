//! doorkeeper against real Apache Kafka with real clients.

fn main() {}
