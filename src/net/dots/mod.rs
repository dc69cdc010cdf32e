//! Dot framing of mail data, pure and streaming.
//!
//! Shape: a stored file holds mail *as on the wire*: CRLF lines, a leading dot doubled (decision 1). So
//! - [`DataReader`] turns what follows DATA into what is stored, and finds the end (decision 2);
//! - [`Stuffer`] is for producers whose text is not stuffed yet, [`Unstuffer`] for readers who want the text;
//! - [`ToCrlf`] turns a stored file into what is sent (decisions 1 and 3).
//!
//! The last three are [`Transform`]s: push pieces in, take pieces out; where the pieces are cut never matters.
//! [`Transformed`] lays one over an [`std::io::Read`].
//!
//! Limits: none of them buffers more than a few octets; what comes out is at most twice what went in, plus
//! [`MAX_CR_RUN`] line ends. Nothing fails: the data reader notes what a caller may want to refuse.

mod data_reader;
mod transform;

pub use data_reader::{BareLf, DataReader, Feed};
pub use transform::{Stuffer, ToCrlf, Transform, Transformed, Unstuffer};

/// What ends mail data after a final line end (RFC 5321 section 4.1.1.4).
pub const END_OF_DATA: &[u8] = b".\r\n";

/// CRs directly before an LF are one line end (mailflow.md 1.2), up to this many; further ones count as line ends
/// of their own, so that a long run cannot be turned into a flood at once. Ours.
pub const MAX_CR_RUN: usize = 64;

const CRLF: &[u8] = b"\r\n";

fn line_ends(count: usize, out: &mut Vec<u8>) {
    for _ in 0..count {
        out.extend_from_slice(CRLF);
    }
}
