//! What a log-in grants, and whether MAIL is accepted (`mailflow.md` 3.2, 3.4; `mailroot.md` 12.1).

use std::net::SocketAddr;

use crate::mailroot::access::Properties;
use crate::mailroot::authentication::SmtpPerms;
use crate::mailroot::schema::{options, server, user as variables};
use crate::mailroot::trail::SERVER_TAB;
use crate::mailroot::{Account, Fact, Miss, ServerTab, Snapshot, Step, Trail};

use super::connection::{Marks, Standing};

/// What an authenticated client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The letters.
    pub perms: SmtpPerms,
    /// The account's own message size limit.
    pub size: SizeRule,
    /// `DisableEmitAuthUser` of the account, the other way round; `None`: the server's value counts.
    pub emits_auth_user: Option<bool>,
}

/// Where the message size limit comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizeRule {
    /// `MaxMessageSize` of `server.tab`.
    #[default]
    Server,
    /// No limit: permission `Z`, or a user variable of 0.
    Unlimited,
    /// The account's `MaxMessageSize`, in bytes.
    Bytes(u64),
}

/// The options of `SmtpConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmtpConfig {
    /// `MailAuth`: MAIL needs permission `M`.
    pub mail_auth: bool,
    /// `WantTLS`: MAIL needs TLS or permission `S`.
    pub want_tls: bool,
}

/// Why MAIL is refused, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderRefusal {
    /// Denied by the IP map (decision 10).
    IpMap,
    /// Marked by `spammers.tab`.
    Spammer,
    /// Marked by this zone.
    Map(Box<str>),
    /// Marked for having no name.
    NoPtr,
    /// `MailAuth` without permission `M`.
    AuthenticationRequired,
}

impl Grant {
    /// What an account gets: `SmtpPerms`, else `DefaultSmtpPerms`, else XMail's default; then the variables that go
    /// over the letters. May block.
    pub fn of_account(snapshot: &Snapshot, account: &Account, trail: &mut impl Trail) -> Self {
        let user = snapshot.user_settings(account);
        let own = user.bytes(&variables::SMTP_PERMS);
        let letters = own.or_else(|| snapshot.server.bytes(&server::DEFAULT_SMTP_PERMS));
        let perms = SmtpPerms::parse(letters.unwrap_or_default());
        trail.note(|| {
            let own = user.citation(&variables::SMTP_PERMS);
            let or_default = own.is_none().then_some(&*server::DEFAULT_SMTP_PERMS);
            Step::new(Fact::Login { name: account.address(), perms })
                .by_all(own)
                .by_all(snapshot.variable_rows(or_default))
        });
        let size = match user.has(&variables::MAX_MESSAGE_SIZE) {
            true => user.kilobytes(&variables::MAX_MESSAGE_SIZE).map_or(SizeRule::Unlimited, SizeRule::Bytes),
            false => SizeRule::of_perms(perms),
        };
        let silence = &variables::DISABLE_EMIT_AUTH_USER;
        let emits_auth_user = user.has(silence).then(|| !user.flag(silence));
        Self { perms, size, emits_auth_user }
    }

    /// What a row of `smtpauth.tab` gives.
    pub fn of_perms(perms: SmtpPerms) -> Self {
        Self { perms, size: SizeRule::of_perms(perms), emits_auth_user: None }
    }

    /// Whether the log-in name is written into the message (`mailflow.md` 3.9).
    pub fn emits_auth_user(&self, server: &ServerTab) -> bool {
        self.emits_auth_user.unwrap_or_else(|| !server.flag(&server::DISABLE_EMIT_AUTH_USER))
    }
}

impl SizeRule {
    fn of_perms(perms: SmtpPerms) -> Self {
        if perms.any_size { Self::Unlimited } else { Self::Server }
    }

