//! Spool file headers: what was read is written so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tabmail::spool::Header;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, length)) = Header::parse(bytes) else { return };
    assert!(length <= bytes.len(), "the data starts inside the file");
    let written = header.to_bytes();
    let (again, _) = Header::parse(&written).expect("its own form");
    assert_eq!(again, header);
});
