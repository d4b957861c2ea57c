//! The server's gRPC interface: `cache_client.pubsub.Pubsub`, the protocol of every Momento SDK.

pub(super) mod caches;
pub(super) mod items;

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use futures_util::Stream;
use momento_protos::cache_client::pubsub::{
    Discontinuity, Heartbeat, PublishRequest, SubscriptionItem, SubscriptionRequest, TopicItem,
    TopicValue, pubsub_server::Pubsub, subscription_item, topic_value,
};
use momento_protos::common::Empty;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::UnaryService;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message as Prost;

use super::broker::{BrokerError, Delivery, Discontinuity as Gap, Message, Position, Value};
use super::refusal::Refusal;
use super::service::Service;

/// Messages taken from the topic at a time; the stream itself is held back by HTTP/2 flow control.
const BATCH: usize = 32;
/// Bytes read of a unary request: more than an item's limit, so that a larger item gets Momento's refusal.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// How the media types of gRPC and gRPC-web begin.
const GRPC: &[u8] = b"application/grpc";

pub(super) struct Grpc(pub(super) Arc<Service>);

#[tonic::async_trait]
impl Pubsub for Grpc {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<Empty>, Status> {
        let publisher = self.0.authorize_sdk(key(request.metadata()))?;
        let PublishRequest {
            cache_name,
            topic,
            value,
        } = request.into_inner();
        let value = match value.and_then(|value| value.kind) {
            Some(topic_value::Kind::Text(text)) => Value::Text(text),
            Some(topic_value::Kind::Binary(bytes)) => Value::Binary(bytes),
            None => return Err(Refusal::NoValue.into()),
        };
        self.0.publish(&cache_name, &topic, value, publisher)?;
        Ok(Response::new(Empty {}))
    }

    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscriptionItem, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.0.authorize_sdk(key(request.metadata()))?;
        let request = request.into_inner();
        let cache = request.cache_name;
        let position = Position {
            sequence: request.resume_at_topic_sequence_number,
            page: request.sequence_page,
        };
        let mut subscriber = self.0.subscribe(&cache, &request.topic, position)?;
        let service = self.0.clone();
        let every = service.heartbeat_interval;
        let stream = async_stream::stream! {
            // Momento's Python SDK refuses a stream that does not begin with a heartbeat.
            yield heartbeat();
            if let Some(beginning) = subscriber.beginning() {
                yield discontinuity(beginning);
            }
            loop {
                match tokio::time::timeout(every, subscriber.next(BATCH)).await {
                    Err(_) => yield heartbeat(),
                    Ok(None) => {
                        yield Err(service.ended(&cache).into());
                        return;
                    }
                    Ok(Some(batch)) => {
                        for delivery in batch {
                            yield match delivery {
                                Delivery::Message(message) => item(&message),
                                Delivery::Discontinuity(gap) => discontinuity(gap),
                            };
                        }
                    }
                }
            }
        };
        Ok(Response::new(Box::pin(stream)))
    }
}

/// The answer to a call of a service that this server lacks; `None` for a request of HTTP.
///
/// The SDKs report any other answer as an internal error of Momento.
pub(super) fn unimplemented(request: &http::Request<Body>) -> Option<http::Response<Body>> {
    let kind = request.headers().get(CONTENT_TYPE)?;
    let is_grpc = kind
        .as_bytes()
        .get(..GRPC.len())?
        .eq_ignore_ascii_case(GRPC);
    let method = request.uri().path();
    let text = format!(
        "expected a call of topics, caches or items, found `{method}`, which the local stack does not have; use Momento for it"
    );
    is_grpc.then(|| {
        let mut response = Status::unimplemented(text).into_http();
        // A page takes the answer in its own form of gRPC.
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
        response
    })
}

/// Serves a unary method that does not wait.
pub(super) async fn unary<F, Req, Res>(
    request: http::Request<Body>,
    method: F,
) -> http::Response<Body>
where
    F: FnMut(Request<Req>) -> Result<Res, Status>,
    Req: Prost + Default + 'static,
    Res: Prost + Default + 'static,
{
    let mut grpc = tonic::server::Grpc::new(ProstCodec::default())
        .apply_max_message_size_config(Some(MAX_REQUEST_BYTES), None);
    grpc.unary(Unary(method), request).await.map(Body::new)
}

struct Unary<F>(F);

impl<F, Req, Res> UnaryService<Req> for Unary<F>
where
    F: FnMut(Request<Req>) -> Result<Res, Status>,
{
    type Response = Res;
    type Future = Ready<Result<Response<Res>, Status>>;

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        ready((self.0)(request).map(Response::new))
    }
}

/// The API key as the SDKs send it: bare, without `Bearer`.
pub(super) fn key(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization")?.to_str().ok()
}

fn heartbeat() -> Result<SubscriptionItem, Status> {
    Ok(of(subscription_item::Kind::Heartbeat(Heartbeat {})))
}

/// The protocol's `new_topic_sequence` is the number *after* which messages continue: Momento's SDKs resume behind it.
fn discontinuity(gap: Gap) -> Result<SubscriptionItem, Status> {
    Ok(of(subscription_item::Kind::Discontinuity(Discontinuity {
        last_topic_sequence: gap.last,
        new_topic_sequence: gap.next - 1,
        new_sequence_page: gap.page,
    })))
}

fn item(message: &Message) -> Result<SubscriptionItem, Status> {
    let value = match &message.value {
        Value::Text(text) => topic_value::Kind::Text(text.clone()),
        Value::Binary(bytes) => topic_value::Kind::Binary(bytes.clone()),
    };
    Ok(of(subscription_item::Kind::Item(TopicItem {
        topic_sequence_number: message.sequence,
        value: Some(TopicValue { kind: Some(value) }),
        publisher_id: message.token_id.clone().unwrap_or_default(),
        sequence_page: message.page,
    })))
}

fn of(kind: subscription_item::Kind) -> SubscriptionItem {
    SubscriptionItem { kind: Some(kind) }
}

impl From<Refusal> for Status {
    /// The SDKs derive error codes from the gRPC code, and a limit's text from the metadata `err`.
    fn from(refusal: Refusal) -> Self {
        let (code, err) = match refusal {
            Refusal::Unauthorized => (Code::Unauthenticated, None),
            Refusal::CacheNotFound(_) => (Code::NotFound, None),
            Refusal::CacheExists(_) => (Code::AlreadyExists, None),
            Refusal::TooManyCaches => (Code::ResourceExhausted, None),
            Refusal::BadName(_) | Refusal::NoValue | Refusal::BadTtl(_) => {
                (Code::InvalidArgument, None)
            }
            Refusal::TooLarge(_) => (Code::ResourceExhausted, Some("request_size_limit_exceeded")),
            Refusal::ItemTooLarge { .. } => {
                (Code::ResourceExhausted, Some("item_size_limit_exceeded"))
            }
            Refusal::Broker(BrokerError::TooManyTopics | BrokerError::TooManySubscribers) => (
                Code::ResourceExhausted,
                Some("topic_subscriptions_limit_exceeded"),
            ),
            Refusal::Broker(BrokerError::Closed) => (Code::Unavailable, None),
        };
        let mut status = Status::new(code, refusal.to_string());
        if let Some(err) = err {
            let metadata = status.metadata_mut();
            metadata.insert("err", MetadataValue::from_static(err));
        }
        status
    }
}