    /// The limit in bytes; `None`: there is none.
    pub fn bytes_max(self, server: &ServerTab) -> Option<u64> {
        match self {
            Self::Server => server.kilobytes(&server::MAX_MESSAGE_SIZE),
            Self::Unlimited => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl SmtpConfig {
    /// The options for a local address: the most specific variable counts alone.
    pub fn of(server: &ServerTab, local: SocketAddr) -> Self {
        Self::of_noting(server, local, &mut ())
    }

    /// [`SmtpConfig::of`] with its reasons; silent when no variable is set.
    pub fn of_noting(server: &ServerTab, local: SocketAddr, trail: &mut impl Trail) -> Self {
        let config = server.options_at(&server::SMTP_CONFIG, local);
        let mail_auth = config.flag(&options::MAIL_AUTH) || config.flag(&options::MAIL_AUTH_OLD);
        let want_tls = config.flag(&options::WANT_TLS);
        let mut rows = server.rows_at(&server::SMTP_CONFIG, local);
        if let Some(row) = rows.next() {
            trail.note(|| {
                Step::new(Fact::SmtpConfig { mail_auth, want_tls })
                    .by(SERVER_TAB, row.line)
                    .near(SERVER_TAB, rows.map(|other| (other.line, Miss::LessSpecific)))
            });
        }
        Self { mail_auth, want_tls }
    }

    /// Whether MAIL has to wait for STARTTLS. `EaseTLS` lifts it (decision 37).
    pub fn needs_tls(self, properties: Properties, perms: SmtpPerms) -> bool {
        self.want_tls && !properties.ease_tls && !perms.without_tls
    }
}

/// The checks of MAIL that depend on the peer and on who is logged in.
///
/// `claims_local_domain`: the sender's domain is ours, `LocalDomainAuth` is on (JD-33) and nobody is logged in.
///
/// # Errors
/// The first [`SenderRefusal`].
pub fn may_send(
    config: SmtpConfig,
    standing: &Standing,
    perms: SmtpPerms,
    claims_local_domain: bool,
) -> Result<(), SenderRefusal> {
    match &standing.marks {
        Marks { ip_map: true, .. } => return Err(SenderRefusal::IpMap),
        Marks { spammer: true, .. } => return Err(SenderRefusal::Spammer),
        Marks { map: Some(zone), .. } => return Err(SenderRefusal::Map(zone.clone())),
        Marks { no_ptr: true, .. } => return Err(SenderRefusal::NoPtr),
        Marks { .. } => {}
    }
    let excused = standing.properties.no_auth || perms.mail;
    let demanded = config.mail_auth || claims_local_domain;
    if demanded && !excused { Err(SenderRefusal::AuthenticationRequired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::mailroot::{MailRoot, Table};

    fn server(text: &str) -> ServerTab {
        ServerTab::load(Path::new("server.tab"), text.as_bytes()).0
    }

    #[test]
    fn the_most_specific_smtp_config_counts_alone() {
        let local = "127.0.0.1:2525".parse().unwrap();
        let check = |text: &str, mail_auth, want_tls| {
            assert_eq!(SmtpConfig::of(&server(text), local), SmtpConfig { mail_auth, want_tls }, "{text}");
        };
        check("", false, false);
        check("\"SmtpConfig\"\t\"mail-auth,WantTLS\"\n", true, true);
        check("\"SmtpConfig\"\t\"MailAuth=0\"\n", false, false);
        check("\"SmtpConfig\"\t\"MailAuth\"\n\"SmtpConfig-127.0.0.1\"\t\"WantTLS\"\n", false, true);
        check("\"SmtpConfig-127.0.0.1,2525\"\t\"\"\n\"SmtpConfig-127.0.0.1\"\t\"WantTLS\"\n", false, false);
        check("\"SmtpConfig-127.0.0.1,25\"\t\"MailAuth\"\n", false, false);
    }

    #[test]
    fn marks_and_mail_auth_stop_mail() {
        let marked = |marks| Standing { marks, ..Standing::default() };
        let none = SmtpPerms::default();
        let config = SmtpConfig { mail_auth: true, want_tls: false };
        let plain = SmtpConfig::default();
        let spammer = marked(Marks { spammer: true, ..Marks::default() });
        assert_eq!(may_send(plain, &spammer, none, false), Err(SenderRefusal::Spammer));
        let required = Err(SenderRefusal::AuthenticationRequired);
        assert_eq!(may_send(config, &Standing::default(), none, false), required);
        assert_eq!(may_send(plain, &Standing::default(), none, true), required);
        assert_eq!(may_send(config, &Standing::default(), SmtpPerms::parse(b"M"), true), Ok(()));
        let mut excused = Standing::default();
        excused.properties.no_auth = true;
        assert_eq!(may_send(config, &excused, none, true), Ok(()));
        assert!(SmtpConfig { want_tls: true, ..plain }.needs_tls(Properties::default(), none));
        assert!(
            !SmtpConfig { want_tls: true, ..plain }.needs_tls(Properties::default(), SmtpPerms::parse(b"S"))
        );
        let ease = Properties { ease_tls: true, ..Properties::default() };
        assert!(!SmtpConfig { want_tls: true, ..plain }.needs_tls(ease, none), "decision 37");
    }

    #[test]
    fn an_account_gets_its_letters_and_its_size() {
        let root = tempfile::tempdir().unwrap();
        let account = root.path().join("domains/home.test/anna");
        std::fs::create_dir_all(&account).unwrap();
        std::fs::write(
            root.path().join("mailusers.tab"),
            "\"home.test\"\t\"anna\"\t\"00\"\t1\t\"anna\"\t\"U\"\n",
        )
        .unwrap();
        let grant = |user: &str, server: &str| {
            std::fs::write(account.join("user.tab"), user).unwrap();
            std::fs::write(root.path().join("server.tab"), server).unwrap();
            let snapshot = Snapshot::load(&MailRoot::new(root.path()));
            let account = snapshot.account("home.test", "anna").unwrap();
            let grant = Grant::of_account(&snapshot, account, &mut ());
            let size = grant.size.bytes_max(&snapshot.server);
            (grant.perms.to_string(), size, grant.emits_auth_user(&snapshot.server))
        };
        assert_eq!(grant("", ""), ("MRVZ".into(), None, true));
        assert_eq!(
            grant("", "\"DefaultSmtpPerms\"\t\"M\"\n\"MaxMessageSize\"\t\"2\"\n"),
            ("M".into(), Some(2048), true)
        );
        let user = "\"SmtpPerms\"\t\"ZS\"\n\"MaxMessageSize\"\t\"1\"\n\"DisableEmitAuthUser\"\t\"1\"\n";
        assert_eq!(grant(user, "\"MaxMessageSize\"\t\"2\"\n"), ("ZS".into(), Some(1024), false));
        let user = "\"SmtpPerms\"\t\"\"\n\"MaxMessageSize\"\t\"0\"\n\"DisableEmitAuthUser\"\t\"0\"\n";
        assert_eq!(grant(user, "\"DisableEmitAuthUser\"\t\"1\"\n"), (String::new(), None, true));
    }
}
