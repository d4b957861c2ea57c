//! Edits of a running stack's files, made live by the library, as `bridge local` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use workflow_bridge::tools::local::live::{Edited, Edits, Outcome, Watched, read_routes_often};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::local::{Account, Options, Stack};
use workflow_bridge::tools::terminal::Progress;

use crate::deployed::{RUNTIME, SOON, binaries, stack};
use crate::messages::{Publications, body, post};
use crate::shared::invocation_of;

/// A copy of the shipped templates and definitions, and a stack that follows it.
struct Desk {
    folder: PathBuf,
    stack: Arc<Stack>,
    edits: Edits,
    publications: Publications,
    numbers: u64,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn root() -> PathBuf {
    Workspace::find().unwrap().root().to_owned()
}

impl Desk {
    /// With the workflow `count` beside the bridge. `prepare` changes the copy and what is watched before the start.
    async fn new(prepare: impl FnOnce(&Path, &mut Options, &mut Watched)) -> Self {
        let folder = std::env::temp_dir().join(format!("bridge-live-{}", Account::fresh_id()));
        for name in [
            "template.yaml",
            "statemachines/uppercase.asl.json",
            "statemachines/canary.asl.json",
            "statemachines/count.asl.json",
            "examples/count/template.yaml",
        ] {
            let copy = folder.join(name);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(root().join(name), copy).unwrap();
        }
        let mut options = Options::new(binaries()).unwrap();
        options.template = folder.join("template.yaml");
        options.with = vec![folder.join("examples/count")];
        options.edit = Box::new(read_routes_often);
        let mut watched = Watched {
            template: options.template.clone(),
            with: options.with.clone(),
            edit: read_routes_often,
            root: root(),
            code: false,
            progress: Progress::silent(),
        };
        prepare(&folder, &mut options, &mut watched);
        let emulator = Arc::clone(stack().await.emulator());
        let stack = Arc::new(Stack::start_in(emulator, options).await.unwrap());
        Self {
            publications: Publications::of(&stack),
            edits: Edits::of(Arc::clone(&stack), watched).await.unwrap(),
            folder,
            stack,
            numbers: 0,
        }
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// Replaces a text in a file, as an editor that writes in place.
    fn replace(&self, file: &str, find: &str, replacement: &str) {
        let text = self.text(file);
        assert!(text.contains(find), "{find}\n{text}");
        fs::write(self.folder.join(file), text.replace(find, replacement)).unwrap();
    }

    /// The next result.
    async fn edited(&mut self) -> Edited {
        let edited = tokio::time::timeout(SOON, self.edits.next()).await;
        edited.expect("an edit is followed").unwrap()
    }

    /// The next result, which is live: the changed parts.
    async fn live(&mut self) -> String {
        let edited = self.edited().await;
        match edited.outcome {
            Outcome::Live(words) => words,
            other => panic!("{other:?}\n{:?}", edited.report),
        }
    }

    /// The answer of `uppercase` to a text.
    async fn uppercase(&mut self, text: &str) -> String {
        self.numbers += 1;
        let before = self.publications.on("uppercase-out").len();
        let (status, answer) = post(&self.stack, &body("uppercase-in", self.numbers, text)).await;
        assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
        let mut all = self.publications.wait("uppercase-out", before + 1).await;
        all.remove(before)
    }
}

const UPPERCASE: &str = "statemachines/uppercase.asl.json";
const COUNT: &str = "examples/count/template.yaml";

#[test]
fn an_edited_definition_is_live_and_a_broken_one_changes_nothing() {
    RUNTIME.block_on(async {
        let mut desk = Desk::new(|_, _, _| ()).await;
        let findings = desk.edits.findings();
        assert_eq!(desk.uppercase("Hello").await, "HELLO");
        desk.replace(UPPERCASE, "$uppercase(", "$lowercase(");
        assert_eq!(desk.live().await, "definition of UppercaseWorkflow");
        assert_eq!(desk.uppercase("Hello").await, "hello");

        // Broken: refused, with the place.
        desk.replace(UPPERCASE, "$lowercase(", "$lowercase((");
        let edited = desk.edited().await;
        assert_eq!(edited.outcome, Outcome::Refused(1));
        assert_eq!(edited.files, "uppercase.asl.json");
        let report = edited.report.unwrap();
        assert!(report.findings[0].file.ends_with(UPPERCASE), "{report:?}");
        assert_eq!(findings.borrow()[0].findings, report.findings);
        assert_eq!(desk.uppercase("Hello").await, "hello");

        // Mended by an editor that renames a new file over the old one.
        let mended = desk.text(UPPERCASE).replace("$lowercase((", "$length(");
        let draft = desk.folder.join("statemachines/.draft");
        fs::write(&draft, mended).unwrap();
        fs::rename(draft, desk.folder.join(UPPERCASE)).unwrap();
        assert_eq!(desk.live().await, "definition of UppercaseWorkflow");
        assert!(findings.borrow()[0].findings.is_empty());
        assert_eq!(desk.uppercase("Hello").await, "5");

        // Several files at once, as by a checkout: one update of each stack.
        desk.replace(UPPERCASE, "$length(", "$lowercase(");
        desk.replace(COUNT, "count-failed", "count-broken");
        let both = BTreeSet::from([desk.live().await, desk.live().await]);
        let expected = ["definition of UppercaseWorkflow", "route Route"];
        assert_eq!(both, expected.map(str::to_owned).into());
        // The folder is removed and made again.
        let text = desk.text(UPPERCASE).replace("$lowercase(", "$uppercase(");
        let count = desk.text("statemachines/count.asl.json");
        let canary = desk.text("statemachines/canary.asl.json");
        let folder = desk.folder.join("statemachines");
        fs::rename(&folder, desk.folder.join("gone")).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("count.asl.json"), count).unwrap();
        fs::write(folder.join("canary.asl.json"), canary).unwrap();
        fs::write(folder.join("uppercase.asl.json"), text).unwrap();
        while desk.edited().await.outcome
            != Outcome::Live("definition of UppercaseWorkflow".to_owned())
        {}
        assert_eq!(desk.uppercase("Hello").await, "HELLO");
    });
}

#[test]
fn an_edited_route_and_a_new_resource_are_live() {
    RUNTIME.block_on(async {
        let mut desk = Desk::new(|_, _, _| ()).await;
        let send = async |desk: &mut Desk, topic: &str| {
            desk.numbers += 1;
            let body = body(topic, desk.numbers, "x");
            post(&desk.stack, &body).await.1["code"].clone()
        };
        assert_eq!(send(&mut desk, "count-in").await, "accepted");
        desk.publications.wait("count-out", 1).await;

        // Another topic in, and another one out.
        let edited = desk.text(COUNT).replace("topic: count-in", "topic: other-in");
        let edited = edited.replace("topics: [count-out]", "topics: [other-out]");
        fs::write(desk.folder.join(COUNT), edited).unwrap();
        assert_eq!(desk.live().await, "route Route");
        assert!(desk.stack.topics().webhooks().contains(&"demo/other-in".to_owned()));
        let webhooks = desk.stack.topics().webhooks();
        assert!(!webhooks.contains(&"demo/count-in".to_owned()), "{webhooks:?}");
        assert_eq!(send(&mut desk, "other-in").await, "accepted");
        desk.publications.wait("other-out", 1).await;

        // A route of the bridge itself.
        desk.replace("template.yaml", "uppercase-in", "capitals-in");
        let words = desk.live().await;
        assert!(words.contains("Routes") || words.contains("Route"), "{words}");
        let webhooks = desk.stack.topics().webhooks();
        assert!(webhooks.contains(&"demo/capitals-in".to_owned()), "{webhooks:?}");
        assert_eq!(send(&mut desk, "capitals-in").await, "accepted");

        // A new resource; a comment; a resource that the emulator refuses.
        let more = "\n  More: {Type: AWS::SQS::Queue}\n";
        let text = desk.text(COUNT);
        fs::write(desk.folder.join(COUNT), format!("{text}{more}")).unwrap();
        assert_eq!(desk.live().await, "new More");
        let queue = desk.stack.resource_of("count", "More").unwrap();
        let sqs = aws_sdk_sqs::Client::new(desk.stack.account().config());
        sqs.get_queue_attributes().queue_url(&queue).send().await.unwrap();
        fs::write(desk.folder.join(COUNT), format!("# a comment\n{text}{more}")).unwrap();
        assert_eq!(desk.edited().await.outcome, Outcome::Nothing);
        let name = "a".repeat(65);
        let pattern = "{source: [a]}";
        let bad = format!("  Bad: {{Type: AWS::Events::Rule, Properties: {{Name: {name}, EventPattern: {pattern}}}}}\n");
        fs::write(desk.folder.join(COUNT), format!("{text}{more}{bad}")).unwrap();
        let Outcome::Failed(why) = desk.edited().await.outcome else {
            panic!("expected a failed update");
        };
        assert!(why.contains("Bad (AWS::Events::Rule)"), "{why}");
        assert_eq!(send(&mut desk, "other-in").await, "accepted");
        desk.publications.wait("other-out", 2).await;
    });
}

const OWN: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Bridge: {Type: String}
  CacheName: {Type: String}
Resources:
  Python:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: python, Runtime: python3.13, Handler: app.handler}
  Node:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: node, Runtime: nodejs22.x, Handler: index.handler}
