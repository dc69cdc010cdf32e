//! The fields of a header that are worth keeping in a cache: what mail readers ask for, by `BODY[HEADER.FIELDS (...)]`
//! and `SEARCH HEADER`, without what servers have written on the way.
//!
//! ```text
//! packed = names:u8 *(length:u8 name) block      the names of the fields that are not in the block; the other fields as they stand
//! packed = 255                                   nothing is kept
//! ```
//!
//! As the names of what was left out are told, it is known of each question whether the block answers it.

use super::header::fields;

/// Octets of fields that are kept of one header. Ours: some times what is usual.
const BLOCK_BYTES_MAX: usize = 8 * 1024;

/// Octets of the longest field that is kept: some thirty recipients.
const FIELD_BYTES_MAX: usize = 2 * 1024;

/// Fields may be left out by so many names. Ours: few headers have so many different ones at all.
const NAMES_MAX: usize = 64;

/// In the place of the number of names: nothing is kept.
const NOTHING: u8 = 255;

/// Fields that servers write on the way: often most of a header, and no mail reader lists them. Names that end in `-`
/// are the beginnings of names.
const TRACE: [&str; 19] = [
    "Received",
    "X-Received",
    "Received-SPF",
    "Authentication-Results",
    "DKIM-Signature",
    "DomainKey-Signature",
    "ARC-",
    "X-Google-",
    "X-Gm-",
    "X-MS-",
    "X-Microsoft-",
    "X-Forefront-",
    "X-SG-",
    "X-Proofpoint-",
    "X-IronPort-",
    "X-YMail-",
    "Autocrypt",
    "Face",
    "X-Face",
];

/// What is kept of a header, borrowed from its packed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFields<'a> {
    names: &'a [u8],
    block: &'a [u8],
}

impl<'a> KeptFields<'a> {
    /// Packs what is worth keeping of a header block.
    pub(super) fn pack(block: &[u8]) -> Vec<u8> {
        let mut left_out: Vec<Vec<u8>> = Vec::new();
        let mut kept = Vec::new();
        for field in fields(block) {
            let is_short = field.raw.len() <= FIELD_BYTES_MAX.min(BLOCK_BYTES_MAX - kept.len());
            if is_short && !is_trace(field.name) {
                kept.extend_from_slice(field.raw);
                continue;
            }
            let name = field.name.to_ascii_lowercase();
            if !left_out.contains(&name) {
                left_out.push(name);
            }
            if left_out.len() > NAMES_MAX {
                return Self::pack_nothing();
            }
        }
        // A number of names that is allowed fits.
        let mut packed = vec![u8::try_from(left_out.len()).unwrap_or(NOTHING)];
        for name in left_out {
            let Ok(length) = u8::try_from(name.len()) else { return Self::pack_nothing() };
            packed.push(length);
            packed.extend_from_slice(&name);
        }
        packed.extend_from_slice(&kept);
        packed
    }

    /// Of a header that no block may speak for.
    pub(super) fn pack_nothing() -> Vec<u8> {
        vec![NOTHING]
    }

    /// Reads what was packed; `None` when nothing was kept, or it was not packed here.
    pub fn unpack(packed: &'a [u8]) -> Option<Self> {
        let (&count, rest) = packed.split_first()?;
        if usize::from(count) > NAMES_MAX {
            return None;
        }
        let mut block = rest;
        for _ in 0..count {
            let (&length, behind) = block.split_first()?;
            block = behind.get(usize::from(length)..)?;
        }
        Some(Self { names: &rest[..rest.len() - block.len()], block })
    }

    /// The fields that are kept, as they stand.
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// Whether all fields of these names, of which there may be none, are in the block; with `not`, all others.
    pub fn tells(&self, names: &[&[u8]], not: bool) -> bool {
        self.left_out().all(|left_out| names.iter().any(|name| name.eq_ignore_ascii_case(left_out)) == not)
    }

