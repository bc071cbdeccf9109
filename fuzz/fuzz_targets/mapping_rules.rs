//! The body is `doorkeeper_model::fuzzing::mapping_rules`, with a bound on what it may allocate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| doorkeeper_fuzz::run(
    &doorkeeper_model::fuzzing::MAPPING_RULES,
    data
));
