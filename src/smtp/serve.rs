//! The shell around the session: sockets, deadlines, streams and the log. The only place here that waits.
//!
//! Deadlines: `-St` for a command, [`IO_TIMEOUT`] for everything else. Memory of one session: one line of at most
//! [`AUTH_OCTETS_MAX`], one read, and the spool draft's own bound. At stop a session finishes its command, says 421 and
//! leaves; data under way is dropped without a 250.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answers::{self, blocking};
use super::chunks::ChunkReader;
use super::command::{AUTH_OCTETS_MAX, parse};
use super::filters;
use super::greeting::{Admission, admit};
use super::reply;
use super::session::{
    Action, Answer, Context, DataFault, FilterPoint, FilterRun, FilterVerdict, Intake, Link, LogLine,
    Question, Received, Session, SpoolFailure, Submission, SubmitFailure,
};
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::exec;
use crate::filter::Filters;
use crate::logs::{LogKind, Logs};
use crate::mailbox::Mailboxes;
use crate::mailroot::{Snapshot, Tables};
use crate::net::dots::{BareLf, DataReader};
use crate::net::tls::TlsStore;
use crate::net::{self, Arrival, Connection, Door, IO_TIMEOUT, Line, ReadError};
use crate::policy::Refusal;
use crate::spool::{Draft, MEMORY_BYTES_MAX, Spool};
use crate::status::Reply;

/// What SMTP sessions use. One for all listeners, so that they share the session limit.
pub struct Services {
    /// The tables.
    pub tables: Tables,
    /// Where mail goes.
    pub spool: Spool,
    /// For quota.
    pub mailboxes: Mailboxes,
    /// For names, lists and sender domains.
    pub resolver: Resolver,
    /// For dates.
    pub clock: Clock,
    /// The smtp log.
    pub logs: Logs,
    /// For STARTTLS and SMTPS.
    pub tls: Arc<TlsStore>,
    /// The options.
    pub limits: Limits,
    /// Runs SMTP filters.
    pub filters: Filters,
    /// `XMAIL_TEMP`: where files for external programs go (`mailflow.md` 1.1), usually `/tmp`.
    pub temp_directory: PathBuf,
}

/// XMail's `-S` options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `-St`: how long a session waits for a command.
    pub idle: Duration,
    /// `-Sr`: recipients of one message.
    pub recipients_max: usize,
    /// `-Se`: how long a POP3 log-in opens SMTP.
    pub pop_auth_lifetime: Duration,
}

impl Default for Limits {
    /// XMail's defaults (`mailflow.md` 1.1).
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(90),
            recipients_max: 100,
            pop_auth_lifetime: Duration::from_secs(900),
        }
    }
}

/// Accepts until `stop`, then waits for the sessions to leave. Dropping the future ends all sessions at once.
pub async fn serve(door: Door, services: Arc<Services>, stop: CancellationToken) {
    let session_stop = stop.clone();
    door.attend(stop, move |arrival| attend(arrival, Arc::clone(&services), session_stop.clone())).await;
}

/// One connection from its greeting to its end.
async fn attend(arrival: Arrival, services: Arc<Services>, stop: CancellationToken) {
    let Arrival { mut connection, seat } = arrival;
    // The seat is held until the goodbye is out.
    let end = match &seat {
        None => {
            connection.queue(&reply::too_busy().to_wire());
            End::Closed
        }
        Some(_) => begin(&mut connection, &services, &stop).await,
    };
    if end == End::Stopping {
        connection.queue(&reply::stopping().to_wire());
    }
    if end != End::Lost {
        say_goodbye(&mut connection, &stop).await;
    }
}

/// A peer that reads nothing must not hold up a stop.
async fn say_goodbye(connection: &mut Connection, stop: &CancellationToken) {
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(GOODBYE_LIMIT).await;
    };
    tokio::select! {
        _ = connection.close() => {}
        () = stopped => {}
    }
}

/// How long the last reply may take to be sent while the server stops. Ours.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The last reply is queued.
    Closed,
    /// The server stops.
    Stopping,
    /// The peer is gone or silent: nobody to talk to.
    Lost,
}

impl From<ReadError> for End {
    fn from(_: ReadError) -> Self {
        Self::Lost
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Lost
    }
}

