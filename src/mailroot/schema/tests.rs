use std::path::Path;

use super::variable::{find, nearest};
use super::*;

/// The names in the table of `mailroot.md` 8, and `jdmail.md` 3.
const SERVER_TAB: &str = "RootDomain SmtpServerDomain POP3Domain HeloDomain PostMaster ErrorsAdmin TempErrorsAdmin \
    RemoveSpoolErrors NotifyMsgLinesExtra NotifySendLogToSender NotifyTryPattern NoSenderBounce \
    NoBounceToReplyAddress MaxMTAOps ReceivedHdrType MaxMessageSize SMTP-MaxErrors AllowNullSender \
    CheckMailerDomain AllowSmtpVRFY AllowSmtpETRN EnableAuthSMTP-POP3 DefaultSmtpPerms DisableEmitAuthUser \
    SmtpConfig SmtpConfig-192.0.2.1 SmtpConfig-192.0.2.1,25 SmtpNoTLSAuths SMTP-IpMapDropCode CustMapsList \
    SMTP-RDNSCheck SmtpMsgIPBan SmtpMsgIPBanSpammers SmtpMsgIPBanMaps SmtpMsgIPBanSpamAddress CustomSMTPMessage \
    SmtpMinDiskSpace SmtpMinVirtMemSpace Pop3MinVirtMemSpace Pop3LogPasswd Pop3SyncErrorAccount FetchHdrTags \
    DefaultSMTPGateways SmtpGwConfig SmartDNSHost EnableSMTP-TLS EnablePOP3-TLS EnableCTRL-TLS SSLUseCertsFile \
    SSLUseCertsDir SSLWantVerify SSLWantCert SSLAllowSelfSigned SSLMaxCertsDepth \
    MailBoxPath SMTPLocalRule1 SMTPLocalRule2 LocalDomainAuth";

/// The names in the table of `mailroot.md` 9.
const USER_TAB: &str = "RealName HomePage Address Telephone MaxMBSize MaxMessageSize SmtpPerms ReceiveEnable PopEnable \
    Pop3ScanCur DisableEmitAuthUser ClosedML ListSender UseReplyTo";

#[test]
fn every_specified_variable_is_described() {
    for name in SERVER_TAB.split_whitespace() {
        assert!(find(server::VARIABLES, name.as_bytes()).is_some(), "server.tab: {name}");
    }
    for name in USER_TAB.split_whitespace() {
        assert!(find(user::VARIABLES, name.as_bytes()).is_some(), "user.tab: {name}");
    }
    assert!(find(server::VARIABLES, b"RootDomain-192.0.2.1").is_none());
    assert!(find(server::VARIABLES, b"rootdomain").is_none());
}

#[test]
fn descriptions_are_whole() {
    for variables in [server::VARIABLES, user::VARIABLES] {
        for (index, variable) in variables.iter().enumerate() {
            let name = variable.name;
            assert!(
                variable.doc().ends_with('.') && !variable.doc().contains("  "),
                "{name}: {:?}",
                variable.doc()
            );
            assert!(!variable.section.is_empty(), "{name}");
            assert!(variables[..index].iter().all(|other| other.name != name), "{name} twice");
        }
    }
}

/// The template uses nothing that is not described.
#[test]
fn the_template_is_described() {
    for line in include_str!("../../../mailroot-template/server.tab").lines() {
        let line = line.trim_start_matches('#');
        if let Some(name) = line.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
            assert!(find(server::VARIABLES, name.as_bytes()).is_some(), "{name}");
        }
    }
}

#[test]
fn a_slip_of_the_pen_finds_the_variable_that_was_meant() {
    let meant = |name: &str| nearest(server::VARIABLES, name.as_bytes()).map(|variable| variable.name);
    assert_eq!(meant("MaxMtaOps"), Some("MaxMTAOps"));
    assert_eq!(meant("RootDomains"), Some("RootDomain"));
    assert_eq!(meant("Postmaster"), Some("PostMaster"));
    assert_eq!(meant("SMTP-MaxError"), Some("SMTP-MaxErrors"));
    assert_eq!(meant("EnableSMTPTLS"), Some("EnableSMTP-TLS"));
    assert_eq!(meant("Webmail-Colour"), None);
    assert_eq!(meant(""), None);
}

