//! The functions of a template, and conditions in three values.

use dockless::ecs::cloudformation::is_template;
use dockless::ecs::task_definition::{Port, Stated};

use super::{architecture, image, read, target, template};

const ENVIRONMENT: &str =
    "Parameters:\n  Env:\n    Type: String\n  Region:\n    Type: String\n    Default: eu-central-1";

fn resolved(before: &str, expression: &str) -> String {
    target(&image(before, expression), &[])["containers"][0]["image"].as_str().expect("an image").to_owned()
}

#[test]
fn texts_are_made_of_texts() {
    for (expression, wanted) in [
        ("!Sub 'app:${Region}'", "app:eu-central-1"),
        ("!Sub ['${Repo}:${Region}', {Repo: !Ref Region}]", "eu-central-1:eu-central-1"),
        ("!Sub '${!Region}-${Region}'", "${Region}-eu-central-1"),
        ("{'Fn::Sub': app}", "app"),
        ("!Join ['/', [a, !Ref Region, b]]", "a/eu-central-1/b"),
        ("!Join ['.', !Split ['-', !Ref Region]]", "eu.central.1"),
        ("!Select [1, !Split ['-', !Ref Region]]", "central"),
        ("!Select ['0', [a, b]]", "a"),
        ("!Select [2, [a, b]]", "!Select [2, [\"a\", \"b\"]]"),
        ("!Base64 app", "YXBw"),
        ("!FindInMap [Images, eu-central-1, App]", "one"),
        ("!FindInMap [Images, !Ref 'AWS::Region', Same]", "same"),
        ("!FindInMap [Images, !Ref 'AWS::Region', App]", "!FindInMap [\"Images\", !Ref AWS::Region, \"App\"]"),
        ("!FindInMap [Images, nowhere, App, {DefaultValue: two}]", "two"),
        (
            "!FindInMap [Images, !Ref 'AWS::Region', Same, {DefaultValue: two}]",
            "!FindInMap [\"Images\", !Ref AWS::Region, \"Same\", {\"DefaultValue\": \"two\"}]",
        ),
        ("!FindInMap [Images, !Ref 'AWS::Region', Same, {DefaultValue: same}]", "same"),
        ("!FindInMap [Images, !Ref 'AWS::Region', None, {DefaultValue: two}]", "two"),
        ("!ImportValue image", "!ImportValue image"),
        ("!GetAtt Repository.RepositoryUri", "!GetAtt Repository.RepositoryUri"),
        ("!Sub '${Repository.RepositoryUri}:v1'", "!Sub ${Repository.RepositoryUri}:v1"),
        ("!Sub '${Env}:v1'", "!Sub ${Env}:v1"),
        ("!Transform {Name: Include}", "!Transform {\"Name\": \"Include\"}"),
        ("!Unheard Of", "!Unheard Of"),
    ] {
        let mappings =
            "Mappings:\n  Images:\n    eu-central-1: {App: one, Same: same}\n    us-east-1: {App: two, Same: same}";
        assert_eq!(resolved(&format!("{ENVIRONMENT}\n{mappings}"), expression), wanted, "{expression}");
    }
}

#[test]
fn what_is_open_says_where_it_is_known() {
    for expression in [
        "!GetAtt Made.Architecture",
        "!Sub '${Made.Architecture}'",
        "!ImportValue architecture",
        "!Transform {Name: Include}",
        "'{{resolve:ssm:/architecture}}'",
    ] {
        let found = target(&architecture("", expression), &[]);
        assert_eq!(found["architecture"], "UNRESOLVED", "{expression}");
        let source = found["architecture_source"].as_str().expect("a source");
        assert!(source.ends_with("what ECS has then says it (`aws ecs describe-task-definition`)"), "{source}");
    }
}

#[test]
fn how_a_mapping_was_found_is_told() {
    let before = "Mappings:\n  Platform:\n    prod: {Arch: ARM64}";
    let found = target(&architecture(before, "!FindInMap [Platform, prod, Arch]"), &[]);
    assert_eq!(found["architecture_source"], "t.yaml:3:18, Arch of prod in mapping Platform");
}

