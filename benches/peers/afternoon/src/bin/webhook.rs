//! A webhook that verifies a message and starts an execution with it.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use hmac::{KeyInit, Mac, SimpleHmac};
use lambda_http::{Body, Error, Request, Response, run, service_fn, tracing};
use serde::{Deserialize, Serialize};
use sha3::Sha3_256;

/// The largest age of a message, in ms.
const MAX_AGE: i64 = 60_000;

#[derive(Deserialize, Serialize)]
struct Message {
    cache: String,
    topic: String,
    event_timestamp: i64,
    publish_timestamp: i64,
    topic_sequence_number: u64,
    token_id: String,
    text: String,
}

struct Webhook {
    secret: String,
    state_machine: String,
    step_functions: aws_sdk_sfn::Client,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let secret = secrets
        .get_secret_value()
        .secret_id(env::var("SIGNING_SECRET_ID")?)
        .send()
        .await?
        .secret_string
        .ok_or("the secret has no text")?;
    let webhook = &Webhook {
        secret,
        state_machine: env::var("STATE_MACHINE_ARN")?,
        step_functions: aws_sdk_sfn::Client::new(&config),
    };
    run(service_fn(move |request| webhook.answer(request))).await
}

impl Webhook {
    async fn answer(&self, request: Request) -> Result<Response<Body>, Error> {
        if !self.is_signed(&request)? {
            return respond(401);
        }
        let Ok(message) = serde_json::from_slice::<Message>(request.body()) else {
            return respond(400);
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        if now - message.publish_timestamp > MAX_AGE {
            return respond(403);
        }
        let name = format!(
            "{}-{}-{}-{}",
            message.cache, message.topic, message.topic_sequence_number, message.event_timestamp
        );
        self.step_functions
            .start_execution()
            .state_machine_arn(&self.state_machine)
            .name(name)
            .input(serde_json::to_string(&message)?)
            .send()
            .await?;
        tracing::info!(topic = message.topic, "started an execution");
        respond(200)
    }

    fn is_signed(&self, request: &Request) -> Result<bool, Error> {
        let signature = request.headers().get("momento-signature");
        let Some(signature) = signature.and_then(|signature| hex::decode(signature).ok()) else {
            return Ok(false);
        };
        let mut mac = SimpleHmac::<Sha3_256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(request.body());
        Ok(mac.verify_slice(&signature).is_ok())
    }
}

fn respond(status: u16) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(Body::Empty)?)
}