async fn begin(connection: &mut Connection, services: &Arc<Services>, stop: &CancellationToken) -> End {
    let Some(snapshot) = fresh(&services.tables).await else { return End::Stopping };
    let (peer, local) = (connection.stream().peer(), connection.stream().local());
    let (resolver, mut nobody) = (Some(&services.resolver), ());
    let admitted = tokio::select! {
        biased;
        () = stop.cancelled() => return End::Stopping,
        admitted = admit(resolver, &snapshot, peer.ip().to_canonical(), local, &mut nobody) => admitted,
    };
    let log = Log { logs: services.logs.clone(), clock: services.clock.clone(), peer };
    let admission = match admitted {
        Ok(admission) => admission,
        Err(refusal) => {
            log.refusal(&refusal);
            connection.queue(&reply::refused(&refusal, &snapshot.server).to_wire());
            return End::Closed;
        }
    };
    let stamp = net::stamp(services.clock.unix_secs(), &admission.server_domain);
    let date = services.clock.mail_date();
    connection.queue(&reply::greeting(&admission.server_domain, &stamp, &date).to_wire());
    let link = Link {
        peer,
        local,
        is_tls: connection.stream().is_tls(),
        server_domain: admission.server_domain.clone(),
        stamp,
    };
    let session = Session::new(link, admission.standing.clone());
    let services = Arc::clone(services);
    let mut shell =
        Shell { connection, services, stop, session, log, admission, sink: None, filter_file: None };
    let end = shell.run().await;
    shell.write_log();
    end
}

async fn fresh(tables: &Tables) -> Option<Arc<Snapshot>> {
    if let Some(snapshot) = tables.unchanged() {
        return Some(snapshot);
    }
    let tables = tables.clone();
    blocking(move || tables.fresh()).await
}

/// One session and its connection.
struct Shell<'a> {
    connection: &'a mut Connection,
    services: Arc<Services>,
    stop: &'a CancellationToken,
    session: Session,
    log: Log,
    admission: Admission,
    sink: Option<Sink>,
    /// The name of the file that SMTP filters see.
    filter_file: Option<PathBuf>,
}

