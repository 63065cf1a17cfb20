//! The readers of task definitions: what they answer, where they say it stands, and what they refuse.

use dockless::ecs::json::parse;
use dockless::ecs::load::{LoadError, load, read};
use dockless::ecs::pattern::Pattern;
use dockless::ecs::sources::Sources;
use dockless::ecs::target::{Asked, Given, Target, TargetOptions, Variables, select};
use dockless::ecs::task_definition::{CpuArchitecture, LaunchType, Port, Stated, TaskDefinition};

const FULL: &str = r#"{
  "family": "web",
  "requiresCompatibilities": ["FARGATE"],
  "networkMode": "awsvpc",
  "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
  "containerDefinitions": [
    {
      "name": "app",
      "image": "example.com/app:v1",
      "entryPoint": ["/bin/app"],
      "command": ["--port", "8000"],
      "workingDirectory": "/srv",
      "environment": [{"name": "TOKEN", "value": "hunter2"}, {"name": "PATH", "value": "/opt/bin:/bin"}],
      "secrets": [{"name": "PASSWORD", "valueFrom": "arn:aws:ssm:eu-west-1:1:parameter/p"}],
      "portMappings": [{"containerPort": 8000, "protocol": "tcp"}, {"containerPortRange": "9000-9010"}],
      "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
      "essential": true
    }
  ]
}
"#;

