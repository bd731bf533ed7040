#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(fm_readers::run("checkpoint", bytes)));
