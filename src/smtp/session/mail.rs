//! MAIL and RCPT (`mailflow.md` 3.4, 3.6).

use std::sync::Arc;

use bstr::BString;

use super::{
    AcceptedRecipient, Action, Context, FilterPoint, FilterVerdict, Identity, LogLine, Login,
    MailTransaction, Opening, Question, Quota, Session, SpoolFailure, Waiting,
};
use crate::address::{Mailbox, Path, PathError, RawPath, ReversePath};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Fact, ServerTab, Snapshot, Step, Trail as _};
use crate::policy::route::routed;
use crate::policy::sender::may_send;
use crate::policy::{Asker, Grant, Recipient, RecipientRefusal, SenderRefusal, SizeRule, SmtpConfig};
use crate::smtp::command::{Mail, MailParameters, Rcpt};
use crate::smtp::reply;

/// A MAIL command under examination.
#[derive(Debug)]
pub(super) struct Draft {
    snapshot: Arc<Snapshot>,
    reverse_path: ReversePath,
    line: BString,
    parameters: MailParameters,
}

impl Session {
    pub(super) fn on_mail(&mut self, mail: Mail, context: &Context) -> Action {
        if self.helo.is_none() || self.transaction.is_some() {
            return self.out_of_sequence(context);
        }
        let server = &context.snapshot.server;
        let config = SmtpConfig::of_noting(server, self.link.local, &mut self.trail);
        if !self.link.is_tls && config.needs_tls(self.standing.properties, self.perms()) {
            self.trail.note(|| Step::new(Fact::TlsNeeded));
            return self.say(reply::tls_needed(), context);
        }
        if mail.parameters.is_binary {
            return self.say(reply::no_binary(), context);
        }
        let draft = match Draft::of(mail, &context.snapshot) {
            Ok(draft) => draft,
            Err(error) => return self.say(reply::bad_path(error, true), context),
        };
        let Some(sender) = draft.reverse_path.mailbox().cloned() else {
            if !server.flag(&variables::ALLOW_NULL_SENDER) {
                let rows = || context.snapshot.variable_rows([&*variables::ALLOW_NULL_SENDER]);
                self.trail.note(|| Step::new(Fact::NullSenderRefused).by_all(rows()));
                self.note_sender("SNDR=EEMPTY", &draft, 0);
                return self.say(reply::bad_return_path(), context);
            }
            return self.examine_size(draft, context);
        };
        let skips = self.standing.properties.skip_sender_domain_check || sender.domain.is_literal();
        if server.flag(&variables::CHECK_MAILER_DOMAIN) && !skips {
            return self.ask(Waiting::SenderDomain(draft), Question::SenderDomain(sender.domain));
        }
        self.examine_sender(draft, &sender, context)
    }

    pub(super) fn on_sender_domain(
        &mut self,
        draft: Draft,
        found: Option<bool>,
        context: &Context,
    ) -> Action {
        let Some(sender) = draft.reverse_path.mailbox().cloned() else { return self.abort(context) };
        let fact = || Fact::SenderDomain { domain: sender.domain.to_string(), found };
        let rows = || draft.snapshot.variable_rows([&*variables::CHECK_MAILER_DOMAIN]);
        self.trail.note(|| Step::new(fact()).by_all(rows()));
        let reply = match found {
            Some(true) => return self.examine_sender(draft, &sender, context),
            Some(false) => reply::no_sender_domain(),
            None => reply::unknown_sender_domain(),
        };
        self.note_sender("SNDR=ENODNS", &draft, 0);
        self.say(reply, context)
    }

    fn examine_sender(&mut self, draft: Draft, sender: &Mailbox, context: &Context) -> Action {
        let snapshot = &draft.snapshot;
        if let Some(row) = snapshot.spam_addresses.matching(&sender.to_string()) {
            let fact = || Fact::SpamAddress { sender: sender.to_string() };
            self.trail.note(|| Step::new(fact()).by("spam-address.tab", row.line));
            let reply = reply::spam_address(&snapshot.server);
            self.note_sender("SNDR=ESPAM", &draft, 0);
            return self.say(reply, context);
        }
        let is_enabled = snapshot.server.flag(&variables::ENABLE_AUTH_SMTP_POP3);
        if is_enabled && self.login().is_none() && snapshot.handles(sender.domain.as_str()) {
            let question = Question::PopBeforeSmtp { snapshot: Arc::clone(snapshot), sender: sender.clone() };
            return self.ask(Waiting::PopBeforeSmtp(draft), question);
        }
        self.examine_size(draft, context)
    }

    pub(super) fn on_pop_before_smtp(
        &mut self,
        draft: Draft,
        found: Option<(String, Grant)>,
        context: &Context,
    ) -> Action {
        if let Some((address, grant)) = found {
            self.identity = Identity::PopBeforeSmtp(Login { name: address.into(), grant });
        }
        self.examine_size(draft, context)
    }

