//! The running server's listeners, for those who administer it (`jdmail.md` JD-59).
//!
//! A process that runs the server gives its [`Admin`] a [`Board`]; without one every use-case here answers
//! [`AdminError::NoServer`]. A service that is closed here is closed until the server starts anew or it is opened: what
//! shall last stands in `server.tab` (`SMTP-Listen` and its neighbours).

use std::fmt;
use std::sync::Arc;

use super::{Admin, AdminError};

/// One address that a service listens on, or should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The service: `smtp`, `smtps`, `pop3`, `pop3s`, `imap`, `imaps`, `ctrl`, `ctrls`, `finger`.
    pub service: String,
    /// Address and port; empty for a service that is switched off and has none.
    pub address: String,
    /// How it stands.
    pub state: ListenState,
}

/// How a listener stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenState {
    /// It accepts connections.
    Open,
    /// It was closed by an administrator.
    Closed,
    /// The configuration switches it off, by this option: one of the server's command line, `-X-`, or a variable of
    /// `server.tab`, `SMTPS-Listen`.
    Off(String),
    /// The system does not let it listen; it is tried again.
    Failed(String),
}

/// What the running server lets itself be asked and told.
pub trait Board: Send + Sync {
    /// All listeners as they were bound last.
    fn listeners(&self) -> Vec<Listening>;

    /// Opens or closes the listeners of a service; false when there is no such service.
    fn switch(&self, service: &str, is_open: bool) -> bool;

    /// Ends the server in order.
    fn stop(&self);
}

/// The board of a process that has one.
#[derive(Clone, Default)]
pub(super) struct BoardSlot(pub(super) Option<Arc<dyn Board>>);

impl fmt::Debug for BoardSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoardSlot").field(&self.0.is_some()).finish()
    }
}

impl Admin {
    /// The same, in the process of a running server.
    #[must_use]
    pub fn with_board(self, board: Arc<dyn Board>) -> Self {
        Self { board: BoardSlot(Some(board)), ..self }
    }

    fn board(&self) -> Result<&dyn Board, AdminError> {
        self.board.0.as_deref().ok_or(AdminError::NoServer)
    }

    /// Where the services listen (`srvlist`).
    ///
    /// # Errors
    /// `NoServer`.
    pub fn listeners(&self) -> Result<Vec<Listening>, AdminError> {
        Ok(self.board()?.listeners())
    }

    /// Lets a service listen again (`srvopen`).
    ///
    /// # Errors
    /// `NoServer`, `NoSuchService`, `SwitchedOff`.
    pub fn open_service(&self, service: &str) -> Result<(), AdminError> {
        let listeners = self.board()?.listeners();
        let one = listeners.into_iter().find(|one| one.service.eq_ignore_ascii_case(service));
        if let Some(ListenState::Off(option)) = one.map(|one| one.state) {
            return Err(AdminError::SwitchedOff { option });
        }
        self.switch(service, true)
    }

    /// Closes the listeners of a service; sessions end after their command (`srvclose`).
    ///
    /// # Errors
    /// `NoServer`, `NoSuchService`.
    pub fn close_service(&self, service: &str) -> Result<(), AdminError> {
        self.switch(service, false)
    }

    fn switch(&self, service: &str, is_open: bool) -> Result<(), AdminError> {
        match self.board()?.switch(service, is_open) {
            true => Ok(()),
            false => Err(AdminError::NoSuchService),
        }
    }

    /// Ends the server (`srvstop`).
    ///
    /// # Errors
    /// `NoServer`.
    pub fn stop_server(&self) -> Result<(), AdminError> {
        self.board()?.stop();
        Ok(())
    }
}
