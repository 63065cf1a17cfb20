//! Plans and states as `terraform show -json` prints them.

use dockless::ecs::plan::parse;
use dockless::ecs::task_definition::Stated;
use serde_json::{Value, json};

use super::{architecture, image};

fn resource(address: &str, values: &Value) -> Value {
    json!({"address": address, "mode": "managed", "type": "aws_ecs_task_definition", "name": "app", "values": values})
}

fn plan(resources: &Value, changes: &Value) -> String {
    json!({
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": resources}},
        "resource_changes": changes,
    })
    .to_string()
}

#[test]
fn reads_modules_and_what_is_known() {
    let values = json!({
        "family": "app",
        "requires_compatibilities": ["FARGATE"],
        "runtime_platform": [{"cpu_architecture": "ARM64", "operating_system_family": null}],
        "container_definitions": "[{\"name\":\"app\",\"image\":\"x\",\"portMappings\":[{\"containerPort\":80}]}]",
    });
    let child =
        json!({"address": "module.a[0]", "resources": [resource("module.a[0].aws_ecs_task_definition.app", &values)]});
    let text = json!({"format_version": "1.0", "values": {"root_module": {"child_modules": [child]}}}).to_string();
    let all = parse("state.json", &text).expect("a state");
    assert_eq!(all[0].id, "module.a[0].aws_ecs_task_definition.app");
    assert_eq!((architecture(&all[0]).as_str(), image(&all[0]).as_str()), ("ARM64", "x"));
    assert_eq!(all[0].operating_system, Stated::Unset);
}

#[test]
fn sizes_are_read() {
    let values = json!({
        "family": "app", "cpu": "256", "memory": null, "ephemeral_storage": [{"size_in_gib": 100}],
        "container_definitions": "[]",
    });
    let changes = json!([{
        "address": "aws_ecs_task_definition.app", "change": {"after_unknown": {"memory": true}},
    }]);
    let text = plan(&json!([resource("aws_ecs_task_definition.app", &values)]), &changes);
    let sizes = &parse("plan.json", &text).expect("a plan")[0].sizes;
    assert_eq!(sizes.cpu.value().map(String::as_str), Some("256"));
    assert!(matches!(sizes.memory, Stated::Unresolved { .. }), "{:?}", sizes.memory);
    assert_eq!(sizes.ephemeral_storage.value(), Some(&100));
}

#[test]
fn what_is_known_after_apply_is_open() {
    let address = "aws_ecs_task_definition.app[\"k\"]";
    let values = json!({"family": "app", "runtime_platform": [{"operating_system_family": "LINUX"}]});
    let changes = json!([{
        "address": address,
        "change": {"after_unknown": {"container_definitions": true, "runtime_platform": [{"cpu_architecture": true}]}},
    }]);
    let all = parse("plan.json", &plan(&json!([resource(address, &values)]), &changes)).expect("a plan");
    let open = architecture(&all[0]);
    assert!(open.ends_with("is known after apply: the state has it then (`terraform show -json`)"), "{open}");
    assert!(all[0].containers.is_empty() && all[0].other_containers.is_some());
}

#[test]
fn what_stands_in_the_way_of_a_replacement_is_not_what_is_planned() {
    let address = "aws_ecs_task_definition.app";
    let values = json!({"family": "app", "requires_compatibilities": ["FARGATE"], "runtime_platform": [{}]});
    let unknown = json!({"container_definitions": true, "runtime_platform": [{"cpu_architecture": true}]});
    let mut changes = [
        json!({"address": address, "change": {"actions": ["create"], "after_unknown": unknown}}),
        json!({"address": address, "deposed": "00000000", "change": {"actions": ["delete"], "after_unknown": {}}}),
    ];
    for _ in 0..2 {
        let all = parse("plan.json", &plan(&json!([resource(address, &values)]), &json!(changes))).expect("a plan");
        assert!(architecture(&all[0]).contains("is known after apply"), "{}", architecture(&all[0]));
        assert!(all[0].other_containers.is_some());
        changes.reverse();
    }
    // A state has it beside the one that took its place.
    let mut deposed = resource(address, &json!({"family": "app", "container_definitions": "[]"}));
    deposed["deposed_key"] = json!("00000000");
    let resources = json!([deposed, resource(address, &values)]);
    let text = json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}}).to_string();
    assert_eq!(parse("state.json", &text).expect("a state").len(), 1);
}

