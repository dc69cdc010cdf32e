//! English, as the command line and the tests know it.

use super::{Words, listed, one_line, property_names};
use crate::clock::Clock;
use crate::explain::{Destination, ExplainError, Explanation, Heading, Outcome, Unfollowed};
use crate::mailroot::rules::Action;
use crate::mailroot::trail::{CommandEffect, DnsQuestion};
use crate::mailroot::{Fact, Miss};
use crate::spool::inspect::JOURNALED;

pub(super) struct English;

const NO_HOST: &str = "no host";

impl Words for English {
    fn heading(&self, heading: &Heading) -> String {
        match heading {
            Heading::Connect(peer) => format!("a connection from {}", peer.ip().to_canonical()),
            Heading::Command(command) => command.clone(),
            Heading::Delivery { from, to } => format!("delivery from <{from}> to <{to}>"),
            Heading::Message(name) => format!("message {name}"),
        }
    }

    fn verdict(&self, explanation: &Explanation) -> String {
        match &explanation.outcome {
            Outcome::Accepted(reply) if explanation.is_good() => format!("accepted: {}", one_line(reply)),
            Outcome::Accepted(reply) => format!("accepted, but not delivered: {}", one_line(reply)),
            Outcome::Refused(reply) => format!("refused: {}", one_line(reply)),
            Outcome::Queued if explanation.is_good() => {
                "queued: the next attempt is to do the above".to_owned()
            }
            Outcome::Queued => "queued: the next attempt is to return it".to_owned(),
            Outcome::Frozen => "frozen: nothing happens until it is resubmitted; then the above".to_owned(),
            Outcome::Gone => "gone: it is not in the queue any more".to_owned(),
            Outcome::Unreadable(error) => format!("unreadable: {error}"),
        }
    }

    fn end(&self, destination: &Destination) -> String {
        format!("ends: {}", self::destination(destination))
    }

    fn also(&self, row: &str) -> String {
        format!("and {row}")
    }

    fn not(&self, row: &str, why: Miss) -> String {
        format!("not {row}  ({})", self.miss(why))
    }

