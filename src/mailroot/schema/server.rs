//! The variables of `server.tab` (`mailroot.md` 8, `jdmail.md` 3).

use super::kind::{Kind, ListOf, Words, words};
use super::options;
use super::variable::{
    Choice, Flag, Integer, Kilobytes, Origin, Text, choice, flag, integer, kilobytes, text, text_or,
    variables,
};

/// From none on.
const FROM_ZERO: (i64, i64) = (0, i64::MAX);

/// Why a variable of a JDMail page that relaxes XMail's address checks does nothing.
const ADDRESSES_FOLLOW_RFC: &str = "addresses follow RFC 5321, which allows more than JDMail does without it";

const SCHEMES: Words = words!(
    "xmail": "XMail's encoding, which anybody can undo, but which APOP and CRAM-MD5 need",
    "argon2id": "a hash; APOP and CRAM-MD5 do not work for the account",
);

/// The word of [`PASSWORD_SCHEME`] for hashes.
pub const ARGON2ID: &str = SCHEMES.words[1].word;

const UNDECIDED: Words =
    words!("pass": "the message passes", "tempfail": "SMTP answers 451, the queue tries again");

/// The word of [`FILTER_MISSING`] for waiting.
pub const TEMPFAIL: &str = UNDECIDED.words[1].word;

const BARE_LF_WORDS: Words =
    words!("normalise": "they get CRLF", "reject": "the message is refused with 550 5.5.2");

/// The word of [`SMTP_BARE_LF`] for refusing.
pub const REJECT: &str = BARE_LF_WORDS.words[1].word;