    fn examine_size(&mut self, draft: Draft, context: &Context) -> Action {
        let declared = draft.parameters.size_bytes;
        let limit = self.bytes_max(&draft.snapshot.server);
        if let Some(limit_bytes) = limit.filter(|_| declared > 0) {
            let by_server = self.login().is_none_or(|login| login.grant.size == SizeRule::Server);
            let rows = || draft.snapshot.variable_rows(by_server.then_some(&*variables::MAX_MESSAGE_SIZE));
            let fact = || Fact::MessageSize { limit_bytes, declared_bytes: declared };
            self.trail.note(|| Step::new(fact()).by_all(rows()));
        }
        if limit.is_some_and(|max| declared > max) {
            self.note_sender("SIZE=EBIG", &draft, declared);
            return self.say(reply::too_big(), context);
        }
        match self.may_send(&draft) {
            Ok(()) => self.ask(Waiting::Opening(draft), Question::Open),
            Err(refusal) => {
                if let Some(status) = sender_status(&refusal) {
                    self.note_sender(&status, &draft, 0);
                }
                self.say(reply::sender_refused(&refusal, &draft.snapshot.server), context)
            }
        }
    }

    fn may_send(&mut self, draft: &Draft) -> Result<(), SenderRefusal> {
        let server = &draft.snapshot.server;
        let sender = draft.reverse_path.mailbox();
        let is_ours = sender.is_some_and(|sender| draft.snapshot.handles(sender.domain.as_str()));
        let claims_local_domain =
            is_ours && self.login().is_none() && server.flag(&variables::LOCAL_DOMAIN_AUTH);
        let config = self.config(server);
        let verdict = may_send(config, &self.standing(), self.perms(), claims_local_domain);
        match &verdict {
            Ok(()) | Err(SenderRefusal::AuthenticationRequired) => {
                if config.mail_auth || claims_local_domain {
                    let (for_local_domain, excused) = (!config.mail_auth, verdict.is_ok());
                    let fact = Fact::AuthenticationDemanded { for_local_domain, excused };
                    let variable = for_local_domain.then_some(&*variables::LOCAL_DOMAIN_AUTH);
                    let rows = || draft.snapshot.variable_rows(variable);
                    self.trail.note(|| Step::new(fact).by_all(rows()));
                }
            }
            Err(_) => self.trail.note(|| Step::new(Fact::Marked)),
        }
        verdict
    }

    pub(super) fn on_opening(
        &mut self,
        draft: Draft,
        opening: Result<Opening, SpoolFailure>,
        context: &Context,
    ) -> Action {
        let opening = match opening {
            Ok(opening) => opening,
            Err(failure) => return self.say(reply::local_error(failure), context),
        };
        self.transaction = Some(MailTransaction {
            snapshot: draft.snapshot,
            reverse_path: draft.reverse_path,
            line: draft.line,
            is_smtputf8: draft.parameters.is_smtputf8,
            size_declared_bytes: draft.parameters.size_bytes,
            opening,
            recipients: Vec::new(),
            chunks: None,
        });
        self.say(reply::sender_ok(), context)
    }

    pub(super) fn on_rcpt(&mut self, rcpt: Rcpt, context: &Context) -> Action {
        let Some(transaction) = self.transaction.as_ref().filter(|open| open.chunks.is_none()) else {
            return self.out_of_sequence(context);
        };
        if transaction.recipients.len() >= context.recipients_max {
            self.note("RCPT=ENBR", "");
            return self.say(reply::too_many_recipients(), context);
        }
        let snapshot = Arc::clone(&transaction.snapshot);
        let (is_smtputf8, size_bytes) = (transaction.is_smtputf8, transaction.size_declared_bytes);
        let sender = transaction.reverse_path.to_string();
        let given = match forward_mailbox(rcpt.path, is_smtputf8, &snapshot.server) {
            Ok(given) => given,
            Err(error) => return self.refuse_path(error, context),
        };
        let login = self.login().and_then(|login| String::from_utf8(login.name.to_vec()).ok());
        let peer = self.link.peer.ip().to_canonical();
        let asker = Asker { peer, may_relay: self.perms().relay, sender, login };
        let question = Question::Recipient { snapshot, mailbox: given.clone(), asker, size_bytes };
        self.ask(Waiting::Recipient(given), question)
    }

    /// A path that cannot be read drops the transaction, as in XMail; a null one and one that needs SMTPUTF8 do not.
    fn refuse_path(&mut self, error: PathError, context: &Context) -> Action {
        self.note("RCPT=ESYNTAX", "");
        match error {
            PathError::NullForwardPath => self.say(reply::bad_forward_path(), context),
            PathError::NonAscii => self.say(reply::bad_path(error, false), context),
            _ => {
                self.transaction = None;
                self.say(reply::bad_path(error, false), context)
            }
        }
    }

