//! Chromium without a window, driven by its DevTools protocol over a pipe.
//!
//! The protocol is JSON with a NUL after each message, on the file descriptors 3 and 4. The crates for it bring a generated
//! type for each of its thousands of messages; these pages need six.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// How long a condition may take.
const SOON: Duration = Duration::from_secs(60);

/// Its names in distributions.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A browser with one page.
pub struct Chrome {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    next: u64,
    profile: PathBuf,
    /// Messages of the page's console, and refusals of its policy.
    pub complaints: Vec<String>,
}

impl Chrome {
    /// Starts the browser of the variable `CHROMIUM`, or of the path.
    pub fn start() -> Self {
        let program = std::env::var("CHROMIUM").ok().or_else(|| {
            let found = NAMES.into_iter().find(|name| {
                let version = Command::new(name).arg("--version").output();
                version.is_ok_and(|output| output.status.success())
            });
            found.map(ToOwned::to_owned)
        });
        let program = program.expect(
            "expected Chromium on the path or in the variable CHROMIUM: on Debian, `apt-get install chromium`",
        );
        let profile =
            std::env::temp_dir().join(format!("bridge-chrome-{:016x}", rand::random::<u64>()));
        let mut child = Command::new("sh")
            // The pipes become the descriptors of the protocol.
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                &program,
            ])
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-gpu",
            ])
            .args([
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--no-proxy-server",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut chrome = Self {
            child,
            to,
            from: BufReader::new(from),
            session: String::new(),
            next: 0,
            profile,
            complaints: Vec::new(),
        };
        let target = chrome.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = chrome.call("Target.attachToTarget", target);
        chrome.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            chrome.call(&format!("{domain}.enable"), json!({}));
        }
        chrome
    }

    /// Calls a method of the protocol.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        self.to.flush().unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            bytes.pop();
            let answer: Value = serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| panic!("the browser ended during {method}"));
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.heard(&answer);
        }
    }

    /// Notes errors of the page.
    fn heard(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                let text = parameters["entry"]["text"].as_str().unwrap_or_default();
                self.complaints.push(text.to_owned());
            }
            Some("Runtime.exceptionThrown") => {
                self.complaints
                    .push(parameters["exceptionDetails"].to_string());
            }
            // A hostile text would open one.
            Some("Page.javascriptDialogOpening") => {
                self.complaints.push(format!("a dialog: {parameters}"));
            }
            _ => {}
        }
    }

    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({"url": address}));
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", parameters);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true, also across a navigation.
    pub fn until(&mut self, expression: &str) {
        let began = Instant::now();
        loop {
            let parameters =
                json!({"expression": format!("!!({expression})"), "returnByValue": true});
            if self.call("Runtime.evaluate", parameters)["result"]["value"] == true {
                return;
            }
            if began.elapsed() > SOON {
                let text = self.value("document.body.innerText");
                panic!(
                    "not within {SOON:?}: {expression}\n{}",
                    text.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page has this text.
    pub fn shows(&mut self, text: &str) {
        self.until(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ));
    }

    /// Clicks the first element of a selector with the mouse.
    pub fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.until(&format!("document.querySelector({selector})"));
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector({selector}); one.scrollIntoView({{block: 'center'}}); const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into the first element of a selector, in place of its text.
    pub fn fill(&mut self, selector: &str, text: &str) {
        let selector = json!(selector);
        self.until(&format!("document.querySelector({selector})"));
        self.value(&format!("document.querySelector({selector}).focus() ?? document.querySelector({selector}).select()"));
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key that types a character.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { key } else { "" };
            let event = json!({"type": kind, "key": key, "text": text});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// A window of this size, dark or light.
    pub fn resize(&mut self, width: u32, height: u32, dark: bool) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media);
    }

    /// Without JavaScript, or with it again.
    pub fn scripts(&mut self, on: bool) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !on}),
        );
    }

    /// A picture of the window, in the folder of the variable `SCREENSHOTS`, if any.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else {
            return;
        };
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let picture = picture["data"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture)
            .unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
