//! The options in lists inside columns and values, and the letters of permissions.

use super::kind::Kind;

/// One option of a list.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name, case-sensitive; of a permission its letter.
    pub name: &'static str,
    /// What stands behind `=`. A bare name of a flag or number means 1.
    pub kind: Kind,
    doc: &'static str,
}

impl OptionSpec {
    /// Whether both are the same option.
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// What it does, in sentences.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }
}

/// The options that one list may have.
#[derive(Debug)]
pub struct OptionGroup {
    /// All of them.
    pub options: &'static [&'static OptionSpec],
    /// Their names, separated by commas, for a [`ProblemKind::UnknownWord`](crate::mailroot::ProblemKind::UnknownWord).
    pub accepted: &'static str,
}

impl OptionGroup {
    /// The option of this name.
    pub fn find(&self, name: &[u8]) -> Option<&'static OptionSpec> {
        self.options.iter().copied().find(|known| known.name.as_bytes() == name)
    }

    /// The first byte that is none of the letters.
    pub fn odd_letter(&self, letters: &[u8]) -> Option<char> {
        letters.iter().find(|&&letter| self.find(&[letter]).is_none()).map(|&letter| char::from(letter))
    }
}

macro_rules! options {
    ($($(#[$group_doc:meta])* $group:ident { $($(#[doc = $doc:literal])+ $id:ident = $name:literal, $kind:expr;)* })*) => {
        $(
            $($(#[doc = $doc])+ pub static $id: OptionSpec =
                OptionSpec { name: $name, kind: $kind, doc: concat!($($doc),+) };)*
            options!(@group $(#[$group_doc])* $group [$($id),*] [$($name),*]);
        )*
    };
    (@group $(#[$group_doc:meta])* $group:ident [$($id:ident),*] [$first:literal $(, $name:literal)*]) => {
        $(#[$group_doc])*
        pub static $group: OptionGroup =
            OptionGroup { options: &[$(&$id),*], accepted: concat!($first $(, ", ", $name)*) };
    };
}

options! {
    /// Options of a link in `pop3links.tab` (`mailroot.md` 14.1). Flags add up.
    LINK {
        /// Log in with USER and PASS. Does nothing: that is the default.
        CLR = "CLR", Kind::Flag;
        /// Log in with APOP, and with USER and PASS where APOP fails.
        APOP = "APOP", Kind::Flag;
        /// Log in with APOP only.
        FAPOP = "FAPOP", Kind::Flag;
        /// Use STLS where it works.
        STLS = "STLS", Kind::Flag;
        /// Use STLS, and give up where it does not work.
        FSTLS = "FSTLS", Kind::Flag;
        /// TLS from the first byte. The port stays 110 unless one is written behind the host: write `:995`.
        POP3S = "POP3S", Kind::Flag;
        /// Leave fetched messages on the server and remember which have been fetched.
        LEAVE = "Leave", Kind::Flag;
        /// The local address to bind before connecting.
        LINK_OUT_BIND = "OutBind", Kind::IpAddress;
    }

    /// Flags in Maildir file names, and in `imapflags.tab`.
    MAILDIR_FLAGS {
        /// A draft.
        FLAG_DRAFT = "D", Kind::Flag;
        /// Flagged.
        FLAG_FLAGGED = "F", Kind::Flag;
        /// Passed on.
        FLAG_PASSED = "P", Kind::Flag;
        /// Replied to.
        FLAG_REPLIED = "R", Kind::Flag;
        /// Seen.
        FLAG_SEEN = "S", Kind::Flag;
        /// Marked for removal.
        FLAG_TRASHED = "T", Kind::Flag;
    }

    /// Options of a gateway (`mailroot.md` 10.3).
    GATEWAY {
        /// 0: no STARTTLS. 1: STARTTLS where the server offers it. 2: no mail without STARTTLS.
        NEED_TLS = "NeedTLS", Kind::Integer { min: 0, max: 2, unit: "" };
        /// The local address to bind before connecting.
        OUT_BIND = "OutBind", Kind::IpAddress;
    }

    /// The `!flags` before the program of a filter (`mailroot.md` 13.4).
    FILTER_FLAGS {
        /// Skip the filter when the sender has authenticated.
        AEX = "aex", Kind::Flag;
        /// Skip the filter when the peer has `WhiteList` in `smtp.ipprop.tab` or `smtp.hnprop.tab` (SMTP filters only).
        WLEX = "wlex", Kind::Flag;
        /// The time limit of this filter instead of `-QT`.
        TIMEO = "timeo", Kind::Integer { min: 1, max: i64::MAX, unit: "seconds" };
    }

    /// Parameters of a row of `spammers.tab` (`mailroot.md` 11.5).
    SPAMMER {
        /// Above 0 (the default is 1): refuse the connection. 0: refuse MAIL unless the client authenticates. Below 0:
        /// wait that many seconds before each reply.
        CODE = "code", Kind::Integer { min: -600, max: i64::MAX, unit: "" };
    }

    /// Properties of a peer in `smtp.ipprop.tab` and `smtp.hnprop.tab` (`mailroot.md` 11.3).
    PROPERTIES {
        /// The peer passes `smtp.ipmap.tab`, `spammers.tab`, `CustMapsList` and `SMTP-RDNSCheck`; filters with `wlex`
        /// are skipped.
        WHITE_LIST = "WhiteList", Kind::Flag;
        /// The peer need not authenticate where `MailAuth` demands it.
        NO_AUTH = "NoAuth", Kind::Flag;
        /// With the value 0 the peer passes `CheckMailerDomain`.
        SENDER_DOMAIN_CHECK = "SenderDomainCheck", Kind::Flag;
        /// The peer need not use STARTTLS where `WantTLS` demands it.
        EASE_TLS = "EaseTLS", Kind::Flag;
        /// The peer may use VRFY.
        ENABLE_VRFY = "EnableVRFY", Kind::Flag;
        /// The peer may use ETRN.
        ENABLE_ETRN = "EnableETRN", Kind::Flag;
    }

    /// Options of the variable `SmtpConfig` (`mailroot.md` 8).
    SMTP_CONFIG {
        /// Clients must authenticate before MAIL.
        MAIL_AUTH = "MailAuth", Kind::Flag;
        /// The same, as older servers spelt it.
        MAIL_AUTH_OLD = "mail-auth", Kind::Flag;
        /// Clients must use STARTTLS before MAIL.
        WANT_TLS = "WantTLS", Kind::Flag;
    }

    /// Permissions of an authenticated SMTP client (`mailroot.md` 12.1). Having any, even none of the letters, lifts
    /// what the address of the client is marked or delayed for.
    SMTP_PERMS {
        /// Send mail where `MailAuth` demands authentication.
        PERM_MAIL = "M", Kind::Flag;
        /// Relay: send to domains that are not handled here.
        PERM_RELAY = "R", Kind::Flag;
        /// Use VRFY.
        PERM_VRFY = "V", Kind::Flag;
        /// Use ETRN.
        PERM_ETRN = "T", Kind::Flag;
        /// Send messages of any size.
        PERM_ANY_SIZE = "Z", Kind::Flag;
        /// Send without STARTTLS where `WantTLS` demands it.
        PERM_WITHOUT_TLS = "S", Kind::Flag;
    }

    /// Permissions of a member in `mlusers.tab` (`mailroot.md` 7.6).
    LIST_PERMS {
        /// Receives the list's mail.
        LIST_RECEIVES = "R", Kind::Flag;
        /// May post, judged by the envelope sender; matters only where `ClosedML` is on.
        LIST_POSTS_AS_SENDER = "W", Kind::Flag;
        /// May post, judged by the log-in name; matters only where `ClosedML` is on.
        LIST_POSTS_AS_LOGIN = "A", Kind::Flag;
    }

    /// What a program of `smtpextauth.tab` may write into its response file (`@@RFILE`).
    AUTH_RESPONSE {
        /// The permissions of the client: letters as in `SmtpPerms`.
        RESPONSE_PERMS = "Perms", Kind::Letters(&SMTP_PERMS);
    }
}
