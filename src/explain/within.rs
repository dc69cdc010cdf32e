//! What of an explanation somebody may see who administers some domains only (`jdmail.md` JD-63).
//!
//! Mail is followed as far as accounts of these domains, and to other servers. What our tables say of another domain is not
//! told: copies that go there are not followed, and steps that only its rows know are left out. What every client hears,
//! the replies, is told. Rows of files that are not of these domains are cited by their place, without their text.

use crate::address::{ForwardPath, Mailbox};
use crate::mailroot::{Citation, Fact, Snapshot, Step};

use super::rows::{HIDDEN, Rows};
use super::{Explanation, Heading, RCPT};

/// The domains of who asks.
#[derive(Clone, Debug, Default)]
pub struct Within {
    domains: Vec<String>,
}

impl Within {
    /// These domains, as `webadmin.tab` has them.
    pub fn new(domains: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { domains: domains.into_iter().map(Into::into).collect() }
    }

    /// Whether it is one of the domains; other names of them are not.
    pub fn holds(&self, domain: &str) -> bool {
        self.domains.iter().any(|held| held.eq_ignore_ascii_case(domain))
    }

    /// Whether mail to this address is a matter of another domain of ours: by its name, or as an alias leads there.
    pub(super) fn is_foreign(&self, snapshot: &Snapshot, mailbox: &Mailbox) -> bool {
        let domain = mailbox.domain.as_str();
        if !snapshot.handles(domain) {
            return snapshot.custdomain_at(domain).is_some() && !self.holds(domain);
        }
        let is_real = snapshot.domains.get(domain).is_some();
        let real = if is_real { domain } else { snapshot.real_domain(domain) };
        let leads_away = |account: &str| !self.holds(account);
        let found = snapshot.resolve(domain, mailbox.local_part.as_str());
        !self.holds(real) || found.is_some_and(|found| leads_away(&found.account.domain))
    }

    /// The same of a path: of a routed one the first host counts, too.
    pub(super) fn is_foreign_path(&self, snapshot: &Snapshot, path: &ForwardPath) -> bool {
        let first = path.path().first_domain().as_str();
        let is_through = path.path().is_routed() && snapshot.handles(first) && !self.holds(first);
        is_through || self.is_foreign(snapshot, path.mailbox())
    }

    /// What may be seen of an explanation.
    pub(super) fn seen(&self, mut explanation: Explanation, snapshot: &Snapshot) -> Explanation {
        let mut rows = Rows::within(snapshot.root(), self.clone());
        for chapter in &mut explanation.chapters {
            if self.is_about_another(snapshot, &chapter.heading) {
                let is_known = |rows: &mut Rows, row: &Citation| rows.is_seen(row);
                chapter.steps.retain(|step| {
                    !step.rows.is_empty() && step.rows.iter().all(|row| is_known(&mut rows, row))
                });
            }
            for step in &mut chapter.steps {
                hide(&mut rows, step);
            }
        }
        explanation
    }

    /// Whether a chapter is about a recipient that an alias leads elsewhere with.
    fn is_about_another(&self, snapshot: &Snapshot, heading: &Heading) -> bool {
        let Heading::Command(command) = heading else { return false };
        let Some(path) = command.strip_prefix(RCPT) else { return false };
        let inner = path.strip_prefix('<').and_then(|path| path.strip_suffix('>'));
        let mailbox = inner.and_then(|inner| Mailbox::parse(inner.as_bytes()).ok());
        mailbox.is_none_or(|mailbox| self.is_foreign(snapshot, &mailbox))
    }
}

/// Leaves out rows that nearly decided and are of others, and the names of programs that the server runs.
fn hide(rows: &mut Rows, step: &mut Step) {
    step.near.retain(|near| rows.is_seen(&near.row));
    let is_theirs = !step.rows.is_empty() && step.rows.iter().all(|row| rows.is_seen(row));
    match &mut step.fact {
        Fact::SmtpFilter { program } | Fact::QueueFilter { program: Some(program), .. } if !is_theirs => {
            *program = HIDDEN.to_owned();
        }
        _ => {}
    }
}
