//! DATA and BDAT: from the last recipient to the spool (`mailflow.md` 3.7, RFC 3030).

use super::{
    AcceptedRecipient, Action, Context, DataFault, FilterPoint, FilterVerdict, Intake, MailTransaction,
    Opening, Question, Received, Session, State, Submission, SubmitFailure, Waiting,
};
use crate::mailroot::schema::server as variables;
use crate::message::{self, ReceivedHdrType};
use crate::net::bracketed;
use crate::net::dots::BareLf;
use crate::smtp::command::{BadChunk, Chunk};
use crate::smtp::reply;
use crate::spool::{Header, NewMessage};
use crate::status::Reply;

impl Session {
    pub(super) fn on_data_command(&mut self, context: &Context) -> Action {
        let ready = |open: &&MailTransaction| !open.recipients.is_empty() && open.chunks.is_none();
        if self.transaction.as_ref().filter(ready).is_none() {
            return self.out_of_sequence(context);
        }
        self.before_data(None, context)
    }

    /// RFC 3030 section 2: a chunk's octets follow whatever we answer, so a refused one is skipped. Without a size we
    /// have lost our place and hang up.
    pub(super) fn on_bdat(&mut self, chunk: Result<Chunk, BadChunk>, context: &Context) -> Action {
        let Ok(chunk) = chunk else {
            self.transaction = None;
            return match self.say(reply::bad_arguments(), context) {
                Action::Reply(reply) => Action::Close(reply),
                other => other,
            };
        };
        let Some(transaction) = self.transaction.as_mut().filter(|open| !open.recipients.is_empty()) else {
            self.transaction = None;
            return self.skip(chunk, reply::out_of_sequence(), context);
        };
        let is_first = transaction.chunks.is_none();
        let total = transaction.chunks.unwrap_or(0).saturating_add(chunk.octets);
        transaction.chunks = Some(total);
        if self.transaction_bytes_max().is_some_and(|max| total > max) {
            self.transaction = None;
            return self.skip(chunk, reply::too_big(), context);
        }
        if is_first { self.before_data(Some(chunk), context) } else { self.receive(Some(chunk)) }
    }

    fn skip(&mut self, chunk: Chunk, reply: Reply, context: &Context) -> Action {
        match self.say(reply, context) {
            Action::Reply(reply) => Action::SkipChunk(chunk.octets, reply),
            other => other,
        }
    }

    fn before_data(&mut self, chunk: Option<Chunk>, context: &Context) -> Action {
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        if transaction.snapshot.filters_pre_data.rows().is_empty() {
            return self.receive(chunk);
        }
        self.ask_filter(Waiting::PreDataFilter(chunk), FilterPoint::PreData, None, context)
    }

    pub(super) fn on_pre_data_filter(
        &mut self,
        chunk: Option<Chunk>,
        verdict: FilterVerdict,
        context: &Context,
    ) -> Action {
        let Some(action) = self.refusal_of("PREDATA=EFILTER", verdict, context) else {
            return self.receive(chunk);
        };
        match (chunk, action) {
            (Some(chunk), Action::Reply(reply)) => Action::SkipChunk(chunk.octets, reply),
            (_, action) => action,
        }
    }

    fn receive(&mut self, chunk: Option<Chunk>) -> Action {
        let refuses = self
            .transaction
            .as_ref()
            .is_some_and(|open| open.snapshot.server.choice(&variables::SMTP_BARE_LF) == variables::REJECT);
        let bare_lf = if refuses { BareLf::Reject } else { BareLf::Normalise };
        let intake = Intake { bytes_max: self.transaction_bytes_max(), bare_lf };
        self.state = State::Receiving { chunk };
        match chunk {
            None => Action::ReceiveData(reply::start_data(), intake),
            Some(chunk) => Action::ReceiveChunk(chunk, intake),
        }
    }

    fn transaction_bytes_max(&self) -> Option<u64> {
        self.transaction.as_ref().and_then(|open| self.bytes_max(&open.snapshot.server))
    }

