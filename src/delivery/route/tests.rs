use super::*;
use crate::mailroot::made;

const TABLES: &[(&str, &str)] = &[
    ("domains.tab", "\"home.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"\"\t1\t\"anna\"\t\"U\"\n\"home.test\"\t\"slow\"\t\"\"\t2\t\"slow\"\t\"U\"\n\"home.test\"\t\"all\"\t\"\"\t3\t\"all\"\t\"M\"\n",
    ),
    ("cmdaliases/home.test/anna.x.tab", "\"redirect\"\t\"anna@home.test\"\n"),
    ("custdomains/.cust.test.tab", "\"smtp\"\n"),
    ("domains/home.test/slow/mailproc.tab", "\"smtprelay\"\t\"127.0.0.1\"\n"),
    ("domains/home.test/anna/mailproc.tab", "\"mailbox\"\n"),
    (
        "smtpfwd.tab",
        "\"*.fwd.test\"\t\"relay.test:26;[::1]:27\"\t\"NeedTLS=2\"\n\"none.test\"\t\";\"\n\"rnd.test\"\t\"#a;b\"\n",
    ),
];

fn snapshot() -> (tempfile::TempDir, Snapshot) {
    made::snapshot(TABLES)
}

fn path(text: &str) -> ForwardPath {
    ForwardPath::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_may_wait_has_a_lane_of_its_own() {
    let (_directory, snapshot) = snapshot();
    let check = |first_part: &str, lane: &str| {
        let found = match lane_of(&snapshot, first_part) {
            Lane::Local => "local".to_owned(),
            Lane::Remote(name) => name.to_string(),
        };
        assert_eq!(found, lane, "{first_part}");
    };
    check("anna@HOME.test", "local");
    check("all@home.test", "local");
    check("nobody@home.test", "local");
    check("Slow@Home.test", "slow@home.test");
    check("anna.x@home.test", "anna.x@home.test");
    check("x@Far.test", "far.test");
    check("@Relay.test", "relay.test");
    check("x@a.fwd.test", "relay.test:26;[::1]:27;");
    check("x@B.fwd.test", "relay.test:26;[::1]:27;");
    check("@a.fwd.test", "a.fwd.test");
    check("x@a.cust.test", "a.cust.test");
    check("", "local");
}

#[test]
fn a_route_loses_its_first_hop_and_the_way_back_gains_it() {
    let sender = ReversePath::parse(b"a@us.test").unwrap();
    let check = |sender: &ReversePath, recipient: &str, from: &str, to: &str| {
        assert_eq!(wire_paths(sender, &path(recipient)), (from.to_owned(), to.to_owned()));
    };
    check(&sender, "b@far.test", "a@us.test", "b@far.test");
    check(&sender, "@mx1.sink.test:c@gw3.test", "@mx1.sink.test:a@us.test", "c@gw3.test");
    check(&sender, "@x.test,@y.test:c@z.test", "@x.test:a@us.test", "@y.test:c@z.test");
    check(&ReversePath::Null, "@x.test:c@z.test", "", "c@z.test");
}
