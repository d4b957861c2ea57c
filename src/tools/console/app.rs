//! The console's state, and its errors.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::page;
use super::source::{Messages, Services};
use super::stack::Shown;
use super::text::visible;
use crate::domain::fault::Fault;

/// What every page needs.
#[derive(Clone)]
pub struct App {
    pub messages: Arc<dyn Messages>,
    pub services: Arc<dyn Services>,
    pub place: Arc<Shown>,
}

/// An answer that is no page of the console.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub text: String,
}

impl Problem {
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = match fault.code.as_str() {
            "BadFilter" | "BadSubject" | "Refused" => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        let text = match fault.code.as_str() {
            "BadFilter" | "BadSubject" | "Refused" => fault.text,
            _ => fault.to_string(),
        };
        Self { status, text }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = html! {
            h1 { "That did not work" }
            p.alert role="alert" { (visible(&self.text)) }
            p { a href="/" { "All runs" } }
        };
        let title = self.status.canonical_reason().unwrap_or("error");
        (self.status, page(title, "", None, body)).into_response()
    }
}

impl App {
    /// Refuses a change where pages may only read.
    ///
    /// # Errors
    ///
    /// 403 without `--allow-changes`.
    pub fn may_change(&self) -> Result<(), Problem> {
        match self.place.changes {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "this console only reads: to change something on AWS, start it with `bridge console --allow-changes`",
            )),
        }
    }

    /// The text without keys and secrets.
    pub fn redacted(&self, text: &str) -> String {
        self.place.redacted(text)
    }
}