impl Shell<'_> {
    async fn run(&mut self) -> End {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// One line and everything that follows from it.
    async fn turn(&mut self) -> Result<(), End> {
        let idle = self.services.limits.idle;
        let line = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(End::Stopping),
            line = self.connection.read_line(AUTH_OCTETS_MAX, idle) => line?,
        };
        self.wait(self.session.command_delay()).await?;
        let context = self.context();
        let mut action = match line {
            Line::TooLong => self.session.on_long_line(&context),
            Line::Text(text, _) if self.session.expects_response() => {
                self.session.on_response(&text, &context)
            }
            Line::Text(text, _) => self.session.on_command(parse(&text), &context),
        };
        loop {
            action = match self.perform(action, &context).await? {
                Some(next) => next,
                None => break,
            };
        }
        if !self.session.is_chunking() {
            self.sink = None;
        }
        self.write_log();
        Ok(())
    }

    fn context(&self) -> Context {
        Context {
            snapshot: self.services.tables.current(),
            is_tls_available: self.services.tls.available(),
            recipients_max: self.services.limits.recipients_max,
        }
    }

    /// Carries out an action; `None` when the next line is to be read.
    async fn perform(&mut self, action: Action, context: &Context) -> Result<Option<Action>, End> {
        match action {
            Action::Reply(reply) => {
                let pause = self.session.take_pause();
                self.wait(pause).await?;
                self.connection.queue(&reply.to_wire());
                Ok(None)
            }
            Action::Ask(question) => {
                let answer = self.answer(*question).await?;
                Ok(Some(self.session.on_answer(answer, context)))
            }
            Action::ReceiveData(reply, intake) => {
                self.connection.queue(&reply.to_wire());
                let received = self.receive_data(intake).await?;
                Ok(Some(self.session.on_data(received, context)))
            }
            Action::ReceiveChunk(chunk, intake) => {
                let received = self.receive_chunk(chunk.octets, chunk.is_last, intake).await?;
                Ok(Some(self.session.on_data(received, context)))
            }
            Action::SkipChunk(octets, reply) => {
                self.each_piece(octets, |_| {}).await?;
                self.connection.queue(&reply.to_wire());
                Ok(None)
            }
            Action::StartTls(reply) => self.start_tls(&reply).await.map(|()| None),
            Action::Close(reply) => {
                self.connection.queue(&reply.to_wire());
                Err(End::Closed)
            }
        }
    }

    async fn wait(&self, delay: Duration) -> Result<(), End> {
        if delay.is_zero() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(End::Stopping),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }

    async fn start_tls(&mut self, reply: &Reply) -> Result<(), End> {
        let Some(acceptor) = self.services.tls.acceptor() else {
            self.connection.queue(&reply::no_tls_now().to_wire());
            return Ok(());
        };
        self.connection.queue(&reply.to_wire());
        let handshake = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(End::Lost),
            handshake = self.connection.upgrade_to_tls(&acceptor) => handshake,
        };
        match handshake {
            Ok(()) => {
                self.session.on_tls();
                Ok(())
            }
            Err(error) => {
                tracing::debug!(peer = %self.log.peer, %error, "STARTTLS handshake failed");
                self.session.on_tls_failure();
                Err(End::Lost)
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<Answer, End> {
        let peer = self.log.peer.ip().to_canonical();
        let question = match question {
            Question::Submit(submission) => return Ok(Answer::Submit(self.submit(submission).await)),
            Question::Filter(run) => return self.filter(*run).await.map(Answer::Filter),
            other => other,
        };
        // The DNS may take longer than a stop should.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(End::Stopping),
            answer = answers::answer(&self.services, peer, question) => Ok(answer),
        }
    }

    /// The message stays in the sink, as the filters left it. A stop kills the program: nothing was answered yet.
    async fn filter(&mut self, run: FilterRun) -> Result<FilterVerdict, End> {
        let path = match &self.filter_file {
            Some(path) => path.clone(),
            None => match exec::temporary_path(&self.services.temp_directory) {
                Ok(path) => self.filter_file.insert(path).clone(),
                Err(error) => {
                    tracing::error!(%error, "no name for a filter's file");
                    return Ok(FilterVerdict::Unavailable);
                }
            },
        };
        let has_data = run.point == FilterPoint::PostData;
        let draft = self.sink.as_mut().filter(|_| has_data).and_then(|sink| sink.draft.take());
        let services = Arc::clone(&self.services);
        let (verdict, draft) = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(End::Stopping),
            filtered = filters::run(&services, &path, run, draft) => filtered,
        };
        if let (true, Some(sink)) = (has_data, &mut self.sink) {
            sink.draft = draft;
        }
        Ok(verdict)
    }

    /// **After `Ok` the message is on stable storage** and 250 may be said. Not interrupted by a stop.
    async fn submit(&mut self, submission: Submission) -> Result<(), SubmitFailure> {
        let lost = SubmitFailure::Spool(SpoolFailure::Disk);
        let Some(Sink { draft: Some(draft), .. }) = self.sink.take() else { return Err(lost) };
        let mailboxes = self.services.mailboxes.clone();
        let Submission { messages, quotas } = submission;
        let recipients = messages.len();
        let needs_disk = draft.is_on_disk() || !quotas.is_empty();
        let finish = move || {
            answers::fits(&mailboxes, &quotas, recipients, draft.bytes())?;
            draft.finish().map_err(|error| SubmitFailure::Spool(answers::failure(&error)))
        };
        let data = if needs_disk { blocking(finish).await.unwrap_or(Err(lost))? } else { finish()? };
        let submitted = self.services.spool.submit(messages, data).await;
        submitted.map(drop).map_err(|error| SubmitFailure::Spool(answers::failure(&error)))
    }

    async fn receive_data(&mut self, intake: Intake) -> Result<Received, End> {
        let mut sink = Sink::new(&self.services.spool);
        let mut reader = DataReader::new(intake.bare_lf);
        let is_too_big = |reader: &DataReader| intake.bytes_max.is_some_and(|max| reader.size_bytes() > max);
        while !reader.has_ended() {
            let mut stored = Vec::new();
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(End::Stopping),
                input = self.connection.fill(IO_TIMEOUT) => input?,
            };
            let feed = reader.feed(input, &mut stored);
            self.connection.consume(feed.consumed);
            if is_too_big(&reader) {
                // What came so far is no use any more; the rest is read to the dot and forgotten.
                sink.draft = None;
            } else {
                sink.write(stored).await;
            }
        }
        let has_bad_content = reader.saw_nul() || reader.is_refused();
        let fault = match sink.failure {
            _ if is_too_big(&reader) => Some(DataFault::TooBig),
            _ if has_bad_content => Some(DataFault::BadContent),
            Some(failure) => Some(DataFault::Spool(failure)),
            None => None,
        };
        self.sink = Some(sink);
        Ok(Received { bytes: reader.size_bytes(), fault })
    }

    async fn receive_chunk(&mut self, octets: u64, is_last: bool, intake: Intake) -> Result<Received, End> {
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => Sink::new(&self.services.spool),
        };
        let mut left = octets;
        while left > 0 {
            let mut stored = Vec::new();
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(End::Stopping),
                input = self.connection.fill(IO_TIMEOUT) => input?,
            };
            let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink.chunks.feed(&input[..count], &mut stored);
            self.connection.consume(count);
            left -= count as u64;
            sink.write(stored).await;
        }
        if is_last {
            let mut stored = Vec::new();
            sink.chunks.finish(&mut stored);
            sink.write(stored).await;
        }
        let refuses_bare = intake.bare_lf == BareLf::Reject && sink.chunks.saw_bare;
        let fault = match sink.failure {
            _ if sink.chunks.saw_nul || refuses_bare => Some(DataFault::BadContent),
            Some(failure) => Some(DataFault::Spool(failure)),
            None => None,
        };
        let bytes = sink.draft.as_ref().map_or(0, Draft::bytes);
        self.sink = Some(sink);
        Ok(Received { bytes, fault })
    }

    async fn each_piece(&mut self, octets: u64, mut take: impl FnMut(&[u8])) -> Result<(), End> {
        let mut left = octets;
        while left > 0 {
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(End::Stopping),
                input = self.connection.fill(IO_TIMEOUT) => input?,
            };
            let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&input[..count]);
            self.connection.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    fn write_log(&mut self) {
        for line in self.session.take_log() {
            self.log.line(&self.admission, line);
        }
    }
}

