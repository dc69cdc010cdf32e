use proptest::prelude::*;

use super::*;

/// What a path prints as, or XMail's error number.
fn outcome(text: &[u8], utf8: Utf8) -> Result<String, i32> {
    match parse_angle(text, utf8) {
        Ok((RawPath::Null, _)) => Ok("null".to_owned()),
        Ok((RawPath::Postmaster, _)) => Ok("postmaster".to_owned()),
        Ok((RawPath::Path(path), _)) => Ok(path.to_string()),
        Err(error) => Err(error.xmail_code()),
    }
}

fn check(text: &str, expected: Result<&str, i32>) {
    assert_eq!(outcome(text.as_bytes(), Utf8::Refused), expected.map(str::to_owned), "{text}");
}

/// Golden `smtp_basic`, connections `s2` and `rcpt-each`: every MAIL and RCPT argument and its `(-N)`.
#[test]
fn paths_are_judged_as_recorded() {
    check("", Err(31));
    check("a@client.test", Err(31));
    check(" <a@client.test>", Ok("a@client.test"));
    check("<a>", Err(132));
    check("<a@>", Err(132));
    check("<@client.test>", Err(132));
    check("<a@client.test", Err(31));
    check("<a@b@client.test>", Err(260));
    check("<a@client.test> BODY=8BITMIME", Ok("a@client.test"));
    check("<a@client.test> AUTH=<>", Ok("a@client.test"));
    check("<a b@client.test>", Err(132));
    check("<\"a b\"@client.test>", Err(132));
    check("<a@[127.0.0.1]>", Ok("a@[127.0.0.1]"));
    check("<>", Ok("null"));
    check("<ALICE@EXAMPLE.TEST>", Ok("ALICE@EXAMPLE.TEST"));
    check("<alice%remote.test@example.test>", Ok("alice%remote.test@example.test"));
    check("<\"alice\"@example.test>", Err(132));
    check("<alice@example.test.>", Err(132));
    check("<alice+x@example.test>", Ok("alice+x@example.test"));
    check("<alice@example.test> NOTIFY=NEVER", Ok("alice@example.test"));
    check("<alice@example.test", Err(31));
}

/// Decision 41: where XMail answers 501 and we accept.
#[test]
fn source_routes_and_postmaster_are_accepted() {
    check("<postmaster>", Ok("postmaster"));
    check("<PostMaster>", Ok("postmaster"));
    check("<@hosta.test,@hostb.test:a@client.test>", Ok("@hosta.test,@hostb.test:a@client.test"));
    check("<@example.test:alice@example.test>", Ok("@example.test:alice@example.test"));
    check("<@[IPv6:::1],@b.test:a@c.test>", Ok("@[IPv6:::1],@b.test:a@c.test"));
}

#[test]
fn broken_paths_are_refused() {
    check("<@a.test,b.test:a@client.test>", Err(132));
    check("<@a.test,:a@client.test>", Err(132));
    check("<@:a@client.test>", Err(132));
    check("<@a..b:a@client.test>", Err(132));
    check("<@@a.test:a@client.test>", Err(260));
    check("<.a@client.test>", Err(132));
    check("<a..b@client.test>", Err(132));
    check("<a.@client.test>", Err(132));
    check("<a@.client.test>", Err(132));
    check("<a@client.test\t>", Err(260));
    check("<a\0@client.test>", Err(132));
    check("<a@client.test\r\n>", Err(260));
    check("< a@client.test>", Err(132));
    check("<:a@client.test>", Err(132));
    check("<,>", Err(132));
    check(">a@client.test<", Err(31));
}

#[test]
fn domain_literals() {
    check("<a@[IPv6:2001:db8::1]>", Ok("a@[IPv6:2001:db8::1]"));
    check("<a@[ipv6:::1]>", Ok("a@[ipv6:::1]"));
    check("<a@[::1]>", Ok("a@[::1]"));
    check("<a@[host.test]>", Ok("a@[host.test]"));
    check("<a@[]>", Err(260));
    check("<a@[1.2.3.4>", Err(260));
    check("<a@[1.2.3.4]x>", Err(260));
    check("<a@[IPv6:zz]>", Err(260));
    check("<a@[a[b]]>", Err(260));
    let address =
        |text: &str| Domain::parse(text.as_bytes()).unwrap().literal_address().map(|ip| ip.to_string());
    assert_eq!(address("[127.0.0.1]"), Some("127.0.0.1".to_owned()));
    assert_eq!(address("[IPv6:::1]"), Some("::1".to_owned()));
    assert_eq!(address("[host.test]"), None);
    assert_eq!(address("host.test"), None);
}

