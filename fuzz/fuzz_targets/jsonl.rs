//! Any bytes as a JSONL file: no panic, an end, and a word on every line without a record.
#![no_main]

use afterthought_text::Rows;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    let rows = Rows::new(bytes, "fuzz").line_cap(1 << 12);
    for (number, row) in rows.enumerate() {
        assert!(number < lines);
        let row = row.expect("reading memory does not fail");
        // A blank line is noted and is no row.
        assert!(row.record.is_some() || !row.problems.is_empty());
    }
});
