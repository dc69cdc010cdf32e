//! Command files: `mailproc.tab`, `cmdaliases/`, `custdomains/`: programs, targets, and files nobody looks at.

use std::path::Path;

use super::code::Fact;
use super::filters::{OF_COMMANDS, OF_MAILPROC, program, unknown_macros};
use super::finding::{Finding, Findings};
use super::site::{File, Site, entries};
use crate::address::{Domain, Mailbox};
use crate::mailroot::command_file::{Command, CommandFile};

/// Whose mail the commands of a file are for.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// This address: an account or a command alias.
    Address(&'a str),
    /// All accounts of a domain, or a custom domain.
    Domain,
}

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    for domain in entries(&site.path("cmdaliases")).iter().filter(|entry| entry.is_directory) {
        command_aliases(site, &domain.name, findings);
    }
    for entry in entries(&site.path("custdomains")).iter().filter(|entry| entry.name.ends_with(".tab")) {
        let file = Path::new("custdomains").join(&entry.name);
        upper_case(&file, &entry.name, findings);
        load(site, &file, Owner::Domain, findings);
        let domain = entry.name.strip_suffix(".tab").unwrap_or_default();
        if !domain.is_empty() && site.tables.handles(domain) {
            findings.add(Finding::of_file(&file, Fact::CustomDomainHandled { domain: domain.to_owned() }));
        }
    }
}

fn command_aliases(site: &Site<'_>, domain: &str, findings: &mut Findings) {
    let directory = Path::new("cmdaliases").join(domain);
    upper_case(&directory, domain, findings);
    let real = site.tables.real_domain(domain);
    if real != domain {
        let fact = Fact::CmdAliasOfAliasDomain { domain: domain.to_owned(), real: real.to_ascii_lowercase() };
        findings.add(Finding::of_file(&directory, fact));
    }
    for entry in entries(&site.path(&directory)).iter().filter(|entry| entry.name.ends_with(".tab")) {
        let file = directory.join(&entry.name);
        upper_case(&file, &entry.name, findings);
        let name = entry.name.strip_suffix(".tab").unwrap_or_default();
        let address = format!("{name}@{domain}");
        load(site, &file, Owner::Address(&address), findings);
        if let Some(account) = site.tables.users.get(domain, name) {
            findings.add(Finding::of_file(&file, Fact::CmdAliasHidesAccount { address, line: account.line }));
        }
    }
}

fn upper_case(file: &Path, name: &str, findings: &mut Findings) {
    let lower = name.to_ascii_lowercase();
    if lower != name {
        findings.add(Finding::of_file(file, Fact::UpperCaseName { lower }));
    }
}

/// Reads a command file and looks at its commands.
pub(super) fn load(site: &Site<'_>, file: &Path, owner: Owner<'_>, findings: &mut Findings) {
    let File::Table(table) = site.load::<CommandFile>(file, findings) else { return };
    if table.is_empty() {
        findings.add(Finding::of_file(file, Fact::EmptyCommandFile {}));
    }
    let known = if file.ends_with("mailproc.tab") { OF_MAILPROC } else { OF_COMMANDS };
    for row in table.rows() {
        match &row.command {
            Command::External(command) | Command::Filter(command) => {
                program(file, row.line, &command.program, findings);
                unknown_macros(file, row.line, &command.args, known, findings);
            }
            Command::Redirect(targets) | Command::Lredirect(targets) => {
                for target in targets {
                    redirect(site, file, row.line, target, owner, findings);
                }
            }
            _ => {}
        }
    }
}

fn redirect(
    site: &Site<'_>,
    file: &Path,
    line: u32,
    target: &[u8],
    owner: Owner<'_>,
    findings: &mut Findings,
) {
    let text = String::from_utf8_lossy(target).into_owned();
    let mut add = |fact| findings.add(Finding::of_value(file, line, target, fact));
    let is_address = Mailbox::parse(target).is_ok();
    if !is_address && (target.contains(&b'@') || Domain::parse(target).is_err()) {
        // Loading reports what is neither address nor domain.
        return;
    }
    let address = match owner {
        _ if is_address => text,
        // A domain keeps the name.
        Owner::Address(own) => format!("{}@{text}", own.split_once('@').map_or(own, |(name, _)| name)),
        Owner::Domain => return,
    };
    match owner {
        Owner::Address(own) if leads_back(site, own, &address) => add(Fact::RedirectToItself { address }),
        _ if site.knows_its_accounts() && site.receives(&address) == Some(false) => {
            add(Fact::TargetGone { address })
        }
        _ => {}
    }
}

/// Whether mail for `target` comes to the account or command alias `own`.
fn leads_back(site: &Site<'_>, own: &str, target: &str) -> bool {
    if own.eq_ignore_ascii_case(target) {
        return true;
    }
    let Some((name, domain)) = target.rsplit_once('@') else { return false };
    site.tables.cmdalias(domain, name).is_none()
        && site
            .tables
            .resolve(domain, name)
            .is_some_and(|found| found.account.address().eq_ignore_ascii_case(own))
}
