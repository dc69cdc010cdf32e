//! Questions of a session answered: the log-in check, and each command as one call of [`Admin`] and one result.
//!
//! Blocks: call it off the async threads.

use bstr::{BString, ByteSlice};
use jiff::Timestamp;

use super::command::{Account, Command, Frozen, Upload};
use super::reply::{FILE_MOVE, Lines, Reply, error_number, is_servers_fault};
use super::session::{Answer, Question};
use crate::admin::{Admin, AdminError, LinkKey, ListenState, MailProcFile, TableReport};
use crate::auth;
use crate::clock::Clock;
use crate::compare::{self, Differences, Side};
use crate::mailroot::Snapshot;
use crate::mailroot::snapshot::brief;
use crate::status::number;

/// Answers a question. `stamp` is that of the greeting, brackets included.
pub fn answer(
    question: Question,
    admin: &Admin,
    accounts: impl FnOnce() -> std::sync::Arc<Snapshot>,
    stamp: &str,
    clock: &Clock,
) -> Answer {
    let result = match question {
        Question::LogIn { user, password } => {
            return Answer::LogIn(may_log_in(&accounts(), &user, &password, stamp));
        }
        Question::Run(command) => run(command, admin, clock),
        Question::MayUpload(upload) => may_upload(&upload, admin),
        Question::Store(upload, bytes) => store(&upload, &bytes, admin),
    };
    Answer::Result(result.unwrap_or_else(|error| {
        if is_servers_fault(&error) {
            tracing::error!(%error, "CTRL command failed");
        } else {
            tracing::debug!(%error, "CTRL command refused");
        }
        Reply::Error(error_number(&error))
    }))
}

/// The first row of the user decides; `#` begins the digest of stamp and password (`mailflow.md` 11.1).
fn may_log_in(tables: &Snapshot, user: &str, password: &str, stamp: &str) -> bool {
    let Some(stored) = tables.ctrl_accounts.get(user.as_bytes()).and_then(|row| row.password.as_ref()) else {
        return false;
    };
    let by_digest = password.strip_prefix('#').is_some_and(|digest| {
        auth::clear_password(stored)
            .is_some_and(|clear| auth::apop_matches(stamp.as_bytes(), &clear, digest.as_bytes()))
    });
    by_digest || auth::password_matches(stored, password.as_bytes()).unwrap_or(false)
}

fn run(command: Command, admin: &Admin, clock: &Clock) -> Result<Reply, AdminError> {
    match command {
        Command::Noop | Command::Quit => Ok(Reply::Done),
        // The session asks whether it may upload first.
        Command::Upload(upload) => may_upload(&upload, admin),
        Command::UserAdd { domain, user, password, kind } => {
            done(admin.add_user(&domain, &user, password.as_bytes(), &kind))
        }
        Command::UserDel(Account { domain, user }) => match admin.remove_user(&domain, &user) {
            // Only here XMail's own number survives (golden `ctrl_commands`).
            Err(AdminError::UserNotFound) => Ok(Reply::Error(number::USER_NOT_FOUND)),
            result => done(result),
        },
        Command::UserPasswd(Account { domain, user }, password) => {
            done(admin.set_password(&domain, &user, password.as_bytes()))
        }
        Command::UserAuth(Account { domain, user }, password) => {
            match admin.check_password(&domain, &user, password.as_bytes())? {
                true => Ok(Reply::Done),
                false => Ok(Reply::Error(number::INVALID_PASSWORD)),
            }
        }
        Command::UserStat(account) => user_status(&account, admin, clock),
        Command::UserVars(Account { domain, user }) => {
            listing(admin.user_variables(&domain, &user)?, |(name, value)| [name, value])
        }
        Command::UserVarsSet(Account { domain, user }, variables) => {
            let variables: Vec<(&str, Option<&str>)> =
                variables.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            done(admin.set_user_variables(&domain, &user, &variables))
        }
        Command::UserList([domain, user]) => {
            let users = admin.users(domain.as_deref(), user.as_deref());
            listing(users, |user| [text(&user.domain), text(&user.name), user.password, text(&user.kind)])
        }
        Command::UserGetMproc(Account { domain, user }, flags) => {
            let files = mailproc_files(&flags);
            Ok(Reply::Lines(Lines::file(&admin.mailproc(&domain, &user, &files)?)))
        }
        Command::MlUserAdd(Account { domain, user }, address, perms) => {
            done(admin.add_member(&domain, &user, &address, perms.as_deref()))
        }
        Command::MlUserDel(Account { domain, user }, address) => {
            done(admin.remove_member(&domain, &user, &address))
        }
        Command::MlUserList(Account { domain, user }) => {
            listing(admin.members(&domain, &user)?, |(address, perms)| [address, perms])
        }
        command => run_on_names(command, admin, clock),
    }
}