"#;

#[test]
fn changed_code_of_an_own_function_is_swapped_and_a_broken_one_changes_nothing() {
    RUNTIME.block_on(async {
        let (python, node) = ("own/python/app.py", "own/node/index.mjs");
        let mut desk = Desk::new(|folder, options, watched| {
            for (file, text) in [
                ("own/template.yaml", OWN),
                (python, "def handler(event, context):\n    return 'first'\n"),
                (node, "export const handler = async () => 'first';\n"),
            ] {
                let file = folder.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            options.with = vec![folder.join("own")];
            watched.with = options.with.clone();
        })
        .await;
        let answer = async |desk: &Desk, function: &str| {
            let name = desk.stack.resource_of("own", function).unwrap();
            let answer = invocation_of(&desk.stack, &name).await.unwrap();
            serde_json::from_str::<String>(&answer.text().await.unwrap()).unwrap()
        };
        for (function, file, broken) in
            [("Python", python, "('second'"), ("Node", node, "{'second'")]
        {
            assert_eq!(answer(&desk, function).await, "first", "{function}");
            desk.replace(file, "'first'", broken);
            let edited = desk.edited().await;
            let Outcome::Failed(why) = edited.outcome else {
                panic!("expected a refused file: {edited:?}");
            };
            let name = file.rsplit('/').next().unwrap();
            assert!(why.contains(name) && why.contains("SyntaxError"), "{why}");
            assert_eq!(edited.files, name);
            assert_eq!(answer(&desk, function).await, "first", "{function}");
            desk.replace(file, broken, "'second'");
            assert_eq!(desk.live().await, format!("code of {function}"));
            assert_eq!(answer(&desk, function).await, "second", "{function}");
        }
        // A new file beside it, then its use.
        fs::write(desk.folder.join("own/python/word.py"), "WORD = 'third'\n").unwrap();
        assert_eq!(desk.live().await, "code of Python");
        desk.replace(python, "return 'second'", "import word; return word.WORD");
        assert_eq!(desk.live().await, "code of Python");
        assert_eq!(answer(&desk, "Python").await, "third");
    });
}

/// A function of one crate with no dependency that answers each invocation with the same text.
const FUNCTION: &str = r#"
use std::io::{Read, Write};
use std::net::TcpStream;

const ANSWER: &str = "first";

fn call(head: &str, body: &str) -> String {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&api).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn main() {
    loop {
        let next = call("GET /2018-06-01/runtime/invocation/next", "");
        let id = next.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("lambda-runtime-aws-request-id").then(|| value.trim().to_owned())
        });
        let body = format!("{{\"statusCode\": 200, \"body\": \"{ANSWER}\"}}");
        call(&format!("POST /2018-06-01/runtime/invocation/{}/response", id.unwrap()), &body);
    }
}
"#;

