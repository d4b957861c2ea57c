//! The console's pages against the deployed stack.

use reqwest::header::{COOKIE, LOCATION, ORIGIN};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::OnceCell;
use workflow_bridge::tools::console::{Console, Webhook};
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::place::Place;

use crate::deployed::{RUNTIME, SOON, stack};
use crate::messages::{body, post, until};

/// A browser without a window.
struct Browser {
    http: Client,
    address: String,
    cookie: String,
    _console: Console,
}

impl Browser {
    /// Opens the printed address.
    async fn open(console: Console) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none());
        let http = http.build().unwrap();
        let entered = http.get(console.url()).send().await.unwrap();
        assert_eq!(entered.status(), StatusCode::SEE_OTHER);
        let cookie = entered.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let address = console.address().trim_end_matches('/').to_owned();
        Self {
            http,
            address,
            cookie,
            _console: console,
        }
    }

    async fn get(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.address));
        let response = request.header(COOKIE, &self.cookie).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// Sends a form; the address it leads to, or its page.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let mut url = reqwest::Url::parse("http://x").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        let request = self.http.post(format!("{}{path}", self.address));
        let request = request
            .header(COOKIE, &self.cookie)
            .header(ORIGIN, &self.address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(url.query().unwrap_or_default().to_owned());
        let response = request.send().await.unwrap();
        match response.headers().get(LOCATION) {
            Some(to) => Ok(to.to_str().unwrap().to_owned()),
            None => Err(response.text().await.unwrap()),
        }
    }

    /// Publishes in the form; the address of the run.
    async fn publish(&self, topic: &str, text: &str) -> String {
        let fields = [("cache", "demo"), ("topic", topic), ("text", text)];
        self.post("/publish", &fields).await.unwrap()
    }

    /// Waits until the page has all of these.
    async fn shows(&self, path: &str, parts: &[&str]) -> String {
        let mut page = String::new();
        until(&format!("{parts:?} on {path}"), async || {
            page = self.get(path).await;
            parts.iter().all(|part| page.contains(part))
        })
        .await;
        page
    }
}

/// The console of the shared stack, which lists messages from the first test on.
async fn live() -> &'static Browser {
    static LIVE: OnceCell<Browser> = OnceCell::const_new();
    let open = async || Browser::open(Console::local(stack().await, Some(0)).await.unwrap()).await;
    LIVE.get_or_init(open).await
}

#[test]
fn a_message_of_the_form_shows_with_its_result() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let run = browser
            .publish("uppercase-in", "shown in the console")
            .await;
        let list = browser
            .shows("/?topic=uppercase-in", &[&run, "succeeded"])
            .await;
        assert!(list.contains("shown in the console"));
        let parts = [
            "SHOWN IN THE CONSOLE",
            "published to demo/uppercase-out",
            "<svg xmlns=",
        ];
        let page = browser.shows(&run, &parts).await;
        assert!(
            page.contains("visit succeeded") && !page.contains("visit failed"),
            "{page}"
        );
        let json = browser.get(&format!("{run}.json")).await;
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["messages"][0]["routes"][0]["state"], "published");
        let answer = browser
            .post(&format!("{run}/deliver"), &[])
            .await
            .unwrap_err();
        assert!(answer.contains("duplicate"), "{answer}");
    });
}

#[test]
fn the_list_is_live() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let request = browser
            .http
            .get(format!("{}/events?q=live+row", browser.address));
        let mut stream = request
            .header(COOKIE, &browser.cookie)
            .send()
            .await
            .unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        let run = browser.publish("uppercase-in", "a live row").await;
        let mut text = String::new();
        let seen = async {
            while !(text.contains(&run) && text.contains("succeeded")) {
                let chunk = stream.chunk().await.unwrap().unwrap();
                text += &String::from_utf8_lossy(&chunk);
            }
        };
        let seen = tokio::time::timeout(SOON, seen).await;
        assert!(seen.is_ok(), "{text}");
    });
}

#[test]
fn a_failed_run_names_its_state_and_cause() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let run = browser.publish("fails-in", "to fail").await;
        let page = browser
            .shows(&run, &["Example.Broken", "it was asked to", "Failed in"])
            .await;
        let (_, panel) = page.split_once("<details class=\"visit failed\"").unwrap();
        let (tag, _) = panel.split_once('>').unwrap();
        assert!(tag.contains(" open"), "{tag}");
        let events = page.split_once("href=\"/executions/events?").unwrap().1;
        let events = events.split_once('"').unwrap().0.replace("&amp;", "&");
        let events = browser.get(&format!("/executions/events?{events}")).await;
        assert!(events.contains("ExecutionFailed"), "{events}");
        browser.shows("/?status=failed", &[&run]).await;
    });
}

#[test]
fn hostile_names_and_texts_are_harmless() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let hostile = "<script>alert('x')</script>\"\u{202e}\u{7}";
        let run = browser.publish(hostile, hostile).await;
        for path in [&run, "/?q=alert"] {
            let page = browser.shows(path, &["&lt;script&gt;alert"]).await;
            for part in ["<script>alert", "\u{202e}", "\u{7}"] {
                assert!(!page.contains(part), "{part:?} on {path}");
            }
        }
        let unsafe_name = browser
            .post("/publish", &[("cache", "<b>"), ("topic", "t")])
            .await;
        let refused = unsafe_name.unwrap_err();
        assert!(
            refused.contains("&lt;b&gt;") && !refused.contains("<b>"),
            "{refused}"
        );
    });
}