#[test]
fn non_ascii_needs_permission() {
    let path = "<jörg@müller.test>".as_bytes();
    assert_eq!(outcome(path, Utf8::Refused), Err(132));
    assert_eq!(outcome(path, Utf8::Allowed), Ok("jörg@müller.test".to_owned()));
    assert_eq!(outcome(b"<j\xf6rg@client.test>", Utf8::Allowed), Err(132));
    assert_eq!(outcome("<a\u{a0}b@client.test>".as_bytes(), Utf8::Allowed), Err(132));
    assert_eq!(outcome("<a\u{85}b@client.test>".as_bytes(), Utf8::Allowed), Err(132));
    assert_eq!(outcome("<@höst.test:a@client.test>".as_bytes(), Utf8::Refused), Err(132));
}

/// Golden `smtp_basic`: parts of 300 bytes and more pass on MAIL; the whole path has a limit.
#[test]
fn lengths() {
    let long = |bytes: usize| format!("<{}@client.test>", "x".repeat(bytes));
    check(&long(300), Ok(long(300).trim_matches(['<', '>'])));
    check(&long(978), Ok(long(978).trim_matches(['<', '>'])));
    check(&format!("<a@{}.test>", "x".repeat(300)), Ok(&format!("a@{}.test", "x".repeat(300))));
    let fitting = PATH_BYTES_LIMIT - 1 - "@client.test".len();
    assert!(outcome(long(fitting).as_bytes(), Utf8::Refused).is_ok());
    check(&long(fitting + 1), Err(31));
}

#[test]
fn the_rest_after_the_path_is_given_back() {
    let (_, rest) = parse_angle(b" <a@b.test> SIZE=3 AUTH=<>", Utf8::Refused).unwrap();
    assert_eq!(rest, b" SIZE=3 AUTH=<>");
}

#[test]
fn path_parts() {
    let check = |text: &str, first: &str, last: &str| {
        let path = Path::parse(text.as_bytes(), Utf8::Refused).unwrap();
        assert_eq!((path.first_part(), path.last_part().to_string()), (first.to_owned(), last.to_owned()));
    };
    check("u@d.test", "u@d.test", "u@d.test");
    check("@r.test:u@d.test", "@r.test", "u@d.test");
    check("@r.test,@s.test:u@d.test", "@r.test", "u@d.test");
}

/// `mailroot.md` 10.1.
#[test]
fn smtpgw_routes() {
    let check = |route: &str, expected: Result<&str, i32>| {
        let mailbox = Mailbox::parse(b"u@d.test").unwrap();
        let got = ForwardPath::with_route(route.as_bytes(), mailbox);
        assert_eq!(
            got.map(|path| path.to_string()).map_err(PathError::xmail_code),
            expected.map(str::to_owned)
        );
    };
    check("@relay.test", Ok("@relay.test:u@d.test"));
    check("relay.test", Ok("@relay.test:u@d.test"));
    check("@a.test,@b.test", Ok("@a.test,@b.test:u@d.test"));
    check("@[127.0.0.1]", Ok("@[127.0.0.1]:u@d.test"));
    check("@relay.test:25", Err(260));
    check("", Err(132));
    check(&format!("@{}", "x".repeat(PATH_BYTES_LIMIT)), Err(31));
}

#[test]
fn a_route_is_walked_hop_by_hop() {
    let path = ForwardPath::parse(b"@a.test,@b.test:u@d.test").unwrap();
    let second = path.behind_first_hop().unwrap();
    assert_eq!(second.to_string(), "@b.test:u@d.test");
    assert_eq!(second.behind_first_hop().unwrap().to_string(), "u@d.test");
    assert_eq!(second.behind_first_hop().unwrap().behind_first_hop(), None);
    assert_eq!(path.without_route().to_string(), "u@d.test");
    let sender = ReversePath::parse(b"s@c.test").unwrap().with_hop(Domain::parse(b"a.test").unwrap());
    assert_eq!(sender.to_string(), "@a.test:s@c.test");
    assert!(ReversePath::Null.with_hop(Domain::parse(b"a.test").unwrap()).is_null());
}

