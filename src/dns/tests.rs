use super::stub::{Stub, Zone};
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The zone of the recordings.
fn zone() -> Zone {
    Zone::new()
        .mx("sink.test", 20, "mx2.sink.test")
        .mx("sink.test", 10, "mx1.sink.test")
        .mx("sink.test", 20, "mx3.sink.test")
        .address("mx1.sink.test", ip("127.0.0.2"))
        .address("aonly.test", ip("127.0.0.2"))
        .code("servfail.test", RecordType::MX, ResponseCode::ServFail)
        .code("servfail.test", RecordType::A, ResponseCode::ServFail)
        .code("refused.test", RecordType::MX, ResponseCode::Refused)
        .code("notimp.test", RecordType::MX, ResponseCode::NotImp)
        .code("formerr.test", RecordType::MX, ResponseCode::FormErr)
        .mx("null.test", 0, ".")
        .mx("a_b.test", 5, "mx_1.a_b.test")
        .ptr(ip("127.0.0.1"), "client.test")
        .ptr(ip("::1"), "six.test")
        .address("6.0.0.127.rbl.test", ip("127.0.0.2"))
        .address(&names::in_list(ip("2001:db8::1"), "rbl.test"), ip("::2"))
        .code("7.0.0.127.rbl.test", RecordType::A, ResponseCode::ServFail)
        .address("both.test", ip("2001:db8::5"))
        .address("both.test", ip("10.0.0.5"))
}

async fn start(zone: Zone) -> (Stub, Config) {
    let stub = Stub::start(zone).await.unwrap();
    let config = Config { name_servers: Some(vec![stub.address()]), ..Config::default() };
    (stub, config)
}

fn mx(preference: u16, host: &str) -> Mx {
    Mx { preference, host: host.to_owned() }
}

fn smart(stub: &Stub, protocol: Protocol) -> SmartHost {
    SmartHost { host: stub.address().ip().to_string(), port: stub.address().port(), protocol }
}

#[tokio::test]
async fn exchangers() {
    let (_stub, config) = start(zone()).await;
    let by_system = Resolver::new(config.clone()).unwrap();
    let smart_hosts = vec![smart(&_stub, Protocol::Udp)];
    let by_smart_host = Resolver::new(Config { smart_hosts, ..config }).unwrap();
    let failure = |code| MxAnswer::Temporary(DnsFailure { code, text: String::new() });
    for resolver in [by_system, by_smart_host] {
        let check = async |domain: &str, expected: MxAnswer| {
            let got = match resolver.mx(domain).await {
                MxAnswer::Temporary(known) => failure(known.code),
                got => got,
            };
            assert_eq!(got, expected, "{domain}");
        };
        let sink = vec![mx(10, "mx1.sink.test."), mx(20, "mx2.sink.test."), mx(20, "mx3.sink.test.")];
        check("sink.test", MxAnswer::Hosts(sink.clone())).await;
        check("SINK.test.", MxAnswer::Hosts(sink)).await;
        check("a_b.test", MxAnswer::Hosts(vec![mx(5, "mx_1.a_b.test.")])).await;
        check("null.test", MxAnswer::NullMx).await;
        check("aonly.test", MxAnswer::NoMx).await;
        check("nowhere.test", MxAnswer::NoSuchDomain).await;
        for no_name in ["", ".", "a..b", "a b.test", "\0", "..", &"x".repeat(300), "\\999"] {
            check(no_name, MxAnswer::NoSuchDomain).await;
        }
        check("servfail.test", failure(256)).await;
        check("refused.test", failure(258)).await;
        check("notimp.test", failure(257)).await;
        check("formerr.test", failure(255)).await;
    }
}

