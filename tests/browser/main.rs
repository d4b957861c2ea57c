//! The console in a real browser, against a real local stack.

#![cfg(feature = "cli")]

mod chrome;
#[path = "../shared/mod.rs"]
#[expect(dead_code, reason = "part of it is for the other test binaries")]
mod shared;

use anyhow::Result;
use serde_json::{Value, json};
use workflow_bridge::tools::console::Console;
use workflow_bridge::tools::local::topics::broker;
use workflow_bridge::tools::local::{Options, Stack};
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use self::chrome::Chrome;
use self::shared::{RUNTIME, binaries, example};

const HOSTILE: &str = "<script>alert(1)</script>\"'<img src=x onerror=alert(2)>\u{202e}\u{7}";

/// Checks an order in two branches, of which one goes through its items.
fn orders() -> Value {
    json!({
        "QueryLanguage": "JSONata", "StartAt": "Read order",
        "States": {
            "Read order": {"Type": "Pass", "Assign": {"order": "{% $states.input.message.json %}"}, "Output": "{% $states.input.message.json %}", "Next": "Check all"},
            "Check all": {"Type": "Parallel", "Branches": [
                {"StartAt": "Each item", "States": {"Each item": {
                    "Type": "Map", "Items": "{% $states.input.items %}", "End": true,
                    "ItemProcessor": {"StartAt": "Price", "States": {
                        "Price": {"Type": "Pass", "Output": {"sum": "{% $states.input.count * $states.input.price %}"}, "End": true},
                    }},
                }}},
                {"StartAt": "Has customer", "States": {
                    "Has customer": {"Type": "Choice", "Choices": [{"Condition": "{% $exists($states.input.customer) %}", "Next": "Greet"}], "Default": "No customer"},
                    "Greet": {"Type": "Pass", "Output": "{% 'hello ' & $states.input.customer %}", "End": true},
                    "No customer": {"Type": "Fail", "Error": "OrderNoCustomer", "Cause": "expected a customer, found none: name one"},
                }},
            ], "Next": "Sum up"},
            "Sum up": {"Type": "Pass", "Output": {"done": true}, "Next": "Done"},
            "Done": {"Type": "Succeed"},
        },
    })
}

fn extend(template: &mut Value) -> Result<()> {
    add_state_machine(template, "OrdersStateMachine", "STANDARD", orders())?;
    let route = json!({
        "name": "check-orders", "from": {"cache": "demo", "topic": "orders-to-check"},
        "to": {"stateMachine": {"Ref": "OrdersStateMachine"}},
        "reply": {"topics": ["orders-checked"], "failures": ["orders-failed"]},
    });
    add_routes(template, &[route])
}

async fn stack() -> Stack {
    let mut options = Options::new(binaries()).unwrap();
    options.edit = Box::new(extend);
    options.with = vec![example("approve"), example("count"), example("on-the-bus")];
    Stack::start(options).await.unwrap()
}

/// One test after the other, with one stack and one browser.
#[test]
fn the_console_works_in_a_browser() {
    let (stack, console) = RUNTIME.block_on(async {
        let stack = stack().await;
        let console = Console::local(&stack, Some(0)).await.unwrap();
        (stack, console)
    });
    let mut chrome = Chrome::start();
    let page = Page {
        address: console.address().trim_end_matches('/').to_owned(),
        stack: &stack,
    };
    chrome.resize(1280, 860, false);
    chrome.open(&console.url());
    assert_eq!(
        chrome.value("location.search"),
        "",
        "the token left the address"
    );
    chrome.shows("No message yet");

    page.a_published_message_comes_back(&mut chrome);
    page.a_failed_run_opens_on_its_state(&mut chrome);
    page.the_list_is_live_and_filtered(&mut chrome);
    page.hostile_messages_are_harmless(&mut chrome);
    page.a_task_is_answered(&mut chrome);
    page.a_dead_letter_goes_back(&mut chrome);
    page.it_works_without_scripts(&mut chrome);
    page.it_fits_a_phone(&mut chrome);
    assert_eq!(chrome.complaints, [""; 0]);
    page.other_pages_are_refused(&mut chrome);

    drop(console);
    RUNTIME.block_on(stack.stop());
}

struct Page<'a> {
    address: String,
    stack: &'a Stack,
}

