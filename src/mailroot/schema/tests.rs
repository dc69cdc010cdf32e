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
        assert!(server::find(name.as_bytes()).is_some(), "server.tab: {name}");
    }
    for name in USER_TAB.split_whitespace() {
        assert!(user::find(name.as_bytes()).is_some(), "user.tab: {name}");
    }
    assert!(server::find(b"RootDomain-192.0.2.1").is_none());
    assert!(server::find(b"rootdomain").is_none());
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
            assert!(server::find(name.as_bytes()).is_some(), "{name}");
        }
    }
}