#[test]
fn a_dead_letter_goes_back() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let (status, answer) = post(stack().await, &body("no-such-route", 1, "lost")).await;
        assert_eq!((status, answer["code"].as_str()), (200, Some("unrouted")));
        let id = answer["id"].as_str().unwrap();
        let filtered = format!("/letters?id={id}");
        browser
            .shows(&filtered, &["demo/no-such-route#1", "unrouted", "Put back"])
            .await;
        browser
            .shows(&format!("/runs/{id}"), &["dead letter", "Put back", "lost"])
            .await;
        let fields = [("queue", "messages"), ("id", id), ("dry", "true")];
        let dry = browser.post("/letters/back", &fields).await.unwrap_err();
        assert!(dry.contains("Put 1 back"), "{dry}");
        let back = browser
            .post("/letters/back", &fields[..2])
            .await
            .unwrap_err();
        assert!(back.contains("<strong>1</strong>"), "{back}");
        assert!(back.contains("are back on their path"), "{back}");
    });
}

#[test]
fn a_waiting_task_is_answered() {
    RUNTIME.block_on(async {
        let browser = live().await;
        let run = browser.publish("asks-in", "may I?").await;
        let page = browser
            .shows(&run, &["This task waits for an answer"])
            .await;
        let (_, token) = page.split_once("name=\"token\" value=\"").unwrap();
        let (token, _) = token.split_once('"').unwrap();
        let id = run.strip_prefix("/runs/").unwrap();
        let fields = [("token", token), ("output", "{\"yes\":true}"), ("run", id)];
        assert_eq!(browser.post("/tasks/answer", &fields).await.unwrap(), run);
        browser
            .shows(&run, &["visit succeeded", "published to demo/asks-out"])
            .await;

        let other = browser.publish("asks-in", "may I, too?").await;
        let page = browser.shows(&other, &["/executions/stop"]).await;
        let (_, arn) = page.split_once("name=\"arn\" value=\"").unwrap();
        let (arn, _) = arn.split_once('"').unwrap();
        let id = other.strip_prefix("/runs/").unwrap();
        browser
            .post("/executions/stop", &[("arn", arn), ("run", id)])
            .await
            .unwrap();
        browser.shows(&other, &["WorkflowBridge.Stopped"]).await;
    });
}

#[test]
fn routes_and_queues_are_those_of_the_stack() {
    RUNTIME.block_on(async {
        let browser = live().await;
        browser
            .shows("/routes", &["uppercase-in", "approve-answers", "event bus"])
            .await;
        let path = "/routes?cache=demo&topic=orders-in&text=%7B%22kind%22%3A%22order%22%7D";
        browser.shows(path, &["wholesale-orders-in-1-"]).await;
        browser
            .shows(
                "/queues",
                &[
                    "parked",
                    "dead letters of results",
                    "largest parked_age ≥ 15 min in 1 of 30 periods of 5 min",
                    "not evaluated locally",
                    "this stack has none",
                ],
            )
            .await;
        browser
            .shows("/runbooks/parked", &["Runbook: parked"])
            .await;
    });
}

/// The same pages from the logs, as for a stack on AWS.
async fn logged(stack: &Stack, changes: bool) -> Browser {
    let account = stack.account();
    let place = Place::local(account, stack.outputs().clone());
    let webhook = Webhook {
        url: Some(stack.webhook_url().to_owned()),
        secret: None,
    };
    let console = Console::of_place(place, webhook, None, changes, Some(0)).await;
    Browser::open(console.unwrap()).await
}

#[test]
fn a_stack_is_shown_by_its_logs() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let browser = logged(stack, true).await;
        let (status, answer) = post(stack, &body("logged-in", 7, "by the logs")).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["id"].as_str().unwrap();
        let list = format!("/?topic=logged-in&q={}", &id[..16]);
        let page = browser.shows(&list, &[id, "succeeded"]).await;
        assert!(
            page.contains("FilterLogEvents") && !page.contains("data-stream"),
            "{page}"
        );
        // The value is in the execution's input.
        let run = format!("/runs/{id}");
        browser.shows(&run, &["by the logs", "Deliver again"]).await;
        let delivered = browser
            .post(&format!("{run}/deliver"), &[])
            .await
            .unwrap_err();
        assert!(delivered.contains("duplicate"), "{delivered}");
        let unpublished = browser
            .post("/publish", &[("cache", "demo"), ("topic", "t")])
            .await;
        assert!(unpublished.unwrap_err().contains("MOMENTO_API_KEY"));
        let reader = logged(stack, false).await;
        let refused = reader
            .post(&format!("{run}/deliver"), &[])
            .await
            .unwrap_err();
        assert!(refused.contains("--allow-changes"), "{refused}");
        let shown = reader.get(&run).await;
        assert!(!shown.contains("Deliver again"), "{shown}");
    });
}

#[test]
fn a_taken_port_is_replaced_unless_it_is_asked_for() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let first = Console::local(stack, Some(0)).await.unwrap();
        let port = first
            .address()
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap()
            .parse();
        let error = Console::local(stack, port.ok()).await.err().unwrap();
        assert!(format!("{error:#}").contains("--console-port"), "{error:#}");
        // The token is the same at every start, so that open pages survive a restart.
        let second = Console::local(stack, Some(0)).await.unwrap();
        let token = |console: &Console| console.url().rsplit('=').next().unwrap().to_owned();
        assert_eq!(token(&first), token(&second));
    });
}