#[tokio::test]
async fn smart_hosts_are_asked_in_order_and_as_written() {
    let (broken, _) = start(Zone::new().code("sink.test", RecordType::MX, ResponseCode::ServFail)).await;
    let (good, config) = start(zone().mx("long.test", 1, "mx.long.test").truncated("long.test")).await;
    let smart_hosts = vec![smart(&broken, Protocol::Udp), smart(&good, Protocol::Tcp)];
    let resolver = Resolver::new(Config { smart_hosts, ..config.clone() }).unwrap();
    assert!(matches!(resolver.mx("sink.test").await, MxAnswer::Hosts(_)));
    assert!(broken.asked().iter().all(|line| line == "udp MX sink.test") && !broken.asked().is_empty());
    assert_eq!(good.asked(), ["tcp MX sink.test"]);

    let smart_hosts = vec![smart(&good, Protocol::Tcp), smart(&broken, Protocol::Udp)];
    let resolver = Resolver::new(Config { smart_hosts, ..config.clone() }).unwrap();
    assert_eq!(resolver.mx("nowhere.test").await, MxAnswer::NoSuchDomain, "the last answer counts");

    let resolver =
        Resolver::new(Config { smart_hosts: vec![smart(&good, Protocol::Udp)], ..config }).unwrap();
    assert_eq!(resolver.mx("long.test").await, MxAnswer::Hosts(vec![mx(1, "mx.long.test.")]));
    assert_eq!(
        good.asked()[2..],
        ["udp MX long.test", "tcp MX long.test"],
        "truncated answers are fetched by TCP"
    );
}

#[tokio::test]
async fn a_smart_host_may_have_a_name() {
    let (stub, config) = start(zone().address("ns.test", ip("127.0.0.1"))).await;
    let named = SmartHost { host: "ns.test".to_owned(), ..smart(&stub, Protocol::Udp) };
    let resolver = Resolver::new(Config { smart_hosts: vec![named], ..config.clone() }).unwrap();
    assert!(matches!(resolver.mx("sink.test").await, MxAnswer::Hosts(_)));
    let nameless = SmartHost { host: "no.ns.test".to_owned(), ..smart(&stub, Protocol::Udp) };
    let resolver = Resolver::new(Config { smart_hosts: vec![nameless], ..config }).unwrap();
    assert!(matches!(resolver.mx("sink.test").await, MxAnswer::Temporary(DnsFailure { code: 109, .. })));
}

#[tokio::test]
async fn nobody_answering_is_temporary() {
    // Nobody listens by TCP where we hold the UDP port, which every stub needs too.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let gone = SmartHost { host: "127.0.0.1".to_owned(), port: address.port(), protocol: Protocol::Tcp };
    let config = Config { smart_hosts: vec![gone], name_servers: Some(vec![address]), ..Config::default() };
    let answer = Resolver::new(config).unwrap().mx("sink.test").await;
    assert!(matches!(answer, MxAnswer::Temporary(DnsFailure { code: 109, .. })), "{answer:?}");
}

#[tokio::test]
async fn successes_are_cached_on_disk_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let (stub, config) = start(zone()).await;
    let cache = Some(CacheDir { path: dir.path().to_owned(), directories: 101 });
    let resolver = Resolver::new(Config { cache, ..config }).unwrap();
    let first = resolver.mx("Sink.Test").await;
    // The answer's order is kept, as XMail does; we sort when reading.
    let text = std::fs::read_to_string(dir.path().join("mx/65/sink.test")).unwrap();
    assert_eq!(text, "300\n20:mx2.sink.test.,10:mx1.sink.test.,20:mx3.sink.test.\n");
    assert_eq!(resolver.mx("sink.test").await, first);
    assert_eq!(stub.asked().len(), 1);

    std::fs::write(dir.path().join("mx/65/sink.test"), "300\n7:by.xmail.test.\n").unwrap();
    assert_eq!(resolver.mx("sink.test").await, MxAnswer::Hosts(vec![mx(7, "by.xmail.test.")]));

    for domain in ["nowhere.test", "aonly.test", "null.test", "servfail.test"] {
        resolver.mx(domain).await;
    }
    assert_eq!(std::fs::read_dir(dir.path().join("mx")).unwrap().count(), 1);
}

