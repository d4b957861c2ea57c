//! Bodies for hyper's own refusals of invalid or too large HTTP/1.1 heads, which have none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that adds a body to such a refusal; `body_of` makes it from the status.
pub(super) struct WithBody<S, W> {
    stream: S,
    body_of: W,
    /// The unwritten rest of a refusal with its body.
    rest: Bytes,
}

impl<S, W> WithBody<S, W> {
    pub(super) fn new(stream: S, body_of: W) -> Self {
        Self {
            stream,
            body_of,
            rest: Bytes::new(),
        }
    }
}

/// The refusal at the end of `written`: its start and its status. A handler's answers have a content type.
fn refusal(written: &[u8]) -> Option<(usize, u16)> {
    let head = written.strip_suffix(b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let at = head.rfind("HTTP/1.1 4")?;
    let mut lines = head[at..].split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_empty = lines.clone().any(|line| line == EMPTY);
    let has_type = lines.any(|line| line.starts_with("content-type:"));
    (is_empty && !has_type).then_some((at, status))
}

const EMPTY: &str = "content-length: 0";

fn with_body(head: &[u8], body: &str) -> Bytes {
    let head = String::from_utf8_lossy(head);
    let length = body.len();
    let headers = format!("content-type: application/json\r\ncontent-length: {length}");
    let head = head.replacen(EMPTY, &headers, 1);
    (head + body).into()
}

impl<S: AsyncRead + Unpin, W: Unpin> AsyncRead for WithBody<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

/// Writes a refusal separately from the answers before it.
impl<S: AsyncWrite + Unpin, W: Fn(u16) -> String + Unpin> AsyncWrite for WithBody<S, W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match refusal(bytes) {
                None => return Pin::new(&mut this.stream).poll_write(context, bytes),
                Some((0, status)) => this.rest = with_body(bytes, &(this.body_of)(status)),
                Some((at, _)) => {
                    return Pin::new(&mut this.stream).poll_write(context, &bytes[..at]);
                }
            }
        }
        while !this.rest.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.rest.advance(written);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const EMPTY_400: &str =
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 404 Not Found\r\ncontent-type: x\r\ncontent-length: 0\r\n\r\n";

    /// The output of a pipe that takes `room` bytes at a time.
    async fn through(room: usize, pieces: &[&str]) -> String {
        let (near, mut far) = tokio::io::duplex(room);
        let mut stream = WithBody::new(near, |status| format!("<{status}>"));
        let mut read = String::new();
        let writing = async {
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        };
        let reading = tokio::io::AsyncReadExt::read_to_string(&mut far, &mut read);
        let ((), read_all) = futures_util::join!(writing, reading);
        read_all.unwrap();
        read
    }

    #[tokio::test]
    async fn only_a_refusal_without_a_body_gets_one() {
        let refused = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 5\r\ndate: now\r\n\r\n<400>";
        for room in [1, 7, 100_000] {
            assert_eq!(through(room, &[EMPTY_400]).await, refused);
            let both = format!("{ANSWER}{EMPTY_400}");
            assert_eq!(through(room, &[&both]).await, format!("{ANSWER}{refused}"));
            for other in [
                ANSWER,
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "",
            ] {
                assert_eq!(through(room, &[other]).await, other);
            }
        }
    }
}
