//! `render`, and `build --push --render`: other images in a task definition, and nothing else changed.

mod corpus;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use dockless::ecs::edit::{NewImage, with_images};
use dockless::serve::{Running, Server, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const IMAGE: &str = "registry.example.com/app@sha256:1111111111111111111111111111111111111111111111111111111111111111";

const TASK: &str = r#"{
  "family": "app",   "mystery": [1.0, true],
  "containerDefinitions": [
    { "name": "app", "image": "registry.example.com/app:old", "essential": true },
    { "name": "side", "image": "envoy:v1" }
  ]
}
"#;

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("task.json", TASK);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect(name)
    }

    fn run(&self, words: &[&str], input: Option<&str>, variables: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command.args(words).current_dir(self.0.path()).env_clear().env("HOME", self.0.path());
        command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.unwrap_or_default().as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let said = self.run(words, None, &[]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stdout
    }
}

#[test]
fn only_the_image_changes() {
    let folder = Folder::new();
    let image = format!("app={IMAGE}");
    assert_eq!(
        folder.done(&["render", "task.json", "--image", &image]),
        TASK.replace("registry.example.com/app:old", IMAGE)
    );
    folder.done(&["render", "task.json", "--image", &image, "--image", &format!("side={IMAGE}"), "-o", "out.json"]);
    let both = TASK.replace("registry.example.com/app:old", IMAGE).replace("envoy:v1", IMAGE);
    assert_eq!(folder.read("out.json"), both);
    // In place.
    folder.done(&["render", "task.json", "--image", &image, "-o", "task.json"]);
    assert_eq!(folder.read("task.json"), TASK.replace("registry.example.com/app:old", IMAGE));
}

#[test]
fn a_reply_of_the_api_is_made_a_request_on_the_way() {
    let folder = Folder::new();
    let reply = format!(
        r#"{{"taskDefinition": {{"taskDefinitionArn": "arn:aws:ecs:r:1:task-definition/app:7", "revision": 7, {}}}"#,
        TASK.trim_start().strip_prefix('{').expect("an object").trim_end()
    );
    let said = folder.run(&["render", "-", "--image", &format!("app={IMAGE}")], Some(&reply), &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut wanted: Value = serde_json::from_str(TASK).expect("JSON");
    wanted["containerDefinitions"][0]["image"] = IMAGE.into();
    assert_eq!(serde_json::from_str::<Value>(&said.stdout).expect("JSON"), wanted);
    assert!(said.stderr.contains("left out what only a reply has: revision, taskDefinitionArn"), "{}", said.stderr);
    let windows = format!("{reply}\n").replace('\n', "\r\n");
    let ends = folder.run(&["render", "-", "--image", &format!("app={IMAGE}")], Some(&windows), &[]);
    assert_eq!(ends.stdout, format!("{}\n", said.stdout.trim_end()).replace('\n', "\r\n"));
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let folder = Folder::new();
    folder.write("broken.json", "{\"family\": \"app\",\n \"containerDefinitions\": [}");
    let told = |words: &[&str]| {
        let said = folder.run(words, None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{words:?}");
        said.stderr
    };
    let image = format!("app={IMAGE}");
    let other = format!("other={IMAGE}");
    assert!(
        told(&["render", "task.json", "--image", &other])
            .contains("there is no container \"other\": there is \"app\", \"side\"")
    );
    assert!(told(&["render", "broken.json", "--image", &image]).contains("broken.json:2:"));
    assert!(told(&["render", "task.json", "--image", "app=Not An Image"]).contains("names no image"));
    assert!(
        told(&["render", "ecs:app", "--image", &image])
            .contains("aws ecs describe-task-definition --task-definition app")
    );
    assert!(told(&["render", "missing.json", "--image", &image]).contains("failed to read missing.json"));
    folder.write("infra/main.tf", "resource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n}\n");
    folder.write("template.yaml", "Resources:\n  Task:\n    Type: AWS::ECS::TaskDefinition\n");
    for (source, format) in
        [("infra", "terraform"), ("infra/main.tf", "terraform"), ("template.yaml", "cloudformation")]
    {
        let said = told(&["render", source, "--image", &image]);
        assert!(said.contains(&format!("dockless render {source} --for {format} --image")), "{said}");
    }
    let out = ["render", "task.json", "--image", &other, "-o", "out.json"];
    told(&out);
    assert!(!folder.0.path().join("out.json").exists(), "nothing is half written");
}

#[test]
fn terraform_gets_the_value_of_its_variable() {
    let folder = Folder::new();
    folder.write(
        "infra/main.tf",
        r#"
variable "app_image" { default = "registry.example.com/app:old" }
variable "tag" {}
variable "open" {}
resource "aws_ecs_task_definition" "app" {
  family                = "app"
  container_definitions = jsonencode([
    { name = "app", image = var.app_image },
    { name = "open", image = var.open },
    { name = "made", image = "registry.example.com/app:${var.tag}" },
  ])
}
variable "web_image" {}
locals { web = { image = var.web_image } }
module "web" {
  source = "./web"
  image  = local.web.image
}
"#,
    );
    folder.write(
        "infra/web/main.tf",
        r#"
variable "image" {}
resource "aws_ecs_task_definition" "web" {
  family                = "web"
  container_definitions = jsonencode([{ name = "web", image = var.image }])
}
"#,
    );
    let words = |container: &str| format!("{container}={IMAGE}");
    let render = |image: &str| folder.run(&["render", "infra", "--for", "terraform", "--image", image], None, &[]);
    for (container, variable) in [("app", "app_image"), ("open", "open"), ("web", "web_image"), ("tag", "tag")] {
        let said = render(&words(container));
        assert_eq!(said.code, Some(0), "{container}: {}", said.stderr);
        assert_eq!(
            serde_json::from_str::<Value>(&said.stdout).expect("JSON"),
            json!({ variable: IMAGE }),
            "{container}"
        );
    }
    // Terraform only warns of a variable that nobody declares, and the old image would stay.
    let said = render(&words("ap"));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("neither a container nor a variable \"ap\"") && said.stderr.contains("app_image"));
    let said = render(&words("made"));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("not the value of one variable"), "{}", said.stderr);
}

