//! One call and its answer, with the fault that it meets.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::uri::Scheme;
use axum::http::{Request, Response, Uri, Version};
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::answers::{self, Call};
use super::faults::Fault;
use super::line::Line;
use super::{Cut, Shared};

impl Shared {
    pub(super) async fn answer(
        self: Arc<Self>,
        line: Arc<Line>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let call = Call::of(&request);
        let (fault, mut healed) = {
            let mut state = self.state();
            (state.meet(&call), self.healed.subscribe())
        };
        self.count(&call, |tally| {
            tally.seen += 1;
            tally.faulted += usize::from(fault.is_some());
        });
        let answer = match fault {
            None => self.forward(&call, request.map(Body::new)).await,
            Some(Fault::Hang) => {
                let _ = read(request).await;
                // Cannot fail: the sender is in `self`.
                let _ = healed.changed().await;
                line.close();
                Err(Cut)
            }
            Some(Fault::ResetStream) => {
                let _ = read(request).await;
                // The HTTP server resets the stream, or closes a connection of HTTP/1.1.
                return Err(Cut);
            }
            Some(fault) => self.fail(&call, fault, &line, request).await,
        };
        answer.inspect_err(|Cut| line.reset())
    }

    async fn fail(
        self: Arc<Self>,
        call: &Call,
        fault: Fault,
        line: &Arc<Line>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let request = read(request).await?;
        match fault {
            Fault::Refuse | Fault::Hang | Fault::ResetStream => Err(Cut),
            Fault::Status(status) => Ok(answers::status(call, status)),
            Fault::LoseReply => {
                self.execute(call, request, Duration::ZERO).await?;
                Err(Cut)
            }
            Fault::Delay(time) => self.execute(call, request, time).await,
            Fault::ResetMidBody => {
                let answer = self.execute(call, request, Duration::ZERO).await?;
                half(line, answer).await
            }
            Fault::PartialFailure => Ok(answers::all_entries_failed(call, request.body())),
            Fault::Refusal { status, body } => Ok(answers::aws(call, status, body)),
            Fault::Grpc(code) => Ok(answers::grpc(code)),
        }
    }

    /// Forwards after `delay`, even if the client disconnects.
    async fn execute(
        self: Arc<Self>,
        call: &Call,
        request: Request<Bytes>,
        delay: Duration,
    ) -> Result<Response<Body>, Cut> {
        let (answer, answered) = oneshot::channel();
        let (shared, call) = (Arc::clone(&self), call.clone());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            // The client may have disconnected.
            let _ = answer.send(shared.forward(&call, request.map(Body::from)).await);
        });
        answered.await.map_err(|_| Cut)?
    }

    async fn forward(
        &self,
        call: &Call,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Cut> {
        let mut uri = request.uri().clone().into_parts();
        let upstream = self.upstream.lock().unwrap().clone();
        (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(upstream));
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Cut)?;
        let client = match request.version() {
            Version::HTTP_2 => &self.http2,
            _ => &self.http1,
        };
        answers::remove_hop_by_hop(request.headers_mut());
        // To the client, a missing upstream is a broken connection.
        let mut response = client.request(request).await.map_err(|_| Cut)?;
        self.count(call, |tally| tally.reached += 1);
        answers::remove_hop_by_hop(response.headers_mut());
        Ok(response.map(Body::new))
    }
}

async fn read(request: Request<Incoming>) -> Result<Request<Bytes>, Cut> {
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await;
    Ok(Request::from_parts(head, body.map_err(|_| Cut)?))
}

/// The header and half of the body, then a reset.
async fn half(line: &Arc<Line>, response: Response<Body>) -> Result<Response<Body>, Cut> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Cut)?;
    let half: Bytes = line.reset_after(body.slice(..body.len() / 2));
    let never_ending = stream::iter([Ok::<_, Cut>(half)]).chain(stream::pending());
    Ok(Response::from_parts(head, Body::from_stream(never_ending)))
}
