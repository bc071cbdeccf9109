//! Who a client is by its certificate, and whether its certificate is one of those that are let in.
//!
//! The adapter verifies certificates and hands in what they say. Nothing here reads a certificate.

pub mod distinguished_name;
pub mod mapping_rules;
pub mod pattern;
pub mod principal;
pub mod subject_rule;
