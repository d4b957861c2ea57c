use super::*;
use crate::tools::local::workspace::Workspace;

fn shipped() -> String {
    let workspace = Workspace::find().unwrap();
    std::fs::read_to_string(workspace.root().join("template.yaml")).unwrap()
}

fn read(file: &str) -> Result<String> {
    let workspace = Workspace::find()?;
    Ok(std::fs::read_to_string(workspace.root().join(file))?)
}

fn refused(text: &str, name: &str, like: &str) -> String {
    format!("{:#}", scaffold(text, name, like, read).unwrap_err())
}

#[test]
fn every_shipped_workflow_can_be_copied_twice() {
    let text = shipped();
    let names = pieces::names(&text);
    assert!(
        names.contains(&"uppercase") && names.contains(&"express-enrich"),
        "{names:?}"
    );
    for like in names {
        let made = scaffold(&text, "my-copy", like, read).unwrap();
        // Without the new piece and names, the text is the old one.
        let without = made.template.replacen(&made.piece, "", 1);
        let without = without.replace(",\n          ${MyCopy", "${MyCopy");
        let without = made
            .named
            .iter()
            .fold(without, |text, name| text.replacen(name, "", 1));
        assert_eq!(without, text, "{like}");
        // Every deployed resource has the new names only.
        let before = template::parse(&text).unwrap();
        let after = template::parse(&made.template).unwrap();
        let ids = pieces::logical_ids(&made.piece);
        let old = Piece::find(&text, like).unwrap();
        assert_eq!(ids.len(), old.ids().len(), "{like}");
        for id in &ids {
            assert!(id.starts_with("MyCopy"), "{id}");
            let resource = after["Resources"][id].to_string();
            for old in old.ids() {
                assert!(!resource.contains(&format!("\"{old}\"")), "{resource}");
            }
            let old = id.replacen("MyCopy", &prefix(&old), 1);
            assert_eq!(
                before["Resources"][&old]["Type"], after["Resources"][id]["Type"],
                "{old}"
            );
        }
        assert!(
            !made.inbound.is_empty()
                && made
                    .inbound
                    .iter()
                    .all(|topic| topic.starts_with("my-copy")),
            "{made:?}"
        );
        assert!(
            made.outbound
                .iter()
                .all(|topic| topic.starts_with("my-copy")),
            "{made:?}"
        );
        template::check_replies(&after).unwrap();
        if let Some((file, text)) = &made.definition {
            assert_eq!(file, "statemachines/my-copy.asl.json");
            assert!(
                text.starts_with(&format!(
                    "{{\n  \"Comment\": \"A copy of {like}, made by `cargo bridge new`.\",\n"
                )),
                "{text}"
            );
            crate::tools::drawing::flowchart(text).unwrap();
        }
        // A copy of the copy.
        let again = |file: &str| match &made.definition {
            Some((own, text)) if own == file => Ok(text.clone()),
            _ => read(file),
        };
        let second = scaffold(&made.template, "another", "my-copy", again).unwrap();
        let topics = second.inbound.iter().chain(&second.outbound);
        assert!(
            topics.into_iter().all(|topic| topic.starts_with("another")),
            "{second:?}"
        );
        assert!(refused(&made.template, "my-copy", like).contains("workflow of that name"));
    }
}

/// The prefix of a piece's ids.
fn prefix(piece: &Piece) -> String {
    let route = piece
        .ids()
        .iter()
        .filter(|id| id.ends_with("Route"))
        .min_by_key(|id| id.len());
    route.unwrap().trim_end_matches("Route").to_owned()
}

#[test]
fn the_copy_of_uppercase_reads_as_if_written_by_hand() {
    let made = scaffold(&shipped(), "shout2", "uppercase", read).unwrap();
    for part in [
        "  # ================================================================ workflow: shout2\n\n  # A copy of `uppercase`, made by `cargo bridge new`; see the comments there.\n  Shout2Route:\n",
        "          name: shout2\n",
        "            topic: shout2-in\n",
        "            topics: [shout2-out]\n            failures: [shout2-failed]\n",
        "      DefinitionUri: statemachines/shout2.asl.json\n",
        "      LogGroupName: !Sub /aws/vendedlogs/states/${AWS::StackName}-shout2\n",
        "      Name: !Sub ${AWS::StackName}-shout2-ends # CompletionsQueue takes events of rules whose names begin so\n",
        "      Description: Ends of the executions of shout2\n",
        "execution:${Shout2StateMachine.Name}:*\n",
        "      PolicyName: shout2-describe\n",
    ] {
        assert!(made.piece.contains(part), "{part}\n{}", made.piece);
    }
    assert!(
        made.template
            .contains("          ${UppercaseRoute.Value},\n")
    );
    assert!(
        made.template
            .contains(",\n          ${Shout2Route.Value}\n          ]}\n")
    );
    assert_eq!(
        (&made.inbound, &made.outbound),
        (
            &vec!["shout2-in".to_owned()],
            &vec!["shout2-out".to_owned()]
        )
    );
    let (_, text) = made.definition.unwrap();
    assert!(
        text.contains("$uppercase($states.input.message.text)"),
        "{text}"
    );
    assert!(text.contains("\"Error\": \"Shout2NoText\""), "{text}");
}