/// Aliases and domains; the rest goes on.
fn run_on_names(command: Command, admin: &Admin, clock: &Clock) -> Result<Reply, AdminError> {
    match command {
        Command::AliasAdd([domain, alias, target]) => done(admin.add_alias(&domain, &alias, &target)),
        Command::AliasDel([domain, alias]) => done(admin.remove_alias(&domain, &alias)),
        Command::AliasList([domain, alias, target]) => {
            let rows = admin.aliases(domain.as_deref(), alias.as_deref(), target.as_deref());
            listing(rows, |row| [text(&row.domain), text(&row.alias), text(&row.target)])
        }
        Command::ExAliasAdd([local, remote]) => done(admin.add_ext_alias(&local, &remote)),
        Command::ExAliasDel(remote) => done(admin.remove_ext_alias(&remote)),
        Command::ExAliasList([local, remote]) => {
            let rows = admin.ext_aliases(local.as_deref(), remote.as_deref())?;
            listing(rows, |row| {
                [text(&row.remote_domain), text(&row.remote_name), text(&row.domain), text(&row.name)]
            })
        }
        Command::DomainAdd(domain) => done(admin.add_domain(&domain)),
        Command::DomainDel(domain) => done(admin.remove_domain(&domain)),
        Command::DomainList(patterns) => {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            listing(admin.domains(&patterns), |domain| [text(&domain)])
        }
        Command::AliasDomainAdd([domain, alias]) => done(admin.add_alias_domain(&domain, &alias)),
        Command::AliasDomainDel(alias) => done(admin.remove_alias_domain(&alias)),
        Command::AliasDomainList([domain, alias]) => {
            let rows = admin.alias_domains(domain.as_deref(), alias.as_deref());
            listing(rows, |row| [text(&row.domain), text(&row.alias)])
        }
        Command::CustDomGet(domain) => Ok(Reply::Lines(Lines::file(&admin.custom_domain(&domain)?))),
        Command::CustDomList => listing(admin.custom_domains()?, |stem| [text(&stem)]),
        command => run_on_files(command, admin, clock),
    }
}

