//! DEFLATE on a connection, in both directions (RFC 4978).

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Octets unpacked at once: what a few packed ones may become is bounded by this.
const UNPACKED_BYTES: usize = 64 * 1024;

/// The state of both directions.
pub(super) struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// Octets received and not unpacked yet.
    pub(super) packed: Vec<u8>,
}

impl std::fmt::Debug for Deflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflate").field("packed", &self.packed.len()).finish_non_exhaustive()
    }
}

impl Deflate {
    /// `packed`: octets that were received already.
    pub(super) fn new(packed: Vec<u8>) -> Self {
        Self {
            compress: Compress::new(Compression::fast(), false),
            decompress: Decompress::new(false),
            packed,
        }
    }

    /// Appends some of what the packed octets stand for; nothing when more of them are needed.
    pub(super) fn unpack(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        into.reserve(UNPACKED_BYTES);
        let before = self.decompress.total_in();
        let spare = into.len() + UNPACKED_BYTES;
        let mut piece = Vec::with_capacity(UNPACKED_BYTES);
        let status = self.decompress.decompress_vec(&self.packed, &mut piece, FlushDecompress::Sync);
        let used = usize::try_from(self.decompress.total_in() - before).unwrap_or(usize::MAX);
        self.packed.drain(..used.min(self.packed.len()));
        into.extend_from_slice(&piece);
        debug_assert!(into.len() <= spare);
        match status {
            Ok(Status::StreamEnd) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Appends `octets`, packed so that the other side can unpack all of them.
    pub(super) fn pack(&mut self, octets: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = octets;
        loop {
            into.reserve(rest.len() / 2 + 256);
            let before = self.compress.total_in();
            self.compress.compress_vec(rest, into, FlushCompress::Sync).map_err(io::Error::other)?;
            let used = usize::try_from(self.compress.total_in() - before).unwrap_or(usize::MAX);
            rest = &rest[used.min(rest.len())..];
            // Room left over means that everything, the flush included, is out.
            if rest.is_empty() && into.len() < into.capacity() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_whatever_the_pieces() {
        let (mut server, mut client) = (Deflate::new(Vec::new()), Deflate::new(Vec::new()));
        for text in [
            b"* OK\r\n".to_vec(),
            vec![b'x'; 1_000_000],
            (0..50_000_u32).flat_map(u32::to_le_bytes).collect(),
        ] {
            let (mut packed, mut got) = (Vec::new(), Vec::new());
            server.pack(&text, &mut packed).unwrap();
            for piece in packed.chunks(1000) {
                client.packed.extend_from_slice(piece);
                loop {
                    let before = got.len();
                    client.unpack(&mut got).unwrap();
                    assert!(got.len() - before <= UNPACKED_BYTES);
                    if got.len() == before {
                        break;
                    }
                }
            }
            assert!(got == text);
        }
    }

    #[test]
    fn garbage_is_an_error() {
        let mut client = Deflate::new(vec![0xff; 100]);
        assert!(client.unpack(&mut Vec::new()).is_err());
    }
}
