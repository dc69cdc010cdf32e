//! Files and directories of a MailRoot that are no tables (`mailroot.md` 1, `jdmail.md` 1).

use super::variable::Origin;

/// A file or directory that is no table.
#[derive(Clone, Copy, Debug)]
pub struct OtherFile {
    /// Where it lies, relative to the MailRoot; `<word>` as in [`TableSchema::files`](super::TableSchema::files).
    pub path: &'static str,
    /// What it is, and what Tabmail does with it.
    pub doc: &'static str,
    /// Who brought it.
    pub origin: Origin,
}

const fn xmail(path: &'static str, doc: &'static str) -> OtherFile {
    OtherFile { path, doc, origin: Origin::XMail }
}

const fn jdmail(path: &'static str, doc: &'static str) -> OtherFile {
    OtherFile { path, doc, origin: Origin::JDMail }
}

const fn ours(path: &'static str, doc: &'static str) -> OtherFile {
    OtherFile { path, doc, origin: Origin::Tabmail }
}

/// All of them, in the order of the documentation.
pub static OTHER_FILES: &[OtherFile] = &[
    xmail("message.id", "The number of the last message; the next one gets one more."),
    xmail(
        "server.cert",
        "The certificate for TLS, PEM, its chain behind it. A self-signed one is made where there is none.",
    ),
    xmail("server.key", "The key of the certificate, PEM."),
    xmail("certs.pem", "Further certificates to trust, where SSLUseCertsFile is on."),
    xmail("certs/", "A directory of such certificates, where SSLUseCertsDir is on."),
    xmail(".shutdown", "Stops the server when it appears; it vanishes when the server has stopped."),
    xmail(".psync-trigger", "Starts fetching mail (pop3links.tab) when it appears; it is removed."),
    xmail("bin/", "For programs of the operator. Not touched."),
    xmail(
        "domains/<domain>/.tmp/",
        "With -Mm, where messages for the domain's mailboxes are written before they are moved into place, if it exists; else \
         in tmp/. With -MM they are written in Maildir/tmp.",
    ),
    xmail("domains/<domain>/<account>/mailbox/", "The mailbox, if the server runs with -Mm."),
    xmail("domains/<domain>/<account>/Maildir/", "The mailbox, if the server runs with -MM."),
    xmail(
        "domains/<domain>/<account>/.ipconn",
        "The address of the last POP3 or IMAP log-in; the file's time is that of the log-in.",
    ),
    xmail("domains/<domain>/<account>/<user>@<host>.disabled", "A link of pop3links.tab that rests."),
    xmail("pop3links/<user>@<host>.disabled", "A link of pop3links.tab with @, ? or & that rests."),
    xmail("msgsync/<host>/<user>.uidb", "The messages that a link with Leave has fetched, one UIDL a line."),
    xmail("pop3locks/", "A lock file for each mailbox in use by POP3."),
    xmail("pop3linklocks/", "A lock file for each link being worked."),
    xmail("dnscache/mx/", "MX records that are still valid. May be deleted at any time."),
    xmail(
        "tabindex/",
        "XMail's indices of five tables. Never read here; the index of a table is deleted when the table changes, so that XMail makes it anew.",
    ),
    xmail(
        "spool/<n>/<n>/",
        "The queue: mess is new, rsnd waits for another attempt, froz has failed, slog tells why; cust and mprc hold copies of command files.",
    ),
    xmail(
        "spool/local/",
        "Messages of local programs, taken as soon as they appear. Write them in spool/temp and rename them.",
    ),
    xmail("logs/", "The log files, one for each kind and day."),
    xmail("tmp/", "Files of the moment."),
    ours("spool/failed/", "Files from spool/local that are no messages."),
    ours(
        "domains/<domain>/<account>/Maildir/.<folder>/",
        "An IMAP folder, with new, cur and tmp (Maildir++). XMail passes it over.",
    ),
    ours("domains/<domain>/<account>/mailbox/.<folder>/", "The same, if the server runs with -Mm."),
    ours(
        "domains/<domain>/<account>/imapcache",
        "UIDs and headers of INBOX for IMAP. May be deleted: the mailbox then gets a new UIDVALIDITY, and mail readers fetch it anew.",
    ),
    ours("domains/<domain>/<account>/Maildir/.<folder>/imapcache", "The same of a folder."),
    ours(
        "welcome.eml",
        "The message that new accounts get: on the pages where that is ticked, by CTRL always. In a domain's directory: of that domain.",
    ),
    ours("domains/<domain>/welcome.eml", "The same of one domain; it goes before that of the MailRoot."),
    ours(
        ".tabmail/usage/",
        "How much mail the accounts of each domain hold, as last measured by the pages of domains. May be deleted.",
    ),
    ours(
        ".tabmail/passwords/",
        "Random passwords of accounts that were imported, until the administrator who did it fetches them.",
    ),
    ours(
        ".tabmail/rename",
        "The rename of an account that is going on; the next start of the pages finishes one that a crash left.",
    ),
    ours(".tabmail.edit.lock", "Locked while a table is edited. Empty; it stays."),
    jdmail(
        "domains/<domain>/.avscan",
        "Marks a domain whose mail JDMail scans for viruses; empty. Switched on the domain's page, but this server has no scanner: a program of filters.in.tab may look whether the mark of the domain of @@RRCPT is there.",
    ),
    jdmail(
        "domains/<domain>/<account>/jdwa/",
        "Data of JDMail's administration pages for the account, with .banned after too many failed log-ins. Kept, not used.",
    ),
    jdmail("domains/<domain>/<account>/jdwm/", "Data of JDMail's webmail for the account. Kept, not used."),
    jdmail(
        "spool2/",
        "Mail that JDMail holds for approval. Kept, not sent: release it before you move to Tabmail.",
    ),
    jdmail("spool3/", "Mail that JDMail sends at a set time. Kept, not sent."),
    jdmail("file/", "JDMail's network disk and file transfer station. Kept, not used."),
    jdmail("glst/", "Data of JDMail's greylisting. Kept, not used."),
    jdmail("JDMG/", "Data of JDMail's gateway. Kept, not used."),
    jdmail("reg/", "JDMail's licence codes. Kept, not used: there is no limit of users."),
    jdmail("Apache2.2/", "A program that comes with JDMail. Kept, not used."),
    jdmail("clamAV/", "A program that comes with JDMail. Kept, not used."),
];

/// The file or directory of this name, or with this last name.
pub fn find(name: &str) -> Option<&'static OtherFile> {
    let wanted = name.trim_end_matches('/');
    OTHER_FILES.iter().find(|file| {
        let path = file.path.trim_end_matches('/');
        path == wanted || path.rsplit('/').next() == Some(wanted)
    })
}
