//! One request, from its head to its answer.

use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, Version};
use hyper::body::{Bytes, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::body::{Failed, Received, discard, receive};
use super::connection::Open;
use super::{Handler, Server};
use crate::entrypoints::http::Code;

/// Answers a request.
///
/// # Errors
///
/// When its body breaks off: there is nobody to answer.
pub(super) async fn answer<H: Handler>(
    server: Arc<Server<H>>,
    request: Request<Incoming>,
    open: Open,
) -> Result<Response<String>, hyper::Error> {
    let received = Instant::now();
    let (head, mut body) = request.into_parts();
    // HTTP/2 ends a stream without a reset of the connection, and whoever expects a `100 Continue` has sent nothing yet.
    let http1 = head.version < Version::HTTP_2;
    let may_be_sending = http1 && !head.headers.contains_key(EXPECT);
    let unread = |body| {
        if may_be_sending {
            discard(body, open);
        }
    };
    if head.method != Method::POST {
        let request = Request::from_parts(head, Bytes::new());
        let response = server.handler.answer(request, received).await;
        unread(body);
        return Ok(response);
    }
    let (code, reason) = match take(&server, &mut body).await {
        Ok((taken, in_flight)) => {
            let request = Request::from_parts(head, taken.bytes);
            let shares = (taken.large, in_flight);
            return Ok(handle(server, request, received, shares).await);
        }
        Err(Failed::Broken(error)) => {
            tracing::warn!(error.text = %error, "a sender went away before the end of its body");
            return Err(error);
        }
        Err(Failed::TooSlow) => {
            let within = server.limits.body_within.as_millis();
            let reason = format!("expected the whole body within {within} ms");
            let took = received.elapsed();
            let response = server.handler.refuse(Code::TooSlow, reason, took);
            return Ok(match http1 {
                true => with(response, CONNECTION, "close"),
                false => response,
            });
        }
        Err(Failed::TooLarge(found)) => {
            let max = server.limits.body_max;
            let reason = format!("expected a body of at most {max} bytes, found {found}");
            (Code::TooLarge, reason)
        }
        Err(Failed::TooMany) => {
            let reason = "as many requests as may be are under way".to_owned();
            (Code::NotStored, reason)
        }
    };
    unread(body);
    let response = server.handler.refuse(code, reason, received.elapsed());
    Ok(match code {
        Code::NotStored => with(response, RETRY_AFTER, "1"),
        _ => response,
    })
}

/// Receives the body, then takes a share of what may be in flight.
async fn take<H>(
    server: &Server<H>,
    body: &mut Incoming,
) -> Result<(Received, OwnedSemaphorePermit), Failed> {
    let limits = &server.limits;
    let receiving = server.receiving.try_acquire();
    let _receiving = receiving.map_err(|_| Failed::TooMany)?;
    let large_bodies = &server.large_bodies;
    let received = receive(body, limits.body_max, limits.body_within, large_bodies).await?;
    let in_flight = server.in_flight.clone().try_acquire_owned();
    Ok((received, in_flight.map_err(|_| Failed::TooMany)?))
}

/// Runs the handler as a task of its own: a message that was taken is worth finishing though its sender went away.
async fn handle<H: Handler>(
    server: Arc<Server<H>>,
    request: Request<Bytes>,
    received: Instant,
    shares: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
) -> Response<String> {
    let at_work = server.clone();
    let handling = tokio::spawn(async move {
        let response = at_work.handler.answer(request, received).await;
        drop(shares);
        response
    });
    // The words of a panic may quote the message.
    let ended_early = |_| {
        let reason = "the handler ended early".to_owned();
        server
            .handler
            .refuse(Code::NotStored, reason, received.elapsed())
    };
    handling.await.unwrap_or_else(ended_early)
}

fn with(mut response: Response<String>, name: HeaderName, value: &'static str) -> Response<String> {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}
