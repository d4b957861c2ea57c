//! A function and its surroundings.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::process::{Child, Command};
use workflow_bridge::tools::local::process::last_lines;
use workflow_bridge::tools::local::topics::{TopicsOptions, TopicsServer, local_api_key};

use crate::answers::MACHINE;
use crate::aws::{Account, Place};
use crate::events::is_good;
use crate::runtime_api::RuntimeApi;
use crate::serving::file;
use crate::subject::{COLLECTED, Subject, folder};

/// A function's time-out on Lambda.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Deadline of each step; under valgrind, everything takes fifty times as long.
const STEP_WITHIN: Duration = Duration::from_secs(120);
/// Files of the system's trusted roots.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The state shared by all runs.
pub struct World {
    pub places: Vec<Place>,
    account: Account,
    topics: TopicsServer,
    /// The system's roots and the endpoints' one, for functions that read the system's at their start.
    roots: PathBuf,
}

/// A running function.
pub struct Function<'a> {
    world: &'a World,
    subject: &'a Subject,
    child: Child,
    api: RuntimeApi,
    began: Instant,
    /// From the process's start to its first request for an event.
    pub init: Duration,
    /// The file with its output.
    log: PathBuf,
}

impl World {
    pub async fn start() -> Result<Self> {
        let system = SYSTEM_ROOTS.iter().find_map(|file| fs::read(file).ok());
        let mut roots = system.context("expected a file with the system's trusted roots")?;
        roots.extend(fs::read(file("authority.pem"))?);
        let file = folder().join("roots.pem");
        fs::write(&file, roots)?;

        let key = local_api_key();
        let topics = TopicsServer::start(TopicsOptions {
            keys: [(key.clone(), None)].into(),
            ..TopicsOptions::default()
        });
        let account = Account {
            started: Default::default(),
            key: key.into(),
        };
        let mut places = Vec::new();
        for (tls, service_ms) in [(false, 0), (true, 0), (false, 5), (true, 5)] {
            places.push(Place::start(tls, service_ms, &account).await);
        }
        Ok(Self {
            places,
            account,
            topics: topics.await?,
            roots: file,
        })
    }
}

impl<'a> Function<'a> {
    /// Starts a subject, under `wrapper` if there is one, and waits until it asks for an event.
    pub async fn start(
        world: &'a World,
        subject: &'a Subject,
        place: &Place,
        wrapper: &[&str],
    ) -> Result<Self> {
        let api = RuntimeApi::start(TIMEOUT).await;
        let log = folder().join(format!("{}.log", subject.name));
        let output = File::create(&log)?;
        let wrapper = wrapper.iter().map(PathBuf::from);
        let mut words = wrapper.chain(subject.command.clone());
        let mut command = Command::new(words.next().context("expected a program")?);
        let routes = json!({"routes": [
            {"name": "uppercase", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}},
        ]});
        command
            .args(words)
            .env_clear()
            // For interpreters and wrappers.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_SESSION_TOKEN", "token")
            .envs(place.endpoints.iter().map(|(name, url)| (name, url)))
            .env("STATE_MACHINE_ARN", MACHINE)
            .env("ROUTES", routes.to_string())
            .env("SIGNING_SECRET_ID", "signing")
            .env("PARKING_QUEUE_URL", "http://127.0.0.1/parked")
            .env("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1/dead")
            .env("MOMENTO_SECRET_ID", "momento")
            .env("MOMENTO_ENDPOINT", world.topics.endpoint())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .kill_on_drop(true);
        if subject.name == COLLECTED {
            command.env("ROUTES_TABLE", "table");
        }
        if place.tls {
            command
                .env("AWS_CA_BUNDLE", file("authority.pem"))
                .env("NODE_EXTRA_CA_CERTS", file("authority.pem"))
                .env("SSL_CERT_FILE", &world.roots);
        }
        let began = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", subject.name))?;
        let mut function = Self {
            world,
            subject,
            child,
            api,
            began,
            init: Duration::ZERO,
            log,
        };
        let idle = unless_ended(&mut function.child, &function.log, function.api.idle()).await?;
        function.init = idle - began;
        Ok(function)
    }

    /// Hands over an event, and waits until the function asks for the next one; returns the time of its answer, since its
    /// start and since the event.
    pub async fn invoke(&mut self, event: String) -> Result<(Duration, Duration)> {
        let started = || self.world.account.started.load(Ordering::Relaxed);
        let before = started();
        let sent = Instant::now();
        let answer = self.api.invoke(event);
        let (at, answer) = unless_ended(&mut self.child, &self.log, answer).await?;
        let expected = usize::from(self.subject.starts_an_execution());
        ensure!(
            is_good(self.subject.publishes(), &answer) && started() - before == expected,
            "expected success and {expected} started executions, found {} and the answer {}",
            started() - before,
            String::from_utf8_lossy(&answer)
        );
        unless_ended(&mut self.child, &self.log, self.api.idle()).await?;
        Ok((at - self.began, at - sent))
    }

    /// The id of its process.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the function has ended")
    }

    /// Ends the function.
    pub async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_raw(self.pid()?.cast_signed());
        let pid = pid.context("expected the id of a process")?;
        // Terminated, not killed, so that valgrind writes its counts.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait().await?;
        Ok(())
    }
}

/// The result of `happens`, unless the function ends first or the deadline passes.
async fn unless_ended<T>(
    child: &mut Child,
    log: &Path,
    happens: impl Future<Output = T>,
) -> Result<T> {
    let why = tokio::select! {
        result = happens => return Ok(result),
        status = child.wait() => format!("ended with {}", status?),
        () = tokio::time::sleep(STEP_WITHIN) => "hangs".to_owned(),
    };
    let log = fs::read(log).unwrap_or_default();
    bail!(
        "the function {why}; it wrote\n{}",
        last_lines(&String::from_utf8_lossy(&log), 20)
    )
}
