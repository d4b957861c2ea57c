//! A client's TCP connection that can be cut from outside, while the HTTP server still holds it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The connection, shared by the HTTP server and the proxy that cuts it.
pub struct Line(Mutex<Wire>);

struct Wire {
    /// `None` after the cut.
    stream: Option<TcpStream>,
    /// The tasks waiting to read and to write, woken by the cut.
    waiting: [Option<Waker>; 2],
    /// Reset after the next flush.
    armed: bool,
    /// No bytes pass in either direction, without an error.
    frozen: bool,
}

impl Line {
    pub fn new(stream: TcpStream) -> Arc<Self> {
        // Otherwise half an answer could wait for more bytes.
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

    /// Silences the connection, as if its other end lost power.
    pub fn freeze(&self) {
        self.wire().frozen = true;
    }

    /// Wraps bytes so that the connection is reset once they are sent.
    pub fn reset_after(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(ResetAfter {
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

/// Bytes that arm the reset when dropped. The HTTP server drops the bytes of an answer after it has written them or copied
/// them to its buffer; either way its next flush sends them.
struct ResetAfter {
    bytes: Bytes,
    line: Arc<Line>,
}

impl AsRef<[u8]> for ResetAfter {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for ResetAfter {
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