/// Links, files and the queue.
fn run_on_files(command: Command, admin: &Admin, clock: &Clock) -> Result<Reply, AdminError> {
    match command {
        Command::PopLnkAdd { link, password, options } => {
            done(admin.add_link(link_key(&link), password.as_bytes(), &options))
        }
        Command::PopLnkDel(link) => done(admin.remove_link(link_key(&link))),
        Command::PopLnkList([domain, user]) => links(domain.as_deref(), user.as_deref(), admin),
        Command::PopLnkEnable { enable, account, remote: [host, user] } => {
            let local = [&*account.domain, &*account.user];
            done(admin.enable_links(enable, local, host.as_deref(), user.as_deref()))
        }
        Command::FileList([directory, pattern]) => {
            listing(admin.files(&directory, &pattern)?, |file| [text(&file.name), decimal(file.bytes)])
        }
        Command::CfgFileGet(file) => Ok(Reply::Lines(Lines::file(&admin.config_file(&file)?))),
        Command::FrozList => frozen(admin, clock),
        Command::FrozSubmit(message) => match admin.submit_frozen(levels(&message), &message.name) {
            Err(AdminError::FrozenNotFound) => Ok(Reply::Error(FILE_MOVE)),
            result => done(result),
        },
        Command::FrozDel(message) => match admin.remove_frozen(levels(&message), &message.name) {
            // What is not there is as good as deleted (golden `ctrl_commands`).
            Err(AdminError::FrozenNotFound) => Ok(Reply::Done),
            result => done(result),
        },
        Command::FrozGetLog(message) => {
            Ok(Reply::Lines(Lines::file(&admin.frozen_log(levels(&message), &message.name)?)))
        }
        Command::FrozGetMsg(message) => {
            Ok(Reply::Lines(Lines::file(&admin.frozen_message(levels(&message), &message.name)?)))
        }
        Command::Etrn(patterns) => {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            admin.flush_queue(&patterns).map(|_| Reply::Done)
        }
        Command::QueueTry(messages) => {
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            admin.try_messages(&messages).map(|_| Reply::Done)
        }
        Command::QueueDel(messages) => {
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            admin.remove_messages(&messages).map(|_| Reply::Done)
        }
        Command::QueueFrz(messages) => {
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            admin.freeze_messages(&messages).map(|_| Reply::Done)
        }
        Command::SrvList => listing(admin.listeners()?, |one| {
            let (state, reason) = match &one.state {
                ListenState::Open => ("open", ""),
                ListenState::Closed => ("closed", ""),
                ListenState::Off(option) => ("off", option.as_str()),
                ListenState::Failed(reason) => ("failed", reason.as_str()),
            };
            [text(&one.service), text(&one.address), text(state), text(reason)]
        }),
        Command::SrvOpen(service) => done(admin.open_service(&service)),
        Command::SrvClose(service) => done(admin.close_service(&service)),
        Command::SrvStop => done(admin.stop_server()),
        Command::TabStat => Ok(table_report(&admin.table_report())),
        Command::TabDiff => {
            let serving = admin.serving_tables();
            Ok(differences(&compare::diff(&serving, &Snapshot::load(serving.root()))))
        }
        Command::TabReload(how) => match admin.reload_tables(how) {
            0 => Ok(Reply::Done),
            _ => Ok(Reply::Error(number::FILE_INVALID)),
        },
        // All others are handled before.
        _ => Ok(Reply::Error(number::CTRL_SYNTAX)),
    }
}

fn may_upload(upload: &Upload, admin: &Admin) -> Result<Reply, AdminError> {
    match upload {
        Upload::UserSetMproc(account, _) => admin.may_set_mailproc(&account.domain, &account.user)?,
        Upload::CustDomSet(domain) => admin.may_set_custom_domain(domain)?,
        Upload::CfgFileSet(file) => admin.may_set_config_file(file)?,
    }
    Ok(Reply::Send)
}

fn store(upload: &Upload, bytes: &[u8], admin: &Admin) -> Result<Reply, AdminError> {
    done(match upload {
        Upload::UserSetMproc(account, which) => {
            let file = if which.starts_with(['D', 'd']) { MailProcFile::Domain } else { MailProcFile::User };
            admin.set_mailproc(&account.domain, &account.user, file, bytes)
        }
        Upload::CustDomSet(domain) => admin.set_custom_domain(domain, bytes),
        Upload::CfgFileSet(file) => admin.set_config_file(file, bytes),
    })
}

/// The domain's file before the user's, however the flags are ordered.
fn mailproc_files(flags: &str) -> Vec<MailProcFile> {
    let named = [(['D', 'd'], MailProcFile::Domain), (['U', 'u'], MailProcFile::User)];
    named.into_iter().filter(|(letters, _)| flags.contains(letters)).map(|(_, file)| file).collect()
}

fn user_status(account: &Account, admin: &Admin, clock: &Clock) -> Result<Reply, AdminError> {
    let status = admin.user_status(&account.domain, &account.user)?;
    // Never logged in shows as now and no address (golden `ctrl_commands`).
    let (at, ip) = match status.last_login {
        Some(login) => (Timestamp::try_from(login.at).unwrap_or_default(), login.peer.to_string()),
        None => (clock.now(), "0.0.0.0".into()),
    };
    let rows = [
        ("RealAddress", status.address),
        ("MailboxSize", status.mailbox_bytes.to_string()),
        ("MailboxMessages", status.mailbox_messages.to_string()),
        ("LastLoginTimeDate", clock.mail_date_of(at)),
        ("LastLoginIP", ip),
    ];
    listing(rows, |(name, value)| [text(name), text(&value)])
}

fn links(domain: Option<&str>, user: Option<&str>, admin: &Admin) -> Result<Reply, AdminError> {
    listing(admin.links(domain, user), |link| {
        [
            text(&link.local_domain),
            text(&link.local_name),
            text(&link.remote_host),
            text(&link.remote_user),
            link.password,
            link.options,
            text(if link.is_on { "ON" } else { "OFF" }),
        ]
    })
}

