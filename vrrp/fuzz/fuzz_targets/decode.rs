//! `cargo +nightly fuzz run decode`, or with a stable compiler `RUSTC_BOOTSTRAP=1 cargo fuzz run decode`.

#![no_main]

#[path = "../../tests/packet/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::check(bytes));
