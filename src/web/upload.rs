//! A file that a browser sends: a form of the kind `multipart/form-data` (RFC 7578), written to the disk while it comes.
//!
//! ```text
//! form = csrf archive           ; in this order: nothing is written before the token is ours
//! form = csrf *( field / file ) ; in memory: a text file of at most TEXT_FILE_BYTES_MAX among fields
//! ```
//!
//! Of an archive never more than some pieces of it are in memory. Limits: [`PARTS_BYTES_MAX`] around the file, for the file those of
//! [`crate::admin::backup`], [`PIECE_WAIT_MAX`] between two pieces. A form that ends too early, or whose browser goes
//! away, leaves nothing.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame};
use multer::{Field, Multipart};
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

use super::App;
use super::error::WebError;
use super::visit::Visit;
use crate::admin::AdminError;
use crate::admin::backup::{BackupError, RECEIVED_BYTES_MAX, Receiving};

/// What comes before the file, and what comes behind it, may have at most so many bytes. Ours: a token and some headers.
const PARTS_BYTES_MAX: u64 = 64 << 10;

/// How long a browser may pause. Ours.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Pieces that wait for the disk.
const PIECES_WAITING: usize = 4;

/// The names of the parts.
const TOKEN: &str = "csrf";
const ARCHIVE: &str = "archive";

/// Reads the form into the visit: its token, and the file.
///
/// `expected_bytes` is the size of the whole, where the browser tells it.
///
/// # Errors
/// `BadToken`, `BadForm`, and why the file cannot be kept.
pub(super) async fn receive(
    visit: &mut Visit,
    content_type: &str,
    expected_bytes: u64,
    body: Body,
) -> Result<(), WebError> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| WebError::BadForm)?;
    let left = Arc::new(AtomicU64::new(PARTS_BYTES_MAX));
    let body = Body::new(Metered { body, left: Arc::clone(&left), is_rest_due: false });
    let mut parts = Multipart::new(body.into_data_stream(), boundary);
    let token = next(&mut parts, TOKEN).await?.ok_or(WebError::BadToken)?;
    let token = timeout(PIECE_WAIT_MAX, token.text()).await.map_err(|_| WebError::BadForm)?;
    visit.form.push((TOKEN.to_owned(), token.map_err(|_| WebError::BadForm)?));
    if !visit.has_token() {
        return Err(WebError::BadToken);
    }
    let archive = next(&mut parts, ARCHIVE).await?.ok_or(WebError::BadForm)?;
    left.store(RECEIVED_BYTES_MAX, Ordering::Relaxed);
    let received = keep(Arc::clone(&visit.app), archive, expected_bytes, &left).await?;
    left.store(PARTS_BYTES_MAX, Ordering::Relaxed);
    let behind = timeout(PIECE_WAIT_MAX, parts.next_field()).await;
    if !matches!(behind, Ok(Ok(None))) {
        return Err(WebError::BadForm);
    }
    visit.upload = Mutex::new(Some(received));
    Ok(())
}

/// The largest text file, in bytes. Ours: a hundred thousand lines of accounts are less.
pub(super) const TEXT_FILE_BYTES_MAX: usize = 8 << 20;

/// A small file.
#[derive(Debug)]
pub(super) enum TextFile {
    /// What it holds.
    Bytes(Vec<u8>),
    /// It has more than [`TEXT_FILE_BYTES_MAX`] bytes, and is not kept.
    TooLarge,
}

