//! `bridge health`, for containers without a shell.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::lambda::{command, serve};

/// Exit code, standard output and standard error.
async fn health(url: &str) -> (Option<i32>, String, String) {
    let mut command = command(env!("CARGO_BIN_EXE_bridge"));
    // The command must ignore the proxy.
    command.env("HTTP_PROXY", "http://127.0.0.1:1");
    let output = command.args(["health", url]).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn a_2xx_is_success_and_any_other_status_is_an_error() {
    let not_ready = || async {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "{\"missing\":[\"secret\"]}",
        )
    };
    let router = Router::new()
        .route("/ready", get(|| async { "ok" }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/moved",
            get(|| async { (StatusCode::FOUND, [("location", "/ready")]) }),
        )
        .route("/not-ready", get(not_ready));
    let address = serve(router).await;
    let url = |path: &str| format!("http://{address}{path}");
    let good = health(&url("/ready")).await;
    assert_eq!(good, (Some(0), "200 OK\n".to_owned(), String::new()));
    assert_eq!(health(&url("/empty")).await.0, Some(0));
    for (path, expected) in [
        (
            "/not-ready",
            "found 503 Service Unavailable: {\"missing\":[\"secret\"]}",
        ),
        ("/moved", "found 302 Found"),
        ("/nowhere", "found 404 Not Found"),
    ] {
        let (code, out, err) = health(&url(path)).await;
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains(expected), "{err}");
    }
}

#[tokio::test]
async fn no_answer_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (code, _, err) = health(&url).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("expected an answer of `{url}` within 3s")),
        "{err}"
    );
    drop(listener);
    let (code, _, err) = health(&url).await;
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("cannot reach `{url}`")), "{err}");
    for nonsense in ["", "127.0.0.1:8080", "ftp://127.0.0.1/", "http://"] {
        let (code, _, err) = health(nonsense).await;
        assert_eq!(code, Some(1));
        assert!(err.contains("expected a URL such as"), "{err}");
    }
}
