//! A file as the body of an answer: read in pieces on a thread of its own, as fast as the browser takes them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces that wait for the browser.
const PIECES_WAITING: usize = 4;

struct FileBody {
    pieces: Receiver<io::Result<Bytes>>,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The content of a file, and its size.
///
/// # Errors
/// The file cannot be opened, or there is no thread.
pub(super) fn body(path: &Path) -> io::Result<(Body, u64)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let (sender, pieces) = channel(PIECES_WAITING);
    let send = move || {
        let mut file = file.take(bytes);
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = file.read(&mut piece).map(|count| {
                piece.truncate(count);
                Bytes::from(piece)
            });
            let is_last = read.as_ref().map_or(true, Bytes::is_empty);
            // A browser that went away has closed the channel.
            if read.as_ref().is_ok_and(Bytes::is_empty) || sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    };
    std::thread::Builder::new().name("download".into()).spawn(send)?;
    Ok((Body::new(FileBody { pieces }), bytes))
}