#[test]
fn an_open_condition_decides_only_where_both_branches_agree() {
    let before = format!(
        "{ENVIRONMENT}\nConditions:\n  Prod: !Equals [!Ref Env, prod]\n  Here: !Equals [!Ref Region, eu-central-1]"
    );
    let found = target(&architecture(&before, "!If [Prod, ARM64, ARM64]"), &[]);
    assert_eq!(found["architecture"], "ARM64");
    let open = architecture(&before, "!If [Prod, ARM64, X86_64]");
    let found = target(&open, &[]);
    assert_eq!(found["architecture"], "UNRESOLVED");
    let source = found["architecture_source"].as_str().expect("a source");
    assert!(source.contains("condition Prod is open: parameter Env has no default (--parameter Env=…)"), "{source}");
    assert_eq!(target(&open, &[("Env", "prod")])["architecture"], "ARM64");
    assert_eq!(target(&open, &[("Env", "test")])["architecture"], "X86_64");
    let here = target(&architecture(&before, "!If [Here, ARM64, X86_64]"), &[]);
    assert!(here["architecture_source"].as_str().expect("a source").ends_with(", since Here is true"));
    // A platform that may be missing is not one that is missing.
    let platform =
        "RuntimePlatform: !If [Prod, {CpuArchitecture: ARM64}, !Ref 'AWS::NoValue']\nContainerDefinitions: []";
    assert_eq!(target(&template(&before, platform), &[])["architecture"], "UNRESOLVED");
    assert_eq!(target(&template(&before, platform), &[("Env", "test")])["architecture"], "UNSET");
    // What both branches say is known.
    let platform = "RuntimePlatform: !If [Prod, {CpuArchitecture: ARM64, OperatingSystemFamily: LINUX}, \
                    {OperatingSystemFamily: LINUX, CpuArchitecture: X86_64}]\nContainerDefinitions: []";
    let found = target(&template(&before, platform), &[]);
    assert_eq!(
        (found["architecture"].as_str(), found["operating_system"].as_str()),
        (Some("UNRESOLVED"), Some("LINUX"))
    );
    let half = "RuntimePlatform: !If [Prod, {CpuArchitecture: ARM64, OperatingSystemFamily: LINUX}, \
                {OperatingSystemFamily: LINUX}]\nContainerDefinitions: []";
    assert_eq!(target(&template(&before, half), &[])["architecture"], "UNRESOLVED");
}

#[test]
fn conditions_have_three_values() {
    let yes = "!Equals [!Ref Region, eu-central-1]";
    let no = "!Equals [!Ref Region, x]";
    let open = "!Equals [!Ref Env, x]";
    for (condition, wanted) in [
        (format!("!And [{yes}, {yes}]"), "ARM64"),
        (format!("!And [{yes}, {open}]"), "UNRESOLVED"),
        (format!("!And [{open}, {no}]"), "X86_64"),
        (format!("!Or [{open}, {yes}]"), "ARM64"),
        (format!("!Or [{no}, {open}]"), "UNRESOLVED"),
        (format!("!Or [{no}, {no}]"), "X86_64"),
        (format!("!Not [{no}]"), "ARM64"),
        (format!("!Not [{open}]"), "UNRESOLVED"),
        ("!Condition Other".into(), "ARM64"),
        ("{Condition: Other}".into(), "ARM64"),
        ("Fn::Not: [{Condition: Other}]".replace("Fn::Not: ", "!Not "), "X86_64"),
        ("!Equals [true, 'true']".into(), "ARM64"),
        ("!Equals [!Join [',', [a, b]], 'a,b']".into(), "ARM64"),
        ("!Condition Nowhere".into(), "UNRESOLVED"),
        ("!Condition Is".into(), "UNRESOLVED"),
        ("!Ref Env".into(), "UNRESOLVED"),
    ] {
        let before = format!("{ENVIRONMENT}\nConditions:\n  Is: {condition}\n  Other: {yes}");
        let text = architecture(&before, "!If [Is, ARM64, X86_64]");
        assert_eq!(target(&text, &[])["architecture"], wanted, "{condition}");
    }
}

