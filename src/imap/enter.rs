//! Logging in: LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2 and 6.2.3).

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::task::spawn_blocking;

use super::encode::{self, Code, Condition};
use super::session::{Client, Next};
use super::work::{Modes, Work};
use super::{assembler, log, login};
use crate::auth::{
    ClientFirst, Credentials, Exchange, Mechanism, Proof, ScramError, ScramMechanism, Step, server_nonce,
};
use crate::logs::LogKind;
use crate::mailroot::Account;
use crate::net::{Line, ReadError, plain_ip};

/// The longest line of a SASL exchange: that of SMTP (RFC 4954 section 4).
const SASL_LINE_BYTES_MAX: usize = 12_288;

/// Failed log-ins after which a client is sent away. Ours; the pause before the last one is minutes.
const FAILED_LOGINS_MAX: u32 = 6;

/// Who wants to come in, and how.
struct Attempt {
    name: String,
    domain: String,
    /// What the log shows as password, if it may.
    given: String,
    mechanism: &'static str,
}

/// How a SASL exchange ended before there was anything to check.
enum Ended {
    /// The client cancelled it, or talks nonsense.
    Bad(&'static str),
    /// The tagged answer is NO.
    No,
}

impl Client<'_> {
    /// LOGIN.
    pub(super) async fn log_in(&mut self, tag: &str, user: Vec<u8>, password: Vec<u8>) -> io::Result<Next> {
        if let Some(next) = self.refuse_log_in(tag) {
            return Ok(next);
        }
        let attempt = self.attempt(&user, &password, "LOGIN");
        let account = self.check(&attempt, Credentials::Password { user, password }).await?;
        self.end_log_in(tag, attempt, account).await
    }

    /// AUTHENTICATE.
    pub(super) async fn authenticate(
        &mut self,
        tag: &str,
        mechanism: &str,
        initial: Option<String>,
    ) -> io::Result<Next> {
        if let Some(next) = self.refuse_log_in(tag) {
            return Ok(next);
        }
        if let Some(scram) = self.scram_mechanisms().find(|scram| scram.name() == mechanism) {
            return self.authenticate_by_scram(tag, scram, initial).await;
        }
        let Some(mechanism) = Mechanism::from_name(mechanism.as_bytes()) else {
            return Ok(self.answer(
                tag,
                Condition::No,
                Some(&Code::Cannot),
                "This mechanism is not supported",
            ));
        };
        let initial = initial.as_deref().map(str::as_bytes);
        let (mut exchange, mut step) = Exchange::start(mechanism, initial, self.stamp.as_bytes());
        let credentials = loop {
            match step {
                Step::Challenge(challenge) => {
                    let Some(line) = self.sasl_line(&challenge).await? else {
                        return Ok(self.answer(tag, Condition::Bad, None, "The line is too long"));
                    };
                    step = exchange.step(&line);
                }
                Step::Credentials(credentials) => break credentials,
                Step::Failed(reason) => {
                    return Ok(self.answer(tag, Condition::Bad, None, &reason.to_string()));
                }
            }
        };
        let given = match &credentials {
            Credentials::Password { password, .. } => password.clone(),
            Credentials::CramMd5 { digest, .. } => digest.clone(),
        };
        let attempt = self.attempt(credentials.user(), &given, mechanism.name());
        let account = self.check(&attempt, credentials).await?;
        self.end_log_in(tag, attempt, account).await
    }

    /// Why no log-in is possible now.
    fn refuse_log_in(&mut self, tag: &str) -> Option<Next> {
        if self.work.is_some() {
            return Some(self.answer(tag, Condition::Bad, None, "You are logged in already"));
        }
        if self.is_login_disabled() {
            let code = Code::PrivacyRequired;
            return Some(self.answer(
                tag,
                Condition::No,
                Some(&code),
                "Log-ins need TLS: say STARTTLS first",
            ));
        }
        None
    }