/// `mailroot.md` 6: every file of the quick table, and its row sizes.
#[test]
fn every_file_is_described() {
    for (file, columns_min, line_bytes_max) in [
        ("domains.tab", 1, 510),
        ("aliasdomain.tab", 2, 510),
        ("mailusers.tab", 6, 2046),
        ("aliases.tab", 3, 510),
        ("extaliases.tab", 4, 1022),
        ("server.tab", 2, 2046),
        ("userdef.tab", 2, 2046),
        ("domains/home.test/userdef.tab", 2, 2046),
        ("domains/home.test/anna/user.tab", 2, 2046),
        ("domains/home.test/news/mlusers.tab", 1, 510),
        ("pop3links.tab", 6, 2046),
        ("smtpgw.tab", 2, 1022),
        ("smtpfwd.tab", 2, 1022),
        ("smtprelay.tab", 1, 510),
        ("spammers.tab", 1, 510),
        ("spam-address.tab", 1, 510),
        ("smtp.ipmap.tab", 4, 510),
        ("pop3.ipmap.tab", 4, 510),
        ("imap.ipmap.tab", 4, 510),
        ("ctrl.ipmap.tab", 4, 510),
        ("finger.ipmap.tab", 4, 510),
        ("domains/home.test/anna/pop3.ipmap.tab", 4, 510),
        ("domains/home.test/anna/imap.ipmap.tab", 4, 510),
        ("smtp.ipprop.tab", 1, 1022),
        ("smtp.hnprop.tab", 1, 1022),
        ("smtpauth.tab", 3, 510),
        ("smtpextauth.tab", 2, 1022),
        ("ctrlaccounts.tab", 2, 510),
        ("webadmin.tab", 3, 2046),
        ("filters.in.tab", 5, 510),
        ("filters.out.tab", 5, 510),
        ("filters/scan.tab", 1, 1022),
        ("filters/scan", 1, 1022),
        ("filters.post-rcpt.tab", 1, 1022),
        ("filters.pre-data.tab", 1, 1022),
        ("filters.post-data.tab", 1, 1022),
        ("domains/home.test/mailproc.tab", 1, 510),
        ("domains/home.test/anna/mailproc.tab", 1, 510),
        ("cmdaliases/home.test/robot.tab", 1, 1022),
        ("custdomains/a.test.tab", 1, 1022),
        ("custdomains/.a.test.tab", 1, 1022),
        ("custdomains/.tab", 1, 1022),
        ("userauth/pop3/home.test.tab", 2, 1022),
        ("userauth/pop3/.tab", 2, 1022),
        ("userauth/smtp/mx.test.tab", 1, 510),
        ("dnsroots", 1, 254),
        ("domains/home.test/anna/imapfolders.tab", 2, 4096),
        ("domains/home.test/anna/imapflags.tab", 2, 4096),
        ("domains/home.test/anna/imapmetadata.tab", 3, 16384),
        ("domains/home.test/anna/Maildir/.Sent/imapkeywords.tab", 2, 4096),
        ("domains/home.test/anna/mailbox/.Sent.2026/imapkeywords.tab", 2, 4096),
    ] {
        let table = table::of_file(Path::new(file)).unwrap_or_else(|| panic!("{file}"));
        assert_eq!(
            (table.rows.min_columns, table.rows.line_bytes_max),
            (columns_min, line_bytes_max),
            "{file}"
        );
    }
    for stranger in
        ["domains.tab.bak", "domains/home.test/anna/mailbox/x", "spool/1", "filters", "x/filters.in.tab", ""]
    {
        assert!(table::of_file(Path::new(stranger)).is_none(), "{stranger}");
    }
}

