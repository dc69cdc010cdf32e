//! The trail of a decision: which facts decided, and which rows of which files they stand in.
//!
//! Functions that decide take a [`Trail`] and note a [`Step`] where the decision falls, so that `tabmail explain` shows
//! what the server's own code did, not what a copy of it would do. A server that serves passes `()`: the closure that
//! makes the step is then never called, and the compiler removes it.
//!
//! A step holds facts; sentences are made where they are shown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::access::Properties;
use super::authentication::SmtpPerms;
use super::profile::UserTab;
use super::rules::Action;
use super::schema::Variable;
use super::snapshot::Snapshot;

/// Who listens to a decision.
pub trait Trail {
    /// Takes a step. `step` is called only by those who keep it.
    fn note(&mut self, step: impl FnOnce() -> Step);
}

/// Nobody listens.
impl Trail for () {
    fn note(&mut self, _: impl FnOnce() -> Step) {}
}

impl Trail for Vec<Step> {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

/// `None` costs one look: for values that live with and without a listener, such as sessions.
impl<T: Trail> Trail for Option<T> {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(trail) = self {
            trail.note(step);
        }
    }
}

impl<T: Trail> Trail for &mut T {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        (**self).note(step);
    }
}

/// A row of a table, or a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Citation {
    /// The file, relative to the MailRoot.
    pub file: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: u32,
}

impl Citation {
    /// A row.
    pub fn new(file: impl AsRef<Path>, line: u32) -> Self {
        Self { file: file.as_ref().to_owned(), line }
    }
}

impl std::fmt::Display for Citation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was found.
    pub fact: Fact,
    /// The rows that say so, the deciding one first; empty: it is so because no row says otherwise.
    pub rows: Vec<Citation>,
    /// The rows that nearly decided.
    pub near: Vec<Near>,
}

/// A row that nearly decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The row.
    pub row: Citation,
    /// Why it did not decide.
    pub why: Miss,
}

/// Why a row did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// A pattern with fewer letters than the one that decided.
    Shorter,
    /// An exact row stands before patterns.
    Pattern,
    /// It comes later in the file, and the first row counts.
    Later,
    /// It comes earlier in the file, and the last row counts.
    Earlier,
    /// The precedence is lower.
    LowerPrecedence,
    /// The precedence is negative: the row never applies.
    NegativePrecedence,
    /// It has the key of an earlier row.
    Duplicate,
    /// An account of that name exists, which comes before an alias.
    HiddenByAccount,
    /// A command alias of that name exists, which comes before accounts and aliases.
    HiddenByCommandAlias,
    /// The account it leads to does not exist.
    NoAccount,
    /// Its text is no route.
    NotARoute,
    /// The variable without an address counts only where no more specific one is.
    LessSpecific,
}

impl Step {
    /// A step without rows.
    pub fn new(fact: Fact) -> Self {
        Self { fact, rows: Vec::new(), near: Vec::new() }
    }

    /// Adds a row that says so.
    #[must_use]
    pub fn by(mut self, file: impl AsRef<Path>, line: u32) -> Self {
        self.rows.push(Citation::new(file, line));
        self
    }

