//! Why a step of a delivery failed, in the words of `slog` and of notices.

use bstr::ByteSlice;

use crate::spool::slog;
use crate::status::{Reply, xmail_error_text};

/// What the slog says when the peer said nothing (`mailflow.md` 2.6).
pub(super) const DEFAULT_REPLY: &str = "417 Temporary delivery error";

/// A failed step. Unsure means transient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// XMail's error number, positive.
    pub(super) error: i32,
    /// More about this case: the remote reply.
    pub(super) info: Option<String>,
    /// What the notice and `SMTP-Error` say.
    pub(super) reason: String,
    /// Whether another attempt is useless.
    pub(super) is_permanent: bool,
}

impl Failure {
    /// A failure for now that the peer did not explain.
    pub(super) fn transient(error: i32) -> Self {
        Self { error, info: None, reason: DEFAULT_REPLY.to_owned(), is_permanent: false }
    }

    /// A failure for now with a text of its own.
    pub(super) fn transient_because(error: i32, reason: impl Into<String>) -> Self {
        Self { error, info: None, reason: reason.into(), is_permanent: false }
    }

    /// A failure for good.
    pub(super) fn permanent(error: i32, reason: impl Into<String>) -> Self {
        Self { error, info: None, reason: reason.into(), is_permanent: true }
    }

    /// What the peer answered to the step that has this error number.
    pub(super) fn reply(error: i32, reply: &Reply) -> Self {
        let text = printable(&reply.to_quoted());
        Self { error, info: Some(text.clone()), reason: text, is_permanent: reply.is_permanent() }
    }

    /// The same failure with the `ErrInfo` line.
    #[must_use]
    pub(super) fn with_info(self, info: impl Into<String>) -> Self {
        Self { info: Some(info.into()), ..self }
    }

    /// The slog block; `line` is what was tried, `server` with whom.
    pub(super) fn to_entry(&self, line: String, server: Option<&str>) -> slog::Entry {
        slog::Entry {
            error: self.error,
            error_text: xmail_error_text(self.error).to_owned(),
            info: self.info.clone(),
            lines: vec![line],
            smtp_error: Some(self.reason.clone()),
            smtp_server: server.map(ToOwned::to_owned),
        }
    }
}

/// A slog block without `SMTP-Error`: what happened is no matter of SMTP.
pub(super) fn plain_entry(error: i32, line: String) -> slog::Entry {
    slog::Entry {
        error,
        error_text: xmail_error_text(error).to_owned(),
        lines: vec![line],
        ..slog::Entry::default()
    }
}

/// A peer's text for logs and notices: what is not UTF-8 is replaced.
pub(super) fn printable(bytes: &[u8]) -> String {
    bytes.to_str_lossy().into_owned()
}
