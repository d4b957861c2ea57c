//! Lambda's Runtime API: hands events to one function and takes its answers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::serving;

/// Dropping it ends it.
pub struct RuntimeApi {
    pub address: String,
    idle: Mutex<UnboundedReceiver<Instant>>,
    events: UnboundedSender<Bytes>,
    answers: Mutex<UnboundedReceiver<(Instant, Bytes)>>,
    _serving: JoinSet<()>,
}

/// The function's side.
struct Face {
    timeout: Duration,
    idle: UnboundedSender<Instant>,
    events: Mutex<UnboundedReceiver<Bytes>>,
    answers: UnboundedSender<(Instant, Bytes)>,
}

impl RuntimeApi {
    /// `timeout` is the function's.
    pub async fn start(timeout: Duration) -> Self {
        let (asked, idle) = unbounded_channel();
        let (events, to_function) = unbounded_channel();
        let (from_function, answers) = unbounded_channel();
        let face = Arc::new(Face {
            timeout,
            idle: asked,
            events: Mutex::new(to_function),
            answers: from_function,
        });
        let next = "/2018-06-01/runtime/invocation/next";
        let router = Router::new().route(next, get(hand_over)).fallback(take);
        let (address, serving) = serving::on_loopback(router.with_state(face)).await;
        Self {
            address,
            idle: Mutex::new(idle),
            events,
            answers: Mutex::new(answers),
            _serving: JoinSet::from_iter([serving]),
        }
    }

    /// Waits until the function asks for its next event; returns the time of the request.
    #[allow(dead_code)] // The benches wait for it.
    pub async fn idle(&self) -> Instant {
        let asked = self.idle.lock().await.recv().await;
        asked.expect("the Runtime API runs")
    }

    /// Sends an event and waits for the function's answer; returns its time as well.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> (Instant, Bytes) {
        let mut answers = self.answers.lock().await;
        self.events.send(event.into()).expect("it runs");
        answers.recv().await.expect("the Runtime API runs")
    }
}

async fn hand_over(State(face): State<Arc<Face>>) -> Response {
    let _ = face.idle.send(Instant::now());
    let Some(event) = face.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = (SystemTime::now() + face.timeout).duration_since(SystemTime::UNIX_EPOCH);
    let deadline = deadline.expect("after 1970").as_millis().to_string();
    let head = [
        (header::CONTENT_TYPE, "application/json"),
        (
            HeaderName::from_static("lambda-runtime-aws-request-id"),
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        (
            HeaderName::from_static("lambda-runtime-invoked-function-arn"),
            "arn:aws:lambda:us-east-1:123456789012:function:f",
        ),
        (
            HeaderName::from_static("lambda-runtime-trace-id"),
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        ),
    ];
    let deadline = [("lambda-runtime-deadline-ms", deadline)];
    (head, deadline, event).into_response()
}

/// An answer, or an error of the function.
async fn take(State(face): State<Arc<Face>>, body: Bytes) -> StatusCode {
    let _ = face.answers.send((Instant::now(), body));
    StatusCode::ACCEPTED
}
