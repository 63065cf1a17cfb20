//! Where a value comes from: a default, a flag, nothing at all.

use dockless::ecs::sources::Sources;
use dockless::ecs::target::{Asked, Target, TargetOptions};

use super::{architecture, image, read, target, template};

const ARCH: &str = "Parameters:\n  Arch:\n    Type: String\n    AllowedValues: [X86_64, ARM64]";

#[test]
fn a_default_is_where_the_value_stands() {
    let text = architecture(&format!("{ARCH}\n    Default: ARM64"), "!Ref Arch");
    let found = target(&text, &[]);
    assert_eq!(found["architecture"], "ARM64");
    assert_eq!(found["architecture_source"], "t.yaml:5:14, the default of parameter Arch");
    assert_eq!(found["id"], "Task");
    assert_eq!(found["family"], "UNSET");
}

#[test]
fn json_says_the_same() {
    let text = r#"{
  "Parameters": {"Arch": {"Type": "String", "Default": "ARM64"}},
  "Resources": {"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {
    "RuntimePlatform": {"CpuArchitecture": {"Ref": "Arch"}},
    "ContainerDefinitions": [{"Name": "app", "Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/app:v1"},
      "Essential": "true", "PortMappings": [{"ContainerPort": "8080"}]}]}}}
}"#;
    let found = target(text, &[]);
    assert_eq!(found["architecture_source"], "t.json:2:56, the default of parameter Arch");
    let container = &found["containers"][0];
    assert_eq!(container["image"], r#"{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/app:v1"}"#);
    assert_eq!(container["ports"][0], 8080);
    let found = target(text, &[("AWS::AccountId", "123456789012"), ("AWS::Region", "eu-central-1")]);
    assert_eq!(found["containers"][0]["image"], "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1");
}

#[test]
fn a_flag_goes_before_the_default() {
    let text = architecture(&format!("{ARCH}\n    Default: ARM64"), "!Ref Arch");
    let found = target(&text, &[("Arch", "X86_64")]);
    assert_eq!(found["architecture"], "X86_64");
    assert_eq!(found["architecture_source"], "t.yaml:2:3, given by --parameter Arch");
    let message = read(&text, &[("Arch", "arm64")]).expect_err("not allowed");
    assert!(message.starts_with("t.yaml:2:3: --parameter Arch: \"arm64\" is none of X86_64, ARM64"), "{message}");
    let parameters = read(&text, &[]).expect("a template").parameters;
    let options = TargetOptions {
        parameters: [("Architecture".to_owned(), "ARM64".to_owned()), ("AWS::Region".to_owned(), "x".to_owned())]
            .into(),
        ..TargetOptions::default()
    };
    let error = Sources { parameters, ..Sources::default() }.select(&options).expect_err("not there").to_string();
    assert_eq!(error, "--parameter Architecture: no template here has a parameter \"Architecture\": there is Arch");
}

#[test]
fn without_a_default_it_is_unresolved_and_says_how_to_say_it() {
    let found = target(&architecture(ARCH, "!Ref Arch"), &[]);
    assert_eq!(found["architecture"], "UNRESOLVED");
    let source = found["architecture_source"].as_str().expect("a source");
    assert!(source.contains("parameter Arch has no default (--parameter Arch=…)"), "{source}");
    let only = "Parameters:\n  Arch:\n    Type: String\n    AllowedValues: [ARM64]";
    assert_eq!(target(&architecture(only, "!Ref Arch"), &[])["architecture"], "ARM64");
    let none = target(&architecture("", "!Ref Arch"), &[]);
    assert!(none["architecture_source"].as_str().expect("a source").contains("neither a parameter nor a resource"));
}

#[test]
fn what_is_kept_elsewhere_is_unresolved() {
    let stored = "Parameters:\n  Image:\n    Type: AWS::SSM::Parameter::Value<String>\n    Default: /app/image";
    let text = image(stored, "!Ref Image");
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    let container = &definition.containers[0];
    assert!(container.image.source().expect("a source").contains("SSM Parameter Store (--parameter Image=…)"));
    assert_eq!(container.image_expression.as_deref(), Some("!Ref Image"));
    assert_eq!(target(&text, &[("Image", "app:v1")])["containers"][0]["image"], "app:v1");
    let text = image("", "'app:{{resolve:ssm:/app/tag}}'");
    assert_eq!(target(&text, &[])["containers"][0]["image"], "app:{{resolve:ssm:/app/tag}}");
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    assert_eq!(definition.containers[0].image.value(), None);
}

