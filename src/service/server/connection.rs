//! One connection, from its first byte to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

use super::places::Connected;
use super::refusals::WithBody;
use super::{Handler, Server, request};

/// How long a closing connection may be silent.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How long a connection that loses its place has to shut down.
const END_WITHIN: Duration = Duration::from_millis(100);

/// Serves a connection until its peer ends it, it is idle for too long, another one needs its place, or the server stops:
/// then `stopped` has no sender any more.
pub(super) async fn serve<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    server: Arc<Server<H>>,
    connected: Connected,
    mut stopped: watch::Receiver<()>,
) {
    let activity = &connected.activity;
    let service = service_fn(|request| {
        let open = activity.begin();
        request::answer(server.clone(), request, open)
    });
    let refusing = server.clone();
    let body_of = move |status| request::no_request(&refusing, status);
    let stream = TokioIo::new(WithBody::new(stream, body_of));
    let connection = server.protocol.serve_connection(stream, service);
    let mut connection = pin!(connection);
    let limits = &server.limits;
    tokio::select! {
        // An error is the peer's: invalid HTTP, or a disconnect.
        _ = connection.as_mut() => return,
        () = activity.quiet(limits.head_within, limits.idle_within) => {}
        () = activity.ended() => {
            connection.as_mut().graceful_shutdown();
            // In time or not: the place belongs to another connection.
            let _ = timeout(END_WITHIN, connection).await;
            return;
        }
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    activity.touch();
    tokio::select! {
        _ = connection => {}
        () = activity.quiet(CLOSE_WITHIN, CLOSE_WITHIN) => {}
    }
}
