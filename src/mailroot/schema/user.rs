//! The variables of `user.tab`, and of `userdef.tab`, which is copied into the `user.tab` of new accounts
//! (`mailroot.md` 9). Other names are kept: programs around the server store their own there.

use super::kind::Kind;
use super::options;
use super::variable::{Flag, Integer, Kilobytes, Origin, Text, flag, integer, kilobytes, text, variables};

/// Why a variable for address books does nothing.
const FOR_PEOPLE: &str = "it is there for people and other programs";

variables! {
    /// All variables of `user.tab`, in the order of the documentation.
    VARIABLES in "mailroot.md 9";

    /// The name shown by FINGER and VRFY.
    REAL_NAME: Text = text("RealName", Kind::Text, "shown as unknown");
    /// The page shown by FINGER.
    HOME_PAGE: Text = text("HomePage", Kind::Text, "shown as unknown");
    /// The postal address.
    ADDRESS: Text = text("Address", Kind::Text, "none").ignored(FOR_PEOPLE);
    /// The telephone number.
    TELEPHONE: Text = text("Telephone", Kind::Text, "none").ignored(FOR_PEOPLE);
    /// The department of the company.
    DEPARTMENT: Text =
        text("Department", Kind::Text, "none").ignored(FOR_PEOPLE).from(Origin::JDMail, "jdmail.md JD-41");
    /// The secrecy level: which papers of the company the person may see.
    SECRECY_LEVEL: Text =
        text("SecrecyLevel", Kind::Text, "none").ignored(FOR_PEOPLE).from(Origin::Tabmail, "jdmail.md JD-41");
    /// The person's number in the company.
    EMPLOYEE_ID: Text =
        text("EmployeeId", Kind::Text, "none").ignored(FOR_PEOPLE).from(Origin::Tabmail, "jdmail.md JD-41");
    /// The number of the person's identity card or passport.
    PERSON_ID: Text =
        text("PersonId", Kind::Text, "none").ignored(FOR_PEOPLE).from(Origin::Tabmail, "jdmail.md JD-41");
    /// How much mail the mailbox may hold. For users.
    MAX_MB_SIZE: Kilobytes = kilobytes("MaxMBSize");
    /// The largest message that the user may send when logged in; 0: any size. For users.
    MAX_MESSAGE_SIZE: Kilobytes =
        kilobytes("MaxMessageSize").without("any size with the permission Z, else MaxMessageSize of server.tab");
    /// What the user may do over SMTP when logged in. For users.
    SMTP_PERMS: Text = text("SmtpPerms", Kind::Letters(&options::SMTP_PERMS), "DefaultSmtpPerms of server.tab");
    /// The account receives mail; with 0 its recipients are refused.
    RECEIVE_ENABLE: Flag = flag("ReceiveEnable", true);
    /// The user may log in to SMTP. For users.
    SMTP_ENABLE: Flag = flag("SmtpEnable", true).from(Origin::JDMail, "jdmail.md JD-41");
    /// The user may log in to POP3. For users.
    POP_ENABLE: Flag = flag("PopEnable", true);
    /// The user may log in to IMAP. For users.
    IMAP_ENABLE: Flag = flag("ImapEnable", true).from(Origin::Tabmail, "IMAP");
    /// Above 0 POP3 also lists `Maildir/cur`. For users.
    POP3_SCAN_CUR: Integer = integer("Pop3ScanCur", 0, (0, 1), "");
    /// Mail that a rule of `rules.tab` marks as junk is put into the IMAP folder for junk, which is made where there is none;
    /// otherwise it stays, marked, in INBOX, the only folder that POP3 serves. Only with Maildirs. For users.
    JUNK_FOLDER: Flag = flag("JunkFolder", false).from(Origin::Tabmail, "jdmail.md JD-56");
    /// The log-in name is not written into the user's messages (`X-AuthUser`). For users.
    DISABLE_EMIT_AUTH_USER: Flag =
        flag("DisableEmitAuthUser", false).without("DisableEmitAuthUser of server.tab");
    /// Only members with the right to post may. For lists.
    CLOSED_ML: Flag = flag("ClosedML", false);
    /// With `ClosedML`: who has logged in to an account of the list's domain may post, too, a member or not. For lists.
    DOMAIN_MAY_POST: Flag = flag("DomainMayPost", false).from(Origin::Tabmail, "jdmail.md JD-47");
    /// The envelope sender of the copies that members get, who then answers for bounces. For lists.
    LIST_SENDER: Text = text("ListSender", Kind::Address, "the sender of the original");
    /// Copies get a `Reply-To` with the list's address. For lists.
    USE_REPLY_TO: Flag = flag("UseReplyTo", true);
}
