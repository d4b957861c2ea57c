use std::sync::Mutex;

use serde_json::json;

use super::super::model::Status;
use super::*;
use crate::domain::inbound::execution_name::execution_name_of;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::domain::ports::{Answer, ExecutionPage};

const NOW: i64 = 100 * 3_600_000;

struct Log {
    lines: Vec<Line>,
    windows: Mutex<Vec<Window>>,
}

fn id(at: i64) -> String {
    format!("{at:032x}")
}

fn line(at: i64) -> Line {
    let fields = json!({
        "level": "INFO", "message": "took a message", "code": "accepted", "http.status": 200, "duration_ms": 5,
        "message.id": id(at), "message.cache": "chat", "message.topic": "room-281", "message.sequence": at % 1_000,
        "message.age_ms": 5, "targets": "r0=started",
    });
    Line::read(Part::Webhook, &fields.to_string(), at).unwrap()
}

impl Logs for Log {
    fn find<'a>(&'a self, _: Part, _: &'a str, window: Window) -> Answer<'a, Vec<Line>> {
        self.windows.lock().unwrap().push(window);
        let inside = |line: &&Line| (window.since..=window.until).contains(&line.at_ms);
        let lines = self.lines.iter().filter(inside).cloned().collect();
        Box::pin(async { Ok(lines) })
    }
}

/// Executions of all arrivals at even times have succeeded.
impl Listing for Log {
    fn list<'a>(&'a self, machine: &'a str, _: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        let at = self.lines.iter().map(|line| line.at_ms);
        let executions = at.filter(|at| *at % 2 == 0).map(|at| {
            let name = execution_name_of("r0", "room-281", (at % 1_000) as u64, &id(at)[..16]);
            Execution {
                execution_arn: format!(
                    "{}:{name}",
                    machine.replace(":stateMachine:", ":execution:")
                ),
                name,
                status: "SUCCEEDED".to_owned(),
                started_at: at,
                stopped_at: Some(at + 10),
                redrive_count: 0,
            }
        });
        let page = ExecutionPage {
            executions: executions.collect(),
            next_token: None,
        };
        Box::pin(async { Ok(page) })
    }
}

async fn pages(at: Vec<i64>, filter: Filter) -> (Vec<Listed>, usize) {
    let log = Arc::new(Log {
        lines: at.into_iter().map(line).collect(),
        windows: Mutex::default(),
    });
    let arrivals = Arrivals {
        logs: log.clone(),
        listing: log.clone(),
    };
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let filter = Filter {
            before,
            ..filter.clone()
        };
        let page = arrivals
            .list(&filter, &routes(&[json!({})]), NOW)
            .await
            .unwrap();
        before = page.more;
        pages.push(page);
        if before.is_none() {
            let asked = log.windows.lock().unwrap().len();
            return (pages, asked);
        }
    }
}

#[tokio::test]
async fn pages_go_backwards_without_gap_or_repetition() {
    // Many in one millisecond, across the end of a page.
    let at: Vec<i64> = (0..90)
        .map(|n| NOW - n)
        .chain(std::iter::repeat_n(NOW - 5_000, 1))
        .chain((0..150).map(|n| NOW - 7_200_000 - n / 3 * 3))
        .collect();
    let mut times: Vec<i64> = at.clone();
    times.sort_unstable();
    times.dedup();
    times.reverse();
    let (pages, _) = pages(at, Filter::default()).await;
    let found: Vec<String> = pages
        .iter()
        .flat_map(|page| page.rows.iter().map(|row| row.id.clone()))
        .collect();
    let expected: Vec<String> = times.into_iter().map(id).collect();
    assert_eq!(found, expected);
    assert!(pages[0].rows.len() == PAGE && pages.len() == 2);
}

#[tokio::test]
async fn an_empty_day_takes_few_steps() {
    let (pages, asked) = pages(vec![NOW - 48 * 3_600_000], Filter::default()).await;
    assert!(pages[0].rows.is_empty());
    assert!(asked < 13, "{asked}");
    assert!(pages[0].note.contains("FilterLogEvents"));
}

#[tokio::test]
async fn a_key_finds_the_message_of_its_execution() {
    let routes = routes(&[json!({"to": {"stateMachine": MACHINE, "key": "json.order"}})]);
    let (_, name) = executions_of_key(&routes, "4/7").next().unwrap();
    // Two arrivals, of which the newer has this execution of a key.
    let (mut newer, older) = (line(NOW - 1), line(NOW - 2));
    newer.fields.insert("executions".to_owned(), json!(name));
    let source = Arc::new(Log {
        lines: vec![newer, older],
        windows: Mutex::default(),
    });
    let arrivals = Arrivals {
        logs: source.clone(),
        listing: source,
    };
    for (q, expected) in [("4/7", vec![id(NOW - 1)]), ("4", vec![])] {
        let filter = Filter {
            q: q.to_owned(),
            ..Filter::default()
        };
        let listed = arrivals.list(&filter, &routes, NOW).await.unwrap();
        let found: Vec<_> = listed.rows.into_iter().map(|row| row.id).collect();
        assert_eq!(found, expected, "{q}");
    }
}

#[tokio::test]
async fn states_come_from_the_lists_of_executions() {
    let (pages, _) = pages(vec![NOW - 1_000, NOW - 2_001], Filter::default()).await;
    let states: Vec<_> = pages[0].rows.iter().map(Row::status).collect();
    assert_eq!(states, [Status::Succeeded, Status::Started]);
    let only = Filter {
        status: "succeeded".to_owned(),
        ..Filter::default()
    };
    let (filtered, _) = super::tests::pages(vec![NOW - 1_000, NOW - 2_001], only).await;
    assert_eq!(filtered[0].rows.len(), 1);
}
