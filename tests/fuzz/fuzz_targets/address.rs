//! Paths and mailboxes: what was accepted is accepted again in its written form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tabmail::address::{ForwardPath, Mailbox, ReversePath, Utf8, parse_angle};

fuzz_target!(|text: &[u8]| {
    for utf8 in [Utf8::Refused, Utf8::Allowed] {
        let _ = parse_angle(text, utf8);
    }
    let _ = ForwardPath::parse(text);
    let _ = ReversePath::parse(text);
    if let Ok(mailbox) = Mailbox::parse(text) {
        let written = mailbox.to_string();
        assert_eq!(Mailbox::parse(written.as_bytes()).expect("its own form"), mailbox);
    }
});
