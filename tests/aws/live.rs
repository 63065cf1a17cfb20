//! Task definitions that ECS has, by the binary.

use super::scripted::{Scripted, refused};
use super::stage::{KEYS, Stage};

const FOUND: &str = r#"{"taskDefinition":{"taskDefinitionArn":"arn:aws:ecs:eu-central-1:123456789012:task-definition/app:7",
  "family":"app","revision":7,"status":"ACTIVE","requiresCompatibilities":["FARGATE"],
  "runtimePlatform":{"cpuArchitecture":"ARM64","operatingSystemFamily":"LINUX"},
  "containerDefinitions":[{"name":"app","image":"registry.example.com/app:v1",
    "environment":[{"name":"TOKEN","value":"hunter2"}]}]}}"#;

#[test]
fn a_family_is_a_source_of_task_definitions() {
    let cloud = Scripted::new(|asked| match asked.what.rsplit(':').next() {
        Some("DescribeTaskDefinition") if asked.body.contains("missing") => {
            refused("ClientException", "Unable to describe task definition.")
        }
        Some("DescribeTaskDefinition") => (200, FOUND.into()),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = Stage::new();
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str()), ("AWS_REGION", "eu-central-1")];
    let said = stage.run(&["targets", "ecs:app", "--json"], &variables).done();
    let targets: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(targets["targets"][0]["platform"], "linux/arm64");
    assert!(!said.told().contains("hunter2"), "{said:#?}");
    // Built for what it asks for, and verified against it.
    let words = ["build", "--layer", "app:/app", "--cmd", "x", "--task-definition", "ecs:app"];
    let said = stage.run(&words, &variables).with_code(1);
    assert!(said.stderr.contains("building linux/arm64, as the task definitions ask for"), "{said:#?}");
    let said = stage.run(&["targets", "ecs:missing"], &variables).with_code(2);
    assert!(said.stderr.contains("ecs:missing"), "{said:#?}");
    let said = stage.run(&["targets", "ecs:app"], &variables[..3]).with_code(2);
    assert!(said.stderr.contains("set AWS_REGION"), "{said:#?}");
    let said = stage.run(&["targets", "ecs:app"], &[("AWS_REGION", "eu-central-1")]).with_code(2);
    assert!(said.stderr.contains("there are no AWS credentials"), "{said:#?}");
    assert!(cloud.asked().iter().all(|asked| asked.headers["authorization"].contains("/eu-central-1/ecs/")));
}

#[test]
fn a_region_of_the_profile_will_do() {
    let cloud = Scripted::new(|_| (200, FOUND.into()));
    let stage = Stage::new();
    std::fs::create_dir(stage.folder.path().join(".aws")).expect("a folder");
    stage.write(".aws/config", "[default]\nregion = eu-west-3\n");
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.run(&["targets", "ecs:app:7"], &variables).done();
    assert!(cloud.asked()[0].headers["authorization"].contains("/eu-west-3/ecs/"));
}
