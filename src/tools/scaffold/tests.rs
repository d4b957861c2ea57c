use std::fs;

use super::*;
use crate::testing::scratch::Scratch;
use crate::tools::check::check;

fn made(name: &str, source: Source<'_>) -> Scaffold {
    scaffold(name, source).unwrap_or_else(|e| panic!("{source:?}: {e:#}"))
}

fn refused(name: &str, source: Source<'_>) -> String {
    format!("{:#}", scaffold(name, source).unwrap_err())
}

#[test]
fn every_shipped_workflow_can_be_copied() {
    for (like, ..) in SHIPPED {
        let copy = made("my-copy", Source::Like(like));
        let topics = copy.inbound.iter().chain(&copy.outbound);
        for topic in topics {
            assert!(topic.starts_with("my-copy"), "{like}: {topic}");
        }
        assert!(!copy.inbound.is_empty(), "{like}");
        let text = &copy.files[0].1;
        let template = template::parse(text).unwrap();
        let old =
            template::parse(SHIPPED.iter().find(|(name, ..)| name == like).unwrap().1).unwrap();
        let ids = |template: &Value| -> Vec<String> {
            let resources = template["Resources"].as_object().unwrap();
            resources.keys().cloned().collect()
        };
        assert_eq!(ids(&template), ids(&old), "{like}: the ids stay");
        assert!(text.contains("routes/my-copy"), "{like}: {text}");
        let command = format!("#     {}\n\n", deployment("my-copy", "my-copy"));
        assert!(text.contains(&command), "{like}: {text}");
        for place in ["sam build", "examples/", "statemachines/", "clone"] {
            assert!(!text.contains(place), "{like}: {place}");
        }
        if let Some(file) = copy.definition() {
            assert_eq!(file, "my-copy.asl.json");
            assert!(
                text.contains("Name: !Sub ${Bridge}_my-copy\n"),
                "{like}: {text}"
            );
            assert!(
                text.contains("DefinitionUri: my-copy.asl.json\n"),
                "{like}: {text}"
            );
            let definition = &copy.files[1].1;
            assert!(
                definition.starts_with(&format!(
                    "{{\n  \"Comment\": \"A copy of {like}, made by `cargo bridge new`.\",\n"
                )),
                "{definition}"
            );
            crate::tools::drawing::flowchart(definition).unwrap();
        }
    }
}

#[test]
fn copies_have_no_findings() {
    let existing = "arn:aws:states:us-east-1:123456789012:stateMachine:workflow-bridge_mine";
    let sources = SHIPPED.iter().map(|(like, ..)| Source::Like(like));
    let node = Source::Function(Language::Node);
    for source in sources.chain([node, Source::Existing(existing)]) {
        // The last ones are values other than texts in YAML.
        for name in ["my-copy", "My_Copy", "_", "on", "null", "007", "1_000"] {
            let folder = Scratch::new();
            for (file, text) in made(name, source).files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let report = check(&folder.path().join(TEMPLATE));
            assert!(
                report.findings.is_empty(),
                "{name}, {source:?}: {:#?}",
                report.findings
            );
        }
    }
}

#[test]
fn a_function_has_the_language_that_was_asked_for() {
    for (language, file, parts) in [
        (
            Language::Python,
            "function/app.py",
            ["Runtime: python3.13\n", "Handler: app.handler\n"],
        ),
        (
            Language::Node,
            "function/index.mjs",
            ["Runtime: nodejs22.x\n", "Handler: index.handler\n"],
        ),
    ] {
        let copy = made("mine", Source::Function(language));
        let names: Vec<_> = copy.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [TEMPLATE, "mine.asl.json", file]);
        for part in parts {
            assert!(copy.files[0].1.contains(part), "{part}");
        }
    }
}

#[test]
fn a_new_name_may_contain_the_old_one() {
    for (like, ..) in SHIPPED {
        let name = format!("my-{like}-2");
        let copy = made(&name, Source::Like(like));
        let text = &copy.files[0].1;
        assert!(!text.contains("my-my-"), "{like}: {text}");
        assert!(!text.contains("-2-2"), "{like}: {text}");
        if let Some(file) = copy.definition() {
            for part in [format!("${{Bridge}}_{name}\n"), format!("Uri: {file}\n")] {
                assert!(text.contains(&part), "{part}\n{text}");
            }
        }
    }
}

