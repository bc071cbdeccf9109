//! The model brokers served over any network.
