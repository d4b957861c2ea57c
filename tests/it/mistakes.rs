//! Common mistakes of a new user: each error names expected, found and remedy.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A folder without a running stack.
static NOWHERE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

const HOST: &str = "cell-us-east-1-1.prod.a.momentohq.com";

struct Try(Command);

impl Try {
    fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("AWS_") || name.starts_with("MOMENTO_") || name == "ROUTES" {
                command.env_remove(&*name);
            }
        }
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", &*NOWHERE)
            .env("HOME", &*NOWHERE)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(&*NOWHERE)
            .stdin(Stdio::null());
        Self(command)
    }

    fn with(mut self, variable: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(variable, value);
        self
    }

    /// Checks the exit code and all `parts` on standard error; standard output is empty.
    #[track_caller]
    fn ends(mut self, code: i32, parts: &[&str]) -> String {
        let output = self.0.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(
            error.contains("error:") && output.stdout.is_empty(),
            "{error}"
        );
        for part in parts {
            assert!(error.contains(part), "expected {part}\n{error}");
        }
        error
    }
}

#[test]
fn a_misspelt_command_gets_a_suggestion() {
    Try::new(&["pubish", "a", "b"])
        .ends(2, &["'pubish'", "a similar subcommand exists: 'publish'"]);
}

#[test]
fn without_a_stack_each_command_names_both_remedies() {
    let start = "found none: start it with `cargo bridge local` in another terminal";
    let momento = "no MOMENTO_API_KEY and MOMENTO_ENDPOINT in the environment";
    for (arguments, instead) in [
        (&["publish", "uppercase-in", "hello"][..], momento),
        (&["tail", "uppercase-out"], momento),
        (
            &["publish", "--local", "uppercase-in", "hello"],
            "`--local` asks for the local stack",
        ),
        (&["replay", "--dead-letters"], "no `--stack`"),
        (&["trace", "0123456789abcdef"], "no `--stack`"),
        (&["send", "--topic", "a", "--text", "b"], "no `--url`"),
        (
            &["sign", "body.json"],
            "no `--secret-env` or `--secret-file`",
        ),
    ] {
        Try::new(arguments).ends(1, &[instead, start]);
    }
}

#[test]
fn a_replay_and_a_trace_need_valid_arguments() {
    for (more, part) in [
        (&[][..], "--dead-letters"),
        (&["--dead-letters", "--reason", "nonsense"], "gave_up"),
        (
            &["--dead-letters", "--since", "yesterday"],
            "expected a time such as",
        ),
        (&["--dead-letters", "--limit", "0"], "1.."),
        (
            &["--dead-letters", "--local", "--stack-name", "x"],
            "cannot be used with",
        ),
    ] {
        Try::new(&[&["replay"], more].concat()).ends(2, &[part]);
    }
    Try::new(&["trace", ""]).ends(1, &["expected a message id (16 to 32 hex digits)"]);
    Try::new(&["check", "--local"]).ends(1, &["`--local` asks for the local stack"]);
    Try::new(&["trace", "demo/in"]).ends(1, &["such as `demo/uppercase-in/42`"]);
}

#[test]
fn a_webhook_needs_a_url_and_a_secret() {
    let send = |url: &'static str, more: &[&'static str]| {
        Try::new(&[&["send", "--topic", "a", "--text", "b", "--url", url], more].concat())
    };
    for wrong in ["example.com", "ftp://example.com", "localhost:8080"] {
        let found = format!("beginning with https:// or http://, found `{wrong}`");
        send(wrong, &[]).ends(2, &[&found]);
    }
    let url = "http://127.0.0.1:1/";
    send(url, &[]).ends(
        1,
        &[
            "expected the signing secret for `--url`, found none",
            "`--secret-env` or `--secret-file`",
        ],
    );
    send(url, &["--secret-env", "SECRTE"]).ends(
        1,
        &["in the variable `SECRTE`, found no such variable: export it first"],
    );
    send(url, &["--secret-file", "nope"]).ends(
        1,
        &[
            "expected the signing secret in the file `nope`",
            "No such file",
        ],
    );
    send(url, &["--secret-env", "SECRET"])
        .with("SECRET", "")
        .ends(1, &["found nothing: put it there first"]);
    let raw = OsStr::from_bytes(b"hush\xff");
    let error = send(url, &["--secret-env", "SECRET"])
        .with("SECRET", raw)
        .ends(1, &["invalid UTF-8"]);
    assert!(!error.contains("hush"), "{error}");
    send(url, &["--secret-env", "SECRET"])
        .with("SECRET", "x")
        .ends(
            1,
            &["cannot reach `http://127.0.0.1:1/` (does it run, and is this its URL?)"],
        );
    Try::new(&["send"]).ends(2, &["--topic <TOPIC> --text <TEXT>", "--body <FILE>"]);
}

