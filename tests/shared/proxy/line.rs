//! A client's TCP connection that can be cut from outside, while the HTTP server still holds it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The connection, shared by whoever serves it and whoever cuts it.
pub struct Line(Mutex<Wire>);

struct Wire {
    /// `None` once it was cut.
    stream: Option<TcpStream>,
    /// Who waits to read and to write, to be told of the cut.
    waiting: [Option<Waker>; 2],
    /// Reset it as soon as all that was handed over before is written.
    armed: bool,
    /// Nothing comes and goes any more, and nobody is told.
    frozen: bool,
}

impl Line {
    pub fn new(stream: TcpStream) -> Arc<Self> {
        // Without it, half an answer could wait for more to come.
        let _ = stream.set_nodelay(true);
        Arc::new(Self(Mutex::new(Wire {
            stream: Some(stream),
            waiting: [None, None],
            armed: false,
            frozen: false,
        })))
    }

    /// Ends the connection with RST, now.
    pub fn reset(&self) {
        self.wire().cut(true);
    }

    /// Ends the connection with FIN, now.
    pub fn close(&self) {
        self.wire().cut(false);
    }

    /// Lets the connection go silent, as one whose other end lost its power.
    pub fn freeze(&self) {
        self.wire().frozen = true;
    }

    /// Bytes with which the connection is reset once they, and what came before them, are on their way.
    pub fn last_words(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(LastWords {
            bytes,
            line: Arc::clone(self),
        })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }
}

impl Wire {
    fn cut(&mut self, reset: bool) {
        if let Some(stream) = self.stream.take() {
            if reset {
                // Closing then sends RST; without the option it would be FIN.
                stream.set_zero_linger().unwrap();
            }
            drop(stream);
        }
        self.wake();
    }

    fn wake(&mut self) {
        for waker in self.waiting.iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }

    /// The connection, for a task that reads (0) or writes (1).
    fn stream(
        &mut self,
        side: usize,
        context: &Context<'_>,
    ) -> Poll<io::Result<Pin<&mut TcpStream>>> {
        self.waiting[side] = Some(context.waker().clone());
        match &mut self.stream {
            Some(_) if self.frozen => Poll::Pending,
            Some(stream) => Poll::Ready(Ok(Pin::new(stream))),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

/// The HTTP server drops the bytes of an answer when it has written them, or has copied them to what it writes next;
/// either way its next flush comes after them.
struct LastWords {
    bytes: Bytes,
    line: Arc<Line>,
}

impl AsRef<[u8]> for LastWords {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let mut wire = self.line.wire();
        wire.armed = true;
        wire.wake();
    }
}

/// The connection as the HTTP server sees it. Dropping it closes the connection.
pub struct Served(pub Arc<Line>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl AsyncRead for Served {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.0.wire().stream(0, context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Served {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.wire().stream(1, context))?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.wire();
        ready!(ready!(wire.stream(1, context))?.poll_flush(context))?;
        if wire.armed {
            wire.cut(true);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.wire().stream(1, context))?.poll_shutdown(context)
    }
}