    fn miss(&self, why: Miss) -> &'static str {
        match why {
            Miss::Shorter => "a shorter pattern",
            Miss::Pattern => "a pattern; the exact row comes before it",
            Miss::Later => "later in the file; the first row counts",
            Miss::Earlier => "earlier in the file; the last row of equal precedence counts",
            Miss::LowerPrecedence => "lower precedence",
            Miss::NegativePrecedence => "a negative precedence never applies",
            Miss::Duplicate => "the same key again; the first row counts",
            Miss::HiddenByAccount => "hidden: a real account has this name",
            Miss::HiddenByCommandAlias => "hidden: a command alias has this name",
            Miss::NoAccount => "the account does not exist",
            Miss::NotARoute => "is no route (@relay or @relay1,@relay2)",
            Miss::LessSpecific => "less specific; only the most specific variable counts",
        }
    }

    fn trouble(&self, error: &ExplainError) -> String {
        error.to_string()
    }

    fn unfollowed(&self, what: &Unfollowed) -> String {
        match what {
            Unfollowed::Met(recipient) => format!("{recipient}, which was met already"),
            Unfollowed::More(count) => format!("{count} further copies"),
            Unfollowed::NotTheirs(recipient) => {
                format!("{recipient}, whose domain is administered by others")
            }
        }
    }

    fn sentence(&self, fact: &Fact, clock: &Clock) -> String {
        let date = |secs: &i64| {
            jiff::Timestamp::from_second(*secs).map_or_else(|_| secs.to_string(), |at| clock.mail_date_of(at))
        };
        match fact {
            // The connection.
            Fact::NoServerTab => "server.tab is missing: nobody is served".to_owned(),
            Fact::LowResources(variable) => format!("less is free than {variable} demands: refused"),
            Fact::Properties(properties) => {
                format!("the peer has: {}", listed(&property_names(*properties), "nothing"))
            }
            Fact::ReverseName(Some(name)) => format!("the peer's name is {name}"),
            Fact::ReverseName(None) => "the peer has no name in reverse DNS".to_owned(),
            Fact::NotAsked(what) => format!("the DNS is not asked for {}", question(what)),
            Fact::NameRequired => "smtp.hnprop.tab exists and the peer has no name: refused".to_owned(),
            Fact::WhiteListed => {
                "white-listed: IP map, spammers, DNS lists and reverse DNS are not looked at".to_owned()
            }
            Fact::IpMap { peer, allowed: true, .. } => format!("smtp.ipmap.tab lets {peer} connect"),
            Fact::IpMap { peer, code, .. } => {
                format!("smtp.ipmap.tab denies {peer}: {}", code_meaning(*code))
            }
            Fact::Spammer { peer, code: Some(code) } => {
                format!("{peer} is a spammer: {}", code_meaning(*code))
            }
            Fact::Spammer { peer, code: None } => format!("no row of spammers.tab is about {peer}"),
            Fact::Zone { zone, listed: Some(false), .. } => format!("not listed in {zone}"),
            Fact::Zone { zone, listed: None, .. } => {
                format!("{zone} does not answer, which counts as not listed")
            }
            // Only exactly 1 refuses here (`mailflow.md` 3.1).
            Fact::Zone { zone, code: 1, .. } => format!("listed in {zone}: refused"),
            Fact::Zone { zone, code: 0, .. } => format!("listed in {zone}: {}", code_meaning(0)),
            Fact::Zone { zone, code, .. } => {
                format!("listed in {zone}: slowed down by {} seconds", code.unsigned_abs())
            }
            Fact::NoName { code: 1.. } => format!("the peer has no name: {}", code_meaning(0)),
            Fact::NoName { code } => format!("the peer has no name: {}", code_meaning(*code)),
            Fact::NoServerDomain => "neither SmtpServerDomain nor RootDomain is set: refused".to_owned(),
            // Who sends.
            Fact::Login { name, perms } => {
                let letters = perms.to_string();
                let relays = if perms.relay { "may relay" } else { "may not relay" };
                format!("{name} has the permissions \"{letters}\": {relays}")
            }
            Fact::ExternalLogin { mechanism } => {
                format!("a program decides log-ins by {mechanism}; taken as let in without permissions")
            }
            Fact::NoLogin { name } => format!("nobody can log in as {name}"),
            Fact::NoPassword { account } => {
                format!("{account} has no password, so nobody can log in with it")
            }
            Fact::PopBeforeSmtp { account } => {
                format!("{account} logged in by POP3 from here a short while ago")
            }
            Fact::SmtpConfig { mail_auth, want_tls } => match (mail_auth, want_tls) {
                (true, true) => "SmtpConfig: MAIL needs a log-in with M, and TLS".to_owned(),
                (true, false) => "SmtpConfig: MAIL needs a log-in with M".to_owned(),
                (false, true) => "SmtpConfig: MAIL needs TLS".to_owned(),
                (false, false) => "SmtpConfig asks for nothing".to_owned(),
            },
            Fact::TlsNeeded => "there is no TLS, and neither permission S nor EaseTLS: refused".to_owned(),
            Fact::NullSenderRefused => "AllowNullSender is off: the null sender is refused".to_owned(),
            Fact::SenderDomain { domain, found } => match found {
                Some(true) => format!("mail could be sent to {domain}"),
                Some(false) => format!("mail could not be sent to {domain}: refused"),
                None => {
                    format!("the DNS does not say whether mail could be sent to {domain}: refused for now")
                }
            },
            Fact::SpamAddress { sender } => format!("the sender {sender} is refused"),
            Fact::MessageSize { limit_bytes, declared_bytes } => {
                let verdict = if declared_bytes > limit_bytes { "refused" } else { "fits" };
                format!("a message of {declared_bytes} bytes, at most {limit_bytes} are taken: {verdict}")
            }
            Fact::Marked => "the peer is marked, and nobody is logged in: refused".to_owned(),
            Fact::AuthenticationDemanded { for_local_domain, excused } => {
                let why = if *for_local_domain { "a sender of our own domain" } else { "MAIL" };
                let then = if *excused { "which it has, or NoAuth" } else { "which it has not: refused" };
                format!("{why} needs a log-in with permission M, {then}")
            }
            // The address.
            Fact::CommandAlias { address } => format!("{address} is a command alias"),
            Fact::DomainHandled { domain } => format!("{domain} is one of our domains"),
            Fact::DomainElsewhere { domain } => format!("{domain} is not one of our domains"),
            Fact::AliasDomain { domain, real } => format!("{domain} is another name of {real}"),
            Fact::Alias { address, target } => format!("{address} is an alias of {target}"),
            Fact::DanglingAlias { address, target } => {
                format!("{address} would be an alias of {target}, which is no account: the row does nothing")
            }
            Fact::Account { address, is_list: false } => format!("{address} is an account"),
            Fact::Account { address, .. } => format!("{address} is a mailing list"),
            Fact::NoSuchUser { address } => format!("no account and no alias is {address}"),
            Fact::ReceiveDisabled => "the account takes no mail".to_owned(),
            Fact::SendDisabled => "the account may not log in to SMTP".to_owned(),
            Fact::ClosedList { may_post: true } => {
                "the list is closed, and this row lets the sender post".to_owned()
            }
            Fact::ClosedList { .. } => {
                "the list is closed, and no member's row lets the sender post".to_owned()
            }
            Fact::NoMailboxDirectory { directory } => {
                format!("{} does not exist: mail is refused", directory.display())
            }
            Fact::Quota { stored_bytes, limit_bytes, message_bytes } => {
                let verdict = match stored_bytes {
                    stored if stored >= limit_bytes => "full",
                    stored if stored.saturating_add(*message_bytes) > *limit_bytes => "it does not fit",
                    _ => "there is room",
                };
                format!("the mailbox holds {stored_bytes} of {limit_bytes} bytes: {verdict}")
            }
            Fact::RelayByPermission => "the log-in has permission R: it may relay".to_owned(),
            Fact::RelayByAddress { peer } => format!("{peer} may relay"),
            Fact::RelayToCustomDomain { domain } => {
                format!("{domain} is a custom domain: mail is taken from everybody")
            }
            Fact::RelayDenied => {
                "no permission R, no row of smtprelay.tab and no custom domain: relaying is refused"
                    .to_owned()
            }
            Fact::GatewayRoute { route } => format!("smtpgw.tab: the way goes through {route}"),
            Fact::SmtpFilter { program } => format!("the filter {program} would be asked; taken to accept"),
            // Delivery.
            Fact::CustomDomain { domain } => format!("{domain} is a custom domain"),
            Fact::OwnCommands { file } => {
                format!("the message goes on with its own copy of the commands, {}", file.display())
            }
            Fact::QueueFilter { stage, file, program: Some(program) } => {
                format!("filter ({stage}, filters/{file}): {program} would be run; taken to accept")
            }
            Fact::QueueFilter { stage, file, program: None } => {
                format!("filter ({stage}): filters/{file} does not exist or is empty")
            }
            Fact::ContentRule { name, action, holds } => content_rule(name, *action, *holds),
            Fact::Command { name, effect } => match effect {
                CommandEffect::Acts => format!("{name}: carried out"),
                CommandEffect::Judges => format!("{name}: the program would be run; taken to accept"),
                CommandEffect::Nothing => format!("{name}: does nothing here"),
            },
            Fact::CommandsWithoutEffect { to_mailbox: true } => {
                "no command does anything with the mail, so it goes to the mailbox".to_owned()
            }
            Fact::CommandsWithoutEffect { .. } => {
                "no command does anything with the mail: it is returned".to_owned()
            }
            Fact::ToMailbox { account } => format!("put into the mailbox of {account}"),
            Fact::ToJunkFolder { account } => format!("put into the junk folder of {account}"),
            Fact::MailboxFull { account } => format!("the mailbox of {account} is full: returned"),
            Fact::ListCopies { list, sender, receiving, invalid } => {
                let from = sender.as_ref().map_or_else(String::new, |sender| format!(" from {sender}"));
                let bad = match invalid {
                    0 => String::new(),
                    count => format!("; {count} more have no valid address"),
                };
                format!("{list} gives a copy{from} to {receiving} members{bad}")
            }
            Fact::ListMember { address } => format!("{address} gets a copy"),
            Fact::ForwardHosts { hosts } => format!("sent to {}", listed(hosts, NO_HOST)),
            Fact::DefaultGateways { hosts } => {
                format!("DefaultSMTPGateways: sent to {}", listed(hosts, NO_HOST))
            }
            Fact::RoutedTo { host } => format!("the path has a route: sent to {host}"),
            Fact::AddressLiteral { address } => format!("the domain is an address: sent to {address}"),
            Fact::Exchangers { domain } => format!("sent to the mail exchangers of {domain}"),
            Fact::ExchangersFound { hosts } => format!("the DNS says: {}", listed(hosts, NO_HOST)),
            Fact::NoExchanger { domain } => format!("nobody takes mail for {domain}: returned"),
            Fact::DnsSilent { reason } => format!("the DNS does not answer ({reason}): tried again later"),
            // The queue.
            Fact::Queued { state, is_tried, number, from, to } => {
                let what = match *state {
                    "mess" if *is_tried => "is in its first attempt, or was when the server ended",
                    "mess" => "waits for its first attempt",
                    "rsnd" => "waits for another attempt",
                    "froz" => "is frozen",
                    JOURNALED => {
                        "is in the journal, not yet delivered: it waits for its first attempt, or is in it"
                    }
                    _ => "is being received: nobody was told 250 yet",
                };
                format!("{number} from <{from}> to <{to}> {what}")
            }
            Fact::Attempt { unix_secs, error: Some(error) } => {
                format!("tried {}: {}", date(unix_secs), error.replace("\r\n", " / "))
            }
            Fact::Attempt { unix_secs, error: None } => format!("tried {}", date(unix_secs)),
            Fact::NextAttempt { unix_secs, number, attempts_max } => {
                format!("attempt {number} of {attempts_max}: {}", date(unix_secs))
            }
            Fact::LastAttempt { unix_secs, number } => {
                format!("attempt {number}, the last: {}; then it is returned", date(unix_secs))
            }
            Fact::Frozen => "no attempt is made until it is resubmitted (CTRL frozsubmit)".to_owned(),
            Fact::Logged { from, to, medium, parameter, date } => {
                format!("{date}: {medium} {parameter}, from <{from}> to <{to}>")
            }
        }
    }
}

