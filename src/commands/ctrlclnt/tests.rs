//! Dialogues without a socket, and two whole runs against our own server.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::admin::Admin;
use crate::clock::Clock;
use crate::ctrl;
use crate::durable::Disk;
use crate::logs::Logs;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::{MailRoot, Tables};
use crate::net::tls::ensure_self_signed;
use crate::net::{self, BindAddress, Door, ListenOptions, Listener, SessionCounter, TlsStore};

fn options(line: &str) -> Options {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    Options::parse(&words, &Environment::default()).unwrap()
}

/// Plays the server's lines (`S:`) and shows what the session does, until it is done or fails.
fn play(command_line: &str, server: &str) -> String {
    let mut session = Session::new(&options(command_line)).unwrap();
    let mut seen = String::new();
    let sent = |octets: &[u8]| format!("C: {}\n", String::from_utf8_lossy(octets).trim_end());
    for line in server.lines() {
        seen += &match session.on_line(line.as_bytes()) {
            Ok(Action::Send(octets)) => sent(&octets),
            Ok(Action::StartTls) => format!("TLS\n{}", sent(&session.on_tls().unwrap())),
            Ok(Action::Upload) => "upload\n".to_owned(),
            Ok(Action::BeginListing) => String::new(),
            Ok(Action::ListingLine(line)) => format!("> {}\n", String::from_utf8_lossy(&line)),
            Ok(Action::Done) => "done\n".to_owned(),
            Err(error) => format!("{error}\n"),
        };
    }
    seen
}

const GREETING: &str =
    "+00000 <1795430588.1@127.0.0.1> XMail 1.27 CTRL Server; Mon, 23 Nov 2026 10:43:03 -0000\n";
const WHO: &str = "-s h -u admin -p adminpw";

#[track_caller]
fn check(command_line: &str, server: &str, expected: &str) {
    assert_eq!(play(command_line, &format!("{GREETING}{server}")), expected, "{command_line}");
}

fn log_in() -> String {
    let digest = crate::auth::apop_digest(b"<1795430588.1@127.0.0.1>", b"adminpw");
    format!("C: \"admin\"\t\"#{digest}\"\n")
}

#[test]
fn a_command_a_listing_and_an_upload() {
    check(&format!("{WHO} noop"), "+00000 OK\n+00000 OK\n", &format!("{}C: \"noop\"\ndone\n", log_in()));
    check(
        &format!("{WHO} cfgfileget a.tab"),
        "+00000 OK\n+00100 OK\n\"x\"\n..dot\n\n-00001 text\n.\n",
        &format!("{}C: \"cfgfileget\"\t\"a.tab\"\n> \"x\"\n> .dot\n> \n> -00001 text\ndone\n", log_in()),
    );
    check(
        &format!("{WHO} cfgfileset a.tab"),
        "+00000 OK\n+00101 OK\n+00000 OK\n",
        &format!("{}C: \"cfgfileset\"\t\"a.tab\"\nupload\ndone\n", log_in()),
    );
    assert_eq!(
        session::upload(b"\"mailbox\"\n.dotline\r\nlast"),
        b"\"mailbox\"\r\n..dotline\r\nlast\r\n.\r\n"
    );
    assert_eq!(session::upload(b""), b".\r\n");
}

#[test]
fn quotes_are_escaped_and_what_cannot_be_sent_is_refused() {
    check(
        &format!("{WHO} uservarsset d u RealName A\"B"),
        "+00000 OK\n",
        &format!("{}C: \"uservarsset\"\t\"d\"\t\"u\"\t\"RealName\"\t\"A\\\"B\"\n", log_in()),
    );
    let error = Session::new(&options(&format!("{WHO} useradd d u a\\"))).unwrap_err();
    let text = CtrlError::from(error).to_string();
    assert_eq!(
        text,
        "ErrCode   = -103\nErrString = Bad CTRL command syntax\n\
         ErrInfo   = column 4 cannot be written to a table: it ends in a backslash"
    );
}

#[test]
fn only_our_own_usage_shows_our_option() {
    assert!(options::usage("./CtrlClnt").ends_with("-D               = enable debug"));
    assert!(options::usage("tabmail ctl").contains("\n       --tsv "));
}

#[test]
fn log_ins() {
    let clear = "C: \"admin\"\t\"adminpw\"\n";
    check(&format!("{WHO} -c noop"), "", clear);
    // XMail's program sends the password itself here.
    check(
        &format!("{WHO} -S noop"),
        "+00000 Ready to start TLS mode\n",
        &format!("C: #!TLS\nTLS\n{}", log_in()),
    );
    check(&format!("{WHO} -L noop"), "", &log_in());
    check(
        &format!("{WHO} noop"),
        "-00105 Bad controller login\n",
        &format!("{}Bad controller login\n", log_in()),
    );
    // Without a stamp the password is shown to nobody who listens.
    let no_stamp = "+00000 server\n+00000 Ready\n";
    assert!(play(&format!("{WHO} noop"), no_stamp).starts_with("the server's greeting has no time stamp"));
    assert_eq!(play(&format!("{WHO} -S noop"), no_stamp), format!("C: #!TLS\nTLS\n{clear}"));
}

#[test]
fn refusals_and_strangers() {
    let refused = play(&format!("{WHO} noop"), "-00130 Server does not like Your IP\n");
    assert_eq!(refused, "Server does not like Your IP\n");
    for line in ["220 mail.test ESMTP", "", "+", "+0x", "+\u{e9}1"] {
        let seen = play(&format!("{WHO} noop"), &format!("{line}\n\n"));
        assert!(seen.starts_with("not a CTRL response"), "{line:?}: {seen}");
    }
}

