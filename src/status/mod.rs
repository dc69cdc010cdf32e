//! SMTP replies, enhanced status codes and XMail's error numbers.
//!
//! ```text
//! reply      = *( code "-" text CRLF ) code SP text CRLF     ; RFC 5321 §4.2
//! text       = [ enhanced SP ] XMail's text                  ; RFC 2034, decision 4
//! enhanced   = ( "2" / "4" / "5" ) "." subject "." detail    ; RFC 3463
//! ```
//!
//! Used by the server face to build replies and by delivery to read them. Nothing here fails except
//! [`ReplyReader`], which says what a peer did wrong. Texts never carry control characters onto the wire.

mod enhanced;
mod reply;
mod xmail_error;

pub use enhanced::EnhancedCode;
pub use reply::{REPLY_BYTES_MAX, Reply, ReplyClass, ReplyError, ReplyReader};
pub use xmail_error::{XMAIL_ERROR_MAX, number, xmail_error_text};

/// The name in banners and trace fields (decision 30).
pub const PRODUCT: &str = "Tabmail";

/// The version in banners and trace fields.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Product, version and service in brackets, where XMail has `[XMail 1.27 ESMTP Server]`.
///
/// `service` is `ESMTP Server`, `POP3 Server`, `CTRL Server`, `LMAIL Server` and so on.
#[must_use]
pub fn product(service: &str) -> String {
    format!("[{}]", product_name(service))
}

/// As [`product`] without brackets: the CTRL greeting has it so (`mailflow.md` 11.1).
#[must_use]
pub fn product_name(service: &str) -> String {
    format!("{PRODUCT} {VERSION} {service}")
}

#[cfg(test)]
mod tests;