fn one(name: &str, text: &str) -> TaskDefinition {
    let mut all = parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn refused(name: &str, text: &str) -> String {
    let error = parse(name, text).expect_err("an error");
    format!("{error}{}", error.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default())
}

#[test]
fn reads_every_field_with_its_place() {
    let definition = one("td.json", FULL);
    assert_eq!((definition.id.as_str(), definition.family.value().map(String::as_str)), ("web", Some("web")));
    assert_eq!(definition.architecture.value(), Some(&CpuArchitecture::Arm64));
    assert_eq!(definition.architecture.source().as_deref(), Some("td.json:5:42"));
    assert_eq!(&FULL[definition.architecture.location().expect("a place").span.clone()], "\"ARM64\"");
    assert_eq!(definition.launch_types.value(), Some(&vec![LaunchType::Fargate]));
    let app = &definition.containers[0];
    assert_eq!(app.entry_point.value(), Some(&vec!["/bin/app".to_owned()]));
    assert_eq!(app.path.value().map(|path| path.0.as_str()), Some("/opt/bin:/bin"));
    assert_eq!(app.environment, ["TOKEN", "PATH", "PASSWORD"]);
    assert_eq!(app.ports, [Port::Number(8000), Port::Words("9000-9010".into())]);
    assert_eq!((app.location.line, app.location.column), (7, 5));
}

#[test]
fn values_of_the_environment_are_not_kept() {
    let shown = format!("{:?}", one("td.json", FULL));
    for secret in ["hunter2", "/opt/bin", "arn:aws:ssm"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn unwraps_what_describe_prints_and_reads_yaml_the_same() {
    let wrapped = format!("{{\"taskDefinition\": {FULL}, \"tags\": []}}");
    assert_eq!(one("-", &wrapped).containers[0].name, "app");
    let yaml = "family: web\nruntimePlatform:\n  cpuArchitecture: ARM64\ncontainerDefinitions:\n  - name: app\n    \
                image: example.com/app:v1\n    command: [run, \"8\"]\n    portMappings:\n    - containerPort: 80\n";
    let definition = one("td.yaml", yaml);
    assert_eq!(definition.architecture.source().as_deref(), Some("td.yaml:3:20"));
    assert_eq!(definition.containers[0].command.value(), Some(&vec!["run".to_owned(), "8".to_owned()]));
    assert_eq!(definition.containers[0].ports, [Port::Number(80)]);
    assert_eq!(one("-", yaml).id, "web");
}

#[test]
fn a_byte_order_mark_and_other_scripts_do_no_harm() {
    let text = "\u{feff}{\"family\": \"日本\", \"runtimePlatform\": {\"cpuArchitecture\": \"X86_64\"}, \
                \"containerDefinitions\": []}";
    assert_eq!(one("td.json", text).architecture.source().as_deref(), Some("td.json:1:57"));
}

#[test]
fn what_is_not_rendered_is_unresolved() {
    let text = r#"{"family": "a", "runtimePlatform": {"cpuArchitecture": "{{ must_env `ARCH` }}"},
        "containerDefinitions": [{"name": "a", "image": "a:{{ env `TAG` `latest` }}", "command": ["{{ env `X` }}"]}]}"#;
    let definition = one("td.json", text);
    assert!(matches!(&definition.architecture, Stated::Unresolved { reason, .. } if reason.contains("template")));
    assert!(matches!(definition.containers[0].command, Stated::Unresolved { .. }));
    assert_eq!(definition.containers[0].image.value().map(String::as_str), Some("a:{{ env `TAG` `latest` }}"));
}

#[test]
fn refuses_what_ecs_would_refuse() {
    let with = |line: &str| format!("{{\"family\": \"a\",\n{line},\n\"containerDefinitions\": []}}");
    let container = |line: &str| format!("{{\"containerDefinitions\": [{{\"name\": \"a\",\n{line}}}]}}");
    for (text, wanted) in [
        (with(r#""runtimePlatform": {"cpuArchitecture": "x86_64"}"#), "write X86_64"),
        (with(r#""runtimePlatform": {"cpuArchitecture": "amd64"}"#), "td.json:2:40: cpuArchitecture: \"amd64\""),
        (with(r#""runtimePlatform": {"cpuArchitecture": "AARCH64"}"#), "write ARM64"),
        (with(r#""runtimePlatform": {"operatingSystemFamily": "linux"}"#), "expected LINUX"),
        (with(r#""runtime_platform": {}"#), "write runtimePlatform"),
        (
            with(r#""runtimePlatfrom": {}"#),
            "td.json:2:1: \"runtimePlatfrom\" is not a key that ECS knows | did you mean runtimePlatform?",
        ),
        (with(r#""runtimePlatform": {"cpuArch": "ARM64"}"#), "did you mean cpuArchitecture?"),
        (with(r#""runtimePlatform": {"os": "LINUX"}"#), "did you mean operatingSystemFamily?"),
        (with(r#""requiresCompatibilities": "FARGATE""#), "expected an array of launch types"),
        (with(r#""requiresCompatibilities": ["fargate"]"#), "expected FARGATE"),
        (with(r#""family": "b""#), "td.json:2:1: the key \"family\" stands here twice"),
        (container(r#""command": "npm start""#), "found a string | write [\"npm\", \"start\"]"),
        (container(r#""command": ["a", 1]"#), "td.json:2:18: expected a string, found a number"),
        (container(r#""entrypoint": []"#), "write entryPoint"),
        (container(r#""portMappings": [{"containerPort": "80"}]"#), "expected a number, a port, found a string"),
        (container(r#""portMappings": [{"containerPort": 70000}]"#), "a port from 0 to 65535"),
        (container(r#""essential": "yes""#), "expected true or false"),
        ("{\"containerDefinitions\": [{}]}".into(), "has no name"),
        ("{\"family\": \"a\",}".into(), "nothing follows this comma"),
        ("{}".into(), "it has no containerDefinitions"),
        (String::new(), "the document ends"),
    ] {
        let message = refused("td.json", &text);
        assert!(message.contains(wanted), "{text}\n{message}");
    }
    assert!(refused("td.yml", "a: 1\na: 2\n").contains("td.yml:2:1"), "{}", refused("td.yml", "a: 1\na: 2\n"));
    assert!(refused("td.yml", "containerDefinitions:\n- name: a\n  command: [8080]\n").contains("td.yml:3:13"));
    assert!(refused("td.yml", "containerDefinitions: !Ref x\n").contains("CloudFormation"));
}

#[test]
fn calls_other_formats_by_their_names() {
    for (name, text, wanted) in [
        ("a.yaml", "AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  A: !Ref B\n", "CloudFormation template"),
        ("a.json", r#"{"Resources": {}}"#, "CloudFormation template"),
        ("a.yml", "services:\n  web:\n    image: a\n", "compose file"),
        ("a.json", r#"{"services": [{"serviceName": "a", "taskDefinition": "arn:a"}]}"#, "ecs-service:CLUSTER/SERVICE"),
        ("a.yml", "name: a\ntype: Load Balanced Web Service\n", "Copilot manifest"),
        ("main.tf", "resource \"x\" \"y\" {}", "Terraform"),
        ("-", "resource \"aws_ecs_task_definition\" \"y\" {\n}", "Terraform"),
        ("td.jsonnet", "{}", "Jsonnet"),
        ("plan.json", r#"{"terraform_version": "1", "planned_values": {}}"#, "plan or state"),
        ("a.json", "[]", "this is an array"),
        ("a.json", r#"{"architecture": "amd64", "os": "linux", "rootfs": {}}"#, "image configuration"),
        ("a.json", r#"{"Family": "a", "ContainerDefinitions": []}"#, "PascalCase"),
        ("a.json", r#"{"container_definitions": []}"#, "snake_case"),
        ("a.json", "{ \"cpu\": {{ env `CPU` }} }", "template"),
    ] {
        let message = refused(name, text);
        assert!(message.contains(wanted) && message.contains(" | "), "{name}: {message}");
    }
}

fn asked(text: &str, options: &TargetOptions) -> Asked {
    Target::new(one("td.json", text), options).asked
}

#[test]
fn asks_for_what_ecs_will_ask_for() {
    let definition = |compatibilities: &str, platform: &str| {
        format!("{{\"family\":\"a\"{compatibilities}{platform},\"containerDefinitions\":[]}}")
    };
    let fargate = ",\"requiresCompatibilities\":[\"FARGATE\"]";
    let ec2 = ",\"requiresCompatibilities\":[\"EC2\"]";
    let both = ",\"requiresCompatibilities\":[\"EC2\",\"FARGATE\"]";
    let external = ",\"requiresCompatibilities\":[\"EXTERNAL\"]";
    let arm = ",\"runtimePlatform\":{\"cpuArchitecture\":\"ARM64\"}";
    let none = TargetOptions::default();
    let arm64 = TargetOptions { architecture: Some(CpuArchitecture::Arm64), ..none.clone() };
    let on_fargate = TargetOptions { launch_type: Some(LaunchType::Fargate), ..none.clone() };
    for (compatibilities, platform, options, wanted, why) in [
        (fargate, arm, &none, Some("linux/arm64"), "ARM64, from td.json:1:"),
        (fargate, "", &none, Some("linux/amd64"), "the default of Fargate"),
        (fargate, "", &arm64, Some("linux/amd64"), "does not change that"),
        (ec2, "", &none, None, "on EC2 the instance decides"),
        (ec2, "", &arm64, Some("linux/arm64"), "from --architecture"),
        (ec2, arm, &none, Some("linux/arm64"), "ARM64, from"),
        (external, "", &none, None, "on EXTERNAL the instance decides"),
        (both, "", &none, None, "X86_64 on Fargate, but it may also run on EC2"),
        (both, "", &on_fargate, Some("linux/amd64"), "the default of Fargate"),
        ("", "", &none, None, "neither runtimePlatform.cpuArchitecture nor a launch type"),
        ("", "", &on_fargate, Some("linux/amd64"), "the default of Fargate"),
    ] {
        let text = definition(compatibilities, platform);
        let (platform, said) = match asked(&text, options) {
            Asked::Platform { platform, why, .. } => (Some(platform.to_string()), why),
            Asked::Undetermined { why, .. } => (None, why),
        };
        assert_eq!(platform.as_deref(), wanted, "{text}");
        assert!(said.contains(why), "{text}: {said}");
    }
    let windows = definition(fargate, ",\"runtimePlatform\":{\"operatingSystemFamily\":\"WINDOWS_SERVER_2022_CORE\"}");
    assert!(
        matches!(asked(&windows, &none), Asked::Platform { platform, .. } if platform.to_string() == "windows/amd64")
    );
}

#[test]
fn selects_targets_and_prints_them() {
    let options = |target: &str, container: Option<&str>| TargetOptions {
        targets: vec![Pattern::name(target)],
        container: container.map(ToOwned::to_owned),
        ..TargetOptions::default()
    };
    let definitions = || parse("td.json", FULL).expect("a definition");
    assert_eq!(select(definitions(), &options("w*", Some("app"))).expect("a target").len(), 1);
    let message = select(definitions(), &options("x", None)).expect_err("none").to_string();
    assert_eq!(message, "no target matches x: there is web");
    let message = select(definitions(), &options("*", Some("y"))).expect_err("none").to_string();
    assert_eq!(message, "no task definition has a container \"y\": there is app");
    let target = &select(definitions(), &TargetOptions::default()).expect("a target")[0];
    assert_eq!(
        serde_json::to_string(&target.json()).expect("JSON"),
        r#"{"id":"web","family":"web","architecture":"ARM64","architecture_source":"td.json:5:42","#.to_owned()
            + r#""operating_system":"LINUX","launch_types":["FARGATE"],"platform":"linux/arm64","#
            + r#""containers":[{"name":"app","image":"example.com/app:v1","ports":[8000,"9000-9010"]}]}"#
    );
}

/// What two documents hold, of which only the first has a container `app` on ARM64.
fn two() -> Sources {
    let other = FULL.replace("\"web\"", "\"batch\"").replace("\"app\"", "\"job\"").replace("ARM64", "X86_64");
    let mut both = read("-", Some(FULL), &TargetOptions::default()).expect("a source");
    both.add(read("-", Some(&other), &TargetOptions::default()).expect("a source"));
    both
}

#[test]
fn what_is_asked_for_is_looked_for_in_all_sources() {
    let ids = |options: TargetOptions| {
        let loaded = two().select(&options).map_err(|error| error.to_string())?;
        Ok::<_, String>(loaded.targets.into_iter().map(|target| target.definition.id).collect::<Vec<_>>())
    };
    let container = |name: &str| TargetOptions { container: Some(name.into()), ..TargetOptions::default() };
    assert_eq!(ids(container("app")), Ok(vec!["web".into()]));
    assert_eq!(ids(container("job")), Ok(vec!["batch".into()]));
    let error = "no task definition has a container \"x\": there is app, job".to_owned();
    assert_eq!(ids(container("x")), Err(error));
    let targets = TargetOptions { targets: vec![Pattern::name("b*")], ..TargetOptions::default() };
    assert_eq!(ids(targets), Ok(vec!["batch".into()]));
    // A variable that none of them has is refused, whatever kinds of sources they are.
    let given = vec![Given::Value("zz".to_owned(), "1".to_owned())];
    let variables = Variables { given, ..Variables::default() };
    let error = ids(TargetOptions { variables, ..TargetOptions::default() }).expect_err("no such variable");
    assert!(error.ends_with("has a variable \"zz\": there is none"), "{error}");
    let parameters = [("Arch".to_owned(), "ARM64".to_owned())].into();
    let error = ids(TargetOptions { parameters, ..TargetOptions::default() }).expect_err("no such parameter");
    assert!(error.ends_with("has a parameter \"Arch\": there is none"), "{error}");
}

#[test]
fn what_is_said_in_vain_is_told() {
    let notes = |options: TargetOptions| -> Vec<String> {
        let notes = two().select(&options).expect("targets").notes;
        notes.into_iter().map(|note| format!("{}: {}", note.location, note.message)).collect()
    };
    let architecture = |said| TargetOptions { architecture: Some(said), ..TargetOptions::default() };
    assert_eq!(
        notes(architecture(CpuArchitecture::X86_64)),
        ["-:5:42: --architecture X86_64 does not change ARM64, which is stated here"]
    );
    let launch_type = |said| TargetOptions { launch_type: Some(said), ..TargetOptions::default() };
    assert_eq!(
        notes(launch_type(LaunchType::Ec2)),
        ["-:3:30: --launch-type EC2 does not change FARGATE, which is stated here, nor what another target states"]
    );
    assert!(notes(launch_type(LaunchType::Fargate)).is_empty());
}

#[test]
fn a_name_that_is_no_file_may_be_one_at_ecs() {
    for (source, wanted) in [
        ("arn:aws:ecs:eu-central-1:123456789012:task-definition/app:1", "is written ecs:app:1"),
        ("arn:aws-cn:ecs:cn-north-1:123456789012:service/prod/web", "is written ecs-service:prod/web"),
        ("app:1", "the task definition app:1 at ECS is written ecs:app:1"),
        ("app", "the task definition app at ECS is written ecs:app"),
    ] {
        let error = load(source, None, &TargetOptions::default()).expect_err("no file");
        assert!(error.help().is_some_and(|help| help.ends_with(wanted)), "{source}: {:?}", error.help());
    }
    for path in ["infra/none.json", "none.json", "a\nb"] {
        let error = load(path, None, &TargetOptions::default()).expect_err("no file");
        assert!(error.help().is_none(), "{path}: {:?}", error.help());
    }
}

#[test]
fn loads_files_and_standard_input() {
    let options = TargetOptions::default();
    let loaded = load("-", Some(FULL), &options).expect("a target");
    assert_eq!(loaded.sources.get("-").map(AsRef::as_ref), Some(FULL));
    assert!(matches!(load("-", None, &options), Err(LoadError::NoInput)));
    assert!(matches!(load("/nonexistent/td.json", None, &options), Err(LoadError::Io { .. })));
    assert!(matches!(load("ecs:web", None, &options), Err(LoadError::Live { .. })));
    assert!(matches!(load("/dev/zero", None, &options), Err(LoadError::TooLarge { .. })));
    let folder = std::env::temp_dir();
    assert!(matches!(load(&folder.to_string_lossy(), None, &options), Err(LoadError::NotSupported { .. })));
    let file = folder.join(format!("dockless-task-definitions-{}.json", std::process::id()));
    std::fs::write(&file, b"\xff\xfe{\0").expect("the file");
    let error = load(&file.to_string_lossy(), None, &options).expect_err("no text");
    std::fs::write(&file, FULL).expect("the file");
    let targets = load(&file.to_string_lossy(), None, &options);
    std::fs::remove_file(&file).expect("the file");
    assert!(matches!(error, LoadError::NotText { .. }) && error.help().is_some());
    assert_eq!(targets.expect("a target").targets.len(), 1);
}

proptest::proptest! {
    #[test]
    fn takes_any_text(text in "\\PC{0,200}") {
        for name in ["td.json", "td.yaml", "-"] {
            let _ = parse(name, &text);
        }
    }

    #[test]
    fn takes_text_that_is_nearly_yaml(text in "[-?:&*!|>%@{}\\[\\],#'\" a-c\n\t\r0-9~.<=\\\\é]{0,120}") {
        let _ = parse("td.yaml", &text);
    }

    #[test]
    fn takes_mutated_documents(at in 0..FULL.len(), length in 0..40_usize, with in "[-{}\\[\\]\",:&*!\n\t a0é]{0,4}") {
        let mut text = FULL.to_owned();
        let end = (at + length).min(text.len());
        text.replace_range(at..end, &with);
        for name in ["td.json", "td.yaml"] {
            if let Err(error) = parse(name, &text) {
                proptest::prop_assert!(error.location.span.end <= text.len());
                proptest::prop_assert!(text.get(error.location.span.clone()).is_some());
            }
        }
    }
}