fn destination(destination: &Destination) -> String {
    match destination {
        Destination::Mailbox(account) => format!("mailbox of {account}"),
        Destination::Program(program) => format!("program {program}"),
        Destination::Remote { recipient, hosts } if hosts.is_empty() => {
            format!("another server, by SMTP, for <{recipient}>")
        }
        Destination::Remote { recipient, hosts } => {
            format!("another server, by SMTP, for <{recipient}>: {}", hosts.join(", "))
        }
        Destination::Returned(reason) => format!("returned to the sender: {reason}"),
        Destination::Nowhere(list) => format!("nowhere: nobody reads {list}"),
        Destination::Deleted(recipient) => format!("deleted; <{recipient}> does not get it"),
        Destination::NotFollowed(what) => format!("not followed: {}", English.unfollowed(what)),
    }
}

fn content_rule(name: &str, action: Action, holds: bool) -> String {
    let becomes = match action {
        Action::Junk => "marked as junk",
        Action::Reject => "returned to its sender",
        Action::Delete => "deleted",
    };
    match holds {
        true => format!("rule {name:?} holds: the mail is {becomes}"),
        false => format!("rule {name:?} looks at what is in the mail; if it holds, the mail is {becomes}"),
    }
}

fn code_meaning(code: i64) -> String {
    match code {
        1.. => "refused".to_owned(),
        0 => "marked: MAIL fails until somebody logs in".to_owned(),
        seconds => format!("slowed down: {} seconds before each command", seconds.unsigned_abs()),
    }
}

fn question(question: &DnsQuestion) -> String {
    match question {
        DnsQuestion::NameOf(peer) => format!("the name of {peer}"),
        DnsQuestion::Listed { peer, zone } => format!("whether {peer} is in {zone}"),
        DnsQuestion::Reachable(domain) => format!("whether mail could be sent to {domain}"),
        DnsQuestion::ExchangersOf(domain) => format!("the mail exchangers of {domain}"),
    }
}