#[test]
fn items_under_a_condition_are_there_or_may_be() {
    let before = format!("{ENVIRONMENT}\nConditions:\n  Prod: !Equals [!Ref Env, prod]");
    let text = template(
        &before,
        "ContainerDefinitions:\n  - Name: app\n    Image: a\n    Command: [x, !If [Prod, y, !Ref 'AWS::NoValue']]\n    \
         PortMappings:\n      - !If [Prod, {ContainerPort: 80}, !Ref 'AWS::NoValue']\n  \
         - !If [Prod, {Name: proxy, Image: b}, !Ref 'AWS::NoValue']\n  - !If [Prod, {Name: one, Image: c}, {Name: two, Image: d}]",
    );
    let names = |parameters: &[(&str, &str)]| {
        let containers = target(&text, parameters)["containers"].as_array().cloned().unwrap_or_default();
        containers.iter().map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "app proxy one two");
    assert_eq!(names(&[("Env", "prod")]), "app proxy one");
    assert_eq!(names(&[("Env", "test")]), "app two");
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    assert_eq!(definition.containers[0].command.value(), None, "a word that may be missing");
    assert_eq!(definition.containers[0].ports.len(), 1);
}

#[test]
fn what_an_item_under_an_open_condition_says_is_open() {
    let before = format!("{ENVIRONMENT}\nConditions:\n  Prod: !Equals [!Ref Env, prod]");
    let app = |key: &str, item: &str, parameters: &[(&str, &str)]| {
        let text = template(
            &before,
            &format!("ContainerDefinitions:\n  - Name: app\n    Image: a\n    {key}:\n      - {item}\n"),
        );
        read(&text, parameters).expect("a template").definitions.remove(0).containers.remove(0)
    };
    for item in [
        "!If [Prod, {Name: PATH, Value: /x}, !Ref 'AWS::NoValue']",
        "!If [Prod, !Ref 'AWS::NoValue', {Name: PATH, Value: /x}]",
        "!If [Prod, {Name: PATH, Value: /x}, {Name: MODE, Value: y}]",
    ] {
        let found = app("Environment", item, &[]);
        assert!(matches!(&found.path, Stated::Unresolved { reason, .. } if reason.contains("Prod is open")), "{item}");
        assert!(found.environment.contains(&"PATH".to_owned()), "{item}");
    }
    let path = "!If [Prod, {Name: PATH, Value: /x}, !Ref 'AWS::NoValue']";
    assert!(app("Environment", path, &[("Env", "prod")]).path.value().is_some());
    assert_eq!(app("Environment", path, &[("Env", "test")]).path, Stated::Unset);
    let port = "!If [Prod, {ContainerPort: 80, HostPort: 8080}, !Ref 'AWS::NoValue']";
    let found = app("PortMappings", port, &[]);
    assert!(matches!(found.ports[..], [Port::Words(_)]), "{:?}", found.ports);
    assert!(!format!("{:?}", found.details).contains("8080"), "{:?}", found.details);
    assert_eq!(app("PortMappings", port, &[("Env", "prod")]).ports, [Port::Number(80)]);
    let mount = "!If [Prod, {SourceVolume: v, ContainerPath: /srv}, !Ref 'AWS::NoValue']";
    let found = app("MountPoints", mount, &[]);
    assert!(found.mounts.is_empty() && found.volumes_from, "{:?}", found.mounts);
}

#[test]
fn loops_are_unrolled() {
    let text = "Transform: AWS::LanguageExtensions\nParameters:\n  Names:\n    Type: CommaDelimitedList\n    Default: a,b\n\
                Resources:\n  Fn::ForEach::Tasks:\n    - Name\n    - !Ref Names\n    - Task${Name}:\n        \
                Type: AWS::ECS::TaskDefinition\n        Properties:\n          Family: !Sub 'team-${Name}'\n          \
                ContainerDefinitions:\n            - Name: !Ref Name\n              Image: 'app:${Name}'\n";
    let definitions = read(text, &[]).expect("a template").definitions;
    let ids: Vec<&str> = definitions.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["Taska", "Taskb"]);
    assert_eq!(definitions[1].family.value().map(String::as_str), Some("team-b"));
    assert_eq!(definitions[1].containers[0].image.value().map(String::as_str), Some("app:b"));
    assert!(is_template("t.yaml", text));
    let open = text.replace("    Default: a,b\n", "");
    let message = read(&open, &[]).expect_err("an open collection");
    assert!(message.contains("Fn::ForEach::Tasks is not resolved"), "{message}");
}

#[test]
fn a_tag_that_nobody_knows_does_not_fail_the_file() {
    let text = template(
        "",
        "ContainerDefinitions:\n  - Name: app\n    Image: app\n    HealthCheck: !Ref: AWS::NoValue\n    \
         Environment:\n      - {Name: A, Value: !Ref: B}",
    );
    assert_eq!(target(&text, &[])["containers"][0]["image"], "app");
}
