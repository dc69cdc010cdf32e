//! Policy: who may connect, send and be sent to. Facts in, verdict out.
//!
//! Nothing here waits or logs. DNS answers, free space and permissions are facts that the caller brings; tables are read
//! through one [`Snapshot`](crate::mailroot::Snapshot). A verdict is a value ([`Refusal`], [`SenderRefusal`],
//! [`RecipientRefusal`]); which words a client hears is the face's business. Functions that look at files of a single
//! domain or account (through the snapshot's cache) say "may block".
//!
//! | module | decides | source |
//! | --- | --- | --- |
//! | [`admission`] | whether a client of POP3 or IMAP is greeted, and as what domain | `mailflow.md` 9.1 |
//! | [`connection`] | whether a peer is served, with which marks, delay and properties | `mailflow.md` 3.1 |
//! | [`sender`] | what a log-in grants, and whether MAIL is accepted | `mailflow.md` 3.2, 3.4 |
//! | [`recipient`] | whether RCPT is accepted, and where it leads | `mailflow.md` 3.6 |
//! | [`route`] | where a message goes | `mailflow.md` 4.1, 4.6 |

pub mod admission;
pub mod connection;
pub mod recipient;
pub mod route;
pub mod sender;

pub use connection::{MapZone, Marks, Refusal, Standing};
pub use recipient::{Asker, Recipient, RecipientRefusal, quota_verdict};
pub use sender::{Grant, SenderRefusal, SizeRule, SmtpConfig};