impl Page<'_> {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn publish(&self, chrome: &mut Chrome, topic: &str, text: &str) {
        chrome.open(&self.at("/publish"));
        chrome.fill("#topic", topic);
        chrome.fill("#text", text);
        chrome.click("form.publish button");
        chrome.until("location.pathname.startsWith('/runs/')");
    }

    fn a_published_message_comes_back(&self, chrome: &mut Chrome) {
        chrome.open(&self.at("/publish"));
        chrome.fill("#text", "{\"a\":");
        chrome.shows("not JSON yet");
        chrome.fill("#text", "{\"a\":1}");
        chrome.shows("7 of 4096 bytes; valid JSON");
        chrome.picture("publish");
        self.publish(chrome, "uppercase-in", "hello");
        // Without a reload.
        chrome.shows("published to demo/uppercase-out");
        chrome.shows("HELLO");
        chrome.until("document.querySelectorAll('svg.graph .state.succeeded').length === 2");
    }

    fn a_failed_run_opens_on_its_state(&self, chrome: &mut Chrome) {
        let items = json!([{"count": 2, "price": 10}, {"count": 1, "price": 5}]);
        let good = json!({"customer": "Ada", "items": items});
        self.publish(chrome, "orders-to-check", &good.to_string());
        chrome.shows("published to demo/orders-checked");
        chrome.picture("succeeded");
        self.publish(
            chrome,
            "orders-to-check",
            &json!({"items": items}).to_string(),
        );
        chrome.shows("Failed in");
        chrome.shows("expected a customer, found none: name one");
        chrome.until("document.querySelector('details.visit.failed[open]')");
        chrome.shows("published to demo/orders-failed");
        // A click on a state opens its panel.
        chrome.click("svg.graph .state[data-state='Read order']");
        chrome.until("document.querySelector('details.visit.chosen[open] strong')?.innerText === 'Read order'");
        chrome.value("scrollTo(0, 0)");
        chrome.picture("failed");
    }

    fn the_list_is_live_and_filtered(&self, chrome: &mut Chrome) {
        chrome.open(&self.at("/"));
        chrome.shows("failed");
        let rows = "document.querySelectorAll('#runs tbody tr').length";
        let before = chrome.value(rows).as_u64().unwrap();
        chrome.until("document.getElementById('live').innerText === 'live'");
        for wave in 0..20_u64 {
            for number in wave * 10..wave * 10 + 10 {
                let text = format!("message {number}");
                let topic = ["uppercase-in", "count-in", "on-the-bus-in"][(number % 3) as usize];
                let topics = self.stack.topics();
                topics.publish("demo", topic, text.as_str()).unwrap();
            }
            chrome.until(&format!("{rows} >= {}", before + wave * 10 + 10));
            chrome.until(
                "!document.querySelector('#runs tr.on_its_way, #runs tr.running, #runs tr.started')",
            );
        }
        chrome.open(&self.at("/"));
        chrome.until(&format!("{rows} === 100"));
        chrome.click("#more");
        chrome.until(&format!("{rows} === 200"));
        chrome.press("/");
        chrome.until("document.activeElement.id === 'search'");
        chrome.fill("#search", "message 199");
        chrome.click("form.filters button");
        chrome.until(&format!(
            "location.search.includes('q=message+199') && {rows} === 1"
        ));
    }

    fn hostile_messages_are_harmless(&self, chrome: &mut Chrome) {
        self.publish(chrome, HOSTILE, HOSTILE);
        chrome.shows("<script>alert(1)</script>");
        chrome.shows("\\u{202e}");
        let topics = self.stack.topics();
        let bytes = broker::Value::Binary(vec![0xff, 0xfe, 0, 0x9f]);
        topics.publish("demo", "uppercase-in", bytes).unwrap();
        chrome.open(&self.at("/?show=all"));
        chrome.shows("binary, 4 B");
        assert_eq!(
            chrome.value("document.querySelectorAll('main script, main img').length"),
            0
        );
        // 256 KB: of the webhook's own caller, since a topic message is smaller.
        let large = "x".repeat(256 * 1024);
        let run = RUNTIME.block_on(self.post("uppercase-in", &large));
        chrome.open(&self.at(&format!("/runs/{run}")));
        chrome.shows("Show all");
        assert!(
            chrome
                .value("document.body.innerText.length")
                .as_u64()
                .unwrap()
                < 60_000
        );
    }

    /// Posts a message to the webhook, signed; its id.
    async fn post(&self, topic: &str, text: &str) -> String {
        let now = workflow_bridge::clock::now_ms();
        let body = json!({
            "cache": "demo", "topic": topic, "event_timestamp": now, "publish_timestamp": now,
            "topic_sequence_number": 1_000_000, "token_id": "", "text": text,
        });
        let body = body.to_string();
        let secret = self.stack.signing_secret();
        let sign = workflow_bridge::domain::inbound::signature::sign;
        let request = reqwest::Client::new()
            .post(self.stack.webhook_url())
            .header("momento-signature", sign(secret, body.as_bytes()))
            .body(body);
        let answer = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    fn a_task_is_answered(&self, chrome: &mut Chrome) {
        self.publish(chrome, "approve-in", "May we ship it?");
        chrome.shows("This task waits for an answer");
        chrome.click(".answer form:not(.pair) button");
        chrome.shows("published to demo/approve-out");
        chrome.shows("approved");
    }

    fn a_dead_letter_goes_back(&self, chrome: &mut Chrome) {
        let id = RUNTIME.block_on(self.post("nobody-listens", "lost"));
        chrome.open(&self.at("/queues"));
        let row = |alarm: &str| {
            format!(
                "document.querySelector(`.alarms a[href='/runbooks/{alarm}']`).closest('tr').innerText"
            )
        };
        chrome.until(&format!("{}.includes('✓')", row("result-dead-letters")));
        chrome.until(&format!("{}.includes('✗')", row("dead-letters")));
        let age = "[...document.querySelectorAll('.queues tr')].find(row => row.innerText.startsWith('dead letters\\t'))";
        chrome.until(&format!("/ (ms|s|min)/.test({age}.innerText)"));
        chrome.picture("queues");
        chrome.resize(1280, 860, true);
        chrome.picture("queues-dark");
        chrome.resize(1280, 860, false);
        chrome.click("a[href='/runbooks/dead-letters']");
        chrome.shows("Runbook: dead-letters");
        chrome.picture("runbook");
        chrome.open(&self.at("/letters"));
        chrome.shows("demo/nobody-listens#1000000");
        chrome.picture("letters");
        chrome.open(&self.at(&format!("/letters?id={id}")));
        chrome.click(".letter form button");
        chrome.shows("are back on their path");
        chrome.open(&self.at("/routes"));
        chrome.shows("check-orders");
        chrome.picture("routes");
    }

    fn it_works_without_scripts(&self, chrome: &mut Chrome) {
        chrome.scripts(false);
        chrome.open(&self.at("/?q=hello"));
        chrome.click("#runs td.message > a");
        chrome.shows("HELLO");
        chrome.scripts(true);
    }

    fn it_fits_a_phone(&self, chrome: &mut Chrome) {
        chrome.resize(390, 800, true);
        for path in [
            "/",
            "/publish",
            "/routes",
            "/letters",
            "/queues",
            "/?q=OrderNoCustomer",
        ] {
            chrome.open(&self.at(path));
            let wide = chrome
                .value("document.documentElement.scrollWidth")
                .as_u64();
            assert!(wide <= Some(390), "{path} is {wide:?} wide");
            if path == "/queues" {
                chrome.picture("phone-queues");
            }
        }
        chrome.click("#runs td.message > a");
        chrome.shows("Failed in");
        let wide = chrome
            .value("document.documentElement.scrollWidth")
            .as_u64();
        assert!(wide <= Some(390), "a run is {wide:?} wide");
        chrome.picture("phone");
        chrome.open(&self.at("/"));
        chrome.picture("phone-runs");
        chrome.resize(1280, 860, false);
        chrome.open(&self.at("/"));
        chrome.picture("runs");
    }

    /// A page of another origin: the cookie stays at home, and a form is refused.
    fn other_pages_are_refused(&self, chrome: &mut Chrome) {
        let port = self.address.rsplit(':').next().unwrap();
        // The same machine by another name is another site.
        chrome.open(&format!("http://localhost:{port}/"));
        chrome.shows("expected the console's token");
        let posted = chrome.value(&format!(
            "fetch('{}/publish', {{method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams({{cache: 'demo', topic: 'forged', text: 'x'}})}}).then(() => 'sent', () => 'refused')",
            self.address
        ));
        assert!(posted == "sent" || posted == "refused", "{posted}");
        chrome.open(&self.at("/?topic=forged"));
        chrome.shows("No message passes these filters");
    }
}
