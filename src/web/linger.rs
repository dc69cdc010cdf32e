//! The end of a connection whose browser still sends, as nginx has it (`lingering_close`).
//!
//! An answer may come before a form is there as a whole: no token, too large, no room. Closing the socket then would have
//! the system answer the rest with a reset, and the browser show that instead of the answer. So our half is closed, and
//! what still comes is read and thrown away: until the browser ends, pauses for [`PAUSE_MAX`], or [`TIME_MAX`] is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// How long the rest of a refused form is read. nginx's `lingering_time`.
const TIME_MAX: Duration = Duration::from_secs(30);

/// How long it may pause. nginx's `lingering_timeout`.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Read at once, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// A stream that reads on when it is shut down, except after `stop`.
pub(super) struct Lingering<S> {
    stream: S,
    stop: CancellationToken,
    rest: Option<Rest>,
}

struct Rest {
    until: Instant,
    pause: Pin<Box<Sleep>>,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S, stop: CancellationToken) -> Self {
        Self { stream, stop, rest: None }
    }
}

impl Rest {
    fn begin() -> Self {
        Self { until: Instant::now() + TIME_MAX, pause: Box::pin(sleep(PAUSE_MAX)) }
    }

    /// Reads and throws away; what fails here concerns nobody.
    fn poll(&mut self, stream: Pin<&mut impl AsyncRead>, context: &mut Context<'_>) -> Poll<()> {
        let (mut stream, mut piece) = (stream, [0; PIECE_BYTES]);
        loop {
            let mut piece = ReadBuf::new(&mut piece);
            match stream.as_mut().poll_read(context, &mut piece) {
                Poll::Pending => return self.pause.as_mut().poll(context),
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    let now = Instant::now();
                    if now >= self.until {
                        return Poll::Ready(());
                    }
                    self.pause.as_mut().reset((now + PAUSE_MAX).min(self.until));
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.rest.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if this.stop.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        let rest = this.rest.get_or_insert_with(Rest::begin);
        rest.poll(Pin::new(&mut this.stream), context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// The browser sends all of it, and then reads the answer.
    #[tokio::test]
    async fn what_still_comes_after_the_answer_is_read() {
        let (mut browser, server) = duplex(1024);
        let mut server = Lingering::new(server, CancellationToken::new());
        let served = tokio::spawn(async move {
            server.write_all(b"no").await.unwrap();
            server.shutdown().await.unwrap();
        });
        browser.write_all(&vec![0; 1 << 20]).await.unwrap();
        browser.shutdown().await.unwrap();
        let mut answer = String::new();
        browser.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "no");
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_browser_that_is_silent_or_never_ends_is_left() {
        for (every, most) in [(None, PAUSE_MAX), (Some(Duration::from_secs(4)), TIME_MAX)] {
            let (mut browser, server) = duplex(1024);
            let mut server = Lingering::new(server, CancellationToken::new());
            let begun = Instant::now();
            let sending = tokio::spawn(async move {
                while let Some(every) = every {
                    sleep(every).await;
                    if browser.write_all(b"x").await.is_err() {
                        return None;
                    }
                }
                Some(browser)
            });
            server.shutdown().await.unwrap();
            let took = begun.elapsed();
            assert!(took >= most && took < most + Duration::from_secs(5), "{every:?}: {took:?}");
            sending.abort();
        }
    }
}
