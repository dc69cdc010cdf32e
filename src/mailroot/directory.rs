//! Who an address is: domains, alias domains, accounts and aliases put together (`mailflow.md` 3.6).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::accounts::{Account, AliasDomainRow, AliasRow};
use super::command_file::CommandFile;
use super::lists::ListMembers;
use super::profile::UserTab;
use super::schema;
use super::snapshot::{Loaded, Snapshot};
use super::trail::{Citation, Fact, Miss, Step, Trail};
use super::{AccountKind, MailRoot, accounts::is_plain_name};

/// An address that belongs to a local account, and how it was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The account.
    pub account: Arc<Account>,
    /// The row of `aliasdomain.tab` that renamed the domain, if one did.
    pub alias_domain: Option<AliasDomainRow>,
    /// The row of `aliases.tab` that led to the account, if one did.
    pub alias: Option<AliasRow>,
}

impl Snapshot {
    /// The target of an alias domain, or the domain itself (one step, `mailroot.md` 7.2).
    pub fn real_domain<'a>(&'a self, domain: &'a str) -> &'a str {
        self.alias_domains.get(domain).map_or(domain, |row| &row.domain)
    }

    /// Whether the domain, or the domain it is an alias of, is listed in `domains.tab`.
    pub fn handles(&self, domain: &str) -> bool {
        self.handles_noting(domain, &mut ())
    }

    /// [`Snapshot::handles`] with its reasons.
    pub fn handles_noting(&self, domain: &str, trail: &mut impl Trail) -> bool {
        if let Some(row) = self.domains.get(domain) {
            let fact = || Fact::DomainHandled { domain: domain.to_owned() };
            trail.note(|| Step::new(fact()).by("domains.tab", row.line));
            return true;
        }
        let alias = self.alias_domains.get(domain);
        if let Some(alias) = alias {
            trail.note(|| self.alias_domain_step(domain, alias));
        }
        let real = alias.map_or(domain, |row| &row.domain);
        let row = self.domains.get(real);
        trail.note(|| match row {
            Some(row) => {
                Step::new(Fact::DomainHandled { domain: real.to_owned() }).by("domains.tab", row.line)
            }
            None => Step::new(Fact::DomainElsewhere { domain: real.to_owned() }),
        });
        row.is_some()
    }

    fn alias_domain_step(&self, domain: &str, row: &AliasDomainRow) -> Step {
        let fact = Fact::AliasDomain { domain: domain.to_owned(), real: row.domain.to_string() };
        let is_exact = row.alias.eq_ignore_ascii_case(domain);
        let others = self.alias_domains.matching(domain).filter(|other| other.line != row.line);
        let miss = |other: &AliasDomainRow| match other.alias.eq_ignore_ascii_case(domain) {
            true => Miss::Duplicate,
            false if is_exact => Miss::Pattern,
            false => Miss::Later,
        };
        let near = others.map(|other| (other.line, miss(other)));
        Step::new(fact).by("aliasdomain.tab", row.line).near("aliasdomain.tab", near)
    }

    /// The real account of this name: the domain itself first, then the domain it is an alias of. Aliases are not
    /// looked at (log-ins: `mailflow.md` 3.10, 9.2).
    pub fn account(&self, domain: &str, name: &str) -> Option<&Arc<Account>> {
        self.users.get(domain, name).or_else(|| {
            let row = self.alias_domains.get(domain)?;
            self.users.get(&row.domain, name)
        })
    }

    /// The account an address means (`mailflow.md` 3.6): a real account beats an alias, an alias leads to a real
    /// account only (decision 26); if nothing is found everything is tried once more in the real domain of an alias
    /// domain.
    pub fn resolve(&self, domain: &str, name: &str) -> Option<Resolved> {
        self.resolve_noting(domain, name, &mut ())
    }

