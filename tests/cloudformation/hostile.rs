//! Templates that are made to hurt.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use dockless::ecs::cloudformation::{NoFiles, Parameters, parse};
use proptest::prelude::*;

use super::{Memory, image, read, read_with, template};

#[test]
fn time_and_memory_are_bounded() {
    let start = Instant::now();
    // A chain of conditions, each of the one before.
    let mut chain = String::from("Conditions:\n  C0: !Equals [a, a]\n");
    for n in 1..20_000 {
        let _ = writeln!(chain, "  C{n}: !Condition C{}", n - 1);
    }
    let text = image(&chain, "!If [C19999, a, b]");
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    assert!(definition.containers[0].image.source().expect("a source").contains("too deep"));
    // Conditions that hang on each other.
    let circle = "Conditions:\n  A: !Condition B\n  B: !And [!Condition A, !Condition A]";
    assert!(read(&image(circle, "!If [A, a, b]"), &[]).is_ok());
    // A long default, many times.
    let long = format!("Parameters:\n  Long:\n    Type: String\n    Default: {}", "x".repeat(4000));
    let many = image(&long, &format!("!Sub '{}'", "${Long}".repeat(50_000)));
    let definition = read(&many, &[]).expect("a template").definitions.remove(0);
    assert!(definition.containers[0].image.source().expect("a source").contains("too much"));
    // A parameter that doubles from stack to stack.
    let double = "Parameters:\n  P:\n    Type: String\n    Default: xxxxxxxx\nResources:\n".to_owned()
        + &(0..8).map(|n| format!("  S{n}:\n    Type: AWS::CloudFormation::Stack\n    Properties: {{TemplateURL: self.yaml, Parameters: {{P: !Sub '{}'}}}}\n", "${P}".repeat(100))).collect::<Vec<_>>().concat()
        + "  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {ContainerDefinitions: [{Name: a, Image: !Ref P}]}\n";
    let mut files = Memory(BTreeMap::from([("self.yaml", double.clone())]));
    assert!(read_with(&double, &[], &mut files).is_ok());
    // Loops in loops.
    let list = format!("[{}]", (0..900).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    let looped = format!(
        "{{'Fn::ForEach::A': [A, {list}, {{'${{A}}': {{'Fn::ForEach::B': [B, {list}, {{'${{B}}': {{'Fn::ForEach::C': [C, {list}, {{'${{C}}': x}}]}}}}]}}}}]}}"
    );
    let _ = read(&image("", &looped), &[]);
    // An If in an If, both of whose branches are asked for.
    let mut nested = String::from("x");
    for _ in 0..25 {
        nested = format!("!If [Open, {nested}, y]");
    }
    assert!(read(&image("", &nested), &[]).is_ok());
    // Large objects, compared.
    let large = (0..20_000).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join(", ");
    assert!(read(&image("", &format!("!If [Open, {{{large}}}, {{{large}}}]")), &[]).is_ok());
    // Names that are looked for in vain.
    let refs = (0..20_000).map(|n| format!("!Ref A{n}")).collect::<Vec<_>>().join(", ");
    assert!(read(&image("", &format!("!Join ['', [{refs}]]")), &[]).is_ok());
    // A list of nothing but commas, and a text that is split at every letter.
    let commas = format!("Parameters:\n  L:\n    Type: CommaDelimitedList\n    Default: '{}'", ",".repeat(500_000));
    assert!(read(&image(&commas, "!Join ['', !Ref L]"), &[]).is_ok());
    let split = image("", &format!("!Join ['', !Split [a, '{}']]", "a".repeat(500_000)));
    assert!(read(&split, &[]).is_ok());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn conditions_take_their_part_of_what_may_be_made() {
    let start = Instant::now();
    let mut conditions = String::from("Conditions:\n");
    for n in 0..8000 {
        let _ = writeln!(conditions, "  C{n}: !Equals [a, a]");
    }
    for name in ["C7999", "Nowhere"] {
        let all = vec![format!("!Condition {name}"); 30_000].join(", ");
        let list = (0..900).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let looped = format!("{{'Fn::ForEach::A': [A, [{list}], {{'${{A}}': !If [!And [{all}], a, b]}}]}}");
        let before = format!("Transform: AWS::LanguageExtensions\n{conditions}");
        assert!(
            read(
                &template(
                    &before,
                    &format!(
                        "Family: a\nContainerDefinitions:\n  - Name: app\n    Image: a\n    DockerLabels: {looped}"
                    )
                ),
                &[]
            )
            .is_ok()
        );
    }
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn laughs_are_few() {
    let mut laughs = String::from("Metadata:\n  a0: &a0 [lol]\n");
    for n in 1..12 {
        let _ = writeln!(laughs, "  a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    let message = read(&image(&laughs, "x"), &[]).expect_err("too much");
    assert!(message.contains("too many anchors"), "{message}");
}

#[test]
fn a_template_larger_than_its_quota_is_refused() {
    let text = format!(
        "{{\"Resources\": {{\"A\": {{\"Type\": \"AWS::ECS::TaskDefinition\"}}}}, \"Description\": \"{}\"}}",
        "x".repeat(1 << 20)
    );
    assert!(read(&text, &[]).expect_err("too large").contains("more than 1 MiB"));
}

/// A node of a template: functions of all kinds over few names, so that they meet.
fn node() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_owned()),
        Just("''".to_owned()),
        Just("80".to_owned()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("!Ref Arch".to_owned()),
        Just("!Ref Open".to_owned()),
        Just("!Ref Secret".to_owned()),
        Just("!Ref 'AWS::NoValue'".to_owned()),
        Just("!Sub '${Arch}-${Open}'".to_owned()),
        Just("!Condition C".to_owned()),
        Just("ARM64".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let name = prop_oneof![
            Just("!If"),
            Just("!Join"),
            Just("!Select"),
            Just("!Split"),
            Just("!Sub"),
            Just("!FindInMap"),
            Just("!And"),
            Just("!Or"),
            Just("!Not"),
            Just("!Equals"),
            Just("!Base64"),
            Just("!GetAtt"),
            Just("!Ref"),
            Just("!Length"),
            Just("!Cidr"),
            Just("!Transform"),
            Just("")
        ];
        prop_oneof![
            (name, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, items)| format!("{name} [{}]", items.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(yes, no)| format!("!If [C, {yes}, {no}]")),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let keys = ["Name", "Image", "Fn::If", "CpuArchitecture"];
                let members: Vec<String> =
                    items.iter().zip(keys).map(|(item, key)| format!("'{key}': {item}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}") {
        let _ = parse("t.yaml", &text, &Parameters::new(), &mut NoFiles);
        let _ = parse("t.json", &text, &Parameters::new(), &mut NoFiles);
    }

    #[test]
    fn any_functions_are_taken(condition in node(), properties in prop::collection::vec(node(), 6)) {
        let [platform, containers, image, port, command, launch] = properties.as_slice() else { unreachable!() };
        let text = format!(
            "Parameters: {{Arch: {{Type: String, Default: ARM64}}, Open: {{Type: String}}, \
             Secret: {{Type: String, NoEcho: true, Default: hunter2}}}}\nConditions: {{C: {condition}}}\nResources:\n  \
             Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      RuntimePlatform: {platform}\n      \
             ContainerDefinitions: [{containers}, {{Name: a, Image: {image}, PortMappings: [{port}], Command: {command}}}]\n  \
             Web:\n    Type: AWS::ECS::Service\n    Properties: {{TaskDefinition: !Ref Task, LaunchType: {launch}}}\n"
        );
        match read(&text, &[]) {
            Ok(stacks) => {
                let shown = format!("{stacks:?}");
                prop_assert!(!shown.contains("hunter2"));
            }
            Err(message) => prop_assert!(!message.contains("hunter2"), "{message}"),
        }
        // Both ways decided, what was known stays what it was.
        if let (Ok(open), Ok(given)) = (read(&text, &[]), read(&text, &[("Open", "x")]))
            && let (Some(open), Some(given)) = (open.definitions.first(), given.definitions.first())
            && let Some(known) = open.architecture.value()
        {
            prop_assert_eq!(Some(known), given.architecture.value(), "{}", text);
        }
    }
}
