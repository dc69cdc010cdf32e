//! Command lines: a name in any case, then columns; the number of columns decides (`mailflow.md` 11.2).

use crate::admin::Reload;
use crate::tab;

/// A command of a session that is logged in. Columns are as given; what they mean is checked by [`crate::admin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `noop`
    Noop,
    /// `quit`
    Quit,
    /// `useradd domain user password type`
    UserAdd {
        /// The domain.
        domain: String,
        /// The account.
        user: String,
        /// The password in clear.
        password: String,
        /// `M...` for a list, else a user.
        kind: String,
    },
    /// `userdel domain user`
    UserDel(Account),
    /// `userpasswd domain user password`
    UserPasswd(Account, String),
    /// `userauth domain user password`
    UserAuth(Account, String),
    /// `userstat domain user-or-alias`
    UserStat(Account),
    /// `uservars domain user`
    UserVars(Account),
    /// `uservarsset domain user (name value)+`; a value `.|rm` deletes.
    UserVarsSet(Account, Vec<(String, Option<String>)>),
    /// `userlist [domain] [user]`
    UserList(Patterns<2>),
    /// `usergetmproc domain user [flags]`
    UserGetMproc(Account, String),
    /// `aliasadd domain alias account`
    AliasAdd([String; 3]),
    /// `aliasdel domain alias`
    AliasDel([String; 2]),
    /// `aliaslist [domain] [alias] [account]`
    AliasList(Patterns<3>),
    /// `exaliasadd local remote`
    ExAliasAdd([String; 2]),
    /// `exaliasdel remote`
    ExAliasDel(String),
    /// `exaliaslist [local] [remote]`
    ExAliasList(Patterns<2>),
    /// `mluseradd domain list address [perms]`
    MlUserAdd(Account, String, Option<String>),
    /// `mluserdel domain list address`
    MlUserDel(Account, String),
    /// `mluserlist domain list`
    MlUserList(Account),
    /// `domainadd domain`
    DomainAdd(String),
    /// `domaindel domain`
    DomainDel(String),
    /// `domainlist [pattern]...`
    DomainList(Vec<String>),
    /// `aliasdomainadd domain alias`
    AliasDomainAdd([String; 2]),
    /// `aliasdomaindel alias`
    AliasDomainDel(String),
    /// `aliasdomainlist [domain] [alias]`
    AliasDomainList(Patterns<2>),
    /// `custdomget domain`
    CustDomGet(String),
    /// `custdomlist`
    CustDomList,
    /// `poplnkadd locdom locuser rmtdom rmtuser password options`
    PopLnkAdd {
        /// The four columns that name the link.
        link: [String; 4],
        /// The password in clear.
        password: String,
        /// The options.
        options: String,
    },
    /// `poplnkdel locdom locuser rmtdom rmtuser`
    PopLnkDel([String; 4]),
    /// `poplnklist [locdom] [locuser]`
    PopLnkList(Patterns<2>),
    /// `poplnkenable 0|1 locdom locuser [rmtdom] [rmtuser]`
    PopLnkEnable {
        /// 0 disables, any other number enables.
        enable: bool,
        /// Domain and account.
        account: Account,
        /// Remote host and user.
        remote: Patterns<2>,
    },
    /// `filelist directory pattern`
    FileList([String; 2]),
    /// `cfgfileget file`
    CfgFileGet(String),
    /// `frozlist`
    FrozList,
    /// `frozsubmit level1 level2 name`
    FrozSubmit(Frozen),
    /// `frozdel level1 level2 name`
    FrozDel(Frozen),
    /// `frozgetlog level1 level2 name`
    FrozGetLog(Frozen),
    /// `frozgetmsg level1 level2 name`
    FrozGetMsg(Frozen),
    /// `etrn pattern+`
    Etrn(Vec<String>),
    /// `queuetry (level1/level2/name)+`: tries messages now, waiting or frozen. Ours.
    QueueTry(Vec<String>),
    /// `queuedel (level1/level2/name)+`: deletes messages, waiting or frozen. Ours.
    QueueDel(Vec<String>),
    /// `queuefrz (level1/level2/name)+`: freezes waiting messages. Ours.
    QueueFrz(Vec<String>),
    /// `srvlist`: where each service listens. Ours.
    SrvList,
    /// `srvopen service`: lets it listen again. Ours.
    SrvOpen(String),
    /// `srvclose service`: closes its listeners until the server starts anew. Ours.
    SrvClose(String),
    /// `srvstop`: ends the server. Ours.
    SrvStop,
    /// `tabstat`: how the tables stand. Ours.
    TabStat,
    /// `tabdiff`: what the files on the disk would change for mail. Ours.
    TabDiff,
    /// `tabreload [wait|force]`: look at the tables now. Ours.
    TabReload(Reload),
    /// A command that lines are sent for.
    Upload(Upload),
}