    /// [`Snapshot::resolve`] with its reasons.
    pub fn resolve_noting(&self, domain: &str, name: &str, trail: &mut impl Trail) -> Option<Resolved> {
        if let Some(found) = self.resolve_in(domain, name, trail) {
            return Some(found);
        }
        let row = self.alias_domains.get(domain);
        let found = row.and_then(|row| {
            trail.note(|| self.alias_domain_step(domain, row));
            let found = self.resolve_in(&row.domain, name, trail)?;
            Some(Resolved { alias_domain: Some(row.clone()), ..found })
        });
        if found.is_none() {
            trail.note(|| Step::new(Fact::NoSuchUser { address: format!("{name}@{domain}") }));
        }
        found
    }

    fn resolve_in(&self, domain: &str, name: &str, trail: &mut impl Trail) -> Option<Resolved> {
        if let Some(account) = self.users.get(domain, name) {
            let hidden = || self.aliases.matching(domain, name).map(|row| (row.line, Miss::HiddenByAccount));
            trail.note(|| account_step(account).near(ALIASES, hidden()));
            return Some(Resolved { account: Arc::clone(account), alias_domain: None, alias: None });
        }
        let row = self.aliases.get(domain, name)?;
        let account = match row.target.split_once('@') {
            Some((name, domain)) => self.users.get(domain, name),
            None => self.users.get(domain, &row.target),
        };
        trail.note(|| self.alias_step(domain, name, row, account.is_some()));
        let account = account?;
        trail.note(|| account_step(account));
        Some(Resolved { account: Arc::clone(account), alias_domain: None, alias: Some(row.clone()) })
    }

    fn alias_step(&self, domain: &str, name: &str, row: &AliasRow, leads_on: bool) -> Step {
        let (address, target) = (format!("{name}@{domain}"), row.target.to_string());
        let fact = match leads_on {
            true => Fact::Alias { address, target },
            false => Fact::DanglingAlias { address, target },
        };
        let length = |row: &AliasRow| row.domain.len() + row.alias.len();
        let miss = |other: &AliasRow| match (other.is_pattern(), row.is_pattern()) {
            (false, _) => Miss::Duplicate,
            (true, false) => Miss::Pattern,
            (true, true) if length(other) == length(row) => Miss::Later,
            (true, true) => Miss::Shorter,
        };
        let others = self.aliases.matching(domain, name).filter(|other| other.line != row.line);
        Step::new(fact).by(ALIASES, row.line).near(ALIASES, others.map(|other| (other.line, miss(other))))
    }

    /// The variables in an account's own `user.tab`; what counts is [`Snapshot::user_settings`].
    pub fn own_user_tab(&self, account: &Account) -> Loaded<UserTab> {
        self.file(&MailRoot::user_tab(account))
    }

    /// The members of a list (`mlusers.tab`).
    pub fn list_members(&self, account: &Account) -> Loaded<ListMembers> {
        self.file(&MailRoot::account_directory(account).join("mlusers.tab"))
    }

    /// The `pop3.ipmap.tab` in an account's directory.
    pub fn pop3_ipmap_of(&self, account: &Account) -> Loaded<super::access::IpMap> {
        self.file(&MailRoot::account_directory(account).join("pop3.ipmap.tab"))
    }

    /// The `imap.ipmap.tab` in an account's directory.
    pub fn imap_ipmap_of(&self, account: &Account) -> Loaded<super::access::IpMap> {
        self.file(&MailRoot::account_directory(account).join("imap.ipmap.tab"))
    }

    /// The command file `cmdaliases/<real domain>/<name>.tab` for an address, if it exists (`mailroot.md` 13.1).
    pub fn cmdalias(&self, domain: &str, name: &str) -> Option<Loaded<CommandFile>> {
        self.cmdalias_noting(domain, name, &mut ()).map(|(_, file)| file)
    }

