//! Tabmail: an all-in-one mail server whose only database is an XMail or JDMail *MailRoot*.
//!
//! # Follow one message through the house
//!
//! 1. A client connects. [`net`] accepts, wraps the socket in TLS where asked, and reads lines with a limit.
//! 2. [`smtp`] parses each line into a command and asks its session what to do. The session decides with
//!    [`policy`] and the tables of [`mailroot`]; it never waits. What waits (disk, DNS, a program) is asked of a
//!    service by the thin `serve` loop around the session.
//! 3. DATA streams into a [`spool`] draft. When the final dot arrives the spool writes one record for all recipients
//!    into its journal, together with those of other sessions, and syncs it (large mail: one file per recipient into
//!    `temp`, synced, renamed into `mess`, the directory synced). **Only then is 250 sent**: from here on the message is
//!    ours.
//! 4. [`delivery`] takes the message from the spool's outbox, asks the tables where it goes, and hands it to a
//!    [`mailbox`], to a remote SMTP server, or to a command file. What fails for now goes to `rsnd` with a `slog`
//!    entry and a time; what fails for good becomes a notice, which enters at the front door like all mail.
//! 5. [`pop3`] and [`imap`] serve the mailbox. The file's name is its UIDL.
//!
//! # The map
//!
//! A *room* is a module with one job. Rooms use rooms on lower floors only; `tests/architecture.rs` holds us to it.
//!
//! | floor | rooms |
//! | --- | --- |
//! | 0 pure: no files, sockets, clock or tokio | [`tab`], [`address`], [`message`], [`mime`], [`mutf7`], [`status`], [`language`] |
//! | 1 edges: one kind of outside world each | [`clock`], [`durable`], [`net`], [`dns`], [`exec`], [`logs`] |
//! | 2 the model | [`mailroot`] |
//! | 3 services | [`spool`], [`mailbox`], [`auth`], [`policy`], [`filter`] |
//! | 4 work | [`delivery`], [`admin`], [`pickup`], [`psync`], [`entrance`], [`compare`], [`check`] |
//! | 5 faces | [`smtp`], [`pop3`], [`imap`], [`ctrl`], [`finger`], [`web`] |
//! | 6 why | [`explain`]: asks all of them, decides nothing |
//! | 7 roof | [`options`], [`server`], [`commands`] |
//!
//! # Invariants
//!
//! - Reception never calls delivery and delivery never calls reception: the spool stands between them.
//! - No reply 250 to mail data before the message and its directory entry are on stable storage.
//! - A protocol session never awaits, and never reads a file: time and tables arrive as arguments.
//! - One decision uses one [`mailroot::Snapshot`]. Writes to tables go through [`mailroot::edit`] only.
//! - Addresses are never commands and never paths. Programs run only through [`exec`], without a shell.
//! - A table that cannot be read keeps its last good content; the problem is reported by file, line and column.

pub mod address;
pub mod language;
pub mod message;
pub mod mime;
pub mod mutf7;
pub mod status;
pub mod tab;

pub mod clock;
pub mod dns;
pub mod durable;
pub mod exec;
pub mod logs;
pub mod net;

pub mod mailroot;

pub mod auth;
pub mod filter;
pub mod mailbox;
pub mod policy;
pub mod spool;

pub mod admin;
pub mod check;
pub mod compare;
pub mod delivery;
pub mod entrance;
pub mod pickup;
pub mod psync;

pub mod ctrl;
pub mod finger;
pub mod imap;
pub mod pop3;
pub mod smtp;
pub mod web;

pub mod explain;

pub mod commands;
pub mod options;
pub mod server;