/// A command that lines are sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upload {
    /// `usersetmproc domain user [which]`: `D...` is the domain's file.
    UserSetMproc(Account, String),
    /// `custdomset domain`
    CustDomSet(String),
    /// `cfgfileset file`
    CfgFileSet(String),
}

/// Domain and account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The domain.
    pub domain: String,
    /// The account, or what stands in its place.
    pub user: String,
}

/// A frozen message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The split directory.
    pub levels: [String; 2],
    /// The file name.
    pub name: String,
}

/// Optional columns; a missing one comes after the given ones.
pub type Patterns<const N: usize> = [Option<String>; N];

/// No command, or one with a wrong number of columns, or not UTF-8: error 103.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CTRL command")]
pub struct SyntaxError;

/// The columns of a line as text (decision 15).
///
/// # Errors
/// Bytes that are not UTF-8, or a NUL.
pub fn columns(line: &[u8]) -> Result<Vec<String>, SyntaxError> {
    if line.contains(&0) {
        return Err(SyntaxError);
    }
    let fields = tab::fields(line).into_iter();
    fields.map(|field| String::from_utf8(field.value.into()).map_err(|_| SyntaxError)).collect()
}

/// Reads a command line.
///
/// ```
/// use tabmail::ctrl::command::{Command, parse};
/// assert_eq!(parse(b"\"DomainAdd\"\thome.test"), Ok(Command::DomainAdd("home.test".into())));
/// assert!(parse(b"domainadd").is_err());
/// ```
///
/// # Errors
/// [`SyntaxError`].
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let columns = columns(line)?;
    let (name, arguments) = columns.split_first().ok_or(SyntaxError)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let name = name.to_ascii_lowercase();
    parse_users(&name, &arguments)
        .or_else(|| parse_aliases_and_lists(&name, &arguments))
        .or_else(|| parse_domains(&name, &arguments))
        .or_else(|| parse_links(&name, &arguments))
        .or_else(|| parse_files_and_queue(&name, &arguments))
        .ok_or(SyntaxError)
}

fn parse_users(name: &str, arguments: &[&str]) -> Option<Command> {
    Some(match (name, arguments) {
        ("useradd", &[domain, user, password, kind]) => Command::UserAdd {
            domain: domain.into(),
            user: user.into(),
            password: password.into(),
            kind: kind.into(),
        },
        ("userdel", &[domain, user]) => Command::UserDel(account(domain, user)),
        ("userpasswd", &[domain, user, password]) => {
            Command::UserPasswd(account(domain, user), password.into())
        }
        ("userauth", &[domain, user, password]) => Command::UserAuth(account(domain, user), password.into()),
        ("userstat", &[domain, user]) => Command::UserStat(account(domain, user)),
        ("uservars", &[domain, user]) => Command::UserVars(account(domain, user)),
        ("uservarsset", &[domain, user, ref pairs @ ..]) => {
            Command::UserVarsSet(account(domain, user), variables(pairs)?)
        }
        ("userlist", patterns) => Command::UserList(optional(patterns)?),
        ("usergetmproc", &[domain, user]) => Command::UserGetMproc(account(domain, user), "DU".into()),
        ("usergetmproc", &[domain, user, flags]) => {
            Command::UserGetMproc(account(domain, user), flags.into())
        }
        ("usersetmproc", &[domain, user]) => {
            Command::Upload(Upload::UserSetMproc(account(domain, user), "U".into()))
        }
        ("usersetmproc", &[domain, user, which]) => {
            Command::Upload(Upload::UserSetMproc(account(domain, user), which.into()))
        }
        _ => return None,
    })
}

