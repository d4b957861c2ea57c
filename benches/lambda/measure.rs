//! One run of one subject, and its start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Child;
use workflow_bridge::tools::local::topics::{TopicsOptions, TopicsServer, local_api_key};

use crate::builds;
use crate::events::{MACHINE, SECRET, event, is_good};
use crate::figures::Start;
use crate::place::Place;
use crate::runtime_api::RuntimeApi;
use crate::stubs::{Aws, Service};
use crate::subject::{Job, Name, SMALL, Subject};
use crate::tls::Authority;

/// Deadline of each step; under valgrind, everything takes fifty times as long.
const STEP_WITHIN: Duration = Duration::from_secs(120);

/// The state shared by all runs.
pub struct World {
    tls: Option<Authority>,
    topics: TopicsServer,
    key: String,
}

/// A function and its surroundings.
pub struct Running {
    child: Child,
    job: Job,
    began: Instant,
    api: RuntimeApi,
    aws: Aws,
    invoked: usize,
    /// The file with its output.
    log: PathBuf,
}

impl World {
    pub async fn new(tls: Option<Authority>) -> Result<Self> {
        let key = local_api_key();
        let options = TopicsOptions {
            keys: BTreeMap::from([(key.clone(), None)]),
            ..TopicsOptions::default()
        };
        let topics = TopicsServer::start(options).await?;
        Ok(Self { tls, topics, key })
    }

    /// The places to measure starts in.
    pub fn places(&self) -> Vec<Place> {
        let places = Place::ALL.into_iter();
        places
            .filter(|place| !place.tls || self.tls.is_some())
            .collect()
    }

    pub async fn start(&self, subject: &Subject, place: Place) -> Result<Start> {
        let mut running = self.run(subject, place, &[]).await?;
        let idle = running.idle().await?;
        let (answered, _) = running.invoke(SMALL).await?;
        let us = |at: Instant| at.duration_since(running.began).as_secs_f64() * 1e6;
        let start = Start {
            subject: subject.name,
            place,
            init_us: us(idle),
            first_us: us(answered),
        };
        running.stop().await?;
        Ok(start)
    }

    /// Starts a subject, under `wrapper` if there is one.
    pub async fn run(
        &self,
        subject: &Subject,
        place: Place,
        wrapper: &[String],
    ) -> Result<Running> {
        let job = subject.name.job();
        let secret = match job {
            Job::Publish => &self.key,
            Job::Start | Job::Nothing => SECRET,
        };
        let tls = self.tls.as_ref().filter(|_| place.tls);
        let acceptor = tls.map(|tls| tls.acceptor.clone());
        let service_time = Duration::from_millis(place.service_ms);
        let aws = Aws::start(secret, acceptor, service_time).await?;
        let api = RuntimeApi::start().await?;
        let queues = aws.endpoint(Service::Queues);
        let endpoints = Service::ALL.map(|service| (service.variable(), aws.endpoint(service)));

        let log = builds::folder().join(format!("{}.log", subject.name));
        let output = File::create(&log)?;
        let mut command = subject.command(wrapper);
        command
            .env_clear()
            // For interpreters and wrappers.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_RUNTIME_API", api.server.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_SESSION_TOKEN", "token")
            .envs(endpoints)
            .env("STATE_MACHINE_ARN", MACHINE)
            .env("ROUTES", routes())
            .env("SIGNING_SECRET_ID", "signing")
            .env("PARKING_QUEUE_URL", format!("{queues}/1/parked"))
            .env("DEAD_LETTER_QUEUE_URL", format!("{queues}/1/dead"))
            .env("MOMENTO_SECRET_ID", "momento")
            .env("MOMENTO_ENDPOINT", self.topics.endpoint())
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .kill_on_drop(true);
        if subject.name == Name::WebhookCollected {
            command.env("ROUTES_TABLE", "table");
        }
        if let Some(tls) = tls {
            command
                .env("AWS_CA_BUNDLE", &tls.own_root)
                .env("NODE_EXTRA_CA_CERTS", &tls.own_root)
                .env("SSL_CERT_FILE", &tls.all_roots);
        }
        let began = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", subject.name))?;
        Ok(Running {
            child,
            job,
            began,
            api,
            aws,
            invoked: 0,
            log,
        })
    }
}

impl Running {
    /// Waits until the function asks for its next event, and returns the time.
    pub async fn idle(&mut self) -> Result<Instant> {
        let idle = self.api.idle();
        unless_ended(&mut self.child, &self.log, idle).await
    }

    /// Invokes the idle function; returns the time of its answer, and its duration.
    pub async fn invoke(&mut self, size: usize) -> Result<(Instant, Duration)> {
        let event = event(self.job, self.invoked, size);
        self.invoked += 1;
        let answer = self.api.invoke(event);
        let (at, took, answer) = unless_ended(&mut self.child, &self.log, answer).await?;
        ensure!(
            is_good(self.job, &answer),
            "expected success, found the answer {}{}",
            String::from_utf8_lossy(&answer),
            last_lines(&self.log)
        );
        Ok((at, took))
    }

    /// The id of its process.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the function has ended")
    }

    /// Ends the function, and checks the number of started executions.
    pub async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()?)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("expected the id of a process")?;
        // Terminated, not killed, so that valgrind writes its counts.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait().await?;
        let expected = if self.job == Job::Start {
            self.invoked
        } else {
            0
        };
        let started = self.aws.started.get();
        ensure!(
            started == expected,
            "expected {expected} started executions, found {started}"
        );
        Ok(())
    }
}

/// The result of `happens`, unless the function ends first or the deadline passes.
async fn unless_ended<T>(
    child: &mut Child,
    log: &Path,
    happens: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        result = happens => result,
        status = child.wait() => bail!("the function ended with {}{}", status?, last_lines(log)),
        () = tokio::time::sleep(STEP_WITHIN) => bail!("the function hangs{}", last_lines(log)),
    }
}

/// The last lines of the function's output.
fn last_lines(log: &Path) -> String {
    let log = fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    format!("; it wrote\n{last}")
}

/// One route, which takes every message.
fn routes() -> String {
    let routes = serde_json::json!({
        "routes": [{"name": "uppercase", "from": {"cache": "chat", "topic": "in"}, "to": {"stateMachine": MACHINE}}],
    });
    routes.to_string()
}
