//! See `vocabulary` in `checks.rs`.
#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code, unused_imports, reason = "each fuzzer uses its own part")]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::vocabulary(input));
