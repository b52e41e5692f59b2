//! Any bytes as JSON: no panic, and what we accept serde_json reads as the same value.
#![no_main]

use afterthought_strict_json::Strict;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Strict(value)) = serde_json::from_slice(bytes) {
        let reference: Value = serde_json::from_slice(bytes).expect("accepted by the stricter one");
        assert_eq!(value, reference);
    }
});
