use super::*;

/// RFC 7677 3.
const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn plain() -> ChannelBindings {
    ChannelBindings::default()
}

fn tls() -> ChannelBindings {
    ChannelBindings {
        tls_exporter: Some(b"exported".to_vec()),
        tls_server_end_point: Some(b"hash of the certificate".to_vec()),
    }
}

fn example() -> ScramExchange {
    let first = ClientFirst::parse(ScramMechanism::Sha256, &plain(), FIRST).unwrap();
    let (exchange, server_first) =
        first.challenge(&STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), NONCE);
    assert_eq!(server_first, SERVER_FIRST);
    exchange
}

#[test]
fn the_example_of_the_rfc() {
    assert_eq!(example().finish(FINAL.as_bytes(), Some(b"pencil")).unwrap(), SERVER_FINAL);
}

#[test]
fn last_messages_that_fail() {
    let check = |message: &str, password: Option<&[u8]>, expected: ScramError| {
        assert_eq!(example().finish(message.as_bytes(), password), Err(expected), "{message}");
    };
    let pencil: Option<&[u8]> = Some(b"pencil");
    check(FINAL, Some(b"pencils"), ScramError::Proof);
    check(FINAL, None, ScramError::Proof);
    check(&FINAL.replace("p=dH", "p=eH"), pencil, ScramError::Proof);
    check(&FINAL.replace("p=dHzb", "p="), pencil, ScramError::Proof);
    check(&FINAL.replace("p=d", "p=!"), pencil, ScramError::Syntax);
    check(&FINAL.replace("hNlF$k0", "hNlF$k1"), pencil, ScramError::Nonce);
    check(&FINAL.replace("biws", "eSws"), pencil, ScramError::OtherBinding);
    check(&FINAL.replace("biws", "!"), pencil, ScramError::Syntax);
    check("", pencil, ScramError::Syntax);
    check("c=biws,p=", pencil, ScramError::Proof);
    check(&format!("x=1,{FINAL}"), pencil, ScramError::Syntax);
    check(&format!("{FINAL},x=1"), pencil, ScramError::Syntax);
    check(&"x".repeat(MESSAGE_BYTES_MAX + 1), pencil, ScramError::Syntax);
}

#[test]
fn an_empty_password_proves_nothing() {
    let (exchange, server_first) = ClientFirst::parse(ScramMechanism::Sha256, &plain(), b"n,,n=anna,r=x")
        .unwrap()
        .challenge(b"salt", "y");
    let message = scram_answer("n=anna,r=x", &server_first, b"n,,", b"");
    for password in [None, Some(&b""[..])] {
        assert_eq!(exchange.clone().finish(message.as_bytes(), password), Err(ScramError::Proof));
    }
}

#[test]
fn first_messages() {
    let check = |mechanism, bindings: ChannelBindings, message: &str, expected: Result<&str, ScramError>| {
        let user = ClientFirst::parse(mechanism, &bindings, message.as_bytes()).map(|first| first.user);
        assert_eq!(user.as_deref().map_err(|error| *error), expected, "{message}");
    };
    let (simple, plus) = (ScramMechanism::Sha256, ScramMechanism::Sha256Plus);
    check(simple, plain(), "n,,n=anna@home.test,r=x", Ok("anna@home.test"));
    check(simple, plain(), "n,a=anna,n=anna,r=x", Ok("anna"));
    check(simple, plain(), "n,,n=a=2Cb=3Dc,r=x,ext=1", Ok("a,b=c"));
    check(simple, plain(), "n,,n=ännä,r=x", Ok("ännä"));
    check(simple, plain(), "n,a=bert,n=anna,r=x", Err(ScramError::AuthorizationIdentity));
    check(simple, plain(), "n,bert,n=anna,r=x", Err(ScramError::Syntax));
    check(simple, plain(), "n,,n=a=2cb,r=x", Err(ScramError::Name));
    check(simple, plain(), "n,,n=,r=x", Err(ScramError::Name));
    check(simple, plain(), "n,,m=1,n=anna,r=x", Err(ScramError::Extension));
    check(simple, plain(), "n,,r=x,n=anna", Err(ScramError::Syntax));
    check(simple, plain(), "n,,n=anna,r=", Err(ScramError::Syntax));
    check(simple, plain(), "n,,n=anna,r=ä", Err(ScramError::Syntax));
    check(simple, plain(), "n,,n=anna", Err(ScramError::Syntax));
    check(simple, plain(), "n", Err(ScramError::Syntax));
    check(simple, plain(), "x,,n=anna,r=x", Err(ScramError::Syntax));
    // Channel binding.
    check(simple, tls(), "n,,n=anna,r=x", Ok("anna"));
    check(simple, plain(), "y,,n=anna,r=x", Ok("anna"));
    check(simple, tls(), "y,,n=anna,r=x", Err(ScramError::Downgrade));
    check(simple, tls(), "p=tls-exporter,,n=anna,r=x", Err(ScramError::BindingMismatch));
    check(plus, tls(), "p=tls-exporter,,n=anna,r=x", Ok("anna"));
    check(plus, tls(), "p=tls-server-end-point,,n=anna,r=x", Ok("anna"));
    check(plus, tls(), "p=tls-unique,,n=anna,r=x", Err(ScramError::BindingType));
    check(plus, plain(), "p=tls-exporter,,n=anna,r=x", Err(ScramError::BindingType));
    check(plus, tls(), "n,,n=anna,r=x", Err(ScramError::BindingMismatch));
    check(plus, tls(), "y,,n=anna,r=x", Err(ScramError::BindingMismatch));
    let latin1 = ClientFirst::parse(simple, &plain(), b"n,,n=\xe4,r=x");
    assert_eq!(latin1.map(|first| first.user), Err(ScramError::Syntax));
}

