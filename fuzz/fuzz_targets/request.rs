//! The target `request` of fm-readers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fm_readers::run("request", bytes);
});
