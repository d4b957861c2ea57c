//! Lambda's Runtime API: hands events to one function and takes its answers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, Response};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::serving::{Answers, Server, serve};

/// A function's time-out.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct RuntimeApi {
    pub server: Server,
    idle: UnboundedReceiver<Instant>,
    events: UnboundedSender<Bytes>,
    answers: UnboundedReceiver<(Instant, Bytes)>,
}

/// The function's side.
struct Face {
    idle: UnboundedSender<Instant>,
    events: Mutex<UnboundedReceiver<Bytes>>,
    answers: UnboundedSender<(Instant, Bytes)>,
}

impl RuntimeApi {
    pub async fn start() -> Result<Self> {
        let (asked, idle) = unbounded_channel();
        let (events, to_function) = unbounded_channel();
        let (from_function, answers) = unbounded_channel();
        let face = Face {
            idle: asked,
            events: Mutex::new(to_function),
            answers: from_function,
        };
        Ok(Self {
            server: serve(None, Arc::new(face)).await?,
            idle,
            events,
            answers,
        })
    }

    /// Waits until the function asks for its next event, and returns the time.
    pub async fn idle(&mut self) -> Result<Instant> {
        self.idle.recv().await.context("the Runtime API has ended")
    }

    /// Hands an event to the idle function; returns the time of the answer, its duration, and the answer.
    pub async fn invoke(&mut self, event: Vec<u8>) -> Result<(Instant, Duration, Bytes)> {
        let began = Instant::now();
        self.events.send(event.into())?;
        let answer = self.answers.recv().await;
        let (at, answer) = answer.context("the Runtime API has ended")?;
        Ok((at, at.duration_since(began), answer))
    }
}

impl Answers for Arc<Face> {
    async fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>> {
        if request.method() == Method::POST {
            let _ = self.answers.send((Instant::now(), request.into_body()));
            let mut accepted = Response::new(Full::default());
            *accepted.status_mut() = hyper::StatusCode::ACCEPTED;
            return accepted;
        }
        let _ = self.idle.send(Instant::now());
        let Some(event) = self.events.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = (deadline.unwrap_or_default() + TIMEOUT).as_millis();
        let next = Response::builder()
            .header("content-type", "application/json")
            .header(
                "lambda-runtime-aws-request-id",
                "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            )
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:123456789012:function:f",
            )
            .header(
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            );
        next.body(Full::new(event)).expect("the headers are valid")
    }
}