    fn left_out(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.names;
        std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let (name, behind) = behind.split_at_checked(usize::from(length))?;
            rest = behind;
            Some(name)
        })
    }
}

fn is_trace(name: &[u8]) -> bool {
    TRACE.iter().any(|known| {
        let begins = name.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known.as_bytes()));
        begins && (name.len() == known.len() || known.ends_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mime::header_fields;

    const HEADER: &[u8] = b"Received: from a\r\n\tby b\r\nFrom: a@b.test\r\nX-MS-Has: 1\r\nreceived: c\r\nno field\r\nSubject: x\r\n y\r\n";

    #[test]
    fn what_is_asked_for_is_kept_and_what_is_left_out_is_known() {
        let packed = KeptFields::pack(HEADER);
        let kept = KeptFields::unpack(&packed).unwrap();
        assert_eq!(kept.block(), b"From: a@b.test\r\nSubject: x\r\n y\r\n");
        let check = |names: &[&[u8]], not: bool, is_told: bool| {
            assert_eq!(kept.tells(names, not), is_told, "{names:?} {not}");
            if is_told {
                assert_eq!(header_fields(kept.block(), names, not), header_fields(HEADER, names, not));
            }
        };
        check(&[b"SUBJECT", b"from"], false, true);
        check(&[b"To"], false, true);
        check(&[b"From", b"Received"], false, false);
        check(&[b"X-MS-HAS"], false, false);
        check(&[b"X-MS"], false, true);
        check(&[b"Subject"], true, false);
        check(&[b"x-ms-has", b"RECEIVED"], true, true);
        check(&[b"x-ms-has", b"RECEIVED", b"Subject"], true, true);
    }

    #[test]
    fn headers_that_are_too_large_cost_no_more_than_the_limits() {
        let long = format!("To: {}\r\nCc: a\r\nTo: b\r\n", "x".repeat(FIELD_BYTES_MAX));
        let packed = KeptFields::pack(long.as_bytes());
        let kept = KeptFields::unpack(&packed).unwrap();
        assert_eq!((kept.block(), kept.tells(&[b"to"], false)), (&b"Cc: a\r\nTo: b\r\n"[..], false));

        let many: String = (0..1000).map(|number| format!("Comments: {number:0100}\r\n")).collect();
        let packed = KeptFields::pack(many.as_bytes());
        assert!(packed.len() <= BLOCK_BYTES_MAX + 20, "{}", packed.len());
        assert!(!KeptFields::unpack(&packed).unwrap().tells(&[b"Comments"], false));

        let names: String = (0..=NAMES_MAX).map(|number| format!("ARC-{number}: x\r\n")).collect();
        assert_eq!(KeptFields::pack(names.as_bytes()), [NOTHING]);
        let name = format!("ARC-{}: x\r\n", "x".repeat(300));
        assert_eq!(KeptFields::pack(name.as_bytes()), [NOTHING]);
        assert_eq!(KeptFields::unpack(&[NOTHING]), None);
    }

    #[test]
    fn other_octets_are_nothing() {
        for packed in [&b""[..], &[1], &[1, 5, b'a'], &[65], &[2, 1, b'a']] {
            assert_eq!(KeptFields::unpack(packed), None, "{packed:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_the_header_says(
            lines in prop::collection::vec("(From|TO|received|arc-seal|X-a)?:? ?[a-z\\t]{0,9}(\r\n|\n)?", 0..12),
            names in prop::collection::vec("(from|To|Received|ARC-Seal|X-A)", 1..4),
            not in any::<bool>(),
        ) {
            let header = lines.concat().into_bytes();
            let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            let packed = KeptFields::pack(&header);
            let kept = KeptFields::unpack(&packed).unwrap();
            if kept.tells(&names, not) {
                prop_assert_eq!(header_fields(kept.block(), &names, not), header_fields(&header, &names, not));
            }
        }
    }
}
