//! A minimal server on loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// A running server. Dropping it ends it.
pub struct Server {
    pub address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers requests with complete bodies.
pub trait Answers: Clone + 'static {
    async fn answer(&self, request: Request<Bytes>) -> Response<Full<Bytes>>;
}

/// Serves HTTP/1.1 on a free port; over TLS if there is an acceptor. Needs a `LocalSet`.
pub async fn serve(tls: Option<TlsAcceptor>, answers: impl Answers) -> Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let accepting = tokio::task::spawn_local(async move {
        // A stopped function breaks its connections, which is not an error.
        while let Ok((connection, _)) = listener.accept().await {
            let (answers, tls) = (answers.clone(), tls.clone());
            let _ = connection.set_nodelay(true);
            tokio::task::spawn_local(async move {
                match tls {
                    None => converse(connection, answers).await,
                    Some(tls) => {
                        if let Ok(connection) = tls.accept(connection).await {
                            converse(connection, answers).await;
                        }
                    }
                }
            });
        }
    });
    Ok(Server {
        address,
        accepting: accepting.abort_handle(),
    })
}

async fn converse(
    connection: impl AsyncRead + AsyncWrite + Unpin + 'static,
    answers: impl Answers,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let answers = answers.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes());
            let request = Request::from_parts(head, body.unwrap_or_default());
            Ok::<_, Infallible>(answers.answer(request).await)
        }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}
