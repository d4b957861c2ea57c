//! A stub webhook with programmable answers that records its requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::DATE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::{HEADER, SigningSecret, verify};

use super::TIMEOUT;

/// The answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    /// Answers once another reply is set.
    Hang,
}

/// One signed POST.
#[derive(Clone, Debug)]
pub struct Post {
    pub body: Value,
    pub text: String,
    pub content_type: String,
    /// The status answered; 0 for no answer.
    pub status: u16,
}

impl Post {
    pub fn topic(&self) -> &str {
        self.body["topic"].as_str().unwrap_or_default()
    }
}

/// A running stub; stops when dropped.
pub struct Hook {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    secret: Mutex<SigningSecret>,
    posts: watch::Sender<Vec<Post>>,
    always: watch::Sender<Reply>,
    first: Mutex<VecDeque<Reply>>,
    in_flight: watch::Sender<InFlight>,
    /// The lead of its clock, in ms.
    ahead_ms: AtomicI64,
}

#[derive(Default)]
struct InFlight {
    now: usize,
    most: usize,
}

/// Counts a request while it is handled, even if its sender disconnects.
struct Counted<'a>(&'a watch::Sender<InFlight>);

impl<'a> Counted<'a> {
    fn new(in_flight: &'a watch::Sender<InFlight>) -> Self {
        in_flight.send_modify(|count| {
            count.now += 1;
            count.most = count.most.max(count.now);
        });
        Self(in_flight)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| count.now -= 1);
    }
}

impl Hook {
    pub async fn start(secret: &str) -> Self {
        let shared = Arc::new(Shared {
            secret: Mutex::new(SigningSecret::new(secret).unwrap()),
            posts: watch::Sender::default(),
            always: watch::Sender::new(Reply::Status(200)),
            first: Mutex::default(),
            in_flight: watch::Sender::default(),
            ahead_ms: AtomicI64::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(take).get(hello))
            .with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            serving,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the reply after those of [`Hook::first`]. Hung requests get it, too.
    pub fn always(&self, reply: Reply) {
        self.shared.always.send_replace(reply);
    }

    /// Sets the replies to the next messages, one each.
    pub fn first(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.first.lock().unwrap().extend(replies);
    }

    /// Replaces the signing secret.
    pub fn set_secret(&self, secret: &str) {
        *self.shared.secret.lock().unwrap() = SigningSecret::new(secret).unwrap();
    }

    /// Sets the lead of its clock; negative for a slow clock.
    pub fn set_clock(&self, ahead_ms: i64) {
        self.shared.ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }

    /// The largest number of concurrent requests.
    pub fn most_at_once(&self) -> usize {
        self.shared.in_flight.borrow().most
    }

    /// Waits until no request is in flight: all are answered or abandoned.
    pub async fn idle(&self) {
        let mut in_flight = self.shared.in_flight.subscribe();
        let idle = in_flight.wait_for(|count| count.now == 0);
        assert!(timeout(TIMEOUT, idle).await.is_ok(), "something hangs");
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.borrow().clone()
    }

    /// The accepted texts of a topic, in order.
    pub fn taken(&self, topic: &str) -> Vec<String> {
        let posts = self.shared.posts.borrow();
        let taken = posts
            .iter()
            .filter(|post| post.status == 200 && post.topic() == topic);
        let texts = taken.map(|post| post.body["text"].as_str().unwrap_or_default().to_owned());
        texts.collect()
    }

    /// Waits until `wanted` accepts the posts.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&[Post]) -> bool) -> Vec<Post> {
        let mut posts = self.shared.posts.subscribe();
        let waiting = timeout(TIMEOUT, posts.wait_for(|posts| wanted(posts))).await;
        if waiting.is_err() {
            let last: Vec<_> = self.posts().into_iter().rev().take(10).collect();
            panic!(
                "expected {what}, the last of {} are {last:#?}",
                self.posts().len()
            );
        }
        self.posts()
    }

    /// Waits until `count` messages of a topic are accepted; returns their texts.
    pub async fn takes(&self, topic: &str, count: usize) -> Vec<String> {
        self.wait(&format!("{count} messages of `{topic}`"), |posts| {
            let taken = posts
                .iter()
                .filter(|post| post.status == 200 && post.topic() == topic);
            taken.count() >= count
        })
        .await;
        self.taken(topic)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let _counted = Counted::new(&shared.in_flight);
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let secret = shared.secret.lock().unwrap().clone();
    let signatures = headers.get_all(HEADER);
    let signed = verify(
        &[secret],
        &body,
        signatures.iter().map(|value| value.as_bytes()),
    )
    .is_ok();
    let mut index = 0;
    shared.posts.send_modify(|posts| {
        index = posts.len();
        posts.push(Post {
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            status: 0,
        });
    });
    let published = shared.posts.borrow()[index].body["publish_timestamp"].as_i64();
    let age = shared.now_ms() - published.unwrap_or_default();
    let (status, code) = match age {
        _ if !signed => (401, "bad_signature"),
        60_001.. => (403, "stale"),
        ..-30_000 => (403, "from_the_future"),
        _ => (answer(&shared).await, "told"),
    };
    shared
        .posts
        .send_modify(|posts| posts[index].status = status);
    (
        StatusCode::from_u16(status).unwrap(),
        [(DATE, shared.date())],
        axum::Json(json!({ "code": code })),
    )
        .into_response()
}

async fn hello(State(shared): State<Arc<Shared>>) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(DATE, shared.date())]).into_response()
}

impl Shared {
    fn now_ms(&self) -> i64 {
        now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }

    fn date(&self) -> String {
        let now = DateTime::from_secs(self.now_ms() / 1000);
        now.fmt(Format::HttpDate).unwrap()
    }
}

async fn answer(shared: &Shared) -> u16 {
    let first = shared.first.lock().unwrap().pop_front();
    let reply = first.unwrap_or_else(|| *shared.always.borrow());
    match reply {
        Reply::Status(status) => status,
        Reply::Hang => {
            let mut always = shared.always.subscribe();
            loop {
                if let Reply::Status(status) = *always.borrow_and_update() {
                    return status;
                }
                // Cannot fail: the sender is in `shared`.
                let _ = always.changed().await;
            }
        }
    }
}
