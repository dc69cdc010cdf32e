//! Who an address is: domains, alias domains, accounts and aliases put together (`mailflow.md` 3.6).

use std::sync::Arc;

use super::accounts::{Account, AliasDomainRow, AliasRow};
use super::command_file::CommandFile;
use super::lists::ListMembers;
use super::profile::UserTab;
use super::schema;
use super::snapshot::{Loaded, Snapshot};
use super::{MailRoot, accounts::is_plain_name};

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
        self.domains.get(domain).is_some() || self.domains.get(self.real_domain(domain)).is_some()
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
        self.resolve_in(domain, name).or_else(|| {
            let row = self.alias_domains.get(domain)?;
            let found = self.resolve_in(&row.domain, name)?;
            Some(Resolved { alias_domain: Some(row.clone()), ..found })
        })
    }

    fn resolve_in(&self, domain: &str, name: &str) -> Option<Resolved> {
        if let Some(account) = self.users.get(domain, name) {
            return Some(Resolved { account: Arc::clone(account), alias_domain: None, alias: None });
        }
        let row = self.aliases.get(domain, name)?;
        let account = match row.target.split_once('@') {
            Some((name, domain)) => self.users.get(domain, name),
            None => self.users.get(domain, &row.target),
        }?;
        Some(Resolved { account: Arc::clone(account), alias_domain: None, alias: Some(row.clone()) })
    }

    /// The variables of an account.
    pub fn user_tab(&self, account: &Account) -> Loaded<UserTab> {
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

    /// The command file `cmdaliases/<real domain>/<name>.tab` for an address, if it exists (`mailroot.md` 13.1).
    pub fn cmdalias(&self, domain: &str, name: &str) -> Option<Loaded<CommandFile>> {
        let domain = self.real_domain(domain).to_ascii_lowercase();
        let file = format!("{}.tab", name.to_ascii_lowercase());
        if !is_plain_name(&domain) || !is_plain_name(&file) {
            return None;
        }
        Some(self.file(&std::path::Path::new("cmdaliases").join(domain).join(file))).filter(Loaded::exists)
    }

    /// The command file in `custdomains/` for a domain: `a.b.c.tab`, `.b.c.tab`, `.c.tab`, `.tab`; the first that
    /// exists (`mailflow.md` 4.3). It only matters for domains that are not handled.
    pub fn custdomain(&self, domain: &str) -> Option<Loaded<CommandFile>> {
        let mut files = custdomain_files(domain).filter(|file| is_plain_name(file));
        files.find_map(|file| {
            Some(self.file(&std::path::Path::new(CUSTDOMAINS).join(file))).filter(Loaded::exists)
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
        [
            self.file(&MailRoot::domain_directory(&account.domain).join("mailproc.tab")),
            self.file(&MailRoot::account_directory(account).join("mailproc.tab")),
        ]
    }
}

/// Where the command files of custom domains are.
pub const CUSTDOMAINS: &str = "custdomains";

/// The files that may hold the commands of a custom domain, in the order of looking: `a.b.c.tab`, `.b.c.tab`, `.c.tab`,
/// `.tab`. Names from outside still have to be checked to be plain.
pub fn custdomain_files(domain: &str) -> impl Iterator<Item = String> {
    let domain = domain.to_ascii_lowercase();
    let parents: Vec<String> = domain.match_indices('.').map(|(dot, _)| domain[dot..].to_owned()).collect();
    std::iter::once(domain).chain(parents).chain([String::new()]).map(|stem| format!("{stem}.tab"))
}
