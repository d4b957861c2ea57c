//! Start and stop of the server.

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::webhook::body;

#[tokio::test]
async fn a_signal_lets_it_finish_requests_in_flight() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        for http in clients() {
            let server = Server::start(&[("ANSWER_WITHIN_MS", "2000")]).await;
            server.aws.behave(Aws::Hangs("StartExecution"));
            let request = signed(&server, &body("x"));
            let stopping = async {
                server.asked("StartExecution", 1).await;
                server.signal(signal);
                let closed = async {
                    while TcpStream::connect(&server.address).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                let closed = tokio::time::timeout(TIMEOUT, closed).await;
                closed.expect("it accepts no more connections");
                std::time::Instant::now()
            };
            let asking = async {
                let answer = ask(&http, request).await;
                (answer, std::time::Instant::now())
            };
            let (((status, reply), answered), closed) = futures_util::join!(asking, stopping);
            assert!(closed < answered, "the answer came while it was stopping");
            let outcome = &reply["targets"][0]["outcome"];
            assert_eq!((status, outcome), (200, &json!("parked")), "{signal}");
            server.logged(|line| line["message"] == "stopped").await;
            assert_eq!(server.ended().await.code(), Some(0), "{signal}");
        }
    }
}

#[tokio::test]
async fn a_second_signal_stops_it_at_once() {
    let server = Server::start(&[("ANSWER_WITHIN_MS", "60000")]).await;
    server.aws.behave(Aws::Hangs("StartExecution SendMessage"));
    let [http, _] = clients();
    let request = signed(&server, &body("x"));
    let asking = tokio::spawn(async move { http.request(request).await.is_err() });
    server.asked("StartExecution", 1).await;
    server.signal("-TERM");
    server
        .logged(|line| line["message"] == "stopping: finishing requests under way")
        .await;
    server.signal("-TERM");
    assert_eq!(server.ended().await.code(), Some(143));
    assert!(asking.await.unwrap(), "expected no answer");
}

/// Standard error of a failed start.
async fn start_error(command: &mut tokio::process::Command) -> String {
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let output = tokio::time::timeout(TIMEOUT, output).await;
    let output = output.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn each_failed_start_names_its_cause() {
    let mut bare = command(env!("CARGO_BIN_EXE_bridge"));
    let missing = start_error(bare.arg("serve").env("MAX_AGE_SECONDS", "x")).await;
    assert!(
        missing.starts_with("error: cannot start; set these variables:\n"),
        "{missing}"
    );
    for variable in [
        "ROUTES",
        "SIGNING_SECRET_ID",
        "PARKING_QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
    ] {
        let expected = format!("- `{variable}`: expected a value, found none");
        assert!(missing.contains(&expected), "{missing}");
    }
    assert!(missing.contains("- `MAX_AGE_SECONDS`: expected a whole number"));

    let bad_routes = start_error(serve_command().env("ROUTES", "{}")).await;
    assert!(bad_routes.contains("routes"), "{bad_routes}");

    let no_region = start_error(
        serve_command()
            .env_remove("AWS_REGION")
            .env("AWS_EC2_METADATA_DISABLED", "true"),
    )
    .await;
    assert!(no_region.contains("set AWS_REGION"), "{no_region}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let in_use = start_error(serve_command().args(["--listen", &taken])).await;
    let expected = format!("cannot listen on `{taken}` (--listen): ");
    assert!(in_use.contains(&expected), "{in_use}");
    assert!(in_use.contains("something else listens there"), "{in_use}");

    let nonsense = start_error(serve_command().args(["--listen", "8080"])).await;
    assert!(nonsense.contains("expected ADDRESS:PORT"), "{nonsense}");
}

#[tokio::test]
async fn it_is_ready_once_it_has_the_signing_secret() {
    let (aws, endpoint) = AwsStub::new(SECRET, Aws::Breaks("GetSecretValue"))
        .start()
        .await;
    let mut command = serve_command();
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("ANSWER_WITHIN_MS", "500");
    let server = Server::spawn(command, aws).await;
    let line = server
        .logged(|line| line["message"] == "no signing secret yet")
        .await;
    assert_eq!(line["level"], "WARN");
    let not_ready = json!({"status": "not ready", "missing": ["signing secret"]});
    assert_eq!(get(&server.address, "/ready").await, (503, not_ready));
    assert_eq!(get(&server.address, "/live").await.0, 200);
    let [http, _] = clients();
    let asked = ask(&http, signed(&server, &body("x"))).await;
    assert_eq!(asked, (503, json!({"code": "not_stored"})));
    server.aws.behave(Aws::Answers);
    // It becomes ready without a request.
    server.ready().await;
    assert_eq!(ask(&http, signed(&server, &body("x"))).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_option_overrides_its_variable() {
    let (aws, endpoint) = AwsStub::new(SECRET, Aws::Answers).start().await;
    let mut command = serve_command();
    command
        .args(["--listen", "127.0.0.1:0", "--max-in-flight", "3"])
        .env("LISTEN", "nowhere")
        .env("MAX_IN_FLIGHT", "none")
        .env("AWS_ENDPOINT_URL", endpoint);
    let server = Server::spawn(command, aws).await;
    server.ready().await;
    server.stop().await;
}
