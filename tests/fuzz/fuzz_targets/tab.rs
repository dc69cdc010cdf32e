//! Tables: reading keeps every byte, and a quoted record reads back as its values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tabmail::tab::{Record, TabFile};

fuzz_target!(|bytes: &[u8]| {
    let file = TabFile::parse(bytes);
    assert_eq!(file.to_bytes(), bytes, "unedited files keep their bytes");
    for line in file.lines() {
        let values: Vec<Vec<u8>> = line.fields().iter().map(|field| field.value.to_vec()).collect();
        let Ok(record) = Record::quoted(&values) else { continue };
        let mut written = record.as_bytes().to_vec();
        written.push(b'\n');
        let again = TabFile::parse(&written);
        let read: Vec<Vec<u8>> = again.lines()[0].fields().iter().map(|field| field.value.to_vec()).collect();
        if !values.is_empty() {
            assert_eq!(read, values, "read(write(x)) = x");
        }
    }
});
