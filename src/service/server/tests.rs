//! Whole connections in memory, on a clock that jumps to the next timer.

mod bounds;
mod http2;
mod sockets;
mod times;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;

use super::*;

/// A server whose handler waits at the path `/wait` and panics at `/panic`.
struct World {
    server: Arc<Server<Echo>>,
    stopping: Option<watch::Sender<()>>,
    stopped: watch::Receiver<()>,
}

#[derive(Clone, Default)]
struct Echo(Arc<Handled>);

#[derive(Default)]
struct Handled {
    go_on: Notify,
    began: AtomicUsize,
    ended: AtomicUsize,
    /// Between a request's head and its handler.
    waited_ms: AtomicUsize,
}

impl Handler for Echo {
    async fn answer(&self, request: Request<Bytes>, received: Instant) -> Response<String> {
        let waited = received.elapsed().as_millis() as usize;
        self.0.waited_ms.store(waited, Ordering::SeqCst);
        self.0.began.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/wait" => self.0.go_on.notified().await,
            "/panic" => panic!("as asked"),
            _ => {}
        }
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        let body = json!({"method": request.method().as_str(), "bytes": request.body().len()});
        Response::new(body.to_string())
    }
}

impl World {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let (stopping, stopped) = watch::channel(());
        Self {
            server: Server::new(limits, Echo::default()),
            stopping: Some(stopping),
            stopped,
        }
    }

    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let (server, stopped) = (self.server.clone(), self.stopped.clone());
        let connected = server.connections.try_admit().expect("a place");
        tokio::spawn(connection::serve(theirs, server, connected, stopped));
        ours
    }

    fn handled(&self) -> &Handled {
        &self.server.handler.0
    }

    /// Sends these bytes on a connection of their own, and returns everything received until it ends.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let (mut read, mut write) = tokio::io::split(self.connect());
        let sending = async {
            // The server may have closed the connection.
            let _ = write.write_all(bytes).await;
        };
        let mut answer = String::new();
        let reading = read.read_to_string(&mut answer);
        let (_, read) = futures_util::join!(sending, reading);
        read.unwrap();
        answer
    }
}

/// Waits until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// A POST of `body` with `connection: close`.
fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Status and body of one answer.
fn parse(answer: &str) -> (u16, Value) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer in {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Reads one answer from a connection that stays open.
async fn read_answer(connection: &mut (impl AsyncRead + Unpin)) -> (u16, Value) {
    let mut answer = String::new();
    loop {
        let byte = connection.read_u8().await.unwrap();
        answer.push(char::from(byte));
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length == body.len().to_string()) {
            return parse(&answer);
        }
    }
}

fn refused(code: &str) -> Value {
    json!({"code": code})
}
