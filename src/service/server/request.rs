//! One request, from its head to its answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, Version};
use hyper::body::{Bytes, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::activity::Open;
use super::body::{Failed, Received, discard, receive};
use super::{HEAD_MAX, Handler, Server};
use crate::entrypoints::http::Code;

/// Answers a request.
///
/// # Errors
///
/// When its body breaks off: the sender is gone.
pub(super) async fn answer<H: Handler>(
    server: Arc<Server<H>>,
    request: Request<Incoming>,
    mut open: Open,
) -> Result<Response<String>, hyper::Error> {
    let received = Instant::now();
    let (head, mut body) = request.into_parts();
    // HTTP/2 ends a stream without resetting the connection; a sender that expects `100 Continue` has sent no body yet.
    let http1 = head.version < Version::HTTP_2;
    let may_be_sending = http1 && !head.headers.contains_key(EXPECT);
    let size = size(&head);
    if size <= HEAD_MAX && head.method != Method::POST {
        let is_head = head.method == Method::HEAD;
        let request = Request::from_parts(head, Bytes::new());
        let response = server.handler.answer(request, received).await;
        if may_be_sending {
            discard(body, open);
        }
        return Ok(match is_head {
            true => without_body(response),
            false => response,
        });
    }
    let taken = match size {
        ..=HEAD_MAX => take(&server, &mut body, &open).await,
        _ => Err(Failed::HeadTooLarge(size)),
    };
    let (code, reason) = match taken {
        Ok((taken, in_flight)) => {
            open.handle();
            let request = Request::from_parts(head, taken.bytes);
            let shares = (taken.large, in_flight);
            return Ok(handle(server, request, received, shares).await);
        }
        Err(Failed::Gone(error)) => {
            tracing::warn!(error.text = %error, "a sender went away before the end of its body");
            return Err(error);
        }
        Err(Failed::Malformed(error)) => {
            let reason = format!("expected a body as HTTP frames it, found another one: {error}");
            (Code::Malformed, reason)
        }
        Err(Failed::TooSlow) => {
            let within = server.limits.body_within.as_millis();
            let reason = format!("expected the whole body within {within} ms");
            (Code::TooSlow, reason)
        }
        Err(Failed::TooLarge(found)) => {
            let max = server.limits.body_max;
            let reason = format!("expected a body of at most {max} bytes, found {found}");
            (Code::TooLarge, reason)
        }
        Err(Failed::HeadTooLarge(found)) => {
            let reason = format!("expected a head of at most {HEAD_MAX} bytes, found {found}");
            (Code::HeadTooLarge, reason)
        }
        Err(Failed::TooMany) => {
            let reason = "too many requests are under way".to_owned();
            (Code::NotStored, reason)
        }
    };
    let response = server.handler.refuse(code, reason, received.elapsed());
    let ends = matches!(code, Code::TooSlow | Code::Malformed);
    if may_be_sending && !ends {
        discard(body, open);
    }
    Ok(match code {
        Code::NotStored => with(response, RETRY_AFTER, "1"),
        _ if ends && http1 => with(response, CONNECTION, "close"),
        _ => response,
    })
}

/// The body of hyper's refusal of an invalid head.
pub(super) fn no_request<H: Handler>(server: &Server<H>, status: u16) -> String {
    let (code, reason) = match status {
        400 => (
            Code::Malformed,
            "expected an HTTP/1.1 request, found something else",
        ),
        _ => (
            Code::HeadTooLarge,
            "expected a head of at most 16 KiB with at most 100 headers",
        ),
    };
    let response = server
        .handler
        .refuse(code, reason.to_owned(), Duration::ZERO);
    response.into_body()
}

/// Bytes of a head, as HTTP/2 counts them.
fn size(head: &http::request::Parts) -> usize {
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + 32);
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    target + headers.sum::<usize>()
}

/// Receives the body, then takes a permit for a request in flight.
async fn take<H>(
    server: &Server<H>,
    body: &mut Incoming,
    open: &Open,
) -> Result<(Received, OwnedSemaphorePermit), Failed> {
    let limits = &server.limits;
    let place = server.receiving.take();
    let large_bodies = [open.large_bodies(), &server.large_bodies];
    let received = tokio::select! {
        received = receive(body, limits.body_max, limits.body_within, large_bodies) => received?,
        () = place.displaced() => return Err(Failed::TooMany),
    };
    let in_flight = server.in_flight.clone().try_acquire_owned();
    Ok((received, in_flight.map_err(|_| Failed::TooMany)?))
}

/// Runs the handler as a task of its own: a received message is finished even if its sender goes away.
async fn handle<H: Handler>(
    server: Arc<Server<H>>,
    request: Request<Bytes>,
    received: Instant,
    shares: (Option<[OwnedSemaphorePermit; 2]>, OwnedSemaphorePermit),
) -> Response<String> {
    let at_work = server.clone();
    let handling = tokio::spawn(async move {
        let response = at_work.handler.answer(request, received).await;
        drop(shares);
        response
    });
    // A panic's text may quote the message.
    let ended_early = |_| {
        let reason = "the handler ended early".to_owned();
        server
            .handler
            .refuse(Code::NotStored, reason, received.elapsed())
    };
    handling.await.unwrap_or_else(ended_early)
}

/// The answer to a HEAD: over HTTP/2 hyper would send its body.
fn without_body(response: Response<String>) -> Response<String> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, String::new())
}

fn with(mut response: Response<String>, name: HeaderName, value: &'static str) -> Response<String> {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}