/// Reads fields and perhaps a file into the visit; of several files the last. A file that was not chosen is none.
/// `bytes_max` is for the whole form: what is longer is not read to its end.
///
/// # Errors
/// `BadToken` unless the token comes first, `BadForm`.
pub(super) async fn receive_fields(
    visit: &mut Visit,
    content_type: &str,
    bytes_max: u64,
    body: Body,
) -> Result<(), WebError> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| WebError::BadForm)?;
    let left = Arc::new(AtomicU64::new(bytes_max));
    let body = Body::new(Metered { body, left: Arc::clone(&left), is_rest_due: false });
    let mut parts = Multipart::new(body.into_data_stream(), boundary);
    loop {
        let part = timeout(PIECE_WAIT_MAX, parts.next_field()).await.map_err(|_| WebError::BadForm)?;
        let Some(part) = part.map_err(|_| WebError::BadForm)? else { break };
        let name = part.name().unwrap_or_default().to_owned();
        if name != TOKEN && !visit.has_token() {
            return Err(WebError::BadToken);
        }
        if part.file_name().is_some() {
            match small(part).await {
                Ok(file) => visit.text_file = file,
                Err(_) if left.load(Ordering::Relaxed) == 0 => {
                    // The rest of the form is not known: the page says why.
                    visit.text_file = Some(TextFile::TooLarge);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        } else {
            let text = timeout(PIECE_WAIT_MAX, part.text()).await.map_err(|_| WebError::BadForm)?;
            visit.form.push((name, text.map_err(|_| WebError::BadForm)?));
        }
    }
    if visit.has_token() { Ok(()) } else { Err(WebError::BadToken) }
}

/// A small file; what is too much of it is read and forgotten, so that the browser listens to the answer.
async fn small(mut part: Field<'_>) -> Result<Option<TextFile>, WebError> {
    let (mut bytes, mut is_too_large) = (Vec::new(), false);
    loop {
        let piece = timeout(PIECE_WAIT_MAX, part.chunk()).await.map_err(|_| WebError::BadForm)?;
        let Some(piece) = piece.map_err(|_| WebError::BadForm)? else { break };
        is_too_large |= bytes.len() + piece.len() > TEXT_FILE_BYTES_MAX;
        match is_too_large {
            true => bytes.clear(),
            false => bytes.extend_from_slice(&piece),
        }
    }
    Ok(match is_too_large {
        true => Some(TextFile::TooLarge),
        false => Some(bytes).filter(|bytes| !bytes.is_empty()).map(TextFile::Bytes),
    })
}

/// The next part, when it has the name.
async fn next<'a>(parts: &mut Multipart<'a>, name: &str) -> Result<Option<Field<'a>>, WebError> {
    let part = timeout(PIECE_WAIT_MAX, parts.next_field()).await.map_err(|_| WebError::BadForm)?;
    let part = part.map_err(|_| WebError::BadForm)?;
    Ok(part.filter(|part| part.name() == Some(name)))
}

/// Writes a file on a thread of its own, as fast as it comes. When this is given up, the thread ends and removes it.
async fn keep(
    app: Arc<App>,
    mut archive: Field<'_>,
    expected_bytes: u64,
    left: &AtomicU64,
) -> Result<Receiving, WebError> {
    let (sender, mut pieces) = channel::<Bytes>(PIECES_WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        let mut receiving = app.services.admin.receive_backup(&app.services.backups, expected_bytes)?;
        while let Some(piece) = pieces.blocking_recv() {
            receiving.write(&piece)?;
        }
        Ok::<_, AdminError>(receiving)
    });
    loop {
        let piece = timeout(PIECE_WAIT_MAX, archive.chunk()).await.map_err(|_| WebError::BadForm)?;
        match piece {
            Ok(Some(piece)) => {
                // A writer that has failed says why.
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(_) if left.load(Ordering::Relaxed) == 0 => {
                let error = BackupError::TooLargeToReceive { limit: RECEIVED_BYTES_MAX };
                return Err(AdminError::from(error).into());
            }
            Err(_) => return Err(WebError::BadForm),
        }
    }
    drop(sender);
    Ok(writing.await.map_err(|_| WebError::BadForm)??)
}

/// A body that gives no more than `left` bytes, and one piece whenever it is asked: who reads it takes all that it
/// gives into memory.
struct Metered {
    body: Body,
    left: Arc<AtomicU64>,
    is_rest_due: bool,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if std::mem::take(&mut self.is_rest_due) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => return Poll::Ready(frame),
        };
        self.is_rest_due = true;
        match self.left.load(Ordering::Relaxed).checked_sub(bytes) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                Poll::Ready(frame)
            }
            None => {
                self.left.store(0, Ordering::Relaxed);
                Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::FileTooLarge)))))
            }
        }
    }
}
