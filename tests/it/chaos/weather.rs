//! A seeded schedule of faults.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::faulty::{Dependency, FaultyStack};
use crate::messages::{deliver_end_events, put_secret};
use crate::proxy::{Fault, Span};

const KILLED: [&str; 3] = ["WebhookFunction", "RedriveFunction", "CompletionFunction"];

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// How often a fault was switched on, by dependency and kind.
    pub faults: BTreeMap<(Dependency, &'static str), usize>,
    /// Processes killed, by function.
    pub kills: BTreeMap<&'static str, usize>,
    /// How often the events of ended executions were switched off for a while.
    pub silences: usize,
    /// How often all targets and queues were down at once.
    pub storms: usize,
    /// How often the signing secret was rotated.
    pub rotations: usize,
}

/// Injects faults until `ended` has no sender left. The last faults stay.
pub async fn blow(
    stack: &FaultyStack,
    seed: u64,
    secret: &Mutex<String>,
    ended: watch::Receiver<()>,
) -> Weather {
    let mut seeds = Rng::with_seed(seed);
    let storm = Cell::new(false);
    let faults = Dependency::ALL.map(|dependency| {
        let rng = seeds.fork();
        faults(stack, dependency, &storm, rng, ended.clone())
    });
    let kills = kills(stack, seeds.fork(), ended.clone());
    let silences = silences(stack, seeds.fork(), ended.clone());
    let storms = storms(stack, &storm, seeds.fork(), ended.clone());
    let rotations = rotations(stack, secret, seeds.fork(), ended);
    let (faults, kills, silences, storms, rotations) =
        tokio::join!(join_all(faults), kills, silences, storms, rotations);
    Weather {
        faults: faults.into_iter().flatten().collect(),
        kills,
        silences,
        storms,
        rotations,
    }
}

/// Rotates the signing secret, then the sender's. Two rotations are further apart than a delivery takes, because only the
/// current and the previous secret are accepted.
async fn rotations(
    stack: &FaultyStack,
    secret: &Mutex<String>,
    mut rng: Rng,
    mut ended: watch::Receiver<()>,
) -> usize {
    let mut count = 0;
    while wait(rng.u64(12_000..25_000), &mut ended).await {
        count += 1;
        let new = format!("secret {count}");
        put_secret(&stack.stack, "SigningSecret", &new).await;
        *secret.lock().unwrap() = new;
    }
    count
}

/// Waits `ms`; false if the run ends first.
async fn wait(ms: u64, ended: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        () = sleep(Duration::from_millis(ms)) => true,
        // Nothing is ever sent: this resolves when the sender is dropped.
        _ = ended.changed() => false,
    }
}

async fn faults(
    stack: &FaultyStack,
    dependency: Dependency,
    storm: &Cell<bool>,
    mut rng: Rng,
    mut ended: watch::Receiver<()>,
) -> BTreeMap<(Dependency, &'static str), usize> {
    let proxy = stack.proxy(dependency);
    let mut count = BTreeMap::new();
    while wait(rng.u64(300..3000), &mut ended).await {
        let (kind, fault) = fault(&mut rng, dependency);
        let span = if rng.u8(..4) == 0 {
            Span::Once
        } else {
            Span::Until
        };
        *count.entry((dependency, kind)).or_default() += 1;
        proxy.fault(fault, span);
        // Most faults end while the webhook still retries; a few outlast it.
        let ms = if rng.u8(..5) == 0 {
            rng.u64(3000..6000)
        } else {
            rng.u64(100..1500)
        };
        if !wait(ms, &mut ended).await {
            break;
        }
        // The end of a storm heals everything.
        if !storm.get() {
            proxy.heal().unwrap();
        }
    }
    count
}

/// Faults in all targets and queues at once: no message can be taken.
async fn storms(
    stack: &FaultyStack,
    storm: &Cell<bool>,
    mut rng: Rng,
    mut ended: watch::Receiver<()>,
) -> usize {
    let mut count = 0;
    while wait(rng.u64(3000..9000), &mut ended).await {
        count += 1;
        storm.set(true);
        for dependency in [
            Dependency::StepFunctions,
            Dependency::EventBridge,
            Dependency::Sqs,
        ] {
            let (_, fault) = fault(&mut rng, dependency);
            stack.proxy(dependency).fault(fault, Span::Until);
        }
        let goes_on = wait(rng.u64(1000..5000), &mut ended).await;
        storm.set(false);
        if !goes_on {
            break;
        }
        stack.heal().unwrap();
    }
    count
}

fn fault(rng: &mut Rng, dependency: Dependency) -> (&'static str, Fault) {
    let kinds = match dependency {
        Dependency::EventBridge | Dependency::Momento => 9,
        _ => 8,
    };
    match rng.u8(..kinds) {
        0 => ("refuses", Fault::Refuse),
        1 => ("hangs", Fault::Hang),
        2 => ("answers 429", Fault::Status(429)),
        3 => ("answers 500", Fault::Status(500)),
        4 => ("answers 503", Fault::Status(503)),
        5 => ("loses answers", Fault::LoseReply),
        6 => {
            let delay = Duration::from_millis(rng.u64(100..2000));
            ("is slow", Fault::Delay(delay))
        }
        7 => ("breaks off answers", Fault::ResetMidBody),
        _ if dependency == Dependency::Momento => ("resets streams", Fault::ResetStream),
        _ => ("takes no event", Fault::PartialFailure),
    }
}

async fn kills(
    stack: &FaultyStack,
    mut rng: Rng,
    mut ended: watch::Receiver<()>,
) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    while wait(rng.u64(400..2500), &mut ended).await {
        let function = KILLED[rng.usize(..KILLED.len())];
        let killed = stack.stack.kill_functions(function).unwrap();
        *count.entry(function).or_default() += killed;
    }
    count
}

async fn silences(stack: &FaultyStack, mut rng: Rng, mut ended: watch::Receiver<()>) -> usize {
    let mut count = 0;
    while wait(rng.u64(2000..6000), &mut ended).await {
        count += 1;
        deliver_end_events(&stack.stack, false).await;
        if !wait(rng.u64(200..1500), &mut ended).await {
            break;
        }
        deliver_end_events(&stack.stack, true).await;
    }
    count
}