    pub(super) fn on_recipient(
        &mut self,
        given: Mailbox,
        verdict: Result<Recipient, RecipientRefusal>,
        context: &Context,
    ) -> Action {
        let Some(transaction) = &self.transaction else { return self.abort(context) };
        let sender = transaction.reverse_path.to_string();
        let recipient = match verdict {
            Ok(recipient) => recipient,
            Err(refusal) => {
                self.note(recipient_status(refusal), &given.to_string());
                return self.say(reply::recipient_refused(refusal, &given, &sender), context);
            }
        };
        let (account, quota) = match recipient {
            Recipient::Local { account, mailbox_bytes_max } => {
                let address = account.address();
                (Some(address), mailbox_bytes_max.map(|bytes_max| Quota { account, bytes_max }))
            }
            Recipient::CommandAlias | Recipient::Remote => (None, None),
        };
        let path = routed(&transaction.snapshot, &given, &mut self.trail);
        let has_filter = !transaction.snapshot.filters_post_rcpt.rows().is_empty();
        let accepted = AcceptedRecipient { path, given, quota, account };
        if has_filter {
            let waiting = Waiting::RecipientFilter(accepted.clone());
            return self.ask_filter(waiting, FilterPoint::PostRcpt, Some(&accepted), context);
        }
        self.accept_recipient(accepted, context)
    }

    pub(super) fn on_recipient_filter(
        &mut self,
        recipient: AcceptedRecipient,
        verdict: FilterVerdict,
        context: &Context,
    ) -> Action {
        let refusal = match verdict {
            FilterVerdict::Accept | FilterVerdict::Edited(_) => {
                return self.accept_recipient(recipient, context);
            }
            FilterVerdict::Reject(reply) => reply.unwrap_or_else(reply::recipient_rejected),
            FilterVerdict::Unavailable => reply::filter_unavailable(),
        };
        let mut line = self.log_line("RCPT=EFILTER", &recipient.given.to_string());
        line.recipient_domain = recipient.given.domain.to_string();
        self.log.push(line);
        self.say(refusal, context)
    }

    fn accept_recipient(&mut self, recipient: AcceptedRecipient, context: &Context) -> Action {
        let Some(transaction) = &mut self.transaction else { return self.abort(context) };
        let given = recipient.given.to_string();
        transaction.recipients.push(recipient);
        self.note("RCPT=OK", &given);
        self.say(reply::recipient_ok(), context)
    }

    fn note_sender(&mut self, status: &str, draft: &Draft, size_bytes: u64) {
        let line = self.log_line(status, "");
        let sender = draft.reverse_path.to_string();
        self.log.push(LogLine { sender, size_bytes, ..line });
    }
}

impl Draft {
    /// A source route is accepted and ignored (decision 41); the line for the spool loses it.
    fn of(mail: Mail, snapshot: &Arc<Snapshot>) -> Result<Self, PathError> {
        let reverse_path = mail.path?.into_reverse_path()?;
        let is_ascii = reverse_path.path().is_none_or(Path::is_ascii);
        if !is_ascii && !mail.parameters.is_smtputf8 {
            return Err(PathError::NonAscii);
        }
        let (reverse_path, line) = match reverse_path {
            ReversePath::Path(path) if path.is_routed() => {
                let line = format!("MAIL FROM:<{}>{}", path.mailbox, mail.parameters.text);
                (ReversePath::from(path.mailbox), line.into())
            }
            other => (other, mail.line),
        };
        let snapshot = Arc::clone(snapshot);
        Ok(Self { snapshot, reverse_path, line, parameters: mail.parameters })
    }
}

/// The recipient without a source route (decision 41); a bare `postmaster` is `PostMaster`, or the name at `RootDomain`.
fn forward_mailbox(
    path: Result<RawPath, PathError>,
    is_smtputf8: bool,
    server: &ServerTab,
) -> Result<Mailbox, PathError> {
    let configured = server.postmaster().and_then(|address| Mailbox::parse(address.as_bytes()).ok());
    let postmaster = configured.or_else(|| {
        let root_domain = server.root_domain()?;
        Mailbox::parse(format!("postmaster@{root_domain}").as_bytes()).ok()
    });
    let mailbox = path?.into_forward_path(postmaster.as_ref())?.mailbox().clone();
    if is_smtputf8 || mailbox.is_ascii() { Ok(mailbox) } else { Err(PathError::NonAscii) }
}

fn sender_status(refusal: &SenderRefusal) -> Option<String> {
    match refusal {
        SenderRefusal::IpMap => Some("SNDRIP=EIPBAN".to_owned()),
        SenderRefusal::Spammer => Some("SNDRIP=EIPSPAM".to_owned()),
        SenderRefusal::Map(zone) => Some(format!("SNDRIP=EIPMAP ({zone})")),
        SenderRefusal::NoPtr => Some("SNDRIP=ERDNS".to_owned()),
        SenderRefusal::AuthenticationRequired => None,
    }
}

fn recipient_status(refusal: RecipientRefusal) -> &'static str {
    match refusal {
        RecipientRefusal::NoMailbox => "RCPT=EAVAIL",
        RecipientRefusal::Disabled => "RCPT=EDSBL",
        RecipientRefusal::ListClosed => "RCPT=EACCESS",
        RecipientRefusal::RelayDenied => "RCPT=ERELAY",
        RecipientRefusal::MailboxFull | RecipientRefusal::WillNotFit => "RCPT=EFULL",
    }
}
