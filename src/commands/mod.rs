//! The sub-commands of `tabmail`, and the names under which XMail's programs are known.

pub mod check;
pub mod ctrlclnt;
pub mod diff;
pub mod explain;
pub mod help;
pub mod history;
pub mod init;
pub mod local;
pub mod mkusers;
pub mod root;
pub mod sendmail;
pub mod web;
pub mod xmcrypt;

use clap::{Args, Parser, Subcommand};

pub use root::mail_root_from_environment;

/// A mail server whose only database is an XMail or JDMail MailRoot.
#[derive(Debug, Parser)]
#[command(name = "tabmail", version, about, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Programs written for XMail find what they expect: called as XMail, sendmail, CtrlClnt, MkUsers or XMCrypt (a link or
a copy), tabmail behaves as that program.

Start with an empty directory:    tabmail init /var/MailRoot && tabmail serve -Ms /var/MailRoot
Start with XMail's or JDMail's:   stop it, then  tabmail serve -Ms /var/MailRoot";

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a MailRoot: SMTP, POP3, CTRL, FINGER, delivery and pickup of local mail
    Serve(Serve),
    /// Serve the web administration of a MailRoot, with a server running or without
    Web(web::Web),
    /// Lay out a new MailRoot in a directory
    Init(init::Init),
    /// Tell where mail goes and who may relay, and which rows decide it
    Explain(explain::Explain),
    /// Tell what changes for mail when one MailRoot takes the place of another
    Diff(diff::Diff),
    /// Look for everything that is wrong in a MailRoot, with no server running
    Check(check::Check),
    /// Put a message into spool/local, as sendmail does
    #[command(disable_help_flag = true)]
    Sendmail(Words),
    /// Administer a running server through its CTRL port, as CtrlClnt does, or with -Ms DIR as its operator
    #[command(disable_help_flag = true)]
    Ctl(Words),
    /// Say whether a server is running on a MailRoot, and how its tables stand
    Status(local::Status),
    /// Have a running server look at its tables now, and say whether they are live
    Reload(local::Reload),
    /// Bring mail out of the journal of a server that was killed, as its next start would: before going back to XMail
    #[command(disable_help_flag = true)]
    Recover(Words),
    /// Make the accounts of a new MailRoot in bulk, as MkUsers does
    #[command(disable_help_flag = true)]
    Mkusers(Words),
    /// Explain the tables and variables of a MailRoot
    Help(help::Help),
    /// List the states of the tables (needs HistoryMaxSize in server.tab)
    Log(history::Log),
    /// Show what a state changed in the tables
    Show(history::Show),
    /// Bring the tables back to a state
    Rollback(history::Rollback),
    /// Print the stored form of a password
    Xmcrypt(xmcrypt::XmCrypt),
}

/// `tabmail serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_HELP)]
pub struct Serve {
    /// Go to the background
    #[arg(long)]
    pub background: bool,
    /// XMail's options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "XMAIL OPTIONS")]
    pub words: Vec<String>,
}

const SERVE_HELP: &str = "\
XMail's options (each is a word of its own, its value the next word; repeated ones: the last wins):
  -Ms DIR        MailRoot, also --mail-root DIR (else the environment variable MAIL_ROOT)
  -Md            talk about everything on standard error
  -Mr HOURS      hours in one log file (24)         -Mx N   spool split level (23)
  -MM | -Mm      Maildir (default) or mailbox       -MD N   directories of the MX cache (101)
  -M4 -M6 -M5 -M7  addresses of other hosts: IPv4, IPv6, IPv4 first, IPv6 first
  -MR N, -MS N   socket buffers in bytes
  -Sp -Xp -Pp -Bp -Ip -Jp -Cp -Wp -Fp PORT   ports of SMTP 25, SMTPS 465, POP3 110, POP3S 995, IMAP 143, IMAPS 993,
                 CTRL 6017, CTRLS 6018, FINGER 79
  -SI ... -FI ADDR[:PORT]   address to listen on, may be repeated; else server.tab SMTP-Listen ... FINGER-Listen; else any
  -S6 ... -F6    the IPv6 any-address               -S- ... -F-   service off
  -St -Pt -It -Ct SECS  idle limits (90, 90, 1800, 120)
  -SX -PX -IX -CX N  sessions at once (1024, 1024, 16384, 512)
  -Sr N          recipients per message (100)       -Se SECS  POP-before-SMTP lifetime (900)
  -Pw -Iw SECS   first pause after a bad log-in (5) -Ph -Ih  close instead of pausing
  -Qn N          deliveries at once: local ones, and to each destination (16)
  -Qt SECS -Qi N -Qr N   retries: first wait (480), increment ratio (16), attempts (32)
  -Lt SECS       how often spool/local is looked at (2)
  -Sl -Pl -Il -Ql -Cl -Ll -Fl -Yl -Qg    logs of SMTP, POP3, IMAP, delivery, CTRL, pickup, FINGER, PSYNC, filters
  --web[=ADDR:PORT]  the web administration as well (127.0.0.1:8080), --web-tls, --web-templates=DIR; see tabmail web
MAIL_CMD_LINE holds further options. SIGTERM and SIGINT stop. Edits are followed as they happen; SIGHUP takes files
that look half-written at once; tabmail status and tabmail reload tell whether an edit is live. A file .shutdown in the MailRoot stops the server and vanishes when it has.";

/// Words that are not ours to read.
#[derive(Debug, Args)]
pub struct Words {
    /// Options and recipients
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