#[test]
fn forward_and_reverse_paths_differ_in_null_and_postmaster() {
    let postmaster = Mailbox::parse(b"root@d.test").unwrap();
    assert_eq!(ReversePath::parse(b""), Ok(ReversePath::Null));
    assert_eq!(ReversePath::parse(b"postmaster"), Err(PathError::Grammar));
    assert_eq!(ForwardPath::parse(b""), Err(PathError::NullForwardPath));
    assert_eq!(RawPath::Postmaster.into_forward_path(None), Err(PathError::Grammar));
    assert_eq!(RawPath::Postmaster.into_forward_path(Some(&postmaster)), Ok(postmaster.into()));
}

#[test]
fn comparisons_fold_ascii_case() {
    let mailbox = |text: &str| Mailbox::parse(text.as_bytes()).unwrap();
    assert!(mailbox("Alice@Example.Test").eq_ignore_ascii_case(&mailbox("alice@example.TEST")));
    assert!(!mailbox("alice@example.test").eq_ignore_ascii_case(&mailbox("alicia@example.test")));
    assert_ne!(mailbox("Alice@example.test"), mailbox("alice@example.test"));
}

/// Golden `ctrl_commands`: the names that answer -00216.
#[test]
fn account_names() {
    for good in ["alice", "a.b", "a+b", "jörg", "o'hara"] {
        assert!(is_rfc822_name(good.as_bytes()), "{good}");
    }
    for bad in ["bad name", "bad@x", "quo\"te", "slash/../x", "", ".a", "a."] {
        assert!(!is_rfc822_name(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn what_may_name_a_directory_entry() {
    let check = |text: &str, expected: bool| {
        assert_eq!(LocalPart::parse(text.as_bytes()).unwrap().is_path_component(), expected, "{text}");
    };
    check("alice", true);
    check("a.b", true);
    check("a/b", false);
    check("/etc", false);
    check(&"x".repeat(256), false);
}

/// Golden `smtp_basic` has the path of each of these accepted.
const VALID_PATHS: &[&str] = &[
    "<a@client.test>",
    "<@hosta.test,@hostb.test:a@client.test>",
    "<a@[127.0.0.1]>",
    "<@[IPv6:::1]:jörg@[IPv6:2001:db8::1]>",
];

#[test]
fn every_prefix_of_a_valid_path_is_an_error() {
    for path in VALID_PATHS {
        for end in 0..path.len() {
            assert_eq!(outcome(&path.as_bytes()[..end], Utf8::Allowed), Err(31), "{path} cut at {end}");
        }
        assert!(outcome(path.as_bytes(), Utf8::Allowed).is_ok(), "{path}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_angle(&bytes, Utf8::Allowed);
        let _ = RawPath::parse(&bytes, Utf8::Refused);
        let _ = Domain::parse(&bytes);
        let _ = is_rfc822_name(&bytes);
    }

    #[test]
    fn printing_gives_back_what_was_parsed(text in r"[@,:\[\]a-c.ö/6IPv]{0,24}") {
        if let Ok(path) = Path::parse(text.as_bytes(), Utf8::Allowed) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn well_formed_paths_survive(
        hops in proptest::collection::vec(r"[a-z0-9-]{1,8}(\.[a-z0-9]{1,8}){0,2}|\[IPv6:::[0-9a-f]{1,4}\]", 0..3),
        user in r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\.[a-z]{1,4}){0,2}",
        host in r"[a-z0-9]{1,8}(\.[a-z]{1,8}){0,2}",
    ) {
        let route: Vec<String> = hops.iter().map(|hop| format!("@{hop}")).collect();
        let colon = if route.is_empty() { "" } else { ":" };
        let text = format!("{}{colon}{user}@{host}", route.join(","));
        let path = Path::parse(text.as_bytes(), Utf8::Refused).unwrap();
        prop_assert_eq!(path.hops.len(), hops.len());
        prop_assert_eq!(path.to_string(), text);
    }
}