/// Mail data on its way into the spool.
struct Sink {
    /// `None` after a failure.
    draft: Option<Draft>,
    chunks: ChunkReader,
    failure: Option<SpoolFailure>,
}

impl Sink {
    fn new(spool: &Spool) -> Self {
        Self { draft: Some(spool.draft()), chunks: ChunkReader::default(), failure: None }
    }

    /// Goes to a blocking thread when the disk is involved. After a failure octets are dropped: the client is told when
    /// it has said everything.
    async fn write(&mut self, octets: Vec<u8>) {
        let Some(mut draft) = self.draft.take() else { return };
        let touches_disk =
            draft.is_on_disk() || draft.bytes() + octets.len() as u64 > MEMORY_BYTES_MAX as u64;
        let written = match touches_disk {
            true => blocking(move || draft.write(&octets).map(|()| draft)).await,
            false => Some(draft.write(&octets).map(|()| draft)),
        };
        match written {
            Some(Ok(draft)) => self.draft = Some(draft),
            Some(Err(error)) => self.failure = Some(answers::failure(&error)),
            None => self.failure = Some(SpoolFailure::Disk),
        }
    }
}

/// The smtp log of one session (`mailflow.md` 15).
struct Log {
    logs: Logs,
    clock: Clock,
    peer: SocketAddr,
}

impl Log {
    /// A peer that got no session; the server's names are not known yet then.
    fn refusal(&self, refusal: &Refusal) {
        let status = match refusal {
            Refusal::IpMap => "SNDRIP=EIPBAN".to_owned(),
            Refusal::Spammer => "SNDRIP=EIPSPAM".to_owned(),
            Refusal::Map(zone) => format!("SNDRIP=EIPMAP ({zone})"),
            _ => {
                tracing::warn!(peer = %self.peer, ?refusal, "SMTP session refused");
                return;
            }
        };
        self.write("", "", "", LogLine { status, ..LogLine::default() });
    }

    fn line(&self, admission: &Admission, line: LogLine) {
        self.write(&admission.server_name, &admission.server_domain, &admission.peer_name, line);
    }

    fn write(&self, server_name: &str, server_domain: &str, peer_name: &str, line: LogLine) {
        if !self.logs.is_enabled(LogKind::Smtp) {
            return;
        }
        let columns: Vec<Vec<u8>> = vec![
            server_name.into(),
            server_domain.into(),
            self.peer.ip().to_canonical().to_string().into(),
            self.clock.log_date().into(),
            line.helo.into(),
            line.recipient_domain.into(),
            line.sender.into(),
            line.recipient.into(),
            line.number.into(),
            line.status.into(),
            line.login.into(),
            line.size_bytes.to_string().into(),
            peer_name.into(),
        ];
        let columns: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
        self.logs.write(LogKind::Smtp, &columns);
    }
}