#[test]
fn topics_in_state_machines_are_renamed_and_words_are_not() {
    let made = scaffold(&shipped(), "fast", "express-enrich", read).unwrap();
    assert_eq!(made.outbound, ["fast-out"]);
    let (_, text) = made.definition.unwrap();
    assert!(
        text.contains("\"topic\": \"fast-out\"")
            && text.contains("\"Error\": \"EnrichNotPublished\""),
        "{text}"
    );
    let before = template::parse(&shipped()).unwrap();
    let shipped = shipped();
    let piece = Piece::find(&shipped, "express-enrich").unwrap();
    let renaming = Renaming::new(&piece, "fast", &before).unwrap();
    for (old, new) in [
        ("'enrich-' & $language", "'fast-' & $language"),
        (
            "${ExpressEnrichTable} ${ExpressEnrichment}",
            "${FastTable} ${ExpressEnrichment}",
        ),
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
fn illegal_and_taken_names_are_refused() {
    let text = shipped();
    for name in [
        "",
        "-a",
        "a-",
        "a--b",
        "1a",
        "A",
        "a_b",
        "a b",
        "ä",
        "../a",
        &"a".repeat(33),
    ] {
        let error = refused(&text, name, "uppercase");
        assert!(
            error.starts_with("expected a name of 1 to 32 characters"),
            "{error}"
        );
    }
    assert!(scaffold(&text, &"a".repeat(32), "uppercase", read).is_ok());
    for (name, part) in [
        ("uppercase", "the template has a workflow of that name"),
        ("webhook", "the template has a resource `Webhook"),
        ("enrich", "\"enrich-in\" starts route \"enrich\""),
    ] {
        let error = refused(&text, name, "uppercase");
        assert!(error.contains(part), "{error}");
    }
    let error = refused(&text, "mine", "lowercase");
    assert!(
        error.contains("found `lowercase`") && error.contains("`uppercase`, "),
        "{error}"
    );
}

#[test]
fn routes_that_do_not_fit_are_refused() {
    let text = shipped().replace("topic: on-the-bus-in", "topic: \"*-out\"");
    let error = refused(&text, "mine", "uppercase");
    assert!(
        error.contains("route `mine`") && error.contains("`on-the-bus`"),
        "{error}"
    );
}

#[test]
fn routes_are_added_to_a_list_of_any_layout() {
    let template = |list: &str| {
        format!(
            "Resources:\n  A:\n    B: c\n  Routes:\n    Value: !Sub >-\n      {list}\n  Z:\n    B: ']'\n"
        )
    };
    let named = |list: &str| {
        let text = pieces::name_routes(&template(list), &["X".to_owned(), "Y".to_owned()])?;
        assert!(
            text.starts_with("Resources:\n  A:\n    B: c\n  Routes:\n")
                && text.ends_with("\n  Z:\n    B: ']'\n")
        );
        anyhow::Ok(
            template::parse(&text).unwrap()["Resources"]["Routes"]["Value"]["Fn::Sub"].clone(),
        )
    };
    for (list, expected) in [
        (
            r#"{"routes":[]}"#,
            r#"{"routes":[ ${X.Value}, ${Y.Value}]}"#,
        ),
        (
            r#"{"routes":[${A.Value},${B.Value}]}"#,
            r#"{"routes":[${A.Value},${B.Value}, ${X.Value}, ${Y.Value}]}"#,
        ),
        (
            "{\"routes\":[\n      ${A.Value}\n      ]}",
            r#"{"routes":[ ${A.Value}, ${X.Value}, ${Y.Value} ]}"#,
        ),
    ] {
        assert_eq!(named(list).unwrap(), expected);
    }
    for list in ["x", r#"{"routes":[1]}"#, r#"{"routes":["#] {
        let error = named(list).unwrap_err().to_string();
        assert!(error.contains("`Routes`"), "{error}");
    }
    assert!(pieces::name_routes("Resources: {}", &[]).is_err());
}

#[test]
fn a_template_of_another_layout_is_refused() {
    let text = shipped();
    for (from, to, part) in [
        (
            "# ================================================================ end of the workflows",
            "# the end",
            "end of the workflows",
        ),
        (
            "  UppercaseLogGroup:",
            "  OtherLogGroup:",
            "`OtherLogGroup`",
        ),
        ("          ${UppercaseRoute.Value},\n", "", "found none"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let error = refused(&changed, "mine", "uppercase");
        assert!(error.contains(part), "{error}");
    }
    // The workflows end somewhere in the outputs.
    let end = "  # ================================================================ end of the workflows\n";
    let changed = text.replacen(end, "", 1) + end;
    let error = refused(&changed, "mine", "uppercase");
    assert!(error.contains("copy the piece by hand"), "{error}");
}
