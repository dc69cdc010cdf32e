//! AUTH (`mailflow.md` 3.5, 3.10; RFC 4954; decisions 5, 33 and 37).

use std::sync::Arc;
use std::time::Duration;

use super::{Action, Context, Identity, Login, LoginVerdict, Question, Session, State, Waiting};
use crate::auth::{AuthSyntax, Exchange, Mechanism, Step};
use crate::mailroot::Snapshot;
use crate::mailroot::schema::server as variables;
use crate::smtp::command::Arguments;
use crate::smtp::reply;

impl Session {
    pub(super) fn on_auth(&mut self, arguments: &Arguments, context: &Context) -> Action {
        let is_authenticated = matches!(self.identity, Identity::Authenticated(_));
        if self.helo.is_none() || self.transaction.is_some() || is_authenticated {
            return self.out_of_sequence(context);
        }
        let (name, initial) = match &arguments.0[..] {
            [name] => (name, None),
            [name, initial] => (name, Some(&initial[..])),
            _ => return self.say(reply::bad_arguments(), context),
        };
        let Some(mechanism) = Mechanism::from_name(name) else {
            return self.say(reply::unknown_mechanism(), context);
        };
        if !self.is_allowed(mechanism.name(), &context.snapshot) {
            let offers_tls = self.offers_starttls(context);
            let reply = if offers_tls { reply::encryption_required() } else { reply::unknown_mechanism() };
            return self.say(reply, context);
        }
        let (exchange, step) = Exchange::start(mechanism, initial, self.link.stamp.as_bytes());
        self.on_step(mechanism, exchange, step, context)
    }

    /// Takes the client's answer to a challenge.
    pub fn on_response(&mut self, line: &[u8], context: &Context) -> Action {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Sasl { mechanism, mut exchange } => {
                let step = exchange.step(line);
                self.on_step(mechanism, exchange, step, context)
            }
            _ => self.abort(context),
        }
    }

    pub(super) fn on_long_response(&mut self, context: &Context) -> Action {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Sasl { mechanism, .. } => self.fail(mechanism, AuthSyntax::TooLong, context),
            _ => self.abort(context),
        }
    }

    fn on_step(&mut self, mechanism: Mechanism, exchange: Exchange, step: Step, context: &Context) -> Action {
        match step {
            Step::Challenge(text) => {
                self.state = State::Sasl { mechanism, exchange };
                Action::Reply(reply::challenge(&text))
            }
            Step::Credentials(credentials) => {
                let user = credentials.user().into();
                let snapshot = Arc::clone(&context.snapshot);
                let question = Question::Login { snapshot, mechanism, credentials };
                self.ask(Waiting::Login { mechanism, user }, question)
            }
            Step::Failed(error) => self.fail(mechanism, error, context),
        }
    }

    pub(super) fn on_login(
        &mut self,
        mechanism: Mechanism,
        user: bstr::BString,
        verdict: LoginVerdict,
        context: &Context,
    ) -> Action {
        match verdict {
            LoginVerdict::Granted(grant) => {
                self.identity = Identity::Authenticated(Login { name: user, grant });
                self.say(reply::authenticated(), context)
            }
            LoginVerdict::Refused => self.fail(mechanism, AuthSyntax::Message, context),
            LoginVerdict::Unavailable => {
                self.note_failure(mechanism);
                self.say(reply::authentication_unavailable(), context)
            }
        }
    }

    fn fail(&mut self, mechanism: Mechanism, error: AuthSyntax, context: &Context) -> Action {
        self.note_failure(mechanism);
        if error == AuthSyntax::Message {
            self.pause = failure_pause(self.failed_logins);
            self.failed_logins += 1;
        }
        self.say(reply::bad_authentication(error), context)
    }

    fn note_failure(&mut self, mechanism: Mechanism) {
        self.note(&format!("AUTH=EFAIL:TYPE={}", mechanism.name()), "");
    }

    /// What EHLO offers: the mechanisms of `smtpextauth.tab` if it has any, else ours, and on a plain link only those of
    /// `SmtpNoTLSAuths`. CRAM-MD5 is left out where new passwords are hashed (decision 18): clients prefer it, and it
    /// could not succeed.
    pub(super) fn advertised_mechanisms(&self, snapshot: &Snapshot) -> Vec<String> {
        let external = snapshot.smtp_ext_auth.mechanisms();
        let hashes = snapshot.server.choice(&variables::PASSWORD_SCHEME) == variables::ARGON2ID;
        let internal = Mechanism::ALL.into_iter().filter(|mechanism| !hashes || mechanism.sends_password());
        let names: Vec<&str> = match external.is_empty() {
            true => internal.map(Mechanism::name).collect(),
            false => external,
        };
        names.into_iter().filter(|name| self.is_allowed(name, snapshot)).map(str::to_owned).collect()
    }

    /// `SmtpNoTLSAuths` is a list (decision 37); absent, it allows all, empty, it allows none.
    fn is_allowed(&self, name: &str, snapshot: &Snapshot) -> bool {
        let Some(allowed) =
            snapshot.server.bytes(&variables::SMTP_NO_TLS_AUTHS).filter(|_| !self.link.is_tls)
        else {
            return true;
        };
        let names = allowed.split(|&byte| byte == b',').map(|name| name.trim_ascii());
        names.into_iter().any(|allowed| allowed.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The first wrong password costs nothing, the next ones 1, 2, 4 and from then on 8 seconds. Ours (decision 33): XMail's
/// SMTP does not slow guessing down.
fn failure_pause(failures_before: u32) -> Duration {
    match failures_before {
        0 => Duration::ZERO,
        failures => Duration::from_secs(1 << (failures - 1).min(3)),
    }
}
