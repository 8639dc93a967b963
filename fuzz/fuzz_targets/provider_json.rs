//! Any text is read or refused without a panic, and every refusal says something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmpool::provider_file::ProviderFile;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A reference to a file would read this machine.
    if text.contains("file:") {
        return;
    }
    if let Err(error) = ProviderFile::parse(text, "fuzz", &|_| Some("key".to_owned())) {
        assert!(!error.defects().is_empty() && !error.to_string().is_empty());
    }
});