#[tokio::test]
async fn hosts_have_addresses_of_the_wanted_families() {
    let (_stub, config) = start(zone()).await;
    let check = async |family: Family, host: &str, expected: &[&str]| {
        let resolver = Resolver::new(Config { family, ..config.clone() }).unwrap();
        let expected: Vec<IpAddr> = expected.iter().map(|address| ip(address)).collect();
        assert_eq!(resolver.addresses(host).await, Ok(expected), "{host} {family:?}");
    };
    check(Family::V4Only, "both.test", &["10.0.0.5"]).await;
    check(Family::V6Only, "both.test.", &["2001:db8::5"]).await;
    check(Family::V4ThenV6, "both.test", &["10.0.0.5", "2001:db8::5"]).await;
    check(Family::V6ThenV4, "both.test", &["2001:db8::5", "10.0.0.5"]).await;
    check(Family::V6ThenV4, "aonly.test", &["127.0.0.2"]).await;
    check(Family::V6Only, "aonly.test", &[]).await;
    check(Family::V4Only, "nowhere.test", &[]).await;
    check(Family::V4Only, "no such host", &[]).await;
    check(Family::V4Only, "[10.0.0.9]", &["10.0.0.9"]).await;
    check(Family::V4Only, "10.0.0.9", &["10.0.0.9"]).await;
    check(Family::V4Only, "[IPv6:2001:db8::9]", &["2001:db8::9"]).await;
    let resolver = Resolver::new(config.clone()).unwrap();
    assert_eq!(resolver.addresses("servfail.test").await.unwrap_err().code, 256);
}

#[tokio::test]
async fn addresses_have_names() {
    let (_stub, config) = start(zone()).await;
    let resolver = Resolver::new(config).unwrap();
    assert_eq!(resolver.ptr(ip("127.0.0.1")).await.as_deref(), Some("client.test"));
    assert_eq!(resolver.ptr(ip("::ffff:127.0.0.1")).await.as_deref(), Some("client.test"));
    assert_eq!(resolver.ptr(ip("::1")).await.as_deref(), Some("six.test"));
    assert_eq!(resolver.ptr(ip("127.0.0.2")).await, None);
}

#[tokio::test]
async fn lists_name_addresses() {
    let (_stub, config) = start(zone()).await;
    let resolver = Resolver::new(config).unwrap();
    assert_eq!(resolver.listed(ip("127.0.0.6"), "rbl.test").await, Ok(true));
    assert_eq!(resolver.listed(ip("127.0.0.6"), "rbl.test.").await, Ok(true));
    assert_eq!(resolver.listed(ip("2001:db8::1"), "rbl.test").await, Ok(true));
    assert_eq!(resolver.listed(ip("127.0.0.5"), "rbl.test").await, Ok(false));
    assert_eq!(resolver.listed(ip("127.0.0.7"), "rbl.test").await.unwrap_err().code, 256);
}

#[tokio::test]
async fn sender_domains_need_an_exchanger_or_an_address() {
    // Recorded: smtp_opt_mailerdomain.
    let (_stub, config) = start(zone().address("mixed.test", ip("10.0.0.1")).code(
        "mixed.test",
        RecordType::MX,
        ResponseCode::ServFail,
    ))
    .await;
    let resolver = Resolver::new(config).unwrap();
    for (domain, expected) in [
        ("sink.test", Some(true)),
        ("aonly.test", Some(true)),
        ("mixed.test", Some(true)),
        ("null.test", Some(false)),
        ("nowhere.test", Some(false)),
        ("refused.test", None),
        ("servfail.test", None),
    ] {
        let got = match resolver.has_mx_or_address(domain).await {
            Presence::Yes => Some(true),
            Presence::No => Some(false),
            Presence::Unknown(_) => None,
        };
        assert_eq!(got, expected, "{domain}");
    }
}