#[test]
fn what_is_secret_is_never_shown() {
    let secret = "Parameters:\n  Secret:\n    Type: String\n    NoEcho: true\n    Default: hunter2\n  Open:\n    Type: String\n    Default: x";
    for expression in [
        "!Ref Secret",
        "!Sub 'app:${Secret}'",
        "!Join ['', [app, !Ref Secret]]",
        "!Select [1, !Split [u, !Ref Secret]]",
        "!Base64 {Ref: Secret}",
        "!If [Is, !Ref Secret, x]",
        "!FindInMap [Map, !Ref Secret, x]",
        "!FindInMap [!Ref Secret, x, x]",
        "!Select [!Ref Secret, [a]]",
        "!Join ['', !Split [!Ref Secret, 'a-b']]",
        "{'Fn::ForEach::A': [A, [!Ref Secret], {'${A}': x}]}",
    ] {
        let before = format!("{secret}\nConditions:\n  Is: !Equals [!Ref Open, x]\nMappings:\n  Map: {{a: {{x: y}}}}");
        let properties = format!(
            "Family: {expression}\nContainerDefinitions:\n  - Name: {expression}\n    Image: {expression}\n    \
             WorkingDirectory: {expression}\n    User: {expression}\n    Command: [{expression}]"
        );
        let services = "  Web:\n    Type: AWS::ECS::Service\n    Properties: {TaskDefinition: !Ref Task, LaunchType: !Ref Secret}\n  \
                        Inner:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: !Ref Secret}\n";
        // A name that is an object is an error; it must not show it either.
        let stacks = match read(&(template(&before, &properties) + services), &[]) {
            Ok(stacks) => stacks,
            Err(message) => {
                assert!(!message.contains("hunter2") && expression.contains("ForEach"), "{message}");
                continue;
            }
        };
        let shown = format!("{stacks:?} {}", super::json(stacks.definitions[0].clone()));
        for part in ["hunter2", "nter2", "aHVudGVyMg"] {
            assert!(!shown.contains(part), "{expression}: {shown}");
        }
    }
    let text = architecture(secret, "!Ref Secret");
    let message = read(&text, &[]).expect_err("no architecture");
    assert!(!message.contains("hunter2"), "{message}");
    // What is underlined is what holds it, not the value.
    assert!(message.starts_with("t.yaml:14:9: "), "{message}");
    let allowed = format!("{secret}\n  Pick:\n    Type: String\n    NoEcho: true\n    AllowedValues: [a]");
    let message = read(&image(&allowed, "x"), &[("Pick", "hunter3")]).expect_err("not allowed");
    assert!(!message.contains("hunter3"), "{message}");
}

#[test]
fn lists_are_split_at_commas() {
    let list = "Parameters:\n  Command:\n    Type: CommaDelimitedList\n    Default: 'a, b,c'\n  None:\n    Type: CommaDelimitedList\n    Default: ''";
    let text = template(
        list,
        "ContainerDefinitions:\n  - Name: app\n    Image: !Select [1, !Ref Command]\n    Command: !Ref Command\n    EntryPoint: !Ref None",
    );
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    let container = &definition.containers[0];
    assert_eq!(container.image.value().map(String::as_str), Some("b"));
    assert_eq!(container.command.value(), Some(&vec!["a".into(), "b".into(), "c".into()]));
    assert_eq!(container.entry_point.value(), None);
}

#[test]
fn a_launch_type_that_is_open_says_what_it_hangs_on() {
    let text = template(
        "Parameters:\n  Launch:\n    Type: String",
        "RequiresCompatibilities: [!Ref Launch]\nContainerDefinitions: []",
    );
    let definition = read(&text, &[]).expect("a template").definitions.remove(0);
    let Asked::Undetermined { why, .. } = Target::new(definition, &TargetOptions::default()).asked else {
        panic!("nothing says where it runs");
    };
    assert!(why.contains("parameter Launch has no default (--parameter Launch=…)"), "{why}");
    assert_eq!(target(&text, &[("Launch", "FARGATE")])["platform"], "linux/amd64");
}