#[test]
fn momento_needs_a_key_an_endpoint_and_a_cache() {
    let publish = |more: &[&'static str]| Try::new(&[&["publish", "orders", "x"], more].concat());
    let key = "MOMENTO_API_KEY";
    publish(&[]).with(key, "k").ends(
        1,
        &["found only MOMENTO_API_KEY: set the other one too, or pass `--local`"],
    );
    let both = |try_it: Try| try_it.with(key, "hush hush").with("MOMENTO_ENDPOINT", HOST);
    both(publish(&[])).ends(
        1,
        &[
            "expected the name of a cache",
            "found none: pass `--cache NAME`",
        ],
    );
    let error = both(publish(&["--cache", "demo"])).ends(1, &["expected a Momento API key of version 2 in MOMENTO_API_KEY, found something else: make one"]);
    assert!(!error.contains("hush"), "{error}");
    publish(&["--cache", "demo"])
        .with(key, "k")
        .with("MOMENTO_ENDPOINT", "momento")
        .ends(1, &["expected a host such as", "found `momento`"]);
}

#[test]
fn a_missing_file_is_named() {
    for (arguments, expected) in [
        (
            &["local", "--once", "--template", "nope.yaml"][..],
            "cannot use the template (`--template` names another): cannot read `nope.yaml`",
        ),
        (
            &["local", "--once", "--with", "nope"],
            "expected a directory with a `template.yaml`, found none in `nope`: name one such as `examples/count`",
        ),
        (
            &["explain", "--event", "body.json"],
            "expected the routes in `template.yaml`, found no such file: pass `--routes FILE`",
        ),
        (&["draw", "nope.asl.json"], "cannot read `nope.asl.json`"),
        (
            &["new", "shout", "--like", "nope"],
            "expected one of `uppercase`, `approve`",
        ),
    ] {
        Try::new(arguments).ends(1, &[expected]);
    }
}

#[test]
fn a_broken_definition_stops_the_start_though_no_route_names_it() {
    let template = "Resources: {Idle: {Type: AWS::Serverless::StateMachine, Properties: {Definition: {StartAt: A, States: {A: {Type: Pass}}}}}}";
    let file = NOWHERE.join("broken.yaml");
    std::fs::write(&file, template).unwrap();
    Try::new(&["local", "--once", "--template", file.to_str().unwrap()]).ends(
        1,
        &[
            "asl-transition",
            "expected definitions that Step Functions accepts, found 1 error in them, above",
        ],
    );
}

#[test]
fn an_occupied_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = |address: &str| {
        Try::new(&["serve", "--listen", address])
            .with("ROUTES", r#"{"routes": []}"#)
            .with("SIGNING_SECRET_ID", "x")
            .with("PARKING_QUEUE_URL", "http://127.0.0.1:1/parked")
            .with("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead")
            .with("AWS_REGION", "us-east-1")
    };
    let found = format!("cannot listen on `{address}`");
    serve(&address).ends(
        1,
        &[
            &found,
            "something else listens there; stop it, or choose another port",
        ],
    );
    serve("8080").ends(1, &["expected ADDRESS:PORT such as `127.0.0.1:8080`"]);
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--topics-port", "--aws-port"] {
        let found = format!(
            "expected port {port} of this machine to be free for `{option}`, found it in use: choose another"
        );
        Try::new(&["local", "--once", option, &port]).ends(1, &[&found]);
    }
    let error = Try::new(&["local", "--once", "--api-key", "hunter2"]).ends(
        1,
        &["expected `--api-key` in the form of a Momento version 2 key"],
    );
    assert!(!error.contains("hunter2"), "{error}");
    Try::new(&["local", "--cache", ""]).ends(2, &["expected a name of 1 to 1024 bytes, found 0"]);
    Try::new(&["serve"]).ends(
        1,
        &[
            "set these variables",
            "`ROUTES`",
            "`SIGNING_SECRET_ID`",
            "`PARKING_QUEUE_URL`",
        ],
    );
}

#[test]
fn an_unreachable_aws_gives_a_short_error() {
    let replay = Try::new(&["replay", "--dead-letters", "--stack-name", "bridge"])
        .with("AWS_REGION", "eu-west-1")
        .with("AWS_ACCESS_KEY_ID", "x")
        .with("AWS_SECRET_ACCESS_KEY", "x")
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let error = replay.ends(
        1,
        &[
            "cannot describe the stack `bridge` in eu-west-1: Connection refused",
            "can this machine reach AWS?",
        ],
    );
    assert!(!error.contains("DispatchFailure"), "{error}");
}