    /// [`Snapshot::cmdalias`] with its reasons, and with the file's path relative to the MailRoot. Silent when there is
    /// none.
    pub fn cmdalias_noting(
        &self,
        domain: &str,
        name: &str,
        trail: &mut impl Trail,
    ) -> Option<(PathBuf, Loaded<CommandFile>)> {
        let (asked, domain) = (domain, self.real_domain(domain).to_ascii_lowercase());
        let file = format!("{}.tab", name.to_ascii_lowercase());
        if !is_plain_name(&domain) || !is_plain_name(&file) {
            return None;
        }
        let path = Path::new("cmdaliases").join(&domain).join(file);
        let found = Some(self.file(&path)).filter(Loaded::exists)?;
        trail.note(|| {
            let account = self.users.get(&domain, name).map(|row| (row.line, Miss::HiddenByCommandAlias));
            let alias = self.aliases.get(&domain, name).map(|row| (row.line, Miss::HiddenByCommandAlias));
            let alias_domain = self.alias_domains.get(asked).map(|row| row.line);
            Step::new(Fact::CommandAlias { address: format!("{name}@{domain}") })
                .by(&path, 0)
                .by_all(alias_domain.map(|line| Citation::new("aliasdomain.tab", line)))
                .near(MAILUSERS, account)
                .near(ALIASES, alias)
        });
        Some((path, found))
    }

    /// The command file in `custdomains/` for a domain: `a.b.c.tab`, `.b.c.tab`, `.c.tab`, `.tab`; the first that
    /// exists (`mailflow.md` 4.3). It only matters for domains that are not handled.
    pub fn custdomain(&self, domain: &str) -> Option<Loaded<CommandFile>> {
        self.custdomain_at(domain).map(|(_, file)| file)
    }

    /// [`Snapshot::custdomain`] with the file's path relative to the MailRoot.
    pub fn custdomain_at(&self, domain: &str) -> Option<(PathBuf, Loaded<CommandFile>)> {
        let files = custdomain_files(domain).filter(|file| is_plain_name(file));
        files.map(|file| Path::new(CUSTDOMAINS).join(file)).find_map(|path| {
            let file = Some(self.file(&path)).filter(Loaded::exists)?;
            Some((path, file))
        })
    }

    /// The domain we stand for (`mailflow.md` 3.2, 9.1): the `server.tab` variable, else the longest suffix of our own
    /// name that is a handled domain, or that name itself, else `RootDomain`. `own_name` is the PTR of the local address.
    pub fn own_domain(&self, variable: &schema::Text, own_name: Option<&str>) -> Option<String> {
        let from_name = || {
            let name = own_name?;
            let parents = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
            Some(std::iter::once(name).chain(parents).find(|suffix| self.handles(suffix)).unwrap_or(name))
        };
        let domain = self.server.text(variable).or_else(from_name).or_else(|| self.server.root_domain());
        domain.map(str::to_owned)
    }

    /// The mailproc files that apply to an account: the domain's, then its own (`mailflow.md` 4.4).
    pub fn mailproc(&self, account: &Account) -> [Loaded<CommandFile>; 2] {
        mailproc_files(account).map(|path| self.file(&path))
    }
}

/// The paths of the mailproc files that apply to an account, relative to the MailRoot, in the order of their work.
pub fn mailproc_files(account: &Account) -> [PathBuf; 2] {
    [MailRoot::domain_directory(&account.domain), MailRoot::account_directory(account)]
        .map(|directory| directory.join("mailproc.tab"))
}

fn account_step(account: &Account) -> Step {
    let is_list = account.kind != AccountKind::User;
    Step::new(Fact::Account { address: account.address(), is_list }).by(MAILUSERS, account.line)
}

/// The file of accounts.
const MAILUSERS: &str = "mailusers.tab";

/// The file of aliases.
const ALIASES: &str = "aliases.tab";

/// Where the command files of custom domains are.
pub const CUSTDOMAINS: &str = "custdomains";

/// The files that may hold the commands of a custom domain, in the order of looking: `a.b.c.tab`, `.b.c.tab`, `.c.tab`,
/// `.tab`. Names from outside still have to be checked to be plain.
pub fn custdomain_files(domain: &str) -> impl Iterator<Item = String> {
    let domain = domain.to_ascii_lowercase();
    let parents: Vec<String> = domain.match_indices('.').map(|(dot, _)| domain[dot..].to_owned()).collect();
    std::iter::once(domain).chain(parents).chain([String::new()]).map(|stem| format!("{stem}.tab"))
}