variables! {
    /// All variables of `server.tab`, in the order of the documentation.
    VARIABLES in "mailroot.md 8";

    /// The primary domain: named in notices and by EHLO, and used wherever no other domain is known. Always set it.
    ROOT_DOMAIN: Text = text("RootDomain", Kind::Domain, "EHLO and HELO are refused, and notices name the machine");
    /// The domain in the SMTP greeting and in `Received`.
    SMTP_SERVER_DOMAIN: Text = text(
        "SmtpServerDomain", Kind::Domain,
        "the handled domain that ends the host name of the address connected to (from DNS), else that name, else RootDomain",
    );
    /// The domain of POP3 and IMAP log-ins and FINGER queries that name none.
    POP3_DOMAIN: Text = text(
        "POP3Domain", Kind::Domain,
        "the handled domain that ends the host name of the address connected to (from DNS), else that name, else RootDomain",
    );
    /// The name sent in EHLO and HELO when mail is delivered to other servers.
    HELO_DOMAIN: Text = text("HeloDomain", Kind::Domain, "the host name of the local address (from DNS), else the address");
    /// The sender of notices about mail that cannot be delivered, and the mailbox behind `<postmaster>`.
    POST_MASTER: Text = text("PostMaster", Kind::Address, "notices come from the server's own name");
    /// Gets a copy of each notice about mail that has failed for good.
    ERRORS_ADMIN: Text = text("ErrorsAdmin", Kind::Address, "no copies");
    /// Gets a copy of each notice about mail that is late.
    TEMP_ERRORS_ADMIN: Text = text("TempErrorsAdmin", Kind::Address, "no copies");
    /// Mail that has failed for good is deleted instead of kept in `froz`.
    REMOVE_SPOOL_ERRORS: Flag = flag("RemoveSpoolErrors", false);
    /// Mail that arrives is written to a journal first (`spool/.journal`), and gets a file of its own in the spool only
    /// when it is not delivered at once. Read when the server starts.
    SPOOL_JOURNAL: Flag = flag("SpoolJournal", true).from(Origin::Tabmail, "mailroot.md 16");
    /// How many lines of the message's body are quoted in notices.
    NOTIFY_MSG_LINES_EXTRA: Integer = integer("NotifyMsgLinesExtra", 0, FROM_ZERO, "lines");
    /// The sender's notice shows the log of all attempts.
    NOTIFY_SEND_LOG_TO_SENDER: Flag = flag("NotifySendLogToSender", false);
    /// After which attempts the sender gets a notice that the mail is late, such as `1,4,9`.
    NOTIFY_TRY_PATTERN: Text = text("NotifyTryPattern", Kind::List(ListOf::Attempts), "no such notices");
    /// Notices have the null sender, as RFC 5321 demands; otherwise the sender is `PostMaster`.
    NO_SENDER_BOUNCE: Flag = flag("NoSenderBounce", false);
    /// The sender gets no notices, only the administrators do.
    NO_BOUNCE_TO_REPLY_ADDRESS: Flag = flag("NoBounceToReplyAddress", false)
        .from(Origin::Fork, "mailroot.md 20")
        .ignored("mail would vanish without its sender hearing of it");
    /// A message that has passed more servers than this (its `Received` and `X-Deliver-To` fields are counted) is in a loop.
    MAX_MTA_OPS: Integer = integer("MaxMTAOps", 16, FROM_ZERO, "servers");
    /// How much our `Received` field tells. 0: the usual. 1: more. 2: nothing of the client. 3 and 4: as 0 and 1, but
    /// nothing of a client that has authenticated.
    RECEIVED_HDR_TYPE: Integer = integer("ReceivedHdrType", 0, (0, 4), "");
    /// How much room the history of the tables may take (`tabmail log`).
    HISTORY_MAX_SIZE: Kilobytes = kilobytes("HistoryMaxSize").from(Origin::Tabmail, "tabmail log").without("no history is kept");
    /// The largest message that SMTP takes. The variable of the same name in `user.tab` goes over it.
    MAX_MESSAGE_SIZE: Kilobytes = kilobytes("MaxMessageSize");
    /// SMTP clients are disconnected at this number of errors; 0: never.
    SMTP_MAX_ERRORS: Integer = integer("SMTP-MaxErrors", 0, FROM_ZERO, "errors");
    /// What becomes of lines that end in a bare LF or CR in mail data.
    SMTP_BARE_LF: Choice = choice("SMTP-BareLF", BARE_LF_WORDS).from(Origin::Tabmail, "decision 2");
    /// `MAIL FROM:<>` is accepted. Where it is off, the notices of other servers are refused.
    ALLOW_NULL_SENDER: Flag = flag("AllowNullSender", true);
    /// The domain of the sender must have an MX or address record.
    CHECK_MAILER_DOMAIN: Flag = flag("CheckMailerDomain", false);
    /// Senders in domains that are handled here must have authenticated.
    LOCAL_DOMAIN_AUTH: Flag = flag("LocalDomainAuth", false).from(Origin::JDMail, "JD-33");
    /// Everybody may use VRFY.
    ALLOW_SMTP_VRFY: Flag = flag("AllowSmtpVRFY", false);
    /// Everybody may use ETRN.
    ALLOW_SMTP_ETRN: Flag = flag("AllowSmtpETRN", false);
    /// A POP3 or IMAP log-in opens SMTP for the same account from the same address for a while (`-Se`).
    ENABLE_AUTH_SMTP_POP3: Flag = flag("EnableAuthSMTP-POP3", true);
    /// What authenticated clients may do whose account has no `SmtpPerms`.
    DEFAULT_SMTP_PERMS: Text = text_or("DefaultSmtpPerms", Kind::Letters(&options::SMTP_PERMS), "MRVZ");
    /// The log-in name is not written into messages (`X-AuthUser`).
    DISABLE_EMIT_AUTH_USER: Flag = flag("DisableEmitAuthUser", false);
    /// What SMTP demands of clients. `SmtpConfig-<ip>,<port>` holds for one local address and port, `SmtpConfig-<ip>`
    /// for one local address; the most specific one counts alone.
    SMTP_CONFIG: Text = text("SmtpConfig", Kind::Options(&options::SMTP_CONFIG), "nothing is demanded").by_address();
    /// The mechanisms of AUTH that are offered without TLS, such as `CRAM-MD5`; an empty value: none.
    SMTP_NO_TLS_AUTHS: Text = text("SmtpNoTLSAuths", Kind::List(ListOf::Mechanisms), "all are offered");
    /// What happens to clients that `smtp.ipmap.tab` denies. Above 0: refused. 0: they must authenticate. Below 0: they
    /// wait that many seconds before each reply.
    SMTP_IP_MAP_DROP_CODE: Integer = integer("SMTP-IpMapDropCode", 1, (-600, i64::MAX), "");
    /// DNS block lists: `zone:code,...`, each zone with a final dot. Code 1: refused. 0: the client must authenticate.
    /// Else: it waits that many seconds before each reply.
    CUST_MAPS_LIST: Text = text("CustMapsList", Kind::List(ListOf::DnsLists), "no block lists");
    /// What happens to clients whose address has no name in the DNS. 0: nothing. Above 0: they must authenticate. Below
    /// 0: they wait that many seconds before each reply.
    SMTP_RDNS_CHECK: Integer = integer("SMTP-RDNSCheck", 0, (-600, i64::MAX), "");
    /// The reply to clients that `smtp.ipmap.tab` denies.
    SMTP_MSG_IP_BAN: Text = text("SmtpMsgIPBan", Kind::ReplyLine, "a built-in reply");
    /// The reply to clients in `spammers.tab`.
    SMTP_MSG_IP_BAN_SPAMMERS: Text = text("SmtpMsgIPBanSpammers", Kind::ReplyLine, "a built-in reply");
    /// The reply to clients in a list of `CustMapsList`; the zone is appended.
    SMTP_MSG_IP_BAN_MAPS: Text = text("SmtpMsgIPBanMaps", Kind::ReplyLine, "a built-in reply");
    /// The reply to senders in `spam-address.tab`.
    SMTP_MSG_IP_BAN_SPAM_ADDRESS: Text = text("SmtpMsgIPBanSpamAddress", Kind::ReplyLine, "a built-in reply");
    /// Appended to all error replies of SMTP, after ` - `.
    CUSTOM_SMTP_MESSAGE: Text = text("CustomSMTPMessage", Kind::Text, "nothing is appended");
    /// New SMTP sessions need this much free disk.
    SMTP_MIN_DISK_SPACE: Kilobytes = kilobytes("SmtpMinDiskSpace").without("not looked at");
    /// New SMTP sessions need this much free virtual memory.
    SMTP_MIN_VIRT_MEM_SPACE: Kilobytes = kilobytes("SmtpMinVirtMemSpace").without("not looked at");
    /// New POP3 and IMAP sessions need this much free virtual memory.
    POP3_MIN_VIRT_MEM_SPACE: Kilobytes = kilobytes("Pop3MinVirtMemSpace").without("not looked at");
    /// Passwords in the POP3 and IMAP logs. 0: none. 1: those of failed log-ins. 2: all.
    POP3_LOG_PASSWD: Integer = integer("Pop3LogPasswd", 0, (0, 2), "");
    /// How often mail is fetched for `pop3links.tab`; 0: only when `.psync-trigger` appears.
    POP3_SYNC_INTERVAL: Integer = integer("Pop3SyncInterval", -1, (0, 86_400), "seconds")
        .without("what -Yi says, 120 seconds unless it is given")
        .from(Origin::Tabmail, "jdmail.md JD-57");
    /// Gets fetched mail of `?` and `&` links for which no recipient is found.
    POP3_SYNC_ERROR_ACCOUNT: Text = text("Pop3SyncErrorAccount", Kind::Address, "such mail stays on its server");
    /// The header fields in which `?` and `&` links look for recipients, in order; after a field with `+` in front that
    /// has one, the others are not looked at.
    FETCH_HDR_TAGS: Text = text_or("FetchHdrTags", Kind::List(ListOf::HeaderFields), "+X-Deliver-To,+Received,To,Cc");
    /// All mail to other servers goes through these hosts, the first that takes it.
    DEFAULT_SMTP_GATEWAYS: Text = text("DefaultSMTPGateways", Kind::Gateways, "mail goes to the MX hosts of its domain");
    /// Options for all connections to other SMTP servers. They go over those of `DefaultSMTPGateways`, while those of
    /// `smtpfwd.tab` and of the command `smtprelay` go over them.
    SMTP_GW_CONFIG: Text = text("SmtpGwConfig", Kind::GatewayOptions, "STARTTLS is not used");
    /// The DNS servers to ask: `server:udp` or `server:tcp`, separated by commas. Read when the server starts.
    SMART_DNS_HOST: Text = text("SmartDNSHost", Kind::List(ListOf::DnsServers), "the system's resolver is asked");
    /// SMTP offers STARTTLS.
    ENABLE_SMTP_TLS: Flag = flag("EnableSMTP-TLS", true);
    /// POP3 offers STLS.
    ENABLE_POP3_TLS: Flag = flag("EnablePOP3-TLS", true);
    /// IMAP offers STARTTLS.
    ENABLE_IMAP_TLS: Flag = flag("EnableIMAP-TLS", true).from(Origin::Tabmail, "RFC 9051 6.2.1");
    /// IMAP log-ins need TLS: without it the server says LOGINDISABLED and refuses LOGIN and AUTHENTICATE.
    IMAP_LOGIN_NEEDS_TLS: Flag = flag("ImapLoginNeedsTls", false).from(Origin::Tabmail, "RFC 9051 6.2.3");
    /// CTRL offers `#!TLS`.
    ENABLE_CTRL_TLS: Flag = flag("EnableCTRL-TLS", true);
    /// Certificates in `certs.pem` are trusted as well.
    SSL_USE_CERTS_FILE: Flag = flag("SSLUseCertsFile", false);
    /// Certificates in the directory `certs` are trusted as well.
    SSL_USE_CERTS_DIR: Flag = flag("SSLUseCertsDir", false);
    /// The certificates of servers we connect to must be valid.
    SSL_WANT_VERIFY: Flag = flag("SSLWantVerify", false);
    /// Servers we connect to must have a certificate, and it must be valid.
    SSL_WANT_CERT: Flag = flag("SSLWantCert", false);
    /// Where certificates must be valid, self-signed ones are.
    SSL_ALLOW_SELF_SIGNED: Flag = flag("SSLAllowSelfSigned", false);
    /// How many certificates a chain may have; 0: as many as the library allows.
    SSL_MAX_CERTS_DEPTH: Integer = integer("SSLMaxCertsDepth", 0, (0, 100), "certificates");

    /// Where SMTP listens: `address[:port],...`, or `-` for not at all. `-SI` on the command line goes over it. A change
    /// is followed at once.
    SMTP_LISTEN: Text = listen("SMTP-Listen");
    /// Where SMTPS listens; as `SMTP-Listen`, and `-XI`.
    SMTPS_LISTEN: Text = listen("SMTPS-Listen");
    /// Where POP3 listens; as `SMTP-Listen`, and `-PI`.
    POP3_LISTEN: Text = listen("POP3-Listen");
    /// Where POP3S listens; as `SMTP-Listen`, and `-BI`.
    POP3S_LISTEN: Text = listen("POP3S-Listen");
    /// Where IMAP listens; as `SMTP-Listen`, and `-II`.
    IMAP_LISTEN: Text = listen("IMAP-Listen");
    /// Where IMAPS listens; as `SMTP-Listen`, and `-JI`.
    IMAPS_LISTEN: Text = listen("IMAPS-Listen");
    /// Where CTRL listens; as `SMTP-Listen`, and `-CI`.
    CTRL_LISTEN: Text = listen("CTRL-Listen");
    /// Where CTRLS listens; as `SMTP-Listen`, and `-WI`.
    CTRLS_LISTEN: Text = listen("CTRLS-Listen");
    /// Where FINGER listens; as `SMTP-Listen`, and `-FI`.
    FINGER_LISTEN: Text = listen("FINGER-Listen");
    /// How new passwords are stored.
    PASSWORD_SCHEME: Choice = choice("PasswordScheme", SCHEMES).from(Origin::Tabmail, "decision 18");
    /// A log-in to the web administration ends after this time without a click.
    WEB_SESSION_IDLE: Integer = integer("WebSessionIdle", 7200, (60, 604_800), "seconds").from(Origin::Tabmail, "JD-79");
    /// The least number of characters of an administrator's password.
    WEB_PASSWORD_MIN_LENGTH: Integer = integer("WebPasswordMinLength", 10, (8, 128), "characters").from(Origin::Tabmail, "JD-63");
    /// After this time an administrator has to choose another password; 0: never.
    WEB_PASSWORD_MAX_AGE: Integer = integer("WebPasswordMaxAge", 0, (0, 3650), "days").from(Origin::Tabmail, "JD-63");
    /// Failed log-ins to the web administration, by name and address, before a ban.
    WEB_LOGIN_TRIES: Integer = integer("WebLoginTries", 5, (1, 100), "tries").from(Origin::Tabmail, "JD-63");
    /// How long a ban lasts, and how long a failed log-in counts.
    WEB_BAN_TIME: Integer = integer("WebBanTime", 1800, (60, 604_800), "seconds").from(Origin::Tabmail, "JD-63");
    /// The least number of characters of a new password of an account, however it is set; 0: any.
    PASSWORD_MIN_LENGTH: Integer = integer("PasswordMinLength", 0, (0, 64), "characters").from(Origin::Tabmail, "JD-63");
    /// The password that the web administration suggests for a new account, and gives to those of an import that has none for
    /// them. All these accounts share it, and whoever may add accounts sees it.
    DEFAULT_PASSWORD: Text = text("DefaultPassword", Kind::ClearPassword, "each gets a random one").from(Origin::Tabmail, "JD-63");
    /// CTRL lists passwords as empty, and the CTRL log shows them as `*`.
    CTRL_HIDE_PASSWORDS: Flag = flag("CtrlHidePasswords", false).from(Origin::Tabmail, "decisions 17, 167");
    /// What happens when a filter does not decide: its program is missing, crashes or takes too long.
    FILTER_MISSING: Choice = choice("FilterMissing", UNDECIDED).from(Origin::Tabmail, "decisions 12, 182");

    /// Another directory for users' mail.
    MAIL_BOX_PATH: Text = text("MailBoxPath", Kind::Text, "below `domains`")
        .from(Origin::JDMail, "JD-30")
        .ignored("mail stays below `domains`, where XMail finds it; mail below that directory must be moved back");
    /// 1 allows symbols in addresses.
    SMTP_LOCAL_RULE1: Flag = flag("SMTPLocalRule1", false).from(Origin::JDMail, "JD-31").ignored(ADDRESSES_FOLLOW_RFC);
    /// 1 allows double quotes in addresses.
    SMTP_LOCAL_RULE2: Flag = flag("SMTPLocalRule2", false).from(Origin::JDMail, "JD-32").ignored(ADDRESSES_FOLLOW_RFC);
}

const fn listen(name: &'static str) -> Text {
    text(name, Kind::List(ListOf::Listeners), "every address of this machine, at the service's port")
        .from(Origin::Tabmail, "decision 238")
}
