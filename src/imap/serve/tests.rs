//! Whole sessions over loopback, with a MailRoot of their own.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::dns;
use crate::durable::Disk;
use crate::mailbox::Kind;
use crate::mailroot::{MailRoot, made};
use crate::net::{BindAddress, Link, ListenOptions, Listener, SessionCounter};

const SERVER_TAB: &str = "\"RootDomain\"\t\"home.test\"\n\"POP3Domain\"\t\"home.test\"\n";

/// What a client hears that sends `said` to a server with these files and this limit of sessions.
async fn heard(files: &[(&str, &str)], sessions_max: usize, said: &str) -> String {
    let root = made::mail_root(files);
    let mail_root = MailRoot::new(root.path());
    let services = Services {
        tables: Tables::open(&mail_root),
        mailboxes: Mailboxes::new(mail_root, Kind::Maildir, Disk::default()),
        resolver: Resolver::new(dns::Config::default()).unwrap(),
        clock: Clock::manual("2026-11-23T10:33:05Z".parse().unwrap()),
        logs: Logs::none(),
        tls: Arc::new(TlsStore::new(root.path())),
        salts: None,
    };
    let any = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Listener::bind(any, &ListenOptions::default()).unwrap();
    let address = listener.local_addr();
    let tls = Arc::clone(&services.tls);
    let door = Door { listener, link: Link::Plain, tls, sessions: SessionCounter::default(), sessions_max };
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(door, Arc::new(services), Limits::default(), stop.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(said.as_bytes()).await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    stop.cancel();
    task.await.unwrap();
    heard
}

#[tokio::test]
async fn a_session_is_greeted_and_ends() {
    let heard = heard(&[("server.tab", SERVER_TAB)], 9, "a CAPABILITY\r\nb XYZZY\r\nc LOGOUT\r\n").await;
    let lines: Vec<&str> = heard.lines().collect();
    assert!(lines[0].starts_with("* OK ") && lines[1].starts_with("* CAPABILITY IMAP4rev1"), "{heard}");
    assert!(
        lines[2].to_lowercase().starts_with("a ok") && lines[3].to_lowercase().starts_with("b bad"),
        "{heard}"
    );
    assert!(lines[4].starts_with("* BYE") && lines[5].to_lowercase().starts_with("c ok"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_not_waited_for_as_long() {
    let begun = tokio::time::Instant::now();
    let heard = heard(&[("server.tab", SERVER_TAB)], 9, "a NOOP\r\nb LOGIN ").await;
    assert!(heard.ends_with("* BYE Nothing was heard for too long\r\n"), "{heard}");
    assert_eq!(begun.elapsed().as_secs() / 60, 3);
}

#[tokio::test]
async fn who_is_turned_away_hears_bye() {
    let deny = "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n";
    for (files, sessions_max, expected) in [
        (
            &[("server.tab", SERVER_TAB), ("imap.ipmap.tab", deny)][..],
            9,
            "* BYE Server does not like Your IP\r\n",
        ),
        (&[("server.tab", SERVER_TAB)], 0, "* BYE [UNAVAILABLE] Server too busy, retry later\r\n"),
        (&[], 9, "* BYE [CONTACTADMIN] No server.tab\r\n"),
    ] {
        assert_eq!(heard(files, sessions_max, "").await, expected);
    }
    let pop3_only = [("server.tab", SERVER_TAB), ("pop3.ipmap.tab", deny)];
    assert!(heard(&pop3_only, 9, "a LOGOUT\r\n").await.starts_with("* OK "));
}
