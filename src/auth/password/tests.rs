use proptest::prelude::*;

use super::*;

/// From golden `crypt_vectors`: what XMail's own encoder prints.
#[test]
fn xmail_encoding_is_as_recorded() {
    let check = |password: &[u8], encoded: &str| {
        assert_eq!(xmail_encode(password), encoded);
        assert_eq!(xmail_decode(encoded.as_bytes()), Ok(password.to_vec()), "{encoded}");
        assert_eq!(xmail_decode(encoded.to_ascii_uppercase().as_bytes()), Ok(password.to_vec()), "{encoded}");
    };
    check(b"", "");
    check(b"a", "04");
    check(b"xmail", "1d08040c09");
    check(b"Password1", "35041616120a170154");
    check(b"hello world", "0d0009090a45120a170901");
    check(b"tab\there", "1104076c0d001700");
    check(b"quo\"te", "14100a471100");
    check(b"ee", "0000");
    check(b"\x01", "64");
    check(b"\x7f", "1a");
    check(b"\xff", "9a");
    check(b"\xf1and\xfa", "94040b019f");
}

/// `mailroot.md` 5.
#[test]
fn decoding_is_as_lenient_as_xmail() {
    let check = |encoded: &str, expected: Result<&[u8], BadStoredPassword>| {
        assert_eq!(xmail_decode(encoded.as_bytes()), expected.map(<[u8]>::to_vec), "{encoded}");
    };
    check("1g", Ok(b"\x64"));
    check(" 1", Ok(b"\x64"));
    check("046504", Ok(b"a"));
    check("15120", Err(BadStoredPassword::OddLength));
    check("1512zz", Err(BadStoredPassword::BadDigit(5)));
    check("g1", Err(BadStoredPassword::BadDigit(1)));
    check("  ", Err(BadStoredPassword::BadDigit(1)));
}

/// argon2id, 8 KiB, one pass, salt `saltsalt`, password `secret`.
fn cheap_hash() -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password_with_salt(b"secret", b"saltsalt").unwrap().to_string()
}

#[test]
fn passwords_match_their_stored_form() {
    let hash = cheap_hash();
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let check = |stored: &str, given: &[u8], expected: Result<bool, BadStoredPassword>| {
        assert_eq!(password_matches(stored.as_bytes(), given), expected, "{stored}");
    };
    check("160006170011", b"secret", Ok(true));
    check("160006170011", b"Secret", Ok(false));
    check("160006170011", b"secret ", Ok(false));
    check("160006170011", b"", Ok(false));
    check("", b"", Ok(true));
    check("", b"x", Ok(false));
    check("15120", b"pw", Err(BadStoredPassword::OddLength));
    check("1512zz", b"pw", Err(BadStoredPassword::BadDigit(5)));
    check(&hash, b"secret", Ok(true));
    check(&hash, b"Secret", Ok(false));
    check(&hash[..hash.len() - 30], b"secret", Err(BadStoredPassword::BadHash));
    check("$argon2id$nonsense", b"secret", Err(BadStoredPassword::BadHash));
    check(&hash.replace("m=8,", "m=4000000,"), b"secret", Err(BadStoredPassword::ExpensiveHash));
    check(&hash.replace("t=1,", "t=1000,"), b"secret", Err(BadStoredPassword::ExpensiveHash));
}

/// The reference implementation's test vector (argon2 `test.c`, version 0x13): m=256 KiB, t=2, p=1.
#[test]
fn hashes_of_other_programs_are_understood() {
    let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert_eq!(password_matches(stored.as_bytes(), b"password"), Ok(true));
    assert_eq!(password_matches(stored.as_bytes(), b"passwore"), Ok(false));
}

#[test]
fn new_hashes_are_salted_and_match() {
    let (one, other) = (hash_password(b"secret").unwrap(), hash_password(b"secret").unwrap());
    assert_ne!(one, other);
    assert!(is_hashed(one.as_bytes()));
    assert_eq!(password_matches(one.as_bytes(), b"secret"), Ok(true));
    assert_eq!(password_matches(one.as_bytes(), b"other"), Ok(false));
}

#[test]
fn hashed_passwords_have_no_clear_form() {
    assert_eq!(clear_password(b"160006170011"), Some(b"secret".to_vec()));
    assert_eq!(clear_password(cheap_hash().as_bytes()), None);
    assert_eq!(clear_password(b"15120"), None);
}

#[test]
fn digests_of_the_rfcs() {
    // RFC 2195 §2.
    let (challenge, digest) =
        (b"<1896.697170952@postoffice.reston.mci.net>", "b913a602c7eda7a495b4e6e7334d3890");
    assert_eq!(cram_md5_digest(b"tanstaaftanstaaf", challenge), digest);
    assert!(cram_md5_matches(b"tanstaaftanstaaf", challenge, digest.to_uppercase().as_bytes()));
    assert!(!cram_md5_matches(b"tanstaaf", challenge, digest.as_bytes()));
    assert!(!cram_md5_matches(b"tanstaaftanstaaf", challenge, b""));
    // RFC 1939 §7.
    let (stamp, digest) = (b"<1896.697170952@dbc.mtview.ca.us>", "c4c9334bac560ecc979e58001b3e22fb");
    assert_eq!(apop_digest(stamp, b"tanstaaf"), digest);
    assert!(apop_matches(stamp, b"tanstaaf", b"C4C9334BAC560ECC979E58001B3E22FB"));
    assert!(!apop_matches(stamp, b"tanstaag", digest.as_bytes()));
}

/// Golden `smtp_auth`, connection `cram-ok`: XMail accepted this for a password of `alicepw`.
#[test]
fn cram_md5_is_as_recorded() {
    let challenge = b"<1795430004.140066038990528@mx.example.test>";
    assert_eq!(cram_md5_digest(b"alicepw", challenge), "f5b1a56e039d38a516f49ab88a0c317e");
}

proptest! {
    #[test]
    fn encoded_passwords_come_back(password in proptest::collection::vec(1u8.., 0..PASSWORD_BYTES_MAX)) {
        prop_assert_eq!(xmail_decode(xmail_encode(&password).as_bytes()), Ok(password));
    }

    #[test]
    fn any_stored_bytes_are_an_answer(stored in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = password_matches(&stored, b"x");
        let _ = password_matches(&[b"$argon2", &stored[..]].concat(), b"x");
    }
}