#[test]
fn sensitive_values_are_not_shown() {
    let mut one = resource(
        "aws_ecs_task_definition.app",
        &json!({"family": "app", "container_definitions": "[{\"name\":\"app\",\"image\":\"hunter2\",\"command\":[\"hunter2\"]}]"}),
    );
    one["sensitive_values"] = json!({"container_definitions": true});
    let all = parse("plan.json", &plan(&json!([one]), &json!([]))).expect("a plan");
    assert_eq!(image(&all[0]), "${aws_ecs_task_definition.app.container_definitions}");
    assert!(!format!("{all:?}").contains("hunter2"));
}

#[test]
fn a_service_says_where_it_runs() {
    let service = json!({
        "address": "aws_ecs_service.web", "mode": "managed", "type": "aws_ecs_service", "name": "web",
        "values": {"launch_type": "FARGATE"},
    });
    let task = resource("aws_ecs_task_definition.app", &json!({"family": "app", "container_definitions": "[]"}));
    let text = json!({
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": [task, service]}},
        "configuration": {"root_module": {"resources": [{
            "address": "aws_ecs_service.web", "type": "aws_ecs_service", "name": "web",
            "expressions": {"task_definition": {"references": ["aws_ecs_task_definition.app.arn", "aws_ecs_task_definition.app"]}},
        }]}},
    });
    let all = parse("plan.json", &text.to_string()).expect("a plan");
    assert_eq!(all[0].launch_types.value().map(Vec::len), Some(1));
    let several = text.to_string().replace(
        "{\"container_definitions\"",
        "{\"requires_compatibilities\":[\"EC2\",\"FARGATE\"],\"container_definitions\"",
    );
    assert!(several.contains("EC2"));
    let all = parse("plan.json", &several).expect("a plan");
    assert_eq!((all[0].launch_types.value().map(Vec::len), all[0].compatibilities.len()), (Some(1), 2));
}