#[test]
fn a_stack_has_a_name_without_underscores() {
    let copy = made("my_copy", Source::Like("store"));
    let text = &copy.files[0].1;
    for part in [
        "-t my_copy/template.yaml --stack-name workflow-bridge-my-copy ",
        "Name: !Sub ${Bridge}_my_copy\n",
        "routes/my_copy\n",
        "topic: my_copy-in}",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn the_copy_of_uppercase_reads_as_if_written_by_hand() {
    let copy = made("shout2", Source::Like("uppercase"));
    for part in [
        "# In the folder above, beside a deployed bridge:\n#\n#     sam deploy -t shout2/template.yaml --stack-name workflow-bridge-shout2 --resolve-s3 ",
        "      Name: !Sub /workflow-bridge/${Bridge}/routes/shout2\n",
        "          name: shout2\n",
        "          from: {cache: !Ref CacheName, topic: shout2-in}\n",
        "          reply: {topics: [shout2-out], failures: [shout2-failed]}\n",
    ] {
        assert!(
            copy.files[0].1.contains(part),
            "{part}\n{}",
            copy.files[0].1
        );
    }
    assert_eq!(
        (&*copy.inbound, &*copy.outbound),
        (
            &["shout2-in".to_owned()][..],
            &["shout2-out".to_owned()][..]
        )
    );
    assert!(
        copy.files[1]
            .1
            .contains("$uppercase($states.input.message.text)")
    );
}

#[test]
fn topics_in_state_machines_are_renamed_and_words_are_not() {
    let copy = made("fast", Source::Like("express-enrich"));
    assert_eq!(copy.outbound, ["fast-out"]);
    let text = &copy.files[1].1;
    assert!(
        text.contains("\"topic\": \"fast-out\"")
            && text.contains("\"Error\": \"EnrichNotPublished\""),
        "{text}"
    );
    let (_, shipped, _) = SHIPPED
        .iter()
        .find(|(name, ..)| *name == "express-enrich")
        .unwrap();
    let renaming = Renaming::new("fast", "express-enrich", &template::parse(shipped).unwrap());
    for (old, new) in [
        ("'enrich-' & $language", "'fast-' & $language"),
        (
            "enrich $enrich( $enrich-1 .enrich-1 re-enrich enriches-x",
            "enrich $enrich( $enrich-1 .enrich-1 re-fast enriches-x",
        ),
        ("ünrich-in/enrich-in", "ünrich-in/fast-in"),
    ] {
        assert_eq!(renaming.definition(old), new);
    }
}

#[test]
fn illegal_names_and_unknown_workflows_are_refused() {
    let long = "a".repeat(33);
    for name in ["", "-a", "a b", "a.b", "ä", "../a", "a\n", &long] {
        let error = refused(name, Source::Like("uppercase"));
        assert!(
            error.starts_with("expected a name of 1 to 32 characters"),
            "{error}"
        );
    }
    made(&"a".repeat(32), Source::Like("uppercase"));
    for name in TAKEN {
        let error = refused(name, Source::Like("store"));
        assert!(error.starts_with("expected a new name, found"), "{error}");
    }
    let error = refused("a", Source::Like("aprove"));
    assert!(
        error.contains("found `aprove`; did you mean `approve`?"),
        "{error}"
    );
    let error = refused("a", Source::Like("nothing like it"));
    assert!(error.ends_with("found `nothing like it`"), "{error}");
    let error = refused("a", Source::Existing("arn:aws:lambda:x"));
    assert!(
        error.contains("`to.stateMachine`: expected the ARN of a state machine"),
        "{error}"
    );
}

#[test]
fn the_embedded_uppercase_is_the_shipped_one() {
    let shipped = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml"));
    let (shipped, embedded) = (
        template::parse(shipped).unwrap(),
        template::parse(SHIPPED[0].1).unwrap(),
    );
    let route = |template: &Value, id: &str| {
        let mut route =
            template["Resources"][id]["Properties"]["Value"]["Fn::ToJsonString"].clone();
        route["to"].take();
        route
    };
    assert_eq!(route(&embedded, "Route"), route(&shipped, "UppercaseRoute"));
    let machine = |template: &Value, id: &str| {
        let mut machine = template["Resources"][id]["Properties"].clone();
        for other in ["Name", "DefinitionUri", "Policies"] {
            machine[other].take();
        }
        machine["Logging"]["Destinations"].take();
        machine
    };
    assert_eq!(
        machine(&embedded, "Workflow"),
        machine(&shipped, "UppercaseWorkflow")
    );
}

#[test]
fn the_workflows_of_the_bridge_have_taken_names() {
    let shipped = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml"));
    let shipped = template::parse(shipped).unwrap();
    let resources = shipped["Resources"].as_object().unwrap().values();
    let kind = "AWS::Serverless::StateMachine";
    let machines = resources.filter(|resource| resource["Type"] == kind);
    let mut names: Vec<_> = machines
        .map(|machine| {
            let name = machine["Properties"]["Name"]["Fn::Sub"].as_str().unwrap();
            name.strip_prefix("${AWS::StackName}_").unwrap()
        })
        .collect();
    names.sort_unstable();
    assert_eq!(names, TAKEN);
}
