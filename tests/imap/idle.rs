//! Clients that wait: each hears of what happens, and is let go as soon as it says so, whatever happens meanwhile.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use tabmail::mailbox::Kind;
use tabmail::net::Link;

use crate::client::Client;
use crate::server::Server;

/// Clients at once.
const CLIENTS: usize = 12;

/// How often each of them waits.
const ROUNDS: usize = 60;

fn hear(client: &mut Client, start: &str) {
    loop {
        let answer = client.response().expect("the server has hung up");
        if answer.starts_with(start.as_bytes()) {
            return;
        }
    }
}

fn tell(client: &mut Client, command: &str) {
    client.send(format!("{command}\r\n").as_bytes());
}

fn run(kind: Kind) {
    let mut server = Server::new(kind);
    let inbox = server.path("INBOX");
    let address = server.open(Link::Plain);
    let enter = || {
        let mut client = Client::connect(address);
        tell(&mut client, "a LOGIN anna annapw");
        hear(&mut client, "a OK");
        tell(&mut client, "a SELECT INBOX");
        hear(&mut client, "a OK");
        client
    };
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| enter()).collect();
    let is_over = AtomicBool::new(false);
    let mut serial = 0;
    let mut deliver = |server: &mut Server| {
        serial += 1;
        server.deliver(&inbox, 1_700_000_000 + serial, format!("Subject: {serial}\r\n\r\n").as_bytes());
    };
    std::thread::scope(|scope| {
        let waiting: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(nth, client)| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        tell(client, "i IDLE");
                        // Some say DONE before they have been told that they may.
                        if (nth + round) % 3 != 0 {
                            hear(client, "+");
                        }
                        if (nth + round) % 5 == 0 {
                            hear(client, "* ");
                        }
                        tell(client, "DONE");
                        // The client gives up by itself when it hears nothing for too long.
                        hear(client, "i OK");
                        if (nth + round) % 4 == 0 {
                            tell(client, &format!("s STORE 1 FLAGS ($K{})", round % 7));
                            hear(client, "s ");
                        }
                    }
                })
            })
            .collect();
        let (is_over, server, deliver, inbox) = (&is_over, &mut server, &mut deliver, &inbox);
        let delivering = scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                deliver(server);
                let files: Vec<_> =
                    fs::read_dir(inbox).unwrap().flatten().map(|entry| entry.path()).collect();
                if files.len() > 30 {
                    let _ = fs::remove_file(&files[0]);
                }
            }
        });
        let ended: Vec<_> = waiting.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        delivering.join().unwrap();
        ended.into_iter().for_each(|client| client.unwrap());
    });
    for client in &mut clients {
        tell(client, "i IDLE");
        hear(client, "+");
    }
    // One after the other, and each is heard of by all.
    for _ in 0..5 {
        deliver(&mut server);
        clients.iter_mut().for_each(hear_exists);
    }
}

fn hear_exists(client: &mut Client) {
    while !client.response().expect("the server has hung up").ends_with(b" EXISTS\r\n") {}
}

#[test]
fn those_who_wait_hear_of_everything_and_are_let_go() {
    run(Kind::Maildir);
    run(Kind::Mailbox);
}
