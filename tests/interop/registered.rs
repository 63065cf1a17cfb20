//! Task definitions that moto's ECS has: read live, rendered, and registered again.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::moto::{Cloud, KEYS, REGION};
use super::support::say;

const IMAGE: &str = "registry.example.com/app@sha256:1111111111111111111111111111111111111111111111111111111111111111";

const REGISTER: &str = "
import sys
ecs = boto3.client('ecs')
answer = ecs.register_task_definition(
    family='app', requiresCompatibilities=['FARGATE'], networkMode='awsvpc', cpu='256', memory='512',
    runtimePlatform={'cpuArchitecture': 'ARM64', 'operatingSystemFamily': 'LINUX'},
    containerDefinitions=[
        {'name': 'app', 'image': 'registry.example.com/app:v1', 'environment': [{'name': 'A', 'value': 'b'}]},
        {'name': 'side', 'image': 'envoy:v1'},
    ])
ecs.create_cluster(clusterName='production')
ecs.create_service(cluster='production', serviceName='web', taskDefinition='app', desiredCount=0, launchType='FARGATE')
";

#[test]
fn what_moto_has_is_read_and_rendered() {
    let Some(cloud) = Cloud::moto("what_moto_has_is_read_and_rendered") else { return };
    cloud.boto3(REGISTER);
    let variables = [KEYS[0], KEYS[1], ("AWS_REGION", REGION)];
    for source in ["ecs:app", "ecs:app:1", "ecs-service:production/web"] {
        let told = cloud.dockless(&["targets", "--json", source], &variables).ok();
        let targets: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        assert_eq!(targets["targets"][0]["platform"], "linux/arm64", "{source}: {targets}");
        assert_eq!(targets["targets"][0]["launch_types"][0], "FARGATE", "{source}: {targets}");
    }
    cloud.dockless(&["targets", "ecs:gone"], &variables).failed(2, &["ecs:gone"]);
    cloud.dockless(&["targets", "ecs-service:production/gone"], &variables).failed(2, &["gone"]);
    // As a pipeline does it: what is described is rendered, and what is rendered is registered.
    let script = "ecs = boto3.client('ecs')\nanswer = ecs.describe_task_definition(taskDefinition='app')";
    let mut described = cloud.boto3(script);
    described.as_object_mut().expect("an object").remove("ResponseMetadata");
    fs::write(cloud.place.path("described.json"), described.to_string()).expect("a file");
    cloud.dockless(&["render", "described.json", "--image", &format!("app={IMAGE}"), "-o", "new.json"], &[]).ok();
    let again = cloud.boto3(
        "ecs = boto3.client('ecs')
ecs.register_task_definition(**json.load(open('new.json')))
answer = ecs.describe_task_definition(taskDefinition='app')['taskDefinition']",
    );
    assert_eq!(again["revision"], 2);
    assert_eq!(again["containerDefinitions"][0]["image"], IMAGE);
    assert_eq!(again["containerDefinitions"][1], described["taskDefinition"]["containerDefinitions"][1]);
    assert_eq!(again["runtimePlatform"], described["taskDefinition"]["runtimePlatform"]);
}

/// Task definitions that nobody here wrote, where `DOCKLESS_CORPUS` names them: what moto takes before it takes after.
#[test]
fn what_moto_takes_it_takes_rendered() {
    let Some(corpus) = std::env::var_os("DOCKLESS_CORPUS") else {
        say("SKIPPED: what_moto_takes_it_takes_rendered: DOCKLESS_CORPUS is not set");
        return;
    };
    let Some(cloud) = Cloud::moto("what_moto_takes_it_takes_rendered") else { return };
    let (before, after) = (cloud.place.path("before"), cloud.place.path("after"));
    for folder in [&before, &after] {
        fs::create_dir(folder).expect("a folder");
    }
    for entry in fs::read_dir(Path::new(&corpus).join("task-definitions/json")).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let source = path.display().to_string();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Ok(document) = serde_json::from_str::<Value>(&text) else { continue };
        let inner = document.get("taskDefinition").unwrap_or(&document);
        let names = inner["containerDefinitions"].as_array().into_iter().flatten();
        let images: Vec<String> = names
            .filter(|container| container["image"].is_string())
            .filter_map(|container| Some(format!("{}={IMAGE}", container["name"].as_str()?)))
            .flat_map(|image| ["--image".to_owned(), image])
            .collect();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let output = after.join(&name).display().to_string();
        let mut words = vec!["render", &source, "-o", &output];
        words.extend(images.iter().map(String::as_str));
        if cloud.dockless(&words, &[]).code == Some(0) {
            fs::write(before.join(&name), inner.to_string()).expect("a file");
        }
    }
    let answer = cloud.boto3(
        "import os
ecs = boto3.client('ecs')
def takes(path):
    document = json.load(open(path))
    names = ecs.meta.service_model.operation_model('RegisterTaskDefinition').input_shape.members
    document = {key: value for key, value in document.items() if key in names}
    try:
        ecs.register_task_definition(**document)
        return True
    except Exception:
        return False
both = [(name, takes('before/' + name), takes('after/' + name)) for name in sorted(os.listdir('after'))]
answer = {'taken': sum(before for _, before, _ in both), 'lost': [name for name, before, after in both if before and not after]}",
    );
    say(&format!("moto registered {} task definitions before and after", answer["taken"]));
    assert_eq!(answer["lost"], Value::Array(Vec::new()), "{answer}");
    assert!(answer["taken"].as_u64() > Some(10), "{answer}");
}
