//! What a message is made of (RFC 2045, 2046, 2183): its parts with their places, and the fields that IMAP tells of it.
//!
//! A message is given as readers see it: dots taken away, lines ending in CRLF. Nothing fails: ugly mail has a
//! structure, too.
