//! Clients that expose the end of their connection.

use std::io::ErrorKind;

use axum::http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

pub const BODY: &str = "{\"Entries\":[{},{}]}";

/// The end of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// RST.
    Reset,
    /// FIN.
    Closed,
}

#[derive(Debug)]
pub struct Seen {
    /// 0 without a header.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    pub end: End,
}

impl Seen {
    fn nothing(end: End) -> Self {
        Self {
            status: 0,
            headers: HeaderMap::new(),
            body: String::new(),
            end,
        }
    }
}

/// A bare socket, or one HTTP/2 connection over it.
#[derive(Clone, Copy, Debug)]
pub enum Raw {
    Http1,
    Http2,
    /// HTTP/2 with the content type of gRPC.
    Grpc,
}

impl Raw {
    pub async fn call(self, proxy: &Proxy, operation: &str) -> Seen {
        let exchange = async {
            let stream = TcpStream::connect(proxy.shared.address).await.unwrap();
            match self {
                Self::Http1 => http1(stream, operation).await,
                _ => self.http2(stream, proxy, operation).await,
            }
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap()
    }

    async fn http2(self, stream: TcpStream, proxy: &Proxy, operation: &str) -> Seen {
        let stream = TokioIo::new(stream);
        let hands = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, connection) = hands.unwrap();
        let connection = tokio::spawn(connection);
        let content_type = match self {
            Self::Grpc => "application/grpc",
            _ => "application/x-amz-json-1.0",
        };
        let request = Request::post(format!("{}/path?query=1", proxy.endpoint()))
            .header("x-amz-target", format!("AWSStepFunctions.{operation}"))
            .header("content-type", content_type)
            .body(Body::from(BODY));
        let answer = sender.send_request(request.unwrap()).await;
        let mut seen = Seen::nothing(End::Complete);
        let mut whole = answer.is_ok();
        if let Ok(answer) = answer {
            seen.status = answer.status().as_u16();
            seen.headers = answer.headers().clone();
            let mut body = Body::new(answer.into_body()).into_data_stream();
            while let Some(piece) = body.next().await {
                let Ok(bytes) = piece else {
                    whole = false;
                    break;
                };
                seen.body.push_str(str::from_utf8(&bytes).unwrap());
            }
        }
        if !whole {
            // Only the connection has the error of the socket.
            let ended = format!("{:?}", connection.await.unwrap());
            seen.end = match ended.contains("ConnectionReset") {
                true => End::Reset,
                false => End::Closed,
            };
        }
        seen
    }
}

async fn http1(mut stream: TcpStream, operation: &str) -> Seen {
    let request = format!(
        "POST /path?query=1 HTTP/1.1\r\nhost: here\r\nx-amz-target: AWSStepFunctions.{operation}\r\n\
         content-type: application/x-amz-json-1.0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    let end = match read {
        Ok(0) => End::Closed,
        Ok(_) => End::Complete,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    let text = String::from_utf8(bytes).unwrap();
    let mut seen = Seen::nothing(end);
    if let Some((head, body)) = text.split_once("\r\n\r\n") {
        seen.status = head[9..12].parse().unwrap();
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let parse = |(name, value): (&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        seen.headers = headers
            .map(parse)
            .collect::<HeaderMap<axum::http::HeaderValue>>();
        seen.body = body.to_owned();
    }
    seen
}

/// The error with which a connection ends.
pub async fn end_of(mut stream: TcpStream) -> ErrorKind {
    let mut byte = [0];
    let read = tokio::time::timeout(TIMEOUT, stream.read(&mut byte));
    read.await.unwrap().unwrap_err().kind()
}