/// Somebody between client and server has a TLS session with each: their bindings differ.
#[test]
fn a_proof_is_bound_to_its_connection() {
    let header = "p=tls-exporter,,";
    let bare = "n=anna,r=x";
    let first =
        ClientFirst::parse(ScramMechanism::Sha256Plus, &tls(), format!("{header}{bare}").as_bytes()).unwrap();
    let (exchange, server_first) = first.challenge(b"salt", "y");
    for (exported, expected) in [("exported", true), ("elsewhere", false), ("", false)] {
        let bound = format!("{header}{exported}");
        let message = scram_answer(bare, &server_first, bound.as_bytes(), b"pw");
        let end = exchange.clone().finish(message.as_bytes(), Some(b"pw"));
        assert_eq!(end.is_ok(), expected, "{exported}");
        assert!(expected || end == Err(ScramError::OtherBinding));
    }
}

#[test]
fn passwords_lose_what_cannot_be_seen() {
    assert_eq!(prepared("a\u{a0}b\u{200b}c".as_bytes()), b"a bc");
    // RFC 4013 section 3, and what NFKC is for: detached accents, ligatures, full-width letters, Hangul in pieces.
    for (given, expected) in [
        ("I\u{ad}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u{aa}", "a"),
        ("\u{2168}", "IX"),
        ("a\u{308} \u{e4}", "\u{e4} \u{e4}"),
        ("\u{fb01}\u{ff21}\u{3000}\u{ff11}", "fiA 1"),
        ("\u{1100}\u{1161}", "\u{ac00}"),
        ("p\u{200b}a\u{301}ss", "p\u{e1}ss"),
        ("密码", "密码"),
    ] {
        assert_eq!(prepared(given.as_bytes()), expected.as_bytes(), "{given}");
    }
    assert_eq!(prepared(b"\xe4"), b"\xe4");
}

#[test]
fn every_name_has_a_salt_of_its_own() {
    let salts = Salts::new().unwrap();
    let salt = salts.of("anna", "home.test");
    assert_eq!(salt, salts.of("Anna", "HOME.test"));
    assert_ne!(salt, salts.of("bert", "home.test"));
    assert_ne!(salt, Salts::new().unwrap().of("anna", "home.test"));
    assert_eq!(format!("{salts:?}"), "Salts { .. }");
}

#[test]
fn nonces_are_new_and_without_commas() {
    let (one, other) = (server_nonce().unwrap(), server_nonce().unwrap());
    assert_ne!(one, other);
    assert!(is_nonce(&one) && !one.contains(','));
}

#[test]
fn mechanisms_have_their_registered_names() {
    for mechanism in ScramMechanism::ALL {
        assert_eq!(ScramMechanism::from_name(mechanism.name().to_lowercase().as_bytes()), Some(mechanism));
    }
    assert_eq!(ScramMechanism::from_name(b"SCRAM-SHA-1"), None);
}

proptest::proptest! {
    #[test]
    fn any_message_is_answered(first in ".{0,40}", last in ".{0,40}") {
        let _ = ClientFirst::parse(ScramMechanism::Sha256, &plain(), first.as_bytes());
        let _ = ClientFirst::parse(ScramMechanism::Sha256, &plain(), format!("n,,n={first},r={last}").as_bytes());
        let (exchange, _) =
            ClientFirst::parse(ScramMechanism::Sha256, &plain(), b"n,,n=a,r=x").unwrap().challenge(b"s", "y");
        proptest::prop_assert!(exchange.finish(last.as_bytes(), Some(b"pw")).is_err());
    }
}