    fn attempt(&self, user: &[u8], given: &[u8], mechanism: &'static str) -> Attempt {
        let (name, domain) = login::name_and_domain(user, &self.domain);
        Attempt { name, domain, given: String::from_utf8_lossy(given).into_owned(), mechanism }
    }

    async fn check(&self, attempt: &Attempt, credentials: Credentials) -> io::Result<Option<Arc<Account>>> {
        let (name, domain) = (attempt.name.clone(), attempt.domain.clone());
        let (tables, peer) = (self.services.tables.clone(), plain_ip(self.connection.stream().peer().ip()));
        Ok(spawn_blocking(move || {
            let snapshot = tables.fresh();
            let proof = match &credentials {
                Credentials::Password { password, .. } => Proof::Password(password),
                Credentials::CramMd5 { challenge, digest, .. } => Proof::CramMd5 { challenge, digest },
            };
            login::permitted(&snapshot, &domain, &name, &proof, peer)
        })
        .await?)
    }

    /// SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677).
    async fn authenticate_by_scram(
        &mut self,
        tag: &str,
        mechanism: ScramMechanism,
        initial: Option<String>,
    ) -> io::Result<Next> {
        let mut attempt = self.attempt(b"", b"", mechanism.name());
        match self.scram(&mut attempt, mechanism, initial).await? {
            Ok((account, server_final)) => {
                // The server's proof goes out before the tagged answer; the client says nothing to it.
                if self.sasl_line(&STANDARD.encode(server_final)).await?.is_none_or(|line| !line.is_empty()) {
                    return Ok(self.answer(tag, Condition::Bad, None, "The exchange has ended"));
                }
                self.end_log_in(tag, attempt, Some(account)).await
            }
            Err(Ended::Bad(reason)) => Ok(self.answer(tag, Condition::Bad, None, reason)),
            Err(Ended::No) => self.end_log_in(tag, attempt, None).await,
        }
    }

