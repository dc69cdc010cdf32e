use super::*;
use crate::mailroot::made;

const TABLES: &[(&str, &str)] = &[
    ("domains.tab", "\"home.test\"\n"),
    ("aliasdomain.tab", "\"alias.test\"\t\"home.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"\"\t1\t\"anna\"\t\"U\"\n\"home.test\"\t\"slow\"\t\"\"\t2\t\"slow\"\t\"U\"\n\"home.test\"\t\"all\"\t\"\"\t3\t\"all\"\t\"M\"\n",
    ),
    ("aliases.tab", "\"home.test\"\t\"ann\"\t\"anna\"\n"),
    ("cmdaliases/home.test/anna.x.tab", "\"redirect\"\t\"anna@home.test\"\n"),
    ("custdomains/.cust.test.tab", "\"smtp\"\n"),
    ("domains/home.test/slow/mailproc.tab", "\"smtprelay\"\t\"127.0.0.1\"\n"),
    ("domains/home.test/anna/mailproc.tab", "\"mailbox\"\n"),
    (
        "smtpfwd.tab",
        "\"*.fwd.test\"\t\"relay.test:26;[::1]:27\"\t\"NeedTLS=2\"\n\"none.test\"\t\";\"\n\"rnd.test\"\t\"#a;b\"\n",
    ),
];

fn snapshot(server_tab: &str) -> (tempfile::TempDir, Snapshot) {
    made::snapshot(TABLES.iter().chain(&[("server.tab", server_tab)]))
}

fn path(text: &str) -> ForwardPath {
    ForwardPath::parse(text.as_bytes()).unwrap()
}

#[test]
fn every_recipient_has_its_target() {
    let (_directory, snapshot) = snapshot("");
    let check = |recipient: &str, has_copy: bool, expected: &str| {
        let found = match target(&snapshot, &path(recipient), has_copy, &mut ()) {
            Target::CommandAlias(file) => format!("cmdalias {}", file.is_some()),
            Target::User(account) => format!("user {}", account.name),
            Target::List(account) => format!("list {}", account.name),
            Target::UnknownUser(user, domain) => format!("unknown {user} {domain}"),
            Target::CustomDomain(file) => format!("custom {}", file.is_some()),
            Target::Remote => "remote".into(),
        };
        assert_eq!(found, expected, "{recipient}");
    };
    check("Anna@Home.test", false, "user anna");
    check("ann@alias.test", false, "user anna");
    check("all@home.test", false, "list all");
    check("nobody@home.test", false, "unknown nobody home.test");
    check("Anna.X@alias.test", false, "cmdalias true");
    check("anna@home.test", true, "cmdalias false");
    check("x@a.cust.test", false, "custom true");
    check("x@cust.test", false, "remote");
    check("x@cust.test", true, "custom false");
    check("@relay.test:anna@home.test", false, "remote");
    // The host of a route has no users (`mailflow.md` 4.1).
    check("@home.test:anna@far.test", false, "unknown  home.test");
}

#[test]
fn routes_have_an_order() {
    let check = |server_tab: &str, recipient: &str, expected: &str| {
        let (_directory, snapshot) = snapshot(server_tab);
        let found = match route(&snapshot, &path(recipient), &mut ()) {
            Route::Hosts(list) => {
                let host = |host: &Host| {
                    let GatewayOptions { need_tls, out_bind } = host.gateway.options;
                    format!(
                        "{}={}:{:?} {need_tls:?} {out_bind:?}",
                        host.label, host.gateway.host.host, host.gateway.host.port
                    )
                };
                let hosts: Vec<_> = list.hosts.iter().map(host).collect();
                format!("{} {} {} [{}]", list.keyword, list.medium, list.is_random, hosts.join("; "))
            }
            Route::Exchangers { domain, options } => format!("mx {domain} {:?}", options.need_tls),
        };
        assert_eq!(found, expected, "{recipient}");
    };
    check("", "x@far.test", "mx far.test None");
    check("\"SmtpGwConfig\"\t\"NeedTLS=1\"\n", "x@far.test", "mx far.test Some(IfOffered)");
    check("", "x@[127.0.0.2]", "IP SMTP false [127.0.0.2=127.0.0.2:None None None]");
    check("", "@relay.test:x@far.test", "CMX SMTP false [relay.test=relay.test:None None None]");
    check(
        "\"DefaultSMTPGateways\"\t\"gw.test:26,NeedTLS=2;gw2.test\"\n\"SmtpGwConfig\"\t\"NeedTLS=0\"\n",
        "x@far.test",
        "MX SMTP false [gw.test:26=gw.test:Some(26) Some(No) None; gw2.test=gw2.test:None Some(No) None]",
    );
    let gateways = "\"DefaultSMTPGateways\"\t\"gw.test\"\n";
    check(
        gateways,
        "x@a.fwd.test",
        "FWD FWD false [relay.test:26=relay.test:Some(26) Some(Required) None; [::1]:27=::1:Some(27) Some(Required) None]",
    );
    check(gateways, "x@rnd.test", "FWD FWD true [a=a:None None None; b=b:None None None]");
    // A row without hosts does not let mail take another way.
    check(gateways, "x@none.test", "FWD FWD false []");
    check(gateways, "x@[127.0.0.2]", "MX SMTP false [gw.test=gw.test:None None None]");
}

/// JD-42, JD-99: a relay of one user, then of the domain, then the server's.
#[test]
fn mail_of_a_domain_leaves_through_its_relay() {
    let (directory, snapshot) = snapshot("\"DefaultSMTPGateways\"\t\"gw.test\"\n");
    let write = |file: &str, text: &str| {
        made::write(directory.path(), file, text);
    };
    let way = |sender: &str, recipient: &str| {
        let sender = ReversePath::parse(sender.as_bytes()).unwrap();
        match route_from(&snapshot, &sender, &path(recipient), &mut ()) {
            Route::Hosts(list) => list.hosts[0].label.clone(),
            Route::Exchangers { domain, .. } => domain,
        }
    };
    assert_eq!(way("anna@home.test", "x@far.test"), "gw.test");
    write("domains/home.test/smtpfwd.tab", "\"*\"\t\"relay.home.test:587\"\t\"NeedTLS=2\"\n");
    write("domains/home.test/anna/smtpfwd.tab", "\"far.test\"\t\"annas.test\"\n");
    assert_eq!(way("Anna@Home.test", "x@far.test"), "annas.test");
    assert_eq!(way("anna@alias.test", "x@other.test"), "relay.home.test:587");
    assert_eq!(way("nobody@home.test", "x@far.test"), "relay.home.test:587");
    assert_eq!(way("x@elsewhere.test", "x@far.test"), "gw.test");
    assert_eq!(way("", "x@far.test"), "gw.test", "notices");
    assert_eq!(way("anna@home.test", "@hop.test:x@far.test"), "hop.test", "a route was asked for");
}