/// Nine columns (golden `spool_tempfail`).
fn frozen(admin: &Admin, clock: &Clock) -> Result<Reply, AdminError> {
    let zone = clock.zoned().time_zone().clone();
    listing(admin.frozen()?, |message| {
        let place = message.name.place();
        let at = Timestamp::from_second(message.last_try_unix_secs).unwrap_or_default();
        let last_try = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        [
            text(message.name.file_name()),
            decimal(place.level1.into()),
            decimal(place.level2.into()),
            text(&format!("<{}>", message.from)),
            text(&format!("<{}>", message.to)),
            text(&last_try),
            decimal(message.bytes),
            decimal(message.attempts.into()),
            text("froz"),
        ]
    })
}

/// The server's line, then one line per problem of each table that is not in order, and one for a table that is
/// being waited for: file, state, since, rows in service, line, column, code, severity, text.
fn table_report(report: &TableReport) -> Reply {
    let mut lines = Lines::default();
    let [generation, kept, up] = [report.generation, report.kept() as u64, report.up.as_secs()].map(decimal);
    let pid = decimal(std::process::id().into());
    let version = text(env!("CARGO_PKG_VERSION"));
    let head = [("generation", generation), ("kept", kept), ("version", version), ("pid", pid), ("up", up)];
    lines.row(&head.into_iter().flat_map(|(name, value)| [text(name), value]).collect::<Vec<_>>());
    for table in report.tables.iter().filter(|table| !table.is_in_order()) {
        let since = Timestamp::try_from(table.since).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ");
        let rows = decimal(table.rows as u64);
        let stand = [
            text(&table.file.to_string_lossy()),
            text(&table.state.to_string()),
            text(&since.to_string()),
            rows,
        ];
        let mut finding = |finding: [BString; 5]| {
            let row: Vec<BString> = stand.iter().cloned().chain(finding).collect();
            lines.row(&row.iter().map(one_line).collect::<Vec<_>>());
        };
        for problem in &table.problems {
            finding([
                decimal(problem.line.into()),
                decimal(problem.column.into()),
                text(problem.kind.code()),
                text(&problem.kind.severity().to_string()),
                text(&brief(&problem.kind)),
            ]);
        }
        if table.problems.is_empty() {
            finding(["0", "0", "", "", ""].map(text));
        }
    }
    Reply::Lines(lines)
}

/// One line per change: kind, name, summary, then for each side its facts and the rows that decide, `; ` between them.
fn differences(differences: &Differences) -> Reply {
    let mut lines = Lines::default();
    let rows = |side: &Side| side.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    for change in &differences.changes {
        let (kind, name) = change.subject.kind_and_name();
        let sides = [&change.old, &change.new].map(|side| [side.facts.join("; "), rows(side)]);
        let columns = [kind, name, change.summary()].map(text).into_iter();
        let columns = columns.chain(sides.iter().flatten().map(|value| text(value)));
        lines.row(&columns.map(|column| one_line(&column)).collect::<Vec<_>>());
    }
    Reply::Lines(lines)
}

/// A value that no table can hold cannot come from one; a line end in it would be a line of its own.
fn one_line(column: &BString) -> BString {
    column.replace(b"\n", b" ").replace(b"\r", b" ").into()
}

fn link_key([local_domain, local_name, remote_host, remote_user]: &[String; 4]) -> LinkKey<'_> {
    LinkKey { local_domain, local_name, remote_host, remote_user }
}

fn levels(message: &Frozen) -> [&str; 2] {
    [&message.levels[0], &message.levels[1]]
}

fn done(result: Result<(), AdminError>) -> Result<Reply, AdminError> {
    result.map(|()| Reply::Done)
}

fn listing<T, const N: usize>(
    items: impl IntoIterator<Item = T>,
    columns: impl Fn(T) -> [BString; N],
) -> Result<Reply, AdminError> {
    let mut lines = Lines::default();
    for item in items {
        lines.row(&columns(item).map(|column| one_line(&column)));
    }
    Ok(Reply::Lines(lines))
}

fn text(value: &str) -> BString {
    value.into()
}

fn decimal(value: u64) -> BString {
    value.to_string().into()
}
