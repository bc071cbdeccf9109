//! The body stands beside the tests of the adapter that replay `corpus/token`: the model verifies
//! no tokens.
#![no_main]

#[path = "../../io-tokio/tests/token_corpus/body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| doorkeeper_fuzz::bounded(
    data,
    body::token,
    body::PER_BYTE,
    body::FLOOR
));
