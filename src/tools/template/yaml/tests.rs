use serde_json::json;

use super::*;

#[test]
fn every_tag_has_its_long_form() {
    let cases = [
        ("!Ref X", json!({"Ref": "X"})),
        ("!Condition X", json!({"Condition": "X"})),
        ("!Sub '${A}-b'", json!({"Fn::Sub": "${A}-b"})),
        (
            "!Sub ['${A}', {A: !Ref B}]",
            json!({"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ),
        ("!GetAtt A.Arn", json!({"Fn::GetAtt": ["A", "Arn"]})),
        (
            "!GetAtt A.Outputs.Url",
            json!({"Fn::GetAtt": ["A", "Outputs.Url"]}),
        ),
        ("!GetAtt [A, Arn]", json!({"Fn::GetAtt": ["A", "Arn"]})),
        (
            "!If [C, !Ref A, !Ref AWS::NoValue]",
            json!({"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
        ),
        ("!Equals [a, 1]", json!({"Fn::Equals": ["a", 1]})),
        (
            "!Not [!Equals [!Ref A, '']]",
            json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "A"}, ""]}]}),
        ),
        (
            "!And [!Condition A, !Condition B]",
            json!({"Fn::And": [{"Condition": "A"}, {"Condition": "B"}]}),
        ),
        ("!Or [true, false]", json!({"Fn::Or": [true, false]})),
        (
            "!Join [',', [a, b]]",
            json!({"Fn::Join": [",", ["a", "b"]]}),
        ),
        (
            "!Select [0, !Split ['/', !Ref U]]",
            json!({"Fn::Select": [0, {"Fn::Split": ["/", {"Ref": "U"}]}]}),
        ),
        (
            "!FindInMap [A, B, C]",
            json!({"Fn::FindInMap": ["A", "B", "C"]}),
        ),
        ("!ImportValue x", json!({"Fn::ImportValue": "x"})),
        ("!Base64 x", json!({"Fn::Base64": "x"})),
        ("!Cidr [a, 1, 8]", json!({"Fn::Cidr": ["a", 1, 8]})),
        (
            "!Transform {Name: x}",
            json!({"Fn::Transform": {"Name": "x"}}),
        ),
        ("!GetAZs ''", json!({"Fn::GetAZs": ""})),
    ];
    for (yaml, expected) in cases {
        assert_eq!(parse(yaml).unwrap(), expected, "{yaml}");
        assert_eq!(
            parse(&format!("k: {yaml}")).unwrap(),
            json!({"k": expected}),
            "{yaml}"
        );
    }
}