fn parse_aliases_and_lists(name: &str, arguments: &[&str]) -> Option<Command> {
    Some(match (name, arguments) {
        ("aliasadd", arguments) => Command::AliasAdd(exactly(arguments)?),
        ("aliasdel", arguments) => Command::AliasDel(exactly(arguments)?),
        ("aliaslist", patterns) => Command::AliasList(optional(patterns)?),
        ("exaliasadd", arguments) => Command::ExAliasAdd(exactly(arguments)?),
        ("exaliasdel", &[remote]) => Command::ExAliasDel(remote.into()),
        ("exaliaslist", patterns) => Command::ExAliasList(optional(patterns)?),
        ("mluseradd", &[domain, list, address]) => {
            Command::MlUserAdd(account(domain, list), address.into(), None)
        }
        ("mluseradd", &[domain, list, address, perms]) => {
            Command::MlUserAdd(account(domain, list), address.into(), Some(perms.into()))
        }
        ("mluserdel", &[domain, list, address]) => Command::MlUserDel(account(domain, list), address.into()),
        ("mluserlist", &[domain, list]) => Command::MlUserList(account(domain, list)),
        _ => return None,
    })
}

fn parse_domains(name: &str, arguments: &[&str]) -> Option<Command> {
    Some(match (name, arguments) {
        ("domainadd", &[domain]) => Command::DomainAdd(domain.into()),
        ("domaindel", &[domain]) => Command::DomainDel(domain.into()),
        ("domainlist", patterns) => Command::DomainList(owned(patterns)),
        ("aliasdomainadd", arguments) => Command::AliasDomainAdd(exactly(arguments)?),
        ("aliasdomaindel", &[alias]) => Command::AliasDomainDel(alias.into()),
        ("aliasdomainlist", patterns) => Command::AliasDomainList(optional(patterns)?),
        ("custdomget", &[domain]) => Command::CustDomGet(domain.into()),
        ("custdomset", &[domain]) => Command::Upload(Upload::CustDomSet(domain.into())),
        ("custdomlist", []) => Command::CustDomList,
        _ => return None,
    })
}

fn parse_links(name: &str, arguments: &[&str]) -> Option<Command> {
    Some(match (name, arguments) {
        ("poplnkadd", &[ref link @ .., password, options]) => {
            Command::PopLnkAdd { link: exactly(link)?, password: password.into(), options: options.into() }
        }
        ("poplnkdel", arguments) => Command::PopLnkDel(exactly(arguments)?),
        ("poplnklist", patterns) => Command::PopLnkList(optional(patterns)?),
        ("poplnkenable", &[enable, domain, user, ref remote @ ..]) => Command::PopLnkEnable {
            enable: crate::mailroot::server_tab::leading_number(enable.as_bytes()) != 0,
            account: account(domain, user),
            remote: optional(remote)?,
        },
        _ => return None,
    })
}

fn parse_files_and_queue(name: &str, arguments: &[&str]) -> Option<Command> {
    Some(match (name, arguments) {
        ("noop", []) => Command::Noop,
        ("quit", []) => Command::Quit,
        ("filelist", arguments) => Command::FileList(exactly(arguments)?),
        ("cfgfileget", &[file]) => Command::CfgFileGet(file.into()),
        ("cfgfileset", &[file]) => Command::Upload(Upload::CfgFileSet(file.into())),
        ("frozlist", []) => Command::FrozList,
        ("frozsubmit", arguments) => Command::FrozSubmit(frozen(arguments)?),
        ("frozdel", arguments) => Command::FrozDel(frozen(arguments)?),
        ("frozgetlog", arguments) => Command::FrozGetLog(frozen(arguments)?),
        ("frozgetmsg", arguments) => Command::FrozGetMsg(frozen(arguments)?),
        ("etrn", [_, ..]) => Command::Etrn(owned(arguments)),
        ("queuetry", [_, ..]) => Command::QueueTry(owned(arguments)),
        ("queuedel", [_, ..]) => Command::QueueDel(owned(arguments)),
        ("queuefrz", [_, ..]) => Command::QueueFrz(owned(arguments)),
        ("srvlist", []) => Command::SrvList,
        ("srvopen", &[service]) => Command::SrvOpen(service.into()),
        ("srvclose", &[service]) => Command::SrvClose(service.into()),
        ("srvstop", []) => Command::SrvStop,
        ("tabstat", []) => Command::TabStat,
        ("tabdiff", []) => Command::TabDiff,
        ("tabreload", []) => Command::TabReload(Reload::Now),
        ("tabreload", &[how]) if how.eq_ignore_ascii_case("wait") => Command::TabReload(Reload::Wait),
        ("tabreload", &[how]) if how.eq_ignore_ascii_case("force") => Command::TabReload(Reload::Force),
        _ => return None,
    })
}

