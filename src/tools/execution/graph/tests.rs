use proptest::prelude::{
    BoxedStrategy, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest,
};
use serde_json::{Map, Value, json};

use super::laid::{HEAD, Laid, laid};
use super::*;
use crate::tools::drawing::asl;
use crate::tools::execution::tests::{events, shipped};
use crate::tools::execution::{View, view};

const SHIPPED: [&str; 9] = [
    "approve",
    "canary",
    "count",
    "enqueue",
    "express-enrich",
    "order",
    "store",
    "translate-chat",
    "uppercase",
];

fn unseen(definition: &Value) -> View {
    view(definition, &[], false)
}

/// What must hold for each machine and those within.
fn check(laid: &Laid) {
    for (at, node) in laid.nodes.iter().enumerate() {
        assert!(node.x >= -0.01 && node.y >= -0.01);
        assert!(node.x + node.width <= laid.width + 0.01);
        assert!(node.y + node.height <= laid.height + 0.01);
        for other in &laid.nodes[..at] {
            let beside = node.x + node.width < other.x || other.x + other.width < node.x;
            let apart = node.y + node.height < other.y || other.y + other.height < node.y;
            assert!(beside || apart, "{node:?} overlaps {other:?}");
        }
        let mut right = 0.0;
        for (x, y, inner) in &node.inner {
            assert!(
                *x > right && *y >= HEAD,
                "an inner machine overlaps another, or the head"
            );
            right = x + inner.width;
            assert!(right < node.width && y + inner.height < node.height);
            check(inner);
        }
    }
    for line in &laid.lines {
        if line.from == line.to {
            continue;
        }
        let down = line.points.windows(2).all(|pair| pair[0].1 < pair[1].1);
        let up = line.points.windows(2).all(|pair| pair[0].1 > pair[1].1);
        assert_eq!(line.back, up, "{line:?}");
        assert!(down || up, "{line:?}");
    }
}

#[test]
fn shipped_definitions_are_laid_out() {
    for name in SHIPPED {
        let definition = shipped(name);
        check(&laid(&asl::read(&definition).unwrap(), true));
        let svg = svg(&unseen(&definition)).unwrap();
        let states = svg.matches("class=\"state not-reached").count();
        assert_eq!(states, unseen(&definition).states.len(), "{name}");
    }
}

#[test]
fn a_machine_beyond_the_crates_reach_is_laid_out_too() {
    let name = |at: usize| format!("S{:03}", at % 120);
    let state = |at: usize| {
        let ways: Vec<_> = (0..6)
            .map(|way| json!({"Next": name(at * 37 + way * 41), "Condition": true}))
            .collect();
        (
            name(at),
            json!({"Type": "Choice", "Choices": ways, "Default": name(at + 1)}),
        )
    };
    let states: Map<String, Value> = (0..120).map(state).collect();
    let definition = json!({"StartAt": name(0), "States": states});
    check(&laid(&asl::read(&definition).unwrap(), true));
}

#[test]
fn a_state_links_to_its_visit_with_its_status_in_class_and_word() {
    let events = events(json!([
        {"type": "TaskStateEntered", "name": "Count"},
        {"type": "TaskScheduled"},
        {"type": "TaskFailed", "error": "Busy"},
        {"type": "TaskScheduled"},
        {"type": "TaskSucceeded"},
        {"type": "TaskStateExited", "name": "Count"},
        {"type": "TaskStateEntered", "name": "Totals"},
        {"type": "ExecutionFailed", "error": "Broken"},
    ]));
    let svg = svg(&view(&shipped("count"), &events, false)).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" role=\"group\" aria-label=\"Graph of the execution: 2 of 5 states reached, failed at Totals\""), "{svg}");
    for part in [
        "<a href=\"#visit-1\" class=\"state succeeded\" data-state=\"Count\"><title>Count: Task, dynamodb:transactWriteItems, retried, succeeded, 1 retry</title>",
        "<text class=\"word\"",
        "Task · succeeded</text>",
        "↻ 1</text>",
        "<a href=\"#visit-7\" class=\"state failed failing\" data-state=\"Totals\">",
        "<a href=\"#state-Again\" class=\"state not-reached\" data-state=\"Again\">",
        ">Start</text>",
        ">End</text>",
    ] {
        assert!(svg.contains(part), "{part} is not in {svg}");
    }
}

#[test]
fn the_places_do_not_depend_on_the_history() {
    let places = |events: Value| {
        let svg = svg(&view(
            &shipped("store"),
            &super::super::tests::events(events),
            false,
        ))
        .unwrap();
        let rects = svg
            .lines()
            .filter(|line| line.starts_with("<rect class=\"node\""));
        rects.map(str::to_owned).collect::<Vec<_>>()
    };
    let entered = json!([{"type": "TaskStateEntered", "name": "Store"}]);
    assert_eq!(places(json!([])), places(entered));
}

