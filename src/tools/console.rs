//! The console in the browser: messages, their runs, routes and dead letters of a stack, local or on AWS.
//!
//! `access` decides on requests; `source` has the traits that the pages read from, `local` and `services` their
//! implementations; `feed` keeps the local stack's messages; `pages` renders.

mod access;
mod alarms;
mod app;
pub mod arrivals;
mod cloud;
mod cloudwatch;
mod delivery;
mod feed;
mod gaps;
mod layout;
mod local;
pub mod model;
mod pages;
mod post;
mod recorded;
mod redact;
mod results;
pub mod sample;
mod services;
mod source;
mod stack;
mod text;
mod token;

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::access::{Access, guard};
use self::app::{App, Problem};
use self::cloud::LoggedMessages;
pub use self::cloud::{Momento, Webhook};
use self::local::LocalMessages;
use self::pages::{events, executions, letters, publish, queues, routes, run, runs};
use self::services::StackServices;
use self::stack::Shown;
use crate::tools::local::{Port, Stack};
use crate::tools::place::Place;

/// The port of a console, unless another is asked for: near those of other development servers, and none of them.
pub const PORT: u16 = 8484;

/// Bytes of a form, at most: a topic message is far smaller, an answer of a task at most 256 KiB.
const MOST_FORM_BYTES: usize = 1024 * 1024;

/// A running console. Dropping it ends it.
pub struct Console {
    port: u16,
    token: String,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Console {
    /// The console of a running local stack: on this port, or on a free one where none is asked for and the usual one is
    /// taken.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the token cannot be kept.
    pub async fn local(stack: &Stack, port: Option<u16>) -> Result<Self> {
        let token = token::kept(stack.emulator().run().workspace())?;
        let messages = LocalMessages::follow(stack).context("cannot make an HTTP client")?;
        let place = Place::local(stack.account(), stack.outputs().clone());
        let shown = Shown {
            name: "local stack".to_owned(),
            local: true,
            changes: true,
            secrets: vec![
                stack.api_key().to_owned(),
                stack.signing_secret().to_owned(),
                token.clone(),
            ],
        };
        let app = App {
            messages: Arc::new(messages),
            services: Arc::new(StackServices::new(place)),
            place: Arc::new(shown),
        };
        Self::serve(app, token, port).await
    }

    /// The console of a deployed stack, by its logs.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub async fn of_place(
        place: Place,
        webhook: Webhook,
        momento: Option<Momento>,
        changes: bool,
        port: Option<u16>,
    ) -> Result<Self> {
        let token = token::fresh();
        let shown = Shown {
            name: place.name.clone(),
            local: place.is_local(),
            changes,
            secrets: vec![webhook.secret.clone().unwrap_or_default(), token.clone()],
        };
        let messages = LoggedMessages::new(place.clone(), webhook, momento);
        let app = App {
            messages: Arc::new(messages.context("cannot make an HTTP client")?),
            services: Arc::new(StackServices::new(place)),
            place: Arc::new(shown),
        };
        Self::serve(app, token, port).await
    }

    /// Why it ended; it never does by itself, unless its port is lost.
    pub async fn ended(mut self) -> anyhow::Error {
        match (&mut self.serving).await {
            Ok(Err(error)) => error.into(),
            _ => anyhow::anyhow!("the console ended"),
        }
    }

    async fn serve(app: App, token: String, port: Option<u16>) -> Result<Self> {
        let on = async |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let wanted = Port::of(port, Port::Preferred(PORT));
        let listener = wanted.listen(on).await;
        let listener = listener.with_context(|| {
            format!(
                "cannot serve the console on port {}; is it taken? `--console-port` names another, without it a free one is used",
                port.unwrap_or(PORT)
            )
        })?;
        let port = listener.local_addr()?.port();
        let router = router(app, Access::new(&token, port));
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self {
            port,
            token,
            serving,
        })
    }

    /// The address without the token.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The address that a browser opens first.
    pub fn url(&self) -> String {
        format!("{}?token={}", self.address(), self.token)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// All pages, behind the guard.
fn router(app: App, access: Access) -> Router {
    let place = Arc::clone(&app.place);
    Router::new()
        .route("/", get(runs::list))
        .route("/events", get(runs::events))
        .route("/runs/{subject}", get(run::show))
        .route("/runs/{id}/value", get(run::value))
        .route("/runs/{id}/claim", get(run::claim))
        .route("/runs/{id}/deliver", post(publish::deliver))
        .route("/publish", get(publish::show).post(publish::publish))
        .route("/routes", get(routes::show))
        .route("/letters", get(letters::list))
        .route("/letters/back", post(letters::put_back))
        .route("/queues", get(queues::show))
        .route("/runbooks/{alarm}", get(queues::runbook))
        .route("/executions/stop", post(executions::stop))
        .route("/executions/redrive", post(executions::redrive))
        .route("/executions/events", get(events::list))
        .route("/executions/payload", get(events::payload))
        .route("/tasks/answer", post(executions::answer))
        .route("/console.css", get(style))
        .route(
            "/console.js",
            get(|| {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("console/console.js"),
                )
            }),
        )
        .route(
            "/icon.svg",
            get(|| asset("image/svg+xml", include_str!("console/icon.svg"))),
        )
        .fallback(|| async { Problem::not_found("there is no such page") })
        .layer(axum::extract::DefaultBodyLimit::max(MOST_FORM_BYTES))
        .layer(from_fn(move |request, next| {
            redact::redact(Arc::clone(&place), request, next)
        }))
        .layer(from_fn_with_state(access, guard))
        .with_state(app)
}

/// The style of the pages, with that of the graphs.
async fn style() -> impl IntoResponse {
    let text = concat!(
        include_str!("console/console.css"),
        include_str!("execution/graph.css")
    );
    asset("text/css; charset=utf-8", text).await
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

#[cfg(test)]
mod tests;
