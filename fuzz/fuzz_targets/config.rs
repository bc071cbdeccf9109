//! The body stands beside the tests of the adapter that replay `corpus/config`: the model knows no
//! configuration.
#![no_main]

#[path = "../../io-tokio/tests/config_corpus/body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| doorkeeper_fuzz::bounded(
    data,
    body::config,
    body::PER_BYTE,
    body::FLOOR
));
