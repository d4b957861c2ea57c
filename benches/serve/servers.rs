//! The measured servers, each a process of its own, and the stub of AWS, in this process.

use anyhow::Result;
use aws_sdk_sfn::Client;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::process::Command;
use workflow_bridge::adapters::aws;

use crate::answers::{MACHINE, SECRET, answer, operation};
use crate::program::Program;
use crate::serving::on_loopback;

/// The variable that makes this program one of the servers.
pub const ROLE: &str = "BENCH_ROLE";
const BARE: &str = "bare";

/// Runs one of the servers until it is killed.
pub async fn run(role: &str) -> Result<()> {
    let router = match role {
        BARE => Router::new().fallback(async |body: Bytes| {
            std::hint::black_box(body.len());
            StatusCode::OK
        }),
        _ => {
            let client = Client::new(&aws::of_machine().await?);
            Router::new().fallback(async move |body: Bytes| {
                let input = String::from_utf8_lossy(&body);
                let call = client.start_execution().state_machine_arn(MACHINE);
                match call.name("name").input(input).send().await {
                    Ok(_) => StatusCode::OK,
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                }
            })
        }
    };
    let (address, serving) = on_loopback(router).await;
    println!("{}", json!({"server.address": address}));
    serving.await;
    Ok(())
}

/// The bare handler, the one that calls AWS, and `bridge serve`, each with its address.
pub async fn start() -> Result<[(String, Program); 3]> {
    let aws = Router::new().fallback(async |headers: HeaderMap, body: Bytes| {
        answer(operation(&headers).unwrap_or_default(), &body, SECRET)
    });
    let (aws, serving) = on_loopback(aws).await;
    tokio::spawn(serving);

    let this = std::env::current_exe()?;
    let role = |role| {
        let mut command = Command::new(&this);
        command.env(ROLE, role);
        command
    };
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_bridge"));
    let route = json!({"name": "r", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}});
    bridge
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("ROUTES", json!({"routes": [route]}).to_string())
        .env("SIGNING_SECRET_ID", "signing")
        .env("PARKING_QUEUE_URL", "http://127.0.0.1/parked")
        .env("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead")
        // The message is signed once, at the start.
        .env("MAX_AGE_SECONDS", "86400");
    Ok([
        spawn(role(BARE), &aws).await?,
        spawn(role("calls AWS"), &aws).await?,
        spawn(bridge, &aws).await?,
    ])
}

async fn spawn(mut command: Command, aws: &str) -> Result<(String, Program)> {
    command
        .env("AWS_ENDPOINT_URL", format!("http://{aws}"))
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let mut server = Program::start(&mut command)?;
    Ok((server.address().await?, server))
}