    /// Adds rows that say so.
    #[must_use]
    pub fn by_all(mut self, rows: impl IntoIterator<Item = Citation>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Adds rows of one file that nearly decided.
    #[must_use]
    pub fn near(mut self, file: &str, lines: impl IntoIterator<Item = (u32, Miss)>) -> Self {
        let near = |(line, why)| Near { row: Citation::new(file, line), why };
        self.near.extend(lines.into_iter().map(near));
        self
    }
}

/// What a step found. Addresses and names are as they were compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    // Whether a peer is served (`mailflow.md` 3.1).
    /// `server.tab` is missing: nobody is served.
    NoServerTab,
    /// Less is free than this variable of `server.tab` demands.
    LowResources(&'static str),
    /// The first row of `smtp.ipprop.tab` or `smtp.hnprop.tab` about the peer.
    Properties(Properties),
    /// Reverse DNS of the peer; `None`: it has no name.
    ReverseName(Option<String>),
    /// The DNS was to be asked for this and was not.
    NotAsked(DnsQuestion),
    /// `smtp.hnprop.tab` exists and the peer has no name: it is refused.
    NameRequired,
    /// The IP map, spammers, maps and reverse DNS are not looked at.
    WhiteListed,
    /// What `smtp.ipmap.tab` says.
    IpMap {
        /// The peer.
        peer: IpAddr,
        /// Whether it may connect.
        allowed: bool,
        /// `SMTP-IpMapDropCode` where it may not.
        code: i64,
    },
    /// What `spammers.tab` says; `None`: no row.
    Spammer {
        /// The peer.
        peer: IpAddr,
        /// The row's code.
        code: Option<i64>,
    },
    /// What a zone of `CustMapsList` says; `listed` is `None` when it does not answer.
    Zone {
        /// The zone.
        zone: String,
        /// What a listing means.
        code: i64,
        /// Whether the peer is in it.
        listed: Option<bool>,
    },
    /// `SMTP-RDNSCheck` and no name.
    NoName {
        /// The variable.
        code: i64,
    },
    /// There is no domain to greet with.
    NoServerDomain,

    // Who asks, and whether MAIL is accepted (`mailflow.md` 3.2 to 3.4, 3.10).
    /// A log-in and what it grants.
    Login {
        /// The name as typed.
        name: String,
        /// The letters.
        perms: SmtpPerms,
    },
    /// A program checks log-ins of this mechanism and says what they grant: taken as granted without permissions.
    ExternalLogin {
        /// The mechanism.
        mechanism: String,
    },
    /// No account and no row of `smtpauth.tab` of this name.
    NoLogin {
        /// The name as typed.
        name: String,
    },
    /// The account has no password that could be proved.
    NoPassword {
        /// The account.
        account: String,
    },
    /// The sender's account logged in by POP3 from this peer a short while ago.
    PopBeforeSmtp {
        /// The account.
        account: String,
    },
    /// `SmtpConfig` asks for something.
    SmtpConfig {
        /// MAIL needs permission `M`.
        mail_auth: bool,
        /// MAIL needs TLS.
        want_tls: bool,
    },
    /// MAIL waits for TLS.
    TlsNeeded,
    /// `AllowNullSender` is 0.
    NullSenderRefused,
    /// `CheckMailerDomain`: whether the DNS knows the sender's domain; `None`: it does not say.
    SenderDomain {
        /// The domain.
        domain: String,
        /// Whether mail could be sent to it.
        found: Option<bool>,
    },
    /// `spam-address.tab` has the sender.
    SpamAddress {
        /// The sender.
        sender: String,
    },
    /// A size limit and the size declared.
    MessageSize {
        /// The limit in bytes.
        limit_bytes: u64,
        /// From SIZE=.
        declared_bytes: u64,
    },
    /// A mark from connecting makes MAIL fail.
    Marked,
    /// MAIL needs permission `M`; whether it is there, or `NoAuth` lifts it.
    AuthenticationDemanded {
        /// Because of `LocalDomainAuth` and not `MailAuth`.
        for_local_domain: bool,
        /// Whether the client is excused.
        excused: bool,
    },

    // Who an address is (`mailflow.md` 3.6).
    /// A file in `cmdaliases/`, which comes before all else.
    CommandAlias {
        /// The address.
        address: String,
    },
    /// `domains.tab` has the domain.
    DomainHandled {
        /// The domain.
        domain: String,
    },
    /// Neither `domains.tab` nor an alias domain leads to it.
    DomainElsewhere {
        /// The domain.
        domain: String,
    },
    /// `aliasdomain.tab` renames the domain.
    AliasDomain {
        /// As asked.
        domain: String,
        /// As meant.
        real: String,
    },
    /// `aliases.tab` leads to an account.
    Alias {
        /// As asked.
        address: String,
        /// The row's target.
        target: String,
    },
    /// `aliases.tab` has a row that leads nowhere.
    DanglingAlias {
        /// As asked.
        address: String,
        /// The row's target.
        target: String,
    },
    /// `mailusers.tab` has the account.
    Account {
        /// Its address.
        address: String,
        /// Whether it is a list.
        is_list: bool,
    },
    /// Nobody here has that name.
    NoSuchUser {
        /// As asked.
        address: String,
    },
    /// `ReceiveEnable` is 0.
    ReceiveDisabled,
    /// `SmtpEnable` is 0.
    SendDisabled,
    /// `ClosedML` is set; whether a member's row lets the sender post.
    ClosedList {
        /// Whether it may be posted to.
        may_post: bool,
    },
    /// The mailbox directory does not exist: mail is refused.
    NoMailboxDirectory {
        /// Relative to the MailRoot.
        directory: PathBuf,
    },
    /// How full the mailbox is.
    Quota {
        /// What is stored.
        stored_bytes: u64,
        /// `MaxMBSize`.
        limit_bytes: u64,
        /// From SIZE=, 0: not known.
        message_bytes: u64,
    },
    /// Relaying is allowed by permission `R`.
    RelayByPermission,
    /// Relaying is allowed by `smtprelay.tab`.
    RelayByAddress {
        /// The peer.
        peer: IpAddr,
    },
    /// Mail for a custom domain is taken from everybody.
    RelayToCustomDomain {
        /// The domain.
        domain: String,
    },
    /// Nothing allows relaying.
    RelayDenied,
    /// `smtpgw.tab` puts a route in front.
    GatewayRoute {
        /// As written.
        route: String,
    },
    /// An SMTP filter would be asked. It is not run here, and taken to accept.
    SmtpFilter {
        /// The program.
        program: String,
    },

    // Delivery (`mailflow.md` 4).
    /// A file in `custdomains/`.
    CustomDomain {
        /// The domain.
        domain: String,
    },
    /// The message carries its own copy of the commands; the file is not looked at.
    OwnCommands {
        /// The copy.
        file: PathBuf,
    },
    /// A queue filter would be run. It is not run here, and taken to accept.
    QueueFilter {
        /// `in` or `out`.
        stage: &'static str,
        /// The rule's file in `filters/`.
        file: String,
        /// The program; `None`: the file does not exist, or is empty.
        program: Option<String>,
    },
    /// A rule about what is in a message.
    ContentRule {
        /// Its name.
        name: String,
        /// What it does with a message for which it holds.
        action: Action,
        /// Whether it was held against the message and holds; without one it may.
        holds: bool,
    },
    /// A line of a command file.
    Command {
        /// The command.
        name: String,
        /// What it does here.
        effect: CommandEffect,
    },
    /// No line of the command file does anything with the message (decision 11).
    CommandsWithoutEffect {
        /// The mail goes to the mailbox; else it is returned.
        to_mailbox: bool,
    },
    /// The message is put into a mailbox.
    ToMailbox {
        /// The account.
        account: String,
    },
    /// The message is put into the folder for junk.
    ToJunkFolder {
        /// The account.
        account: String,
    },
    /// The mailbox is full: the message is returned.
    MailboxFull {
        /// The account.
        account: String,
    },
    /// A list gives out copies.
    ListCopies {
        /// The list.
        list: String,
        /// `ListSender`, if it replaces the sender.
        sender: Option<String>,
        /// How many members receive.
        receiving: usize,
        /// How many of those have no valid address.
        invalid: usize,
    },
    /// A member that receives.
    ListMember {
        /// The address.
        address: String,
    },
    /// `smtpfwd.tab` names the hosts.
    ForwardHosts {
        /// The hosts as written.
        hosts: Vec<String>,
    },
    /// `DefaultSMTPGateways` names the hosts.
    DefaultGateways {
        /// The hosts as written.
        hosts: Vec<String>,
    },
    /// The path has a route: its first host is connected to.
    RoutedTo {
        /// The host.
        host: String,
    },
    /// The domain is an address.
    AddressLiteral {
        /// The address.
        address: String,
    },
    /// The domain's mail exchangers are asked of the DNS.
    Exchangers {
        /// The domain.
        domain: String,
    },
    /// What the DNS says about them.
    ExchangersFound {
        /// The hosts, best first; or the domain itself where it has none.
        hosts: Vec<String>,
    },
    /// The DNS says that nobody takes mail for the domain.
    NoExchanger {
        /// The domain.
        domain: String,
    },
    /// The DNS does not answer: another attempt later.
    DnsSilent {
        /// Why.
        reason: String,
    },

    // Where a message stands (`mailflow.md` 2).
    /// The message file.
    Queued {
        /// The state's directory: `mess`, `rsnd`, `froz`; `journal` without a spool file.
        state: &'static str,
        /// Whether an attempt has begun.
        is_tried: bool,
        /// The message number in its header.
        number: String,
        /// The sender.
        from: String,
        /// The recipient.
        to: String,
    },
    /// An attempt, with what failed.
    Attempt {
        /// When it began, in Unix seconds.
        unix_secs: i64,
        /// The reason, if one was written.
        error: Option<String>,
    },
    /// When it is tried again.
    NextAttempt {
        /// In Unix seconds; in the past: at once.
        unix_secs: i64,
        /// The number of that attempt.
        number: u32,
        /// Of so many (`-Qr`).
        attempts_max: u32,
    },
    /// No attempt is left: the next failure returns the message.
    LastAttempt {
        /// When, in Unix seconds.
        unix_secs: i64,
        /// Its number.
        number: u32,
    },
    /// It waits for the operator.
    Frozen,
    /// A line of the smail log: something was done with the message.
    Logged {
        /// The sender.
        from: String,
        /// The recipient.
        to: String,
        /// What was done, such as `LOCAL`, `SMTP`, `REDIR`.
        medium: String,
        /// With what: the account, the host, the program.
        parameter: String,
        /// When, as the log has it.
        date: String,
    },
}

/// What the DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsQuestion {
    /// The name of an address.
    NameOf(IpAddr),
    /// Whether an address is in a list.
    Listed {
        /// The address.
        peer: IpAddr,
        /// The list's zone.
        zone: String,
    },
    /// Whether mail could be sent to a domain.
    Reachable(String),
    /// The mail exchangers of a domain.
    ExchangersOf(String),
}

/// What a line of a command file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEffect {
    /// It does something with the message.
    Acts,
    /// It may change or refuse the message; that alone is no delivery.
    Judges,
    /// Nothing: it means something in another kind of file, or has no valid target.
    Nothing,
}

impl Snapshot {
    /// Where variables of `server.tab` are set; those that are not are left out.
    pub fn variable_rows<'a>(
        &'a self,
        variables: impl IntoIterator<Item = &'a Variable> + 'a,
    ) -> impl Iterator<Item = Citation> + 'a {
        let found = variables.into_iter().filter_map(|variable| self.server.variable(variable.name));
        found.map(|variable| Citation::new(SERVER_TAB, variable.line))
    }
}

impl UserTab {
    /// The line of a variable: that of the first row of that name.
    pub fn line_of(&self, variable: &Variable) -> Option<u32> {
        self.rows().iter().find(|row| row.name == variable.name).map(|row| row.line)
    }
}

/// The file of the server's variables.
pub const SERVER_TAB: &str = "server.tab";