/// A task without containers and one whose containers are not known looked the same.
#[test]
fn containers_that_are_not_known_are_told() {
    let folder = Folder::new();
    let task = |name: &str, containers: &str| {
        format!(
            "resource \"aws_ecs_task_definition\" \"{name}\" {{\n  family = \"{name}\"\n  container_definitions = {containers}\n}}\n"
        )
    };
    let none = task("none", "\"[]\"");
    let open = task("open", "jsonencode(var.containers)");
    let some = task("some", "jsonencode(concat([{ name = \"a\", image = \"a:1\" }], var.containers))");
    folder.write("infra/main.tf", &format!("variable \"containers\" {{}}\n{none}{open}{some}"));
    let said = folder.run(&["targets", "infra"], None, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let last = |name: &str| {
        let line = said.stdout.lines().find(|line| line.contains(name)).expect(name);
        line.split("  ").last().unwrap_or_default().trim().to_owned()
    };
    assert_eq!((last(".open").as_str(), last(".some").as_str()), ("?", "a, ?"), "{}", said.stdout);
    let told = |name: &str, what: &str| {
        let start = format!("aws_ecs_task_definition.{name}: {what} (infra/main.tf:");
        said.stderr.lines().any(|line| line.starts_with(&start) && line.contains("containers"))
    };
    assert!(told("open", "its containers are not known"), "{}", said.stderr);
    assert!(told("some", "there may be other containers"), "{}", said.stderr);
    assert!(!said.stderr.contains("none: its containers") && !last(".none").contains('?'), "{}", said.stderr);
    let found: Value = serde_json::from_str(&folder.done(&["targets", "infra", "--json"])).expect("JSON");
    let sources: Vec<bool> = (0..3).map(|at| found["targets"][at]["containers_source"].is_string()).collect();
    assert_eq!(sources, [false, true, true], "{found}");
}

/// The line of a variable was shown that had nothing to do with it, and where no variable was asked for, nothing was.
#[test]
fn a_file_of_values_that_is_not_there_is_told_by_its_flag() {
    let folder = Folder::new();
    let task = |image: &str| {
        format!(
            "variable \"image\" {{}}\nresource \"aws_ecs_task_definition\" \"app\" {{\n  family = \"app\"\n  container_definitions = jsonencode([{{ name = \"app\", image = {image} }}])\n}}\n"
        )
    };
    for image in ["var.image", "\"app:v1\""] {
        folder.write("infra/main.tf", &task(image));
        for (file, why) in [("nope.tfvars", "does not exist"), ("-", "does not exist"), ("infra", "is no file")] {
            let said = folder.run(&["targets", "infra", "--var-file", file], None, &[]);
            assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{file}: {}", said.stderr);
            assert_eq!(said.stderr, format!("error: --var-file {file} {why}\n"));
        }
    }
    let recipe = "[config]\ncmd = [\"/app\"]\n[[layer]]\ncopy = [{ src = \"app\", dest = \"/app\" }]\n[verify]\n\
                  task-definition = \"infra\"\nvar-file = \"nope.tfvars\"\n";
    folder.write("dockless.toml", recipe);
    folder.write("app/file", "content");
    let said = folder.run(&["build"], None, &[]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let place = "dockless.toml:7:12";
    assert!(said.stderr.contains("nope.tfvars does not exist") && said.stderr.contains(place), "{}", said.stderr);
}

#[test]
fn no_line_of_a_document_shows_a_secret() {
    let folder = Folder::new();
    let environment = "\"environment\":[{\"name\":\"PW\",\"value\":\"hunter2\"}]";
    folder.write("comma.json", &format!("{{\"containerDefinitions\":[{{{environment},}}]}}"));
    folder.write(
        "port.yaml",
        &format!("containerDefinitions: [{{name: a, portMappings: [{{containerPort: x}}], {environment}}}]"),
    );
    let containers = format!("[{{{environment},\"name\":\"a\",\"image\":\"x\",\"portMappings\":7}}]");
    let values = json!({ "container_definitions": containers, "requires_compatibilities": ["FARGATE"] });
    let resource =
        json!({ "address": "aws_ecs_task_definition.a", "type": "aws_ecs_task_definition", "values": values });
    let resources = json!({ "root_module": { "resources": [resource] } });
    folder.write("plan.json", &json!({ "format_version": "1.2", "planned_values": resources }).to_string());
    folder.write(
        "infra/main.tf",
        "variable \"a\" { type = number }\nresource \"aws_ecs_task_definition\" \"a\" {\n  count = var.a\n}\n",
    );
    folder.write("infra/terraform.tfvars.json", "{\"password\": \"hunter2\", \"a\": \"hunter2\",}");
    for (source, place) in [
        ("comma.json", "comma.json:1:"),
        ("port.yaml", "port.yaml:1:"),
        ("plan.json", "plan.json:1:"),
        ("infra", "json:1:"),
    ] {
        let said = folder.run(&["targets", source], None, &[]);
        assert!(said.stderr.contains(place) && said.stderr.contains('…'), "{source}: {}", said.stderr);
        assert!(!said.stderr.contains("hunter2"), "{source}: {}", said.stderr);
    }
}

#[test]
fn a_parameter_is_named_where_its_value_alone_is_the_image() {
    let folder = Folder::new();
    let template = |image: &str| {
        let head = "Parameters:\n  Tag:\n    Type: String\n    Default: v1\n  Image:\n    Type: String\n    Default: r/app:1\n\
                    Resources:\n  Repo:\n    Type: AWS::ECR::Repository\n  Task:\n    Type: AWS::ECS::TaskDefinition\n    \
                    Properties:\n      Family: app\n      ContainerDefinitions:\n        - Name: app\n          Image: ";
        folder.write("template.yaml", &format!("{head}{image}\n        - Name: side\n          Image: !Ref Image\n"));
    };
    let run = |images: &[&str]| {
        let mut words = vec!["render", "template.yaml", "--for", "cloudformation"];
        words.extend(images.iter().flat_map(|image| ["--image", image]));
        folder.run(&words, None, &[])
    };
    let image = format!("app={IMAGE}");
    for written in [
        "!Sub '1234.dkr.ecr.eu-west-1.amazonaws.com/app:${Tag}'",
        "!Join [':', [repo, !Ref Tag]]",
        "!Sub 'repo/${Tag}:1'",
        "!Ref Repo",
        "!Join ['', [!Ref Image, '-x']]",
    ] {
        template(written);
        let said = run(&[&image]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{written}: {}", said.stderr);
        assert!(said.stderr.contains("not the value of one parameter"), "{written}: {}", said.stderr);
    }
    for written in ["!Ref Image", "!Sub '${Image}'", "!Join ['', [!Ref Image]]"] {
        template(written);
        let said = run(&[&image]);
        assert_eq!(said.code, Some(0), "{written}: {}", said.stderr);
        let expected = json!([{ "ParameterKey": "Image", "ParameterValue": IMAGE }]);
        assert_eq!(serde_json::from_str::<Value>(&said.stdout).expect("JSON"), expected, "{written}");
    }
}

#[test]
fn one_name_is_not_given_two_images() {
    let folder = Folder::new();
    folder.write(
        "infra/main.tf",
        "variable \"image\" {}\nresource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  container_definitions \
         = jsonencode([{ name = \"app\", image = var.image }, { name = \"side\", image = var.image }])\n}\n",
    );
    let (app, other) = (format!("app={IMAGE}"), format!("side={}", IMAGE.replace('1', "2")));
    let render = |second: &str| {
        folder.run(&["render", "infra", "--for", "terraform", "--image", &app, "--image", second], None, &[])
    };
    let said = render(&other);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.contains("variable image is given two images"), "{}", said.stderr);
    assert_eq!(render(&format!("side={IMAGE}")).code, Some(0));
}

#[test]
fn cloudformation_gets_the_value_of_its_parameter() {
    let folder = Folder::new();
    folder.write(
        "template.yaml",
        "Parameters:\n  Image:\n    Type: String\n    Default: registry.example.com/app:old\n  Open:\n    Type: String\nResources:\n  Task:\n    \
         Type: AWS::ECS::TaskDefinition\n    Properties:\n      Family: app\n      ContainerDefinitions:\n        - Name: app\n          Image: !Ref Image\n        \
         - Name: open\n          Image: !Ref Open\n        - Name: made\n          Image: !Sub '${Open}:v1'\n",
    );
    let render = |container: &str| {
        let image = format!("{container}={IMAGE}");
        folder.run(&["render", "template.yaml", "--for", "cloudformation", "--image", &image], None, &[])
    };
    for (container, parameter) in [("app", "Image"), ("open", "Open")] {
        let said = render(container);
        assert_eq!(said.code, Some(0), "{container}: {}", said.stderr);
        let expected = json!([{ "ParameterKey": parameter, "ParameterValue": IMAGE }]);
        assert_eq!(serde_json::from_str::<Value>(&said.stdout).expect("JSON"), expected, "{container}");
    }
    let said = render("made");
    assert!(said.code == Some(2) && said.stderr.contains("not the value of one parameter"), "{}", said.stderr);
}

#[test]
fn only_what_may_be_given_is_a_name() {
    let folder = Folder::new();
    let task = "resource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  \
                container_definitions = jsonencode([{ name = \"app\", image = var.image }])\n}\n";
    folder.write(
        "infra/main.tf",
        "variable \"image\" {}\n# variable \"ghost\" {}\nmodule \"m\" {\n  source = \"./m\"\n  image = var.image\n}\n",
    );
    folder.write("infra/m/main.tf", &format!("variable \"image\" {{}}\nvariable \"inner\" {{}}\n{task}"));
    folder.write("template.yaml", "Parameters:\n  Image: {Type: String}\nResources:\n  N:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: inner.yaml, Parameters: {Own: !Ref Image}}\n");
    folder.write("inner.yaml", "Parameters:\n  Own: {Type: String}\nResources:\n  T:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      ContainerDefinitions: [{Name: app, Image: !Ref Own}]\n");
    let render = |source: &str, format: &str, name: &str| {
        let image = format!("{name}={IMAGE}");
        folder.run(&["render", source, "--for", format, "--image", &image], None, &[])
    };
    for (source, format, names, wanted) in [
        ("infra", "terraform", ["inner", "ghost"], "declared are image"),
        ("template.yaml", "cloudformation", ["Own", "Other"], "declared are Image"),
    ] {
        for name in names {
            let said = render(source, format, name);
            assert!(said.code == Some(2) && said.stderr.contains(wanted), "{name}: {}", said.stderr);
        }
        let said = render(source, format, "app");
        assert!(said.code == Some(0), "{source}: {}", said.stderr);
    }
}

/// A template of one task definition: its parameters and its containers, each in one line.
fn parameters_and_containers(parameters: &[&str], containers: &[&str]) -> String {
    let lines = |lines: &[&str], before: &str| lines.iter().flat_map(|line| [before, line, "\n"]).collect::<String>();
    format!(
        "Parameters:\n{}Resources:\n  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      \
         ContainerDefinitions:\n{}",
        lines(parameters, "  "),
        lines(containers, "        - ")
    )
}

/// The deployment failed: `CloudFormation` looked for a parameter of the image's name in the Parameter Store.
#[test]
fn a_parameter_that_takes_a_name_is_given_no_image() {
    let folder = Folder::new();
    let stored = "Stored: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /app/image}";
    folder.write("t.yaml", &parameters_and_containers(&[stored], &["{Name: app, Image: !Ref Stored}"]));
    for name in ["app", "Stored"] {
        let image = format!("{name}={IMAGE}");
        let said = folder.run(&["render", "t.yaml", "--for", "cloudformation", "--image", &image], None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{name}: {}", said.stderr);
        assert!(said.stderr.contains("parameter Stored"), "{name}: {}", said.stderr);
        assert!(said.stderr.contains("its value is read from the SSM Parameter Store"), "{name}: {}", said.stderr);
        assert!(said.stderr.contains("aws ssm put-parameter --overwrite --name /app/image"), "{name}: {}", said.stderr);
    }
}

/// The other images of the list were gone, and the stack could not be made.
#[test]
fn a_list_is_not_replaced_by_one_image() {
    let folder = Folder::new();
    let list = "Images: {Type: CommaDelimitedList, Default: 'a:1,b:1'}";
    let containers = ["{Name: web, Image: !Select [0, !Ref Images]}", "{Name: job, Image: !Select [1, !Ref Images]}"];
    folder.write("t.yaml", &parameters_and_containers(&[list], &containers));
    for name in ["web", "job", "Images"] {
        let image = format!("{name}={IMAGE}");
        let said = folder.run(&["render", "t.yaml", "--for", "cloudformation", "--image", &image], None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{name}: {}", said.stderr);
    }
    folder.write(
        "infra/main.tf",
        "variable \"images\" { default = \"a:1,b:1\" }\nresource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  \
         container_definitions = jsonencode([\n    { name = \"web\", image = split(\",\", var.images)[0] },\n    \
         { name = \"job\", image = split(\",\", var.images)[1] },\n  ])\n}\n",
    );
    let image = format!("web={IMAGE}");
    let said = folder.run(&["render", "infra", "--for", "terraform", "--image", &image], None, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    assert!(
        said.stderr.contains("\"job\" of aws_ecs_task_definition.app would be left without its image"),
        "{}",
        said.stderr
    );
}

/// The digest was cut off on the way, and what ran was the tag `latest`.
#[test]
fn what_holds_an_image_brings_its_digest() {
    let folder = Folder::new();
    folder.write(
        "infra/main.tf",
        "variable \"image\" { default = \"registry.example.com/app:v1\" }\nresource \"aws_ecs_task_definition\" \"app\" {\n  \
         family = \"app\"\n  container_definitions = jsonencode([{ name = \"app\", image = split(\"@\", var.image)[0] }])\n}\n",
    );
    // By a tag as well, whose digest a registry would be asked for.
    for image in [format!("app={IMAGE}"), "app=registry.example.com/app:v2".into()] {
        let said = folder.run(&["render", "infra", "--for", "terraform", "--image", &image], None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{image}: {}", said.stderr);
        assert!(said.stderr.contains("not the value of one variable"), "{image}: {}", said.stderr);
    }
}

#[test]
fn why_a_parameter_is_not_given_an_image_is_told() {
    let folder = Folder::new();
    let parameters = [
        "Listed: {Type: String, Default: b, AllowedValues: [b, c]}",
        "Short: {Type: String, Default: 'a:1', MaxLength: 20}",
        "Hidden: {Type: String, NoEcho: true}",
        "Matched: {Type: String, Default: 'a:1', AllowedPattern: '^[a-z]+:[0-9]+$'}",
    ];
    let names = ["Listed", "Short", "Hidden", "Matched"];
    let containers = names.map(|name| format!("{{Name: {}, Image: !Ref {name}}}", name.to_lowercase()));
    folder.write("t.yaml", &parameters_and_containers(&parameters, &containers.each_ref().map(String::as_str)));
    let render = |name: &str| {
        let image = format!("{name}={IMAGE}");
        folder.run(&["render", "t.yaml", "--for", "cloudformation", "--image", &image], None, &[])
    };
    for (container, parameter, reason) in [
        ("listed", "Listed", "its AllowedValues are b, c"),
        ("short", "Short", "its MaxLength is 20"),
        ("hidden", "Hidden", "its value is sensitive"),
    ] {
        let said = render(container);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{container}: {}", said.stderr);
        let wanted = format!("is the value of parameter {parameter}, which cannot be given it: {reason}");
        assert!(said.stderr.contains(&wanted), "{}", said.stderr);
    }
    assert!(render("Listed").stderr.contains("parameter Listed cannot be given an image: its AllowedValues are b, c"));
    let said = render("matched");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("AllowedPattern, which is not tried: ^[a-z]+:[0-9]+$"), "{}", said.stderr);
    folder.write(
        "infra/main.tf",
        "variable \"image\" {\n  sensitive = true\n  default = \"a:1\"\n}\nresource \"aws_ecs_task_definition\" \"app\" {\n  \
         family = \"app\"\n  container_definitions = jsonencode([{ name = \"app\", image = var.image }])\n}\n",
    );
    let said = folder.run(&["render", "infra", "--for", "terraform", "--image", &format!("app={IMAGE}")], None, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    assert!(
        said.stderr.contains("is the value of variable image, which cannot be given it: its value is sensitive"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("--image image=…"), "{}", said.stderr);
}

/// One variable of several containers changed them all without a word.
#[test]
fn what_else_changes_is_told() {
    let folder = Folder::new();
    let task = |name: &str, containers: &str| {
        format!(
            "resource \"aws_ecs_task_definition\" \"{name}\" {{\n  family = \"{name}\"\n  container_definitions = jsonencode([{containers}])\n}}\n"
        )
    };
    let web = task(
        "web",
        "{ name = \"app\", image = var.image }, { name = \"migrate\", image = var.image }, { name = \"side\", image = \"envoy:v1\" }",
    );
    let job = task("job", "{ name = \"worker\", image = var.image }");
    folder.write("infra/main.tf", &format!("variable \"image\" {{ default = \"a:1\" }}\n{web}{job}"));
    let (app, migrate, worker) = (format!("app={IMAGE}"), format!("migrate={IMAGE}"), format!("worker={IMAGE}"));
    let render = |words: &[&str]| {
        let said = folder.run(&[&["render", "infra", "--for", "terraform"], words].concat(), None, &[]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(serde_json::from_str::<Value>(&said.stdout).expect("JSON"), json!({ "image": IMAGE }));
        said.stderr
    };
    let told = "variable image also changes the image of container \"worker\" of aws_ecs_task_definition.job, \"migrate\" of \
                aws_ecs_task_definition.web\n";
    assert_eq!(render(&["--image", &app]), told);
    // Also of those that are not selected.
    assert_eq!(render(&["--image", &app, "--target", "aws_ecs_task_definition.web"]), told);
    // What was asked for is no surprise, nor is what the variable itself is given for.
    assert_eq!(render(&["--image", &app, "--image", &migrate, "--image", &worker]), "");
    assert_eq!(render(&["--image", &format!("image={IMAGE}")]), "");
}

/// Standard input was read anew, and empty, for each name that was tried.
#[test]
fn a_template_may_come_by_standard_input() {
    let folder = Folder::new();
    let template = parameters_and_containers(&["Image: {Type: String}"], &["{Name: app, Image: !Ref Image}"]);
    let words = ["render", "-", "--for", "cloudformation", "--image", &format!("app={IMAGE}")];
    let said = folder.run(&words, Some(&template), &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("\"ParameterKey\": \"Image\""), "{}", said.stdout);
}

/// The embedded registry; stopped when dropped.
struct Registry {
    host: String,
    _server: Running,
    _runtime: Runtime,
}

impl Registry {
    fn new(folder: &Path) -> Self {
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(Server::start(Settings::new(folder))).expect("a server");
        Self { host: server.local_addr().to_string(), _server: server, _runtime: runtime }
    }
}

#[test]
fn a_build_renders_what_it_pushed() {
    let folder = Folder::new();
    let registry = Registry::new(&folder.0.path().join("registry"));
    folder.write("app/file", "content");
    folder.write("task.json", &TASK.replace("registry.example.com", &registry.host));
    let tag = format!("{}/app:v2", registry.host);
    let build = ["build", "--layer", "app:/app", "--cmd", "true", "-p", "linux/amd64", "-t", &tag, "--push"];
    let render = [
        "--task-definition",
        "task.json",
        "--architecture",
        "X86_64",
        "--allow",
        "entrypoint-not-found",
        "--render",
        "out.json",
    ];
    let output = folder.0.path().join("outputs").display().to_string();
    let said = folder.run(&[&build[..], &render[..]].concat(), None, &[("GITHUB_OUTPUT", &output)]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let pushed = said.stdout.trim();
    assert!(pushed.contains("/app@sha256:"), "{pushed}");
    // The container whose repository it is; the other one stays.
    let expected = folder.read("task.json").replace(&format!("{}/app:old", registry.host), pushed);
    assert_eq!(folder.read("out.json"), expected);
    let outputs = folder.read("outputs");
    let mut lines = outputs.lines().skip_while(|line| !line.starts_with("task-definition<<"));
    assert_eq!((lines.next().is_some(), lines.next()), (true, Some("out.json")), "{outputs}");
    // By a tag, the digest that it names.
    let image = format!("side={tag}");
    assert!(
        folder
            .done(&["render", "task.json", "--image", &image])
            .contains(&format!("\"name\": \"side\", \"image\": \"{pushed}\""))
    );
}

#[test]
fn what_cannot_be_rendered_is_not_pushed() {
    let folder = Folder::new();
    let registry = Registry::new(&folder.0.path().join("registry"));
    folder.write("app/file", "content");
    let tag = format!("{}/app:v2", registry.host);
    let words = [
        "build",
        "--layer",
        "app:/app",
        "-p",
        "linux/amd64",
        "-t",
        &tag,
        "--push",
        "--task-definition",
        "task.json",
        "--render",
        "out.json",
    ];
    let said = folder.run(&words, None, &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("say which it is with --container: app, side"), "{}", said.stderr);
    assert!(!folder.0.path().join("oci").exists(), "nothing is built");
    let said = folder.run(&[&words[..7], &words[8..]].concat(), None, &[]);
    assert!(said.stderr.contains("add --push"), "{}", said.stderr);
}

/// It was relative to the step's folder, and the action that deploys it looks in the workspace.
#[test]
fn the_output_names_the_file_from_the_workspace() {
    let folder = Folder::new();
    let registry = Registry::new(&folder.0.path().join("registry"));
    folder.write("app/file", "content");
    let tag = format!("{}/app:v2", registry.host);
    let workspace = folder.0.path().parent().expect("a folder").display().to_string();
    let variables = [("GITHUB_OUTPUT", "outputs"), ("GITHUB_WORKSPACE", workspace.as_str())];
    let name = folder.0.path().file_name().expect("a name").to_string_lossy().into_owned();
    let image = format!("app={IMAGE}");
    let build = push(&tag, &["--layer", "app:/app", "--render", "out.json"]);
    for words in [&build[..], &["render", "task.json", "--image", &image, "-o", "./out.json"]] {
        folder.write("outputs", "");
        let said = folder.run(words, None, &variables);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let outputs = folder.read("outputs");
        assert!(outputs.lines().any(|line| line == format!("{name}/out.json")), "{outputs}");
    }
}

/// The words of a build that is pushed for `task.json`.
fn push<'a>(tag: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words = ["-p", "linux/amd64", "-t", tag, "--push", "--task-definition", "task.json", "--container", "app"];
    let accepted = ["--architecture", "X86_64", "--allow", "entrypoint-not-found", "--cmd", "true"];
    [&["build"][..], more, &words, &accepted].concat()
}

/// The tag was moved, and then it was told that the file cannot be written.
#[test]
fn a_file_that_cannot_be_written_is_told_before_the_push() {
    let folder = Folder::new();
    let registry = Registry::new(&folder.0.path().join("registry"));
    folder.write("app/file", "content");
    let tag = format!("{}/app:v2", registry.host);
    let layer = ["--layer", "app:/app"];
    let places = ["missing/out.json", ".", "task.json/out.json", "/proc/out.json", "/dev/full"];
    let flags = ["--render", "--report", "--image-refs"];
    for (flag, place) in flags.into_iter().flat_map(|flag| places.map(|place| (flag, place))) {
        let said = folder.run(&push(&tag, &[&layer[..], &[flag, place]].concat()), None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{flag} {place}: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("error: {flag} {place}")), "{flag} {place}: {}", said.stderr);
    }
    for place in ["missing/outputs", ".", "/dev/full"] {
        let said = folder.run(&push(&tag, &layer), None, &[("GITHUB_OUTPUT", place)]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{place}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("cannot write GITHUB_OUTPUT, {place}")), "{place}: {}", said.stderr);
    }
    assert!(!folder.0.path().join("oci").exists(), "nothing is built");
    let said = folder.run(&push(&tag, &layer), None, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for flag in ["--report", "--image-refs"] {
        let said = folder.run(&["push", "oci", &tag, flag, "/dev/full"], None, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    }
}

/// The name of what was pushed was lost.
#[test]
fn what_is_pushed_is_named_also_where_a_file_cannot_be_written_after_it() {
    for lost in ["--render", "--report", "--image-refs"] {
        let folder = Folder::new();
        let registry = Registry::new(&folder.0.path().join("registry"));
        let recipe = "[[layer]]\nname = \"x\"\nrun = \"rmdir records; touch {out}/x\"\n";
        folder.write("dockless.toml", recipe);
        fs::create_dir(folder.0.path().join("records")).expect("a folder");
        let tag = format!("{}/app:v2", registry.host);
        let flags = ["--render", "--report", "--image-refs"];
        let paths = flags.map(|flag| if flag == lost { format!("records/{flag}") } else { format!("./{flag}") });
        let files: Vec<&str> = flags.into_iter().zip(&paths).flat_map(|(flag, path)| [flag, path]).collect();
        let said = folder.run(&push(&tag, &files), None, &[("GITHUB_OUTPUT", "outputs")]);
        assert_eq!(said.code, Some(2), "{lost}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("error: cannot write records/{lost}")), "{}", said.stderr);
        let pushed = said.stdout.trim();
        assert!(pushed.starts_with(&format!("{}/app@sha256:", registry.host)), "{lost}: {pushed}");
        for flag in flags.into_iter().filter(|flag| *flag != lost) {
            assert!(folder.read(flag).contains(pushed), "{lost}: {flag}");
        }
        let outputs = folder.read("outputs");
        assert!(outputs.contains(pushed), "{outputs}");
        assert_eq!(outputs.contains("task-definition<<"), lost != "--render", "{outputs}");
    }
}

#[test]
#[ignore = "needs DOCKLESS_CORPUS"]
fn the_corpus_changes_in_its_images_alone() {
    let folder = corpus::task_definitions().0.join("json");
    let mut rendered = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap_or_default());
        let Ok(mut before) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else { continue };
        if before.get("taskDefinition").is_some() {
            before = before["taskDefinition"].take();
        }
        let containers = before["containerDefinitions"].as_array().cloned().unwrap_or_default();
        let images: Vec<NewImage> = containers
            .iter()
            .filter(|container| container["image"].is_string())
            .filter_map(|container| container["name"].as_str())
            .map(|name| NewImage { container: name.into(), reference: IMAGE.into() })
            .collect();
        let Ok(edited) = with_images(&name, &text, &images) else {
            assert!(dockless::ecs::json::parse(&name, &text).is_err(), "{name} is read, but not rendered");
            continue;
        };
        for container in before["containerDefinitions"].as_array_mut().into_iter().flatten() {
            if container["image"].is_string() {
                container["image"] = IMAGE.into();
            }
        }
        for field in &edited.dropped {
            before.as_object_mut().expect("an object").remove(*field);
        }
        assert_eq!(serde_json::from_str::<Value>(&edited.text).expect("JSON"), before, "{name}");
        rendered += 1;
    }
    note(&format!("corpus: {rendered} task definitions rendered"));
    assert!(rendered > 20, "{rendered}");
}

#[expect(clippy::print_stderr, reason = "a test that is skipped, and a score, are said aloud")]
fn note(text: &str) {
    eprintln!("{text}");
}
