//! APPEND as it arrives: announced, read in pieces, handed to the disk in pieces.

use std::io;

use tokio::task::spawn_blocking;

use super::append::Appending;
use super::assembler::{AppendLiteral, Step};
use super::command::AppendMessage;
use super::encode::{Code, Condition};
use super::grammar;
use super::session::{Client, Next};
use super::work::{Once, Progress, Refusal, Running};
use crate::mailbox::folder::FolderError;
use crate::net::IO_TIMEOUT;

/// Octets of a message that are handed to the disk at once.
const PIECE_BYTES: usize = 256 * 1024;

impl Client<'_> {
    /// APPEND from its first message on; the end of the command is read here.
    pub(super) async fn append(&mut self, literal: AppendLiteral) -> io::Result<Next> {
        let head = match grammar::parse_append_head(&literal.text, self.names()) {
            Ok(head) => head,
            Err(error) => {
                let tag = error.tag.clone();
                let refusal = Refusal { condition: Condition::Bad, code: None, text: error.reason };
                return self.refuse_append(tag.as_deref(), &refusal).await;
            }
        };
        let tag = head.tag.clone();
        if self.work.is_none() {
            return self.refuse_append(Some(&tag), &Refusal::bad("Log in first")).await;
        }
        let message = head.message.clone();
        let begun = self.with_work(move |work| work.begin_append(&head)).await?;
        match begun {
            Ok(appending) => self.append_messages(&tag, appending, message, literal).await,
            Err(refusal) => self.refuse_append(Some(&tag), &refusal).await,
        }
    }

    async fn append_messages(
        &mut self,
        tag: &str,
        mut appending: Appending,
        mut message: AppendMessage,
        mut literal: AppendLiteral,
    ) -> io::Result<Next> {
        loop {
            let (size_octets, said) = (literal.size_octets, message.clone());
            let (back, begun) = self
                .with_work(move |work| {
                    let begun = work.begin_message(&mut appending, &said, size_octets);
                    (appending, begun)
                })
                .await?;
            appending = back;
            if let Err(refusal) = begun {
                return self.refuse_append(Some(tag), &refusal).await;
            }
            if literal.synchronising {
                self.connection.queue(b"+ go on\r\n");
            }
            let (back, received) = self.receive(appending, size_octets).await?;
            appending = back;
            self.assembler.message_received();
            if let Err(error) = received {
                return self.refuse_append(Some(tag), &error.into()).await;
            }
            let parsed = match self.next_step().await? {
                Some(Step::AppendEnd(text)) => {
                    match grammar::parse_append_end(&text, tag, &message) {
                        Ok(()) => return self.end_append(tag, appending).await,
                        // The command is at its end: there is nothing to drop.
                        Err(error) => return Ok(self.answer(tag, Condition::Bad, None, &error.reason)),
                    }
                }
                Some(Step::AppendLiteral(next)) => {
                    let parsed = grammar::parse_append_next(&next.text, tag, &message);
                    literal = next;
                    parsed
                }
                Some(Step::TooLong(error)) => {
                    return Ok(self.answer(tag, Condition::Bad, Some(&Code::TooBig), &error.reason));
                }
                Some(_) => {
                    self.bye("There is no way to go on");
                    return Ok(Next::Over);
                }
                None => {
                    self.bye("The server is shutting down");
                    return Ok(Next::Over);
                }
            };
            match parsed {
                Ok(next) => message = next,
                Err(error) => {
                    let refusal = Refusal { condition: Condition::Bad, code: None, text: error.reason };
                    return self.refuse_append(Some(tag), &refusal).await;
                }
            }
        }
    }

    /// Reads the octets of a message. When the disk fails, the rest is read all the same: the client is sending it.
    async fn receive(
        &mut self,
        mut appending: Appending,
        size_octets: u64,
    ) -> io::Result<(Appending, Result<(), FolderError>)> {
        let mut left = size_octets;
        let mut outcome = Ok(());
        while left > 0 {
            let mut piece = Vec::new();
            while left > 0 && piece.len() < PIECE_BYTES {
                let octets = self.connection.fill(IO_TIMEOUT).await.map_err(io::Error::other)?;
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
                piece.extend_from_slice(&octets[..wanted]);
                self.connection.consume(wanted);
                left -= wanted as u64;
            }
            if left == 0 {
                // The end of the command often is a piece of its own; it comes while the disk works.
                self.connection.stream().acknowledge();
            }
            if outcome.is_err() {
                continue;
            }
            (appending, outcome) = spawn_blocking(move || {
                let mut appending = appending;
                let mut written = appending.write(&piece);
                if left == 0 && written.is_ok() {
                    written = appending.finish_message();
                }
                (appending, written)
            })
            .await?;
        }
        Ok((appending, outcome))
    }

    async fn end_append(&mut self, tag: &str, appending: Appending) -> io::Result<Next> {
        let job =
            Once(Some(move |work: &mut super::work::Work, _: &mut Vec<u8>| -> Result<Progress, Refusal> {
                work.end_append(appending)
            }));
        self.run(Running { tag: tag.to_owned(), job: Box::new(job), may_expunge: true }).await
    }

    /// Drops the rest of the command, then says why.
    async fn refuse_append(&mut self, tag: Option<&str>, refusal: &Refusal) -> io::Result<Next> {
        let mut step = self.assembler.refuse();
        while step == Step::NeedMore {
            match self.next_step().await? {
                Some(next) => step = next,
                None => {
                    self.bye("The server is shutting down");
                    return Ok(Next::Over);
                }
            }
        }
        if let Step::Hopeless(error) = step {
            self.bye(&error.reason);
            return Ok(Next::Over);
        }
        let code: Option<&Code> = refusal.code.as_ref();
        match tag {
            Some(tag) => Ok(self.answer(tag, refusal.condition, code, &refusal.text)),
            None => {
                let mut out = Vec::new();
                super::encode::untagged(&mut out, Condition::Bad, code, &refusal.text);
                self.connection.queue(&out);
                Ok(Next::ReadOn)
            }
        }
    }
}