#[test]
fn plain_values_keep_their_kind() {
    let yaml = "Version: 2012-10-17\nNumber: 3\nPart: 0.5\nFlag: true\nText: '3'\nNone:\nList:\n  - a\n  - b: c\n200: x\nFolded: >-\n  a\n  b\nKept: |\n  a\n  b\n";
    assert_eq!(
        parse(yaml).unwrap(),
        json!({"Version": "2012-10-17", "Number": 3, "Part": 0.5, "Flag": true, "Text": "3", "None": null,
            "List": ["a", {"b": "c"}], "200": "x", "Folded": "a b", "Kept": "a\nb\n"})
    );
    assert_eq!(
        parse(r#"{"a": [1, null]}"#).unwrap(),
        json!({"a": [1, null]})
    );
}

#[test]
fn every_part_has_its_place() {
    let yaml =
        "a:\n  b: [1, {c: 2}]\n  d: !Sub\n    - '${x}'\n    - x: !GetAtt E.Arn\nf: >-\n  g\n";
    let (_, places) = parse_with_places(yaml).unwrap();
    for (pointer, expected) in [
        ("/a", (1, 1)),
        ("/a/b", (2, 3)),
        ("/a/b/0", (2, 7)),
        ("/a/b/1/c", (2, 11)),
        ("/a/d/Fn::Sub/0", (4, 7)),
        ("/a/d/Fn::Sub/1/x", (5, 7)),
        ("/a/d/Fn::Sub/1/x/Fn::GetAtt/1", (5, 10)),
        ("/f", (6, 1)),
    ] {
        let place = places.of(pointer);
        assert_eq!((place.line, place.column), expected, "{pointer}");
    }
}

#[test]
fn the_last_value_of_a_repeated_key_counts() {
    let yaml = "x: {a: {b: no}}\ny: 1\nx:\n  a: {c: 2}\n";
    let (value, places) = parse_with_places(yaml).unwrap();
    assert_eq!(value, json!({"x": {"a": {"c": 2}}, "y": 1}));
    let repeated = Repeated {
        name: "x".to_owned(),
        place: Place { line: 3, column: 1 },
    };
    assert_eq!(places.repeated(), [repeated]);
    assert_eq!(places.of("/x/a").line, 4);
    assert!(places.written().is_empty(), "`no` is part of no value");
    let (_, places) = parse_with_places("a: &a {b: 1}\nc:\n  <<: *a\n  b: 2\n").unwrap();
    assert!(places.repeated().is_empty(), "a merge repeats nothing");
}

#[test]
fn problems_have_a_place() {
    let cases = [
        ("a: 1\nb: !Nope x\n", "line 2 column 4: expected a tag"),
        ("a: !!binary x", "line 1"),
        (
            "a: !GetAtt X",
            "line 1 column 4: expected `!GetAtt Resource.Attribute`",
        ),
        ("a:\n  - [1\n", "line"),
        ("", "line 1 column 1: expected a document"),
        (
            "a: 1\n---\nb: 1\n",
            "line 3 column 1: expected one document",
        ),
        ("[a]: 1", "line 1 column 1: expected a text as key"),
        ("a: .nan", "line 1 column 4: expected a number"),
    ];
    for (yaml, expected) in cases {
        let problem = parse(yaml).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{yaml:?}: {problem}");
    }
}

/// Layouts that PyYAML (SAM CLI) and SnakeYAML (CloudFormation) read, each with its value.
#[test]
fn layouts_parse_as_in_other_parsers() {
    let cases = [
        (
            "a:\n  b: [\n    {\"c\": \"d\"}\n  ]\n",
            json!({"a": {"b": [{"c": "d"}]}}),
        ),
        (
            "a:\n  b: {\n    \"c\": []\n  }\n",
            json!({"a": {"b": {"c": []}}}),
        ),
        ("a:\n  b: {\n    c: 1\n}\n", json!({"a": {"b": {"c": 1}}})),
        (
            "a:\n  b: {c: 1,\n  d: 2}\n  e: 3\n",
            json!({"a": {"b": {"c": 1, "d": 2}, "e": 3}}),
        ),
        ("a:\n  b: [1,\n2,\n 3]\n", json!({"a": {"b": [1, 2, 3]}})),
        (
            "a:\n  b: '{\n    \"c\": 1\n  }'\n",
            json!({"a": {"b": "{ \"c\": 1 }"}}),
        ),
        (
            "a:\n  b: \"one\n two\nthree\"\n",
            json!({"a": {"b": "one two three"}}),
        ),
        (
            "a:\n- b\n-   - c\n    - d\n",
            json!({"a": ["b", ["c", "d"]]}),
        ),
        (
            "a: {b: !Ref C, d: [!Sub '${E}']}",
            json!({"a": {"b": {"Ref": "C"}, "d": [{"Fn::Sub": "${E}"}]}}),
        ),
        ("a: {\"b\":1, 'c' : 2,}\n", json!({"a": {"b": 1, "c": 2}})),
        ("a: [b, # c\n  d]\n", json!({"a": ["b", "d"]})),
        ("b: 'x\n\ty'\n", json!({"b": "x y"})),
        ("a: x\n  y\n\n  z\n", json!({"a": "x y\nz"})),
        ("a: |\n  x\n   y", json!({"a": "x\n y"})),
        ("\u{feff}a: 1\n", json!({"a": 1})),
        ("%YAML 1.1\n---\na: yes\n...\n", json!({"a": true})),
        ("a:\n  !Sub |\n    x\n", json!({"a": {"Fn::Sub": "x\n"}})),
        ("? a\n: 1\n", json!({"a": 1})),
    ];
    for (yaml, expected) in cases {
        assert_eq!(parse(yaml).as_ref(), Ok(&expected), "{yaml:?}");
    }
}

#[test]
fn aliases_and_merges_are_resolved() {
    let yaml = "base: &b {x: 1, y: 2}\nlist: &l [1]\none:\n  <<: *b\n  y: 3\ntwo: {<<: [{x: 4}, *b]}\nthree: *l\nfour: !Ref &n N\nfive: *n\n";
    let value = parse(yaml).unwrap();
    assert_eq!(value["one"], json!({"x": 1, "y": 3}));
    assert_eq!(value["two"], json!({"x": 4, "y": 2}));
    assert_eq!(value["three"], json!([1]));
    assert_eq!(value["five"], json!({"Ref": "N"}));
    for (yaml, expected) in [
        (
            "a: &a [*a]",
            "line 1 column 8: expected an alias to a complete value",
        ),
        ("a: *b", "line 1"),
        ("a: {<<: 1}", "line 1 column 5: expected a mapping to merge"),
    ] {
        let problem = parse(yaml).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{yaml}: {problem}");
    }
    // Each line repeats the one before nine times.
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for i in 1..12 {
        let before = format!("*a{}, ", i - 1).repeat(9);
        bomb += &format!("a{i}: &a{i} [{before}]\n");
    }
    let problem = parse(&bomb).unwrap_err().to_string();
    assert!(problem.contains("aliases that repeat at most"), "{problem}");
}

#[test]
fn surprising_scalars_are_recorded_as_written() {
    let (value, places) =
        parse_with_places("a: [no, 010, true, 'no', !Ref no, !!str off]\non: 1_0\n").unwrap();
    assert_eq!(
        value,
        json!({"a": [false, 8, true, "no", {"Ref": "no"}, "off"], "true": 10})
    );
    let written = places.written().iter();
    let written: Vec<_> = written
        .map(|written| (&*written.pointer, &*written.text, written.is_name))
        .collect();
    assert_eq!(
        written,
        [
            ("/a/0", "no", false),
            ("/a/1", "010", false),
            ("/true", "on", true),
            ("/true", "1_0", false)
        ]
    );
}