    async fn scram(
        &mut self,
        attempt: &mut Attempt,
        mechanism: ScramMechanism,
        initial: Option<String>,
    ) -> io::Result<Result<(Arc<Account>, String), Ended>> {
        let first = match initial {
            Some(initial) if initial == "=" => Some(Vec::new()),
            Some(initial) => STANDARD.decode(initial).ok(),
            None => self.sasl_octets("").await?,
        };
        let Some(first) = first else { return Ok(Err(Ended::Bad("This is not base64"))) };
        let bindings = self.connection.stream().channel_bindings();
        let begun =
            ClientFirst::parse(mechanism, &bindings, &first).and_then(|first| Ok((first, server_nonce()?)));
        let (first, nonce) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(scram_failed(error))),
        };
        let named = self.attempt(first.user().as_bytes(), b"", mechanism.name());
        (attempt.name, attempt.domain) = (named.name, named.domain);
        let Some(salts) = &self.services.salts else { return Ok(Err(Ended::No)) };
        let salt = salts.of(&attempt.name, &attempt.domain);
        let (exchange, server_first) = first.challenge(&salt, &nonce);
        let Some(last) = self.sasl_octets(&STANDARD.encode(server_first)).await? else {
            return Ok(Err(Ended::Bad("This is not base64")));
        };
        let (name, domain) = (attempt.name.clone(), attempt.domain.clone());
        let (tables, peer) = (self.services.tables.clone(), plain_ip(self.connection.stream().peer().ip()));
        let permitted = spawn_blocking(move || {
            login::permitted_by_scram(&tables.fresh(), &domain, &name, exchange, &last, peer)
        });
        Ok(permitted.await?.map_err(scram_failed))
    }

    /// Sends a challenge and gives the line that answers it; `None` for one that is too long.
    async fn sasl_line(&mut self, challenge: &str) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        encode::continuation(&mut out, challenge);
        self.connection.queue(&out);
        let patience = self.patience();
        let line = tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.bye("The server is shutting down");
                return Err(io::ErrorKind::Interrupted.into());
            }
            line = self.connection.read_line(SASL_LINE_BYTES_MAX, patience) => line,
        };
        match line {
            Ok(Line::Text(text, _)) => Ok(Some(text)),
            Ok(Line::TooLong) => Ok(None),
            Err(ReadError::Timeout(_)) => {
                self.bye("Nothing was heard for too long");
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    async fn sasl_octets(&mut self, challenge: &str) -> io::Result<Option<Vec<u8>>> {
        let line = self.sasl_line(challenge).await?;
        Ok(line.and_then(|line| STANDARD.decode(line).ok()))
    }

    /// Lets the client in, or makes it wait for its NO.
    async fn end_log_in(
        &mut self,
        tag: &str,
        attempt: Attempt,
        account: Option<Arc<Account>>,
    ) -> io::Result<Next> {
        self.write_log(&attempt, account.is_some()).await;
        let Some(account) = account else {
            return self.deny(tag).await;
        };
        let mailboxes = self.services.mailboxes.clone();
        let (known, peer) = (Arc::clone(&account), plain_ip(self.connection.stream().peer().ip()));
        spawn_blocking(move || login::record(&mailboxes, &known, peer)).await?;
        self.work = Some(Work {
            mailboxes: self.services.mailboxes.clone(),
            folders: self.services.mailboxes.folders(&account),
            account,
            tables: self.services.tables.clone(),
            clock: self.services.clock.clone(),
            modes: Modes::default(),
            selected: None,
            farewell: None,
        });
        self.assembler.set_limits(assembler::Limits::default());
        let code = Code::Capability(self.capabilities());
        Ok(self.answer(tag, Condition::Ok, Some(&code), "Logged in"))
    }

    /// As POP3 does (`-Pw`, `-Ph`): the pause doubles at each failure of the session.
    async fn deny(&mut self, tag: &str) -> io::Result<Next> {
        self.failed_logins += 1;
        let is_last = self.limits.hang_on_bad_login || self.failed_logins >= FAILED_LOGINS_MAX;
        if !self.limits.hang_on_bad_login {
            let doubled = 1 << (self.failed_logins - 1).min(16);
            self.connection.flush().await?;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(self.limits.bad_login_pause * doubled) => {}
            }
        }
        self.answer(tag, Condition::No, Some(&Code::AuthenticationFailed), "Wrong name or password");
        if is_last {
            self.bye("Too many failed log-ins");
            return Ok(Next::Over);
        }
        Ok(Next::ReadOn)
    }

    async fn write_log(&self, attempt: &Attempt, is_let_in: bool) {
        if !self.services.logs.is_enabled(LogKind::Imap) {
            return;
        }
        let peer = plain_ip(self.connection.stream().peer().ip()).to_string();
        let date = self.services.clock.log_date();
        let (logs, snapshot, server) =
            (self.services.logs.clone(), Arc::clone(&self.snapshot), self.server_name.clone());
        let (name, domain) = (attempt.name.clone(), attempt.domain.clone());
        let (given, mechanism) = (attempt.given.clone(), attempt.mechanism);
        // In its own thread since it writes a file; waited for, so that lines stand in the order of events.
        let _ = spawn_blocking(move || {
            let line = log::LogIn {
                server: &server,
                domain: &domain,
                peer: &peer,
                date: &date,
                user: &name,
                given: &given,
                mechanism,
                is_let_in,
            };
            log::write(&logs, &snapshot, &line);
        })
        .await;
    }
}

fn scram_failed(error: ScramError) -> Ended {
    match error {
        ScramError::Proof => Ended::No,
        ScramError::Syntax | ScramError::Name => Ended::Bad("This is no message of SCRAM"),
        ScramError::Extension => Ended::Bad("SCRAM extensions are not supported"),
        _ => Ended::No,
    }
}
