//! Credentials outside Lambda: those of an ECS task and of an EC2 instance.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;

use super::*;
use crate::lambda::serve;

/// Both credential endpoints and Secrets Manager.
#[derive(Default)]
struct Cloud {
    /// Whether the credential endpoints fail.
    down: AtomicBool,
    /// Signer and session of each call to Secrets Manager.
    signers: Mutex<Vec<(String, String)>>,
}

async fn answer(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> axum::response::Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let credentials = |id: &str| {
        axum::Json(json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": id, "SecretAccessKey": "hush", "Token": format!("session of {id}"),
            "Expiration": "2099-01-01T00:00:00Z",
        }))
        .into_response()
    };
    if cloud.down.load(Ordering::SeqCst) && method != Method::POST {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match (method.as_str(), uri.path()) {
        ("GET", "/task") if header("authorization") == "the task's token" => credentials("TASK"),
        ("PUT", "/latest/api/token") => (
            [("x-aws-ec2-metadata-token-ttl-seconds", "21600")],
            "imds token",
        )
            .into_response(),
        ("GET", path) if header("x-aws-ec2-metadata-token") == "imds token" => {
            match path.trim_end_matches('/').rsplit('/').next() {
                Some("region") => "eu-west-1".into_response(),
                Some("security-credentials" | "security-credentials-extended") => {
                    "role".into_response()
                }
                Some("role") => credentials("INSTANCE"),
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        }
        ("POST", _) => {
            let signer = (header("authorization"), header("x-amz-security-token"));
            cloud.signers.lock().unwrap().push(signer);
            axum::Json(json!({"SecretString": SECRET})).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A server without credentials or region in its environment, and its cloud.
async fn start(
    down: bool,
    variables: impl Fn(&str) -> Vec<(&'static str, String)>,
) -> (Arc<Cloud>, Server) {
    let cloud = Arc::new(Cloud::default());
    cloud.down.store(down, Ordering::SeqCst);
    let router = Router::new().fallback(answer).with_state(cloud.clone());
    let endpoint = format!("http://{}", serve(router).await);
    let mut command = serve_command();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env_remove(variable);
    }
    command
        .env("AWS_ENDPOINT_URL", &endpoint)
        .env("HOME", "/nonexistent")
        .envs(variables(&endpoint));
    let unused = Arc::new(AwsStub::new("", Aws::Answers));
    (cloud, Server::spawn(command, unused).await)
}

fn signed_by(cloud: &Cloud, id: &str, region: &str) {
    let signers = cloud.signers.lock().unwrap();
    assert!(!signers.is_empty());
    for (authorization, session) in signers.iter() {
        assert!(
            authorization.contains(&format!("Credential={id}/"))
                && authorization.contains(&format!("/{region}/secretsmanager/")),
            "{authorization}"
        );
        assert_eq!(*session, format!("session of {id}"));
    }
}

#[tokio::test]
async fn an_ecs_task_uses_its_role() {
    // The endpoint of the credentials is down at first.
    let (cloud, server) = start(true, |endpoint| {
        vec![
            ("AWS_REGION", "us-east-1".to_owned()),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{endpoint}/task"),
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                "the task's token".to_owned(),
            ),
        ]
    })
    .await;
    let line = server
        .logged(|line| line["message"] == "no signing secret yet")
        .await;
    assert!(
        ["NoCredentials", "TimedOut"].contains(&line["error.code"].as_str().unwrap()),
        "{line}"
    );
    assert_eq!(get(&server.address, "/ready").await.0, 503);
    cloud.down.store(false, Ordering::SeqCst);
    server.ready().await;
    signed_by(&cloud, "TASK", "us-east-1");
    server.stop().await;
}

#[tokio::test]
async fn an_ec2_instance_uses_its_role_and_region() {
    let (cloud, server) = start(false, |endpoint| {
        vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.to_owned())]
    })
    .await;
    server.ready().await;
    signed_by(&cloud, "INSTANCE", "eu-west-1");
    server.stop().await;
}
