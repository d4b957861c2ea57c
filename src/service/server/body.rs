//! Receives the body of a request, within bounds.

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::activity::Open;

/// The largest body without a share, in bytes. Momento's largest message is 4 KB, and at most 24 KB as JSON.
const SMALL: usize = 64 * 1024;

/// Bounds for reading a refused body, so that its sender comes to reading the answer.
const DISCARD_MAX: usize = 8 * 1024 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// A body, and its shares of the large ones: the connection's and the server's.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) large: Option<[OwnedSemaphorePermit; 2]>,
}

/// Why a body is refused.
#[derive(Debug)]
pub(super) enum Failed {
    /// With its bytes, at least.
    TooLarge(u64),
    /// Too many bodies or requests at once.
    TooMany,
    TooSlow,
    /// Not the body: the head, with its bytes.
    HeadTooLarge(usize),
    /// Invalid framing.
    Malformed(hyper::Error),
    /// The sender disconnected.
    Gone(hyper::Error),
}

impl Failed {
    /// Separates a malformed body, which gets an answer, from a disconnected sender.
    fn of(error: hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        match cause.map(std::io::Error::kind) {
            Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => Self::Malformed(error),
            _ => Self::Gone(error),
        }
    }
}

/// Receives a body of at most `max` bytes.
pub(super) async fn receive(
    body: &mut Incoming,
    max: usize,
    within: Duration,
    large_bodies: [&Arc<Semaphore>; 2],
) -> Result<Received, Failed> {
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(Failed::TooLarge(announced));
    }
    match timeout(within, collect(body, max, large_bodies)).await {
        Ok(result) => result,
        Err(_) => Err(Failed::TooSlow),
    }
}

async fn collect(
    body: &mut Incoming,
    max: usize,
    large_bodies: [&Arc<Semaphore>; 2],
) -> Result<Received, Failed> {
    // Most bodies are one piece, which need not be copied.
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    let mut large = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failed::of)?.into_data() else {
            continue;
        };
        let length = first.len() + whole.len() + data.len();
        if length > max {
            return Err(Failed::TooLarge(length as u64));
        }
        if length > SMALL && large.is_none() {
            let [one, other] = large_bodies.map(|bodies| bodies.clone().try_acquire_owned());
            large = Some([
                one.map_err(|_| Failed::TooMany)?,
                other.map_err(|_| Failed::TooMany)?,
            ]);
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    let bytes = if whole.is_empty() {
        first
    } else {
        whole.into()
    };
    Ok(Received { bytes, large })
}

/// Reads the rest of a body for a while. Closing a connection with unread bytes resets it, and its sender may never see the
/// answer.
pub(super) fn discard(mut body: Incoming, open: Open) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let reading = timeout(DISCARD_WITHIN, async {
            let mut left = DISCARD_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    return;
                }
            }
        });
        // In time or not: dropping the body ends the connection or the stream.
        let _ = reading.await;
        drop(open);
    });
}
