//! Filters and log-in programs: rules and the files they name, programs, macros.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::access;
use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::{File, Site, entries};
use crate::exec::macros;
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::authentication::{Pop3ExtAuth, SmtpClientAuth};
use crate::mailroot::filters::{FilterProgram, FilterRules};

/// The macros that exist where (`mailflow.md` 1.7).
pub(super) const OF_MAILPROC: &str =
    "FROM, RCPT, RRCPT, FILE, MSGID, MSGREF, TMPFILE, LOCALADDR, REMOTEADDR, USERAUTH";
pub(super) const OF_COMMANDS: &str =
    "FROM, RCPT, FILE, MSGID, MSGREF, TMPFILE, LOCALADDR, REMOTEADDR, USERAUTH";
const OF_QUEUE: &str = "FROM, RCPT, RFROM, RRCPT, FILE, MSGID, MSGREF, LOCALADDR, REMOTEADDR, USERAUTH";
const OF_SMTP: &str = "FROM, CRCPT, RRCPT, FILE, MSGREF, LOCALADDR, REMOTEADDR, USERAUTH";
const OF_SMTP_AUTH: &str = "AUTH, USER, PASS, CHALL, DGEST, RFILE";
const OF_POP3_AUTH: &str = "USER, DOMAIN, PASSWD, PATH";

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    let tables = site.tables;
    let mut selected = HashSet::new();
    rules("filters.in.tab", &tables.filters_in, &mut selected, findings);
    rules("filters.out.tab", &tables.filters_out, &mut selected, findings);
    for (file, line, name) in &selected {
        let relative = Path::new("filters").join(name);
        if is_plain_name(name) && fs::symlink_metadata(site.path(&relative)).is_err() {
            let fact = Fact::FilterFileMissing { name: name.clone() };
            findings.add(Finding::of_field(*file, *line, 4, fact));
        }
    }
    let names: HashSet<&str> = selected.iter().map(|(_, _, name)| name.as_str()).collect();
    for entry in entries(&site.path("filters")).iter().filter(|entry| !entry.is_directory) {
        let relative = Path::new("filters").join(&entry.name);
        if names.contains(entry.name.as_str()) {
            let table = site.load::<FilterProgram>(&relative, findings).table();
            programs_of(&relative, &table.unwrap_or_default(), OF_QUEUE, findings);
        } else if entry.name.ends_with(".tab") {
            findings.add(Finding::of_file(relative, Fact::FilterFileUnused {}));
        }
    }
    for (file, table) in [
        ("filters.post-rcpt.tab", &tables.filters_post_rcpt),
        ("filters.pre-data.tab", &tables.filters_pre_data),
        ("filters.post-data.tab", &tables.filters_post_data),
    ] {
        programs_of(Path::new(file), table, OF_SMTP, findings);
    }
    log_ins(site, findings);
}

/// Collects the files that rules select, each with the first row that does.
fn rules(
    file: &'static str,
    rules: &FilterRules,
    selected: &mut HashSet<(&'static str, u32, String)>,
    findings: &mut Findings,
) {
    let mut known: HashSet<&str> = HashSet::new();
    for rule in rules.rows() {
        access::network(file, rule.line, &rule.remote, findings);
        if known.insert(&rule.file) {
            selected.insert((file, rule.line, rule.file.to_string()));
        }
    }
}

fn programs_of(file: &Path, table: &FilterProgram, known: &'static str, findings: &mut Findings) {
    for row in table.rows() {
        program(file, row.line, &row.program, findings);
        unknown_macros(file, row.line, &row.args, known, findings);
    }
}

fn log_ins(site: &Site<'_>, findings: &mut Findings) {
    let file = Path::new("smtpextauth.tab");
    for row in site.tables.smtp_ext_auth.rows() {
        program(file, row.line, &row.program, findings);
        unknown_macros(file, row.line, &row.args, OF_SMTP_AUTH, findings);
    }
    for entry in entries(&site.path("userauth/pop3")).iter().filter(|entry| entry.name.ends_with(".tab")) {
        let file = Path::new("userauth/pop3").join(&entry.name);
        let File::Table(table) = site.load::<Pop3ExtAuth>(&file, findings) else { continue };
        for row in table.rows() {
            program(&file, row.line, &row.program, findings);
            unknown_macros(&file, row.line, &row.args, OF_POP3_AUTH, findings);
        }
        let domain = entry.name.strip_suffix(".tab").unwrap_or_default();
        if !domain.is_empty() && site.knows_its_accounts() && !site.tables.handles(domain) {
            findings.add(Finding::of_file(&file, Fact::AuthDomainMissing { domain: domain.to_owned() }));
        }
    }
    for entry in entries(&site.path("userauth/smtp")).iter().filter(|entry| entry.name.ends_with(".tab")) {
        site.load::<SmtpClientAuth>(&Path::new("userauth/smtp").join(&entry.name), findings);
    }
}

/// Whether a program of a row can be run.
pub(super) fn program(file: &Path, line: u32, program: &BString, findings: &mut Findings) {
    let text = || program.to_string();
    let mut add = |fact| findings.add(Finding::of_value(file, line, program, fact));
    if program.starts_with(b"@@") || program.contains_str("$(") {
        return;
    }
    if !program.starts_with(b"/") {
        return add(Fact::ProgramRelative { program: text() });
    }
    match fs::metadata(std::ffi::OsStr::from_bytes(program)) {
        Ok(data) => {
            let mode = data.permissions().mode();
            if !data.is_file() || mode & 0o111 == 0 {
                add(Fact::ProgramNotExecutable { program: text() });
            } else if mode & 0o002 != 0 {
                add(Fact::ProgramWritable { program: text() });
            }
        }
        // Seen from another user: whether it is there cannot be said.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(_) => add(Fact::ProgramMissing { program: text() }),
    }
}

/// Reports the macros that the server's own expansion asks for and nobody answers.
pub(super) fn unknown_macros(
    file: &Path,
    line: u32,
    args: &[BString],
    known: &'static str,
    findings: &mut Findings,
) {
    let asked = RefCell::new(Vec::new());
    for arg in args {
        asked.borrow_mut().clear();
        macros::expand(std::slice::from_ref(arg), |name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        for name in asked.borrow().iter().filter(|name| !known.split(", ").any(|word| word == name.as_str()))
        {
            let fact = Fact::UnknownMacro { name: name.clone(), known };
            findings.add(Finding::of_value(file, line, arg, fact));
        }
    }
}