/// What golden `ctrlclnt` shows on standard error.
#[test]
fn errors_in_xmails_words() {
    let error = CtrlError::from(SessionError::Refused("User already exist".into()));
    assert_eq!(
        error.to_string(),
        "ErrCode   = -138\nErrString = Controller response error\nErrInfo   = User already exist"
    );
    assert_eq!(error.exit_code(), 4);
    assert_eq!(CtrlError::Closed.to_string(), "ErrCode   = -152\nErrString = End of socket stream data");
    let usage = run("CtrlClnt", &[], &Environment::default()).unwrap_err();
    assert_eq!(usage.exit_code(), 3);
    assert!(
        usage
            .to_string()
            .starts_with("use :  CtrlClnt  [-snuptfSLcKCXHD]  ...\noptions :\n       -s server ")
    );
}

/// Our server on a MailRoot with one controller; on a TLS port if asked.
async fn serve(root: &Path, link: net::Link, stop: &CancellationToken) -> SocketAddr {
    for directory in MailRoot::directories() {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("ctrlaccounts.tab"), "\"admin\"\t\"0401080c0b1512\"\n").unwrap();
    fs::write(root.join("domains.tab"), "\"example.test\"\n").unwrap();
    ensure_self_signed(root, &["localhost".to_owned()]).unwrap();
    let mail_root = MailRoot::new(root);
    let tables = Tables::open(&mail_root);
    let mailboxes = Mailboxes::new(mail_root, Kind::Maildir, Disk::default());
    let admin = Admin::new(tables.clone(), mailboxes, None, Clock::system(), Disk::default());
    let tls = Arc::new(TlsStore::new(root));
    let services = ctrl::Services {
        admin: Arc::new(admin),
        tables,
        clock: Clock::system(),
        logs: Logs::new(root, || Clock::system().zoned(), NonZeroU32::MIN, []),
        tls: Arc::clone(&tls),
    };
    let any = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Listener::bind(any, &ListenOptions::default()).unwrap();
    let address = listener.local_addr();
    let door = Door { listener, link, tls, sessions: SessionCounter::default(), sessions_max: 8 };
    tokio::spawn(ctrl::serve(door, Arc::new(services), ctrl::Limits::default(), stop.clone()));
    address
}

async fn check_against_our_server(link: net::Link, tls: &str) {
    let dir = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let port = serve(dir.path(), link, &stop).await.port();
    let file = dir.path().join("listing");
    let put = dir.path().join("put");
    fs::write(&put, "\"mailbox\"\n.dotline\n").unwrap();
    let control = async |rest: &str| {
        let options = options(&format!("-s localhost -n {port} -u admin {tls} {rest}"));
        let session = Session::new(&options).unwrap();
        converse(&options, session).await.map_err(|error| error.to_string())
    };
    control("-p adminpw noop").await.unwrap();
    control(&format!("-p adminpw -f {} cfgfileset filters/in.tab", put.display())).await.unwrap();
    assert_eq!(fs::read(dir.path().join("filters/in.tab")).unwrap(), b"\"mailbox\"\n.dotline\n");
    control(&format!("-p adminpw -f {} cfgfileget filters/in.tab", file.display())).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"\"mailbox\"\n.dotline\n");
    // With --tsv a listing has no quotes; a file keeps them, and so does the listing without it.
    for (flag, command, expected) in [
        ("--tsv", "domainlist", "example.test\n"),
        ("--tsv", "cfgfileget filters/in.tab", "\"mailbox\"\n.dotline\n"),
        ("-c", "domainlist", "\"example.test\"\n"),
    ] {
        control(&format!("-p adminpw {flag} -f {} {command}", file.display())).await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), expected, "{flag} {command}");
    }
    // A refused command leaves the file alone.
    let refused =
        control(&format!("-p adminpw -f {} cfgfileget none.tab", file.display())).await.unwrap_err();
    assert!(refused.starts_with("ErrCode   = -138\n"), "{refused}");
    assert!(!fs::read(&file).unwrap().is_empty());
    let denied = control("-p bad noop").await.unwrap_err();
    assert!(denied.ends_with("ErrInfo   = Bad controller login"), "{denied}");
    stop.cancel();
}

#[tokio::test]
async fn plain_and_after_the_tls_command() {
    check_against_our_server(net::Link::Plain, "-c").await;
    check_against_our_server(net::Link::Plain, "-S").await;
}

#[tokio::test]
async fn on_the_tls_port() {
    check_against_our_server(net::Link::ImplicitTls, "-L").await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_read_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let port = serve(dir.path(), net::Link::ImplicitTls, &stop).await.port();
    let (cert, key) = (dir.path().join("server.cert"), dir.path().join("server.key"));
    let run = async |cert: &Path, key: &Path| {
        let identity = format!("-C {} -K {}", cert.display(), key.display());
        let options = options(&format!("-s localhost -n {port} -u admin -p adminpw -L {identity} noop"));
        let session = Session::new(&options).unwrap();
        converse(&options, session).await
    };
    run(&cert, &key).await.unwrap();
    assert!(matches!(run(&cert, &cert).await, Err(CtrlError::Tls(TlsError::Pem { .. }))));
    stop.cancel();
}
