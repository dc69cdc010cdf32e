//! What a message is made of (RFC 2045, 2046, 2183): its parts with their places, and the fields that IMAP tells of it.
//!
//! A message is given as readers see it: dots taken away, lines ending in CRLF. Nothing fails: ugly mail has a
//! structure, too.
//!
//! ```text
//! bytes -> Scanner -> Scanned { structure, envelope, fields } -> packed (cache)
//!                       structure.section(path, what)  -> a range of the message
//!                       text: ENVELOPE, BODY, BODYSTRUCTURE of FETCH
//! part body -> TransferDecoder -> CharsetDecoder -> HtmlText -> Searcher | preview
//! envelopes -> sort | thread
//! ```
//!
//! Only the [`Scanner`] sees whole messages, and it keeps no bodies: its memory is one header block, the beginning of
//! one line, and the result. Recursion is bounded by [`DEPTH_MAX`]; all counts that a message could drive up are bounded
//! by the constants here. What lies beyond a bound is left out of the description, never out of the message.

mod charset;
mod envelope;
mod grammar;
mod header;
mod html;
mod kept;
mod packed;
mod preview;
mod ranks;
mod scan;
mod search;
mod section;
mod sort;
mod structure;
mod subject;
mod text;
mod thread;
mod transfer;

pub use charset::{CharsetDecoder, charset_is_known, decoded_header};
pub use envelope::{Address, Envelope, message_ids, sent_date, sent_day};
pub use header::{HeaderField, fields, header_fields, unfold};
pub use html::HtmlText;
pub use kept::KeptFields;
pub use packed::{EnvelopeTexts, PACKED_VERSION, Packed};
pub use preview::{PREVIEW_CHARS_MAX, preview};
pub use ranks::{Added, Ranks};
pub use scan::{Scanned, Scanner};
pub use search::{Searcher, TextDecoder, fold};
pub use section::SectionPart;
pub use sort::{SortCriterion, SortKey, SortText, sort, subject_text};
pub use structure::{Content, Disposition, Param, Part, Structure};
pub use subject::{BaseSubject, base_subject};
pub use text::{Dialect, body_structure_text, envelope_text, nstring, string};
pub use thread::{Forest, ThreadIds, ThreadNode, Threadable, thread_orderedsubject, thread_references};
pub use transfer::{TransferDecoder, TransferEncoding, TransferError};

/// How deep multiparts and embedded messages may nest; what is deeper is one opaque part. Dovecot's default is 100, too.
pub const DEPTH_MAX: usize = 100;

/// How many parts are told apart; the last one takes the rest of its multipart.
pub const PARTS_MAX: usize = 1000;

/// How much of one header block is kept to be parsed, in bytes; the rest is counted, not read.
pub const HEADER_KEPT_BYTES_MAX: usize = 256 * 1024;

/// How much text a structure keeps of all its parts, in bytes; what would exceed it is opaque.
pub const STRUCTURE_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The longest boundary that is recognised, in bytes: a line of RFC 5322 without its dashes. RFC 2046 allows 70.
pub const BOUNDARY_BYTES_MAX: usize = 996;

/// How many parameters of one field are kept.
pub const PARAMS_MAX: usize = 200;

/// How many addresses of one address field are kept.
pub const ADDRESSES_MAX: usize = 4096;

/// How many ids of References are kept: the last ones, which are the nearest ancestors.
pub const REFERENCES_MAX: usize = 1000;

/// How much of a header field is decoded at once, in bytes: the decoder of encoded words looks ahead to the end.
pub const DECODED_PIECE_BYTES_MAX: usize = 16 * 1024;

/// How much of a subject takes part in sorting and threading, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