    /// The data, or one chunk of it, has arrived.
    pub fn on_data(&mut self, received: Received, context: &Context) -> Action {
        let State::Receiving { chunk } = std::mem::replace(&mut self.state, State::Command) else {
            return self.abort(context);
        };
        if let Some(fault) = received.fault {
            self.transaction = None;
            let reply = match fault {
                DataFault::TooBig => reply::too_big(),
                DataFault::BadContent => reply::bad_content(),
                DataFault::Spool(failure) => reply::local_error(failure),
            };
            return self.say(reply, context);
        }
        if let Some(chunk) = chunk.filter(|chunk| !chunk.is_last) {
            return self.say(reply::chunk_ok(chunk.octets), context);
        }
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        if transaction.snapshot.filters_post_data.rows().is_empty() {
            return self.submit(received.bytes, context);
        }
        self.ask_filter(Waiting::PostDataFilter(received.bytes), FilterPoint::PostData, None, context)
    }

    pub(super) fn on_post_data_filter(
        &mut self,
        bytes: u64,
        verdict: FilterVerdict,
        context: &Context,
    ) -> Action {
        if let FilterVerdict::Edited(edit) = verdict {
            // The log goes on telling the size of what the client sent (golden `filter_postdata_modify`).
            self.take_edit(edit);
            return self.submit(bytes, context);
        }
        match self.refusal_of("POSTDATA=EFILTER", verdict, context) {
            Some(action) => action,
            None => self.submit(bytes, context),
        }
    }

    fn submit(&mut self, bytes: u64, context: &Context) -> Action {
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        let x_auth_user = self.x_auth_user(transaction);
        let messages = transaction.recipients.iter();
        let messages = messages.map(|to| self.message_for(to, transaction, &x_auth_user)).collect();
        let quotas = transaction.recipients.iter();
        let quotas = quotas.filter_map(|to| Some((to.given.clone(), to.quota.clone()?))).collect();
        self.ask(Waiting::Submission(bytes), Question::Submit(Submission { messages, quotas }))
    }

    pub(super) fn on_submitted(
        &mut self,
        bytes: u64,
        result: Result<(), SubmitFailure>,
        context: &Context,
    ) -> Action {
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        let number = transaction.opening.number.clone();
        let last = transaction.recipients.last().map(|last| last.given.to_string()).unwrap_or_default();
        let reply = match result {
            Ok(()) => {
                let mut line = self.log_line("RECV=OK", &last);
                line.size_bytes = bytes;
                self.log.push(line);
                reply::received(&number)
            }
            Err(SubmitFailure::MailboxFull(mailbox)) => {
                self.note("RCPT=EFULL", &mailbox.to_string());
                reply::mailbox_full(&mailbox)
            }
            Err(SubmitFailure::Spool(failure)) => reply::local_error(failure),
        };
        self.transaction = None;
        self.say(reply, context)
    }

    fn x_auth_user(&self, transaction: &MailTransaction) -> Vec<u8> {
        match self.login() {
            Some(login) if login.grant.emits_auth_user(&transaction.snapshot.server) => {
                message::x_auth_user(&login.name)
            }
            _ => Vec::new(),
        }
    }

    /// The spool file's header and our trace fields for one recipient (`mailflow.md` 2.2, 3.7, 3.8).
    fn message_for(
        &self,
        recipient: &AcceptedRecipient,
        transaction: &MailTransaction,
        x_auth_user: &[u8],
    ) -> NewMessage {
        let Opening { number, date } = &transaction.opening;
        let path = recipient.path.to_string();
        let header = Header {
            trace: format!("{};{};{date}", bracketed(self.link.peer), bracketed(self.link.local)).into(),
            smtp_domain: self.link.server_domain.as_str().into(),
            number: number.as_str().into(),
            mail_from: transaction.line.clone(),
            rcpt_to: format!("RCPT TO:<{path}>").into(),
        };
        let layout = transaction.snapshot.server.integer(&variables::RECEIVED_HDR_TYPE);
        let received = message::Received {
            layout: ReceivedHdrType::from_number(layout),
            helo: self.helo.as_ref().map_or(&[], |helo| helo.as_slice()),
            client: self.link.peer,
            server_domain: &self.link.server_domain,
            server: self.link.local,
            is_authenticated: self.login().is_some(),
            product: &reply::server_name(),
            message_number: number,
            recipient: &path,
            sender: &transaction.reverse_path.to_string(),
            date,
        };
        let trace_fields = [x_auth_user, &received.to_bytes()].concat().into();
        NewMessage { header, trace_fields }
    }
}