/// Writes a crate with a binary for each function.
fn write_crate(folder: &Path) {
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/main.rs"), FUNCTION).unwrap();
    let mut manifest = "[package]\nname = \"workflow-bridge\"\nedition = \"2024\"\nautobins = false\n[features]\ncli = []\n[workspace]\n".to_owned();
    for name in binaries().keys().map(String::as_str).chain(["extra"]) {
        manifest += &format!("[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\"\n");
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
}

#[test]
fn functions_are_built_again_and_swapped() {
    RUNTIME.block_on(async {
        let mut desk = Desk::new(|folder, options, watched| {
            write_crate(&folder.join("crate"));
            options.with.clear();
            watched.with.clear();
            watched.root = folder.join("crate");
            watched.code = true;
        })
        .await;
        let answer = async |desk: &Desk| {
            let sent = reqwest::Client::new().post(desk.stack.webhook_url());
            sent.send().await.unwrap().text().await.unwrap()
        };
        let real = answer(&desk).await;
        let real: Value = serde_json::from_str(&real).unwrap();
        assert_eq!(real["code"], "unsigned");
        // On request.
        desk.edits.builds().send(()).unwrap();
        let words = desk.live().await;
        assert!(words.contains("code of webhook"), "{words}");
        assert_eq!(answer(&desk).await, "first");
        // By itself. Code that does not compile changes nothing.
        let source = "crate/src/main.rs";
        desk.replace(source, "\"first\"", "1");
        let Outcome::Failed(why) = desk.edited().await.outcome else {
            panic!("expected a failed build");
        };
        assert!(why.contains("do not build"), "{why}");
        assert_eq!(answer(&desk).await, "first");
        desk.replace(source, "= 1;", "= \"second\";");
        let words = desk.live().await;
        assert!(words.contains("code of webhook"), "{words}");
        assert_eq!(answer(&desk).await, "second");
        desk.edits.builds().send(()).unwrap();
        assert_eq!(desk.edited().await.outcome, Outcome::Nothing);
        // A function whose binary is not built waits for a build.
        let extra = "\nResources:\n  ExtraFunction:\n    Type: AWS::Serverless::Function\n    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: extra}}\n    Properties: {CodeUri: crate}\n";
        desk.replace("template.yaml", "\nResources:\n", extra);
        let edited = desk.edited().await;
        let Outcome::Failed(why) = edited.outcome else {
            panic!("expected a missing binary: {edited:?}");
        };
        let expected = "the function `ExtraFunction` runs the binary `extra`, which is not built: press `r`";
        assert!(why.contains(expected), "{why}");
        desk.edits.builds().send(()).unwrap();
        assert_eq!(desk.live().await, "new ExtraFunction");
    });
}