fn account(domain: &str, user: &str) -> Account {
    Account { domain: domain.into(), user: user.into() }
}

fn frozen(arguments: &[&str]) -> Option<Frozen> {
    let [level1, level2, name] = exactly(arguments)?;
    Some(Frozen { levels: [level1, level2], name })
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.into()).collect()
}

fn exactly<const N: usize>(arguments: &[&str]) -> Option<[String; N]> {
    owned(arguments).try_into().ok()
}

fn optional<const N: usize>(arguments: &[&str]) -> Option<Patterns<N>> {
    let mut given = arguments.iter().map(|&argument| argument.to_owned());
    let patterns = std::array::from_fn(|_| given.next());
    given.next().is_none().then_some(patterns)
}

/// At least one pair; the value [`DELETE`] deletes.
fn variables(pairs: &[&str]) -> Option<Vec<(String, Option<String>)>> {
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[&str]| (pair[0].to_owned(), (pair[1] != DELETE).then(|| pair[1].to_owned()));
    Some(pairs.chunks_exact(2).map(pair).collect())
}

/// The value that deletes a variable.
const DELETE: &str = ".|rm";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_fold_case_and_columns_are_counted() {
        assert_eq!(parse(b"NOOP"), Ok(Command::Noop));
        assert_eq!(parse(b"\"noop\""), Ok(Command::Noop));
        for wrong in ["", " noop", "noop\tx", "nosuch", "userlist\ta\tb\tc", "etrn", "frozdel\t0\t0", "#x"] {
            assert_eq!(parse(wrong.as_bytes()), Err(SyntaxError), "{wrong}");
        }
    }

    #[test]
    fn variables_come_in_pairs_and_may_be_deleted() {
        let parsed = parse(b"uservarsset\td\tu\tA\t1\tB\t.|rm\tC\t\"\"");
        let expected =
            vec![("A".into(), Some("1".into())), ("B".into(), None), ("C".into(), Some(String::new()))];
        assert_eq!(parsed, Ok(Command::UserVarsSet(account("d", "u"), expected)));
        assert_eq!(parse(b"uservarsset\td\tu\tA"), Err(SyntaxError));
        assert_eq!(parse(b"uservarsset\td\tu"), Err(SyntaxError));
    }

    #[test]
    fn utf8_is_text_and_other_bytes_are_refused() {
        assert_eq!(parse("domainadd\tmüll.test".as_bytes()), Ok(Command::DomainAdd("müll.test".into())));
        assert_eq!(parse(b"domainadd\tm\xfcll.test"), Err(SyntaxError));
        assert_eq!(parse(b"domainadd\tm\0"), Err(SyntaxError));
    }

    #[test]
    fn optional_columns() {
        let parsed = parse(b"poplnkenable\t2\td\tu\thost");
        let remote = [Some("host".into()), None];
        assert_eq!(parsed, Ok(Command::PopLnkEnable { enable: true, account: account("d", "u"), remote }));
        assert_eq!(parse(b"poplnkenable\t2\td"), Err(SyntaxError));
        assert_eq!(parse(b"poplnkenable\t2\td\tu\th\tr\tx"), Err(SyntaxError));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(line: Vec<u8>) {
            let _ = parse(&line);
        }

        #[test]
        fn no_columns_make_the_parser_panic(
            name in "useradd|uservarsset|poplnkadd|poplnkenable|mluseradd|frozdel|etrn|userlist",
            columns in prop::collection::vec("[^\t\r\n]{0,6}", 0..9),
        ) {
            let _ = parse(format!("{name}\t{}", columns.join("\t")).as_bytes());
        }
    }
}
