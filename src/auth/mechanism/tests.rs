use proptest::prelude::*;

use super::*;

const STAMP: &[u8] = b"<1896.697170952@postoffice.reston.mci.net>";

/// Plays a dialogue: the argument of AUTH, then lines `C:` and what the server does.
///
/// `334 text` is a challenge, `user/password` or `user/challenge/digest` are credentials, `! Error` is a failure.
fn check(auth: &str, dialogue: &[&str]) {
    let mut words = auth.split(' ');
    let mechanism = Mechanism::from_name(words.next().unwrap().as_bytes()).unwrap();
    let (mut exchange, mut step) = Exchange::start(mechanism, words.next().map(str::as_bytes), STAMP);
    for line in dialogue {
        match line.strip_prefix("C: ") {
            Some(line) => step = exchange.step(line.as_bytes()),
            None => assert_eq!(show(&step), *line, "{auth} {dialogue:?}"),
        }
    }
}

fn show(step: &Step) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match step {
        Step::Challenge(challenge) => format!("334 {challenge}"),
        Step::Failed(reason) => format!("! {reason:?}"),
        Step::Credentials(Credentials::Password { user, password }) => {
            format!("{}/{}", text(user), text(password))
        }
        Step::Credentials(Credentials::CramMd5 { user, challenge, digest }) => {
            format!("{}/{}/{}", text(user), text(challenge), text(digest))
        }
    }
}

/// Golden `smtp_auth` for the initial responses; RFC 4954 §4 for `plain-2step`.
#[test]
fn plain() {
    check("PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3", &["alice@example.test/alicepw"]);
    check("plain emlkAGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3", &["alice@example.test/alicepw"]);
    check("PLAIN", &["334 ", "C: AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3", "alice@example.test/alicepw"]);
    check("PLAIN", &["334 ", "C: *", "! Cancelled"]);
    check("PLAIN YWxpY2U=", &["! Message"]);
    check("PLAIN YWxpY2VAZXhhbXBsZS50ZXN0AGFsaWNlcHc=", &["! Message"]);
    check("PLAIN AGEAYgBj", &["! Message"]);
    check("PLAIN =", &["! Message"]);
    check("PLAIN *", &["! Base64"]);
    check("PLAIN ", &["! Base64"]);
}

#[test]
fn login() {
    let (user, password) = ("C: dXNlcg==", "C: c2VjcmV0");
    let (user_prompt, password_prompt) = ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6");
    check("LOGIN", &[user_prompt, user, password_prompt, password, "user/secret"]);
    check("login dXNlcg==", &[password_prompt, password, "user/secret"]);
    check("LOGIN", &[user_prompt, user, password_prompt, "C: ", "user/"]);
    check("LOGIN", &[user_prompt, "C: *", "! Cancelled"]);
    check("LOGIN", &[user_prompt, user, password_prompt, "C: *", "! Cancelled"]);
    check("LOGIN", &[user_prompt, user, password_prompt, "C: NOOP!", "! Base64"]);
}

/// RFC 2195 §2.
#[test]
fn cram_md5() {
    let challenge = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    let credentials = "tim/<1896.697170952@postoffice.reston.mci.net>/b913a602c7eda7a495b4e6e7334d3890";
    check("CRAM-MD5", &[challenge, "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", credentials]);
    check("CRAM-MD5", &[challenge, "C: *", "! Cancelled"]);
    check("CRAM-MD5", &[challenge, "C: dGlt", "! Message"]);
    check("CRAM-MD5", &[challenge, "C: dGltIGI5MTM=", "! Message"]);
    check("CRAM-MD5 dGlt", &["! UnexpectedInitialResponse"]);
}

#[test]
fn base64_is_strict() {
    for bad in ["dXNlcg", "dXNlcg=", "dXNlcg===", "dXNl cg==", "dXNlch==", "dXNlcg==\r", "d", "====", "dX-_"]
    {
        check("LOGIN", &["334 VXNlcm5hbWU6", &format!("C: {bad}"), "! Base64"]);
    }
}

#[test]
fn responses_have_a_limit() {
    let line = "A".repeat(RESPONSE_BYTES_MAX + 4);
    check("PLAIN", &["334 ", &format!("C: {line}"), "! TooLong"]);
    check(&format!("PLAIN {line}"), &["! TooLong"]);
}

#[test]
fn nothing_follows_the_end() {
    check("PLAIN AABhAGI=", &["! Message", "C: AGEAYg==", "! Message"]);
    check("PLAIN AGEAYg==", &["a/b", "C: AGEAYg==", "! Message"]);
}

#[test]
fn credentials_do_not_show_secrets() {
    let (_, step) = Exchange::start(Mechanism::Plain, Some(b"AHVzZXIAc2VjcmV0"), STAMP);
    let shown = format!("{step:?}");
    assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
}

#[test]
fn names() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::from_name(mechanism.name().to_lowercase().as_bytes()), Some(mechanism));
    }
    assert_eq!(Mechanism::from_name(b"GSSAPI"), None);
    assert!(!Mechanism::CramMd5.sends_password());
}

#[test]
fn the_client_answers_our_own_server() {
    for mechanism in Mechanism::ALL {
        let mut client = ClientExchange::new(mechanism, b"tim", b"tanstaaftanstaaf");
        let command = client.command();
        let initial = command.split(' ').nth(2).map(str::as_bytes);
        let (mut exchange, mut step) = Exchange::start(mechanism, initial, STAMP);
        while let Step::Challenge(challenge) = &step {
            let answer = client.answer(challenge.as_bytes()).unwrap();
            step = exchange.step(answer.as_bytes());
        }
        let expected = match mechanism {
            Mechanism::CramMd5 => {
                format!("tim/{}/b913a602c7eda7a495b4e6e7334d3890", String::from_utf8_lossy(STAMP))
            }
            Mechanism::Plain | Mechanism::Login => "tim/tanstaaftanstaaf".to_owned(),
        };
        assert_eq!(show(&step), expected);
    }
}

#[test]
fn the_client_gives_up_on_strange_servers() {
    let mut login = ClientExchange::new(Mechanism::Login, b"u", b"p");
    assert!(login.answer(b"anything").is_ok() && login.answer(b"").is_ok());
    assert_eq!(login.answer(b""), Err(ChallengeError::Unexpected));
    let mut cram = ClientExchange::new(Mechanism::CramMd5, b"u", b"p");
    assert_eq!(cram.answer(b"not base64!"), Err(ChallengeError::Base64));
}

proptest! {
    #[test]
    fn any_line_is_an_answer(line in proptest::collection::vec(any::<u8>(), 0..40)) {
        for mechanism in Mechanism::ALL {
            let (mut exchange, _) = Exchange::start(mechanism, None, STAMP);
            let _ = exchange.step(&line);
            let _ = exchange.step(&line);
        }
    }
}