/// The examples work: the loader takes them without a word, and so do the kinds of their columns.
#[test]
fn examples_are_without_fault() {
    for table in TABLES {
        assert!(!table.examples.is_empty(), "{}", table.name);
        let rows: Vec<String> = table
            .examples
            .iter()
            .map(|example| format!("\"{}\"\n", example.columns.join("\"\t\"")))
            .collect();
        let file = table.files[0].replace("<file>", "scan.tab");
        // Of userauth/smtp only one row counts; it has one.
        assert_eq!((table.load)(Path::new(&file), rows.concat().as_bytes()), [], "{}", table.name);
        if table.variables.is_empty() && table.commands.is_empty() && table.name != "filter files" {
            for example in table.examples {
                check_columns(table, example.columns);
            }
        }
    }
}

fn check_columns(table: &TableSchema, values: &[&str]) {
    // A mask or bits: the optional mask of an address with bits is left out.
    let has_no_mask = table.columns.get(1).is_some_and(|column| matches!(column.kind, Kind::Mask))
        && values[0].contains('/');
    let skipped = usize::from(has_no_mask && values.get(1).is_some_and(|value| value.contains('=')));
    for (index, value) in values.iter().enumerate() {
        let place = if index == 0 { 0 } else { index + skipped };
        let column = table.columns.get(place).or(table.columns.last()).unwrap();
        assert_eq!(column.kind.check(value.as_bytes()), None, "{}: {} {value}", table.name, column.name);
    }
}

#[test]
fn descriptions_of_tables_are_whole() {
    for table in TABLES {
        let name = table.name;
        let sentences = [table.summary, table.lookup, table.missing, table.written_by];
        let docs = table
            .columns
            .iter()
            .map(|column| column.doc)
            .chain(table.commands.iter().map(|command| command.doc));
        let more = table.notes.iter().copied().chain(table.examples.iter().map(|example| example.doc));
        for text in sentences.into_iter().chain(docs).chain(more) {
            assert!(text.ends_with(['.', ',']), "{name}: {text:?}");
            assert!(!text.contains("  "), "{name}: {text:?}");
        }
        assert!(!table.section.is_empty() && !table.files.is_empty() && !table.columns.is_empty(), "{name}");
        let required: usize =
            table.columns.iter().filter(|column| column.presence == Presence::Required).count();
        if name != "userauth/smtp" {
            assert_eq!(required, table.rows.min_columns, "{name}");
        }
    }
}

#[test]
fn tables_are_found_by_names_and_paths() {
    let found = |name: &str| table::find(name).map(|table| table.name);
    for (name, expected) in [
        ("mailusers.tab", "mailusers.tab"),
        ("mailusers", "mailusers.tab"),
        ("smtp.ipmap", "ipmap"),
        ("pop3.ipmap.tab", "ipmap"),
        ("ipmap", "ipmap"),
        ("filters.in", "filters"),
        ("filters.pre-data.tab", "filter files"),
        ("filters", "filters"),
        ("/var/MailRoot/filters/scan.tab", "filter files"),
        ("cmdaliases", "cmdaliases"),
        ("cmdaliases/home.test/robot.tab", "cmdaliases"),
        ("custdomains/", "custdomains"),
        ("userauth/smtp", "userauth/smtp"),
        ("/var/MailRoot/domains/home.test/anna/user.tab", "user.tab"),
        ("./server.tab", "server.tab"),
        ("dnsroots", "dnsroots"),
    ] {
        assert_eq!(found(name), Some(expected), "{name}");
    }
    assert_eq!(found("mailuser"), None);
    assert_eq!(table::nearest("mailuser").map(|table| table.name), Some("mailusers.tab"));
    assert!(table::nearest("zzz").is_none());
}

/// No value makes a kind panic, and what is wrong is said in one line.
#[test]
fn kinds_judge_anything() {
    let values: [&[u8]; 12] =
        [b"", b"1", b"-1", b"99999999999999999999", b"\xff", b"a b", b"=,;", b"@", b"/", b"#", b"&,", b"@@X"];
    let columns = TABLES.iter().flat_map(|table| table.columns.iter().map(|column| column.kind));
    let variables = server::VARIABLES.iter().chain(user::VARIABLES).map(|variable| variable.kind);
    for kind in columns.chain(variables) {
        for value in values {
            kind.note(value, &mut |problem| assert!(!problem.to_string().contains('\n'), "{problem}"));
        }
        assert!(!kind.describe().contains('\n'));
    }
}