#[test]
fn names_and_conditions_are_harmless() {
    let name = "<script>alert('1')</script>\"&\u{202e}\u{0}\u{ffff}";
    let definition = json!({"StartAt": name, "States": {
        name: {"Type": "Choice", "Choices": [{"Condition": "{% '<img onerror=x>\u{1b}' %}", "Next": name}], "Default": "b"},
        "b": {"Type": "Succeed"},
    }});
    let svg = svg(&unseen(&definition)).unwrap();
    assert!(!svg.contains("<script") && !svg.contains("<img"));
    assert!(!svg.contains(|c: char| c.is_control() && c != '\n'));
    assert!(!svg.contains(['\u{202e}', '\u{ffff}']));
    assert!(svg.contains("href=\"#state-%3Cscript%3E"));
    assert!(!svg.contains("style="));
}

#[test]
fn a_long_name_is_cut_and_whole_in_its_title() {
    let name = "Abcdefghij".repeat(8);
    let definition = json!({"StartAt": name, "States": {&name: {"Type": "Succeed"}}});
    let svg = svg(&unseen(&definition)).unwrap();
    assert!(svg.contains(&format!("<title>{name}: Succeed, not reached</title>")));
    assert!(svg.contains("…</text>"));
    assert!(!svg.contains(&format!("\">{name}</text>")));
}

#[test]
fn a_definition_that_cannot_be_drawn_has_no_graph() {
    assert_eq!(svg(&unseen(&json!({"StartAt": "A"}))), None);
}

#[test]
fn the_style_names_each_class_and_no_address() {
    for class in [
        "succeeded",
        "failed",
        "caught",
        "running",
        "waiting",
        "aborted",
        "not-reached",
        "not-recorded",
    ] {
        assert!(CSS.contains(&format!(".graph .{class}")), "{class}");
    }
    assert!(!CSS.contains("url(") && !CSS.contains("@import"));
}

/// Machines of up to `most` states: each goes on to any other, up or down, some with inner machines.
fn machine(most: usize, depth: u32) -> BoxedStrategy<Value> {
    let states = prop::collection::vec((0..6_u8, prop::collection::vec(0..most, 0..4)), 1..most);
    let flat = states.prop_map(move |states| {
        let name = |at: usize| format!("S{depth}-{}", at % states.len());
        let mut all = Map::new();
        for (at, (kind, to)) in states.iter().enumerate() {
            let ways: Vec<_> = to
                .iter()
                .map(|to| json!({"Next": name(*to), "Condition": "{% $a %}", "ErrorEquals": ["E"]}))
                .collect();
            let mut state = match (kind, ways.is_empty()) {
                (0, _) | (1, true) => json!({"Type": "Succeed"}),
                (1, false) => json!({"Type": "Choice", "Choices": ways, "Default": name(at + 1)}),
                (2, _) => json!({"Type": "Task", "End": true, "Catch": ways}),
                _ => json!({"Type": "Task", "Next": name(at + 1), "Catch": ways}),
            };
            state["Comment"] = json!("a");
            all.insert(name(at), state);
        }
        json!({"StartAt": name(0), "States": all})
    });
    if depth == 0 {
        return flat.boxed();
    }
    let inner = prop::collection::vec(
        (
            prop::bool::ANY,
            prop::collection::vec(machine(6, depth - 1), 1..4),
        ),
        0..3,
    );
    let nested = (flat, inner).prop_map(move |(mut machine, inner)| {
        for (at, (map, machines)) in inner.into_iter().enumerate() {
            let (name, next) = (format!("N{depth}-{at}"), machine["StartAt"].clone());
            machine["States"][&name] = match map {
                true => json!({"Type": "Map", "ItemProcessor": machines[0], "Next": next}),
                false => json!({"Type": "Parallel", "Branches": machines, "Next": next}),
            };
            machine["StartAt"] = json!(name);
        }
        machine
    });
    nested.boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_machine_is_laid_out(definition in machine(12, 2)) {
        let machine = asl::read(&definition).unwrap();
        check(&laid(&machine, true));
    }

    #[test]
    fn a_machine_is_drawn_the_same_each_time(definition in machine(20, 1)) {
        let first = svg(&unseen(&definition)).unwrap();
        prop_assert_eq!(&first, &svg(&unseen(&definition)).unwrap());
        prop_assert!(!first.contains("NaN") && !first.contains("inf"));
    }
}
