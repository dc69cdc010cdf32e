//! DATA framing: the end does not depend on how the bytes arrive, and is CRLF dot CRLF only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tabmail::net::dots::{BareLf, DataReader};

fn read(bytes: &[u8], piece: usize) -> (bool, Vec<u8>) {
    let mut reader = DataReader::new(BareLf::Normalise);
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        if reader.has_ended() {
            break;
        }
        reader.feed(piece, &mut out);
    }
    (reader.has_ended(), out)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, usize::MAX);
    for piece in [1, 2, 3, 7] {
        assert_eq!(read(bytes, piece), whole, "in pieces of {piece}");
    }
    let ends = bytes.starts_with(b".\r\n") || bytes.windows(5).any(|five| five == b"\r\n.\r\n");
    assert_eq!(whole.0, ends, "the end of the data");
});