#[test]
fn the_default_strategy_of_a_cluster_says_where_its_services_run() {
    let managed = |kind: &str, name: &str, values: Value| json!({"address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "values": values});
    let launch_types = |service: &Value, default: &str, expressions: Value| {
        let task = resource("aws_ecs_task_definition.app", &json!({"family": "app", "container_definitions": "[]"}));
        let strategy =
            json!({"cluster_name": "main", "default_capacity_provider_strategy": [{"capacity_provider": default}]});
        let text = json!({
            "format_version": "1.2",
            "planned_values": {"root_module": {"resources": [
                task, managed("aws_ecs_service", "s", service.clone()), managed("aws_ecs_cluster", "c", json!({"name": "main"})),
                managed("aws_ecs_cluster_capacity_providers", "p", strategy),
            ]}},
            "resource_changes": [
                {"address": "aws_ecs_service.s", "change": {"after_unknown": {"launch_type": true, "cluster": true}}},
            ],
            "configuration": {"root_module": {"resources": [
                {"address": "aws_ecs_service.s", "type": "aws_ecs_service", "name": "s", "expressions": expressions},
            ]}},
        });
        let all = parse("plan.json", &text.to_string()).expect("a plan");
        match &all[0].launch_types {
            Stated::Known { value, how, .. } => format!("{} {}", value[0], how[0]),
            Stated::Unset => "UNSET".into(),
            Stated::Unresolved { reason, .. } => reason.clone(),
        }
    };
    let task = json!({"references": ["aws_ecs_task_definition.app.arn"]});
    let of_cluster =
        json!({"task_definition": task, "cluster": {"references": ["aws_ecs_cluster.c.id", "aws_ecs_cluster.c"]}});
    let said = "FARGATE said by aws_ecs_cluster_capacity_providers.p";
    assert_eq!(launch_types(&json!({}), "FARGATE", of_cluster.clone()), said);
    assert_eq!(launch_types(&json!({"cluster": "arn:aws:ecs:x:1:cluster/main"}), "FARGATE", of_cluster.clone()), said);
    let other = launch_types(&json!({"cluster": "other"}), "FARGATE", of_cluster.clone());
    assert!(other.contains("is known after apply"), "{other}");
    assert!(launch_types(&json!({}), "own", of_cluster.clone()).contains("own may be of any kind but Fargate"));
    let mut stated = of_cluster;
    stated["launch_type"] = json!({"references": ["var.launch_type"]});
    assert!(launch_types(&json!({}), "FARGATE", stated).contains("is known after apply"));
}

#[test]
fn a_service_that_does_not_settle_where_it_runs_leaves_it_open() {
    let service = |name: &str, values: Value| {
        json!({
            "address": format!("aws_ecs_service.{name}"), "mode": "managed", "type": "aws_ecs_service", "name": name,
            "values": values,
        })
    };
    let refers = |name: &str, tasks: &[&str]| {
        json!({
            "address": format!("aws_ecs_service.{name}"), "type": "aws_ecs_service", "name": name,
            "expressions": {"task_definition": {"references": tasks}},
        })
    };
    let launch_types = |other: Value, tasks: &[&str]| {
        let task = resource("aws_ecs_task_definition.app", &json!({"family": "app", "container_definitions": "[]"}));
        let text = json!({
            "format_version": "1.2",
            "planned_values": {"root_module": {"resources": [
                task, service("f", json!({"launch_type": "FARGATE"})), service("g", other),
            ]}},
            "resource_changes": [
                {"address": "aws_ecs_service.g", "change": {"after_unknown": {"task_definition": true}}},
            ],
            "configuration": {"root_module": {"resources": [
                refers("f", &["aws_ecs_task_definition.app.arn", "aws_ecs_task_definition.app"]), refers("g", tasks),
            ]}},
        });
        let all = parse("plan.json", &text.to_string()).expect("a plan");
        match &all[0].launch_types {
            Stated::Known { value, .. } => value.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Stated::Unset => "UNSET".into(),
            Stated::Unresolved { reason, .. } => reason.clone(),
        }
    };
    let app = ["aws_ecs_task_definition.app.arn", "aws_ecs_task_definition.app"];
    let graviton = json!({"capacity_provider_strategy": [{"capacity_provider": "graviton", "weight": 1}]});
    assert_eq!(
        launch_types(graviton.clone(), &app),
        "aws_ecs_service.g: capacity provider graviton may be of any kind but Fargate"
    );
    assert_eq!(
        launch_types(json!({}), &app),
        "aws_ecs_service.g names neither a launch type nor a capacity provider: its cluster decides"
    );
    assert_eq!(launch_types(json!({"launch_type": "EC2"}), &app), "FARGATE EC2");
    assert_eq!(launch_types(json!({"launch_type": "EC2", "task_definition": "app:3"}), &[]), "FARGATE EC2");
    assert_eq!(launch_types(graviton, &["aws_ecs_task_definition.other"]), "FARGATE");
    assert_eq!(
        launch_types(json!({"launch_type": "FARGATE"}), &["aws_ecs_task_definition.app", "aws_ecs_task_definition.b"]),
        "which task definition aws_ecs_service.g runs is known after apply"
    );
}

#[test]
fn what_is_no_plan_is_refused() {
    for text in ["", "{}", "[]", "{\"format_version\": \"9.0\", \"values\": {}}", "{\"format_version\": \"1.0\","] {
        assert!(parse("plan.json", text).is_err(), "{text}");
    }
    assert!(
        parse("plan.json", &format!("{{\"format_version\": \"1.0\", \"values\": {}}}", "[".repeat(100_000))).is_err()
    );
}
