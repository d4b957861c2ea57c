//! The gRPC face of the server: `cache_client.pubsub.Pubsub`, as every Momento SDK speaks it.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use momento_protos::cache_client::pubsub::{
    Discontinuity, Heartbeat, PublishRequest, SubscriptionItem, SubscriptionRequest, TopicItem,
    TopicValue, pubsub_server::Pubsub, subscription_item, topic_value,
};
use momento_protos::common::Empty;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::broker::{BrokerError, Delivery, Message, Position, Value};
use super::{Refusal, Service};

/// Messages taken from the topic at a time; the stream itself is held back by HTTP/2 flow control.
const BATCH: usize = 32;

pub(super) struct Grpc(pub(super) Arc<Service>);

#[tonic::async_trait]
impl Pubsub for Grpc {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<Empty>, Status> {
        let publisher = self.0.authorize(key(request.metadata()))?;
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
        self.0.authorize(key(request.metadata()))?;
        let request = request.into_inner();
        let (cache, topic) = (&request.cache_name, &request.topic);
        let position = Position {
            sequence: request.resume_at_topic_sequence_number,
            page: request.sequence_page,
        };
        let mut subscriber = self.0.subscribe(cache, topic, position)?;
        let every = self.0.heartbeat_interval;
        let stream = async_stream::stream! {
            // Momento's Python SDK refuses a stream that does not begin with a heartbeat.
            yield heartbeat();
            if position.page == 0 {
                let place = subscriber.place();
                yield discontinuity(0, place.sequence.saturating_sub(1), place.page);
            }
            loop {
                match tokio::time::timeout(every, subscriber.next(BATCH)).await {
                    Err(_) => yield heartbeat(),
                    Ok(None) => {
                        yield Err(Refusal::Broker(BrokerError::Closed).into());
                        return;
                    }
                    Ok(Some(batch)) => {
                        for delivery in batch {
                            yield match delivery {
                                Delivery::Message(message) => item(&message),
                                Delivery::Discontinuity(gap) => discontinuity(gap.last, gap.next, gap.page),
                            };
                        }
                    }
                }
            }
        };
        Ok(Response::new(Box::pin(stream)))
    }
}

/// The API key as the SDKs send it: bare, without `Bearer`.
pub(super) fn key(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization")?.to_str().ok()
}

fn heartbeat() -> Result<SubscriptionItem, Status> {
    Ok(of(subscription_item::Kind::Heartbeat(Heartbeat {})))
}

fn discontinuity(last: u64, next: u64, page: u64) -> Result<SubscriptionItem, Status> {
    Ok(of(subscription_item::Kind::Discontinuity(Discontinuity {
        last_topic_sequence: last,
        new_topic_sequence: next,
        new_sequence_page: page,
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
    /// The SDKs make their error codes of the gRPC code, and the words of a limit of the metadata `err`.
    fn from(refusal: Refusal) -> Self {
        let (code, err) = match refusal {
            Refusal::Unauthorized => (Code::Unauthenticated, None),
            Refusal::CacheNotFound(_) => (Code::NotFound, None),
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
