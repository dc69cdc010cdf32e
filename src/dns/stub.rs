//! A tiny authoritative name server on 127.0.0.1 for tests, over UDP and TCP on one free port.
//!
//! Shape: a [`Zone`] maps (name, type) to records or a response code. A name that has another type only answers
//! "no such record"; any other name "no such domain". Everything asked is remembered.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// What the server knows.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    answers: HashMap<(String, RecordType), Answer>,
    truncated: BTreeSet<String>,
    ttl: u32,
}

#[derive(Clone, Debug)]
enum Answer {
    Records(Vec<RData>),
    Code(ResponseCode),
    Silence,
}

impl Zone {
    /// Knows nothing; records live for 300 seconds.
    pub fn new() -> Self {
        Self { ttl: 300, ..Self::default() }
    }

    /// Address records, A or AAAA by each address's family.
    pub fn address(self, name: &str, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.add(name, RecordType::A, RData::A(A(v4))),
            IpAddr::V6(v6) => self.add(name, RecordType::AAAA, RData::AAAA(AAAA(v6))),
        }
    }

    /// An MX record; host `.` makes it a null MX.
    pub fn mx(self, name: &str, preference: u16, host: &str) -> Self {
        self.add(name, RecordType::MX, RData::MX(MX::new(preference, absolute(host))))
    }

    /// A PTR record for an address.
    pub fn ptr(self, address: IpAddr, host: &str) -> Self {
        let name = Name::from(address).to_ascii();
        self.add(&name, RecordType::PTR, RData::PTR(PTR(absolute(host))))
    }

    /// A response code for a name and type.
    pub fn code(mut self, name: &str, kind: RecordType, code: ResponseCode) -> Self {
        self.answers.insert((key(name), kind), Answer::Code(code));
        self
    }

    /// No response at all for a name and type.
    pub fn silent(mut self, name: &str, kind: RecordType) -> Self {
        self.answers.insert((key(name), kind), Answer::Silence);
        self
    }

    /// Answers about the name do not fit into UDP.
    pub fn truncated(mut self, name: &str) -> Self {
        self.truncated.insert(key(name));
        self
    }

    fn add(mut self, name: &str, kind: RecordType, data: RData) -> Self {
        let answer = self.answers.entry((key(name), kind)).or_insert_with(|| Answer::Records(Vec::new()));
        match answer {
            Answer::Records(records) => records.push(data),
            other => *other = Answer::Records(vec![data]),
        }
        self
    }

    fn respond(&self, request: &Message, over_udp: bool) -> Option<Message> {
        let query = request.queries.first()?.clone();
        let name = key(&query.name().to_ascii());
        let mut response = Message::response(request.id, OpCode::Query);
        response.metadata.authoritative = true;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        let code = match self.answers.get(&(name.clone(), query.query_type())) {
            Some(Answer::Silence) => return None,
            Some(Answer::Code(code)) => *code,
            Some(Answer::Records(_)) if over_udp && self.truncated.contains(&name) => {
                response.metadata.truncation = true;
                ResponseCode::NoError
            }
            Some(Answer::Records(records)) => {
                let record = |data: &RData| Record::from_rdata(query.name().clone(), self.ttl, data.clone());
                response.add_answers(records.iter().map(record));
                ResponseCode::NoError
            }
            None if self.answers.keys().any(|(known, _)| *known == name) => ResponseCode::NoError,
            None => ResponseCode::NXDomain,
        };
        response.metadata.response_code = code;
        Some(response)
    }
}

impl Stub {
    /// Starts a server for the zone. Needs a tokio runtime.
    ///
    /// # Errors
    /// When no port of 127.0.0.1 is free for both UDP and TCP.
    pub async fn start(zone: Zone) -> io::Result<Self> {
        let (tcp, udp) = bind().await?;
        let address = udp.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Server { zone: Arc::new(zone), asked: asked.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(server.clone().serve_udp(udp));
        tasks.spawn(server.serve_tcp(tcp));
        Ok(Self { address, asked, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions so far, each as `udp MX name` or `tcp A name`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A TCP port whose UDP twin is free too.
async fn bind() -> io::Result<(TcpListener, UdpSocket)> {
    const TRIES: usize = 20;
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..TRIES {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[derive(Clone)]
struct Server {
    zone: Arc<Zone>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
            if let Some(response) = self.answer(&buffer[..count], true) {
                let _ = socket.send_to(&response, peer).await;
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let server = self.clone();
            sessions.spawn(async move { server.session(stream).await.ok() });
        }
    }

    async fn session(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let length = stream.read_u16().await?;
            let mut request = vec![0; length.into()];
            stream.read_exact(&mut request).await?;
            if let Some(response) = self.answer(&request, false) {
                let length = u16::try_from(response.len()).map_err(io::Error::other)?;
                stream.write_u16(length).await?;
                stream.write_all(&response).await?;
            }
        }
    }

    fn answer(&self, request: &[u8], over_udp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).ok()?;
        let query = request.queries.first()?;
        let via = if over_udp { "udp" } else { "tcp" };
        let line = format!("{via} {} {}", query.query_type(), key(&query.name().to_ascii()));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.zone.respond(&request, over_udp)?.to_vec().ok()
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap_or_default();
    name.set_fqdn(true);
    name
}
