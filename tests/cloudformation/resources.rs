//! Which resources are targets, and where they run.

use dockless::ecs::task_definition::Stated;

use super::{indented, json, read, target, template};

fn with_service(compatibilities: &str, service: &str) -> String {
    template("", &format!("{compatibilities}ContainerDefinitions: []"))
        + &format!("  Web:\n    Type: AWS::ECS::Service\n    Properties:\n{}", indented(service))
        + "  Own:\n    Type: AWS::ECS::CapacityProvider\n    Properties: {AutoScalingGroupProvider: {}}\n  \
           Managed:\n    Type: AWS::ECS::CapacityProvider\n    Properties: {ManagedInstancesProvider: {}}\n  \
           Cluster:\n    Type: AWS::ECS::Cluster\n    Properties:\n      DefaultCapacityProviderStrategy: [{CapacityProvider: FARGATE_SPOT}]\n"
}

#[test]
fn a_service_says_where_its_task_runs() {
    let strategy = |names: &str| format!("TaskDefinition: !Ref Task\nCapacityProviderStrategy:\n{names}");
    for (service, wanted, architecture) in [
        ("TaskDefinition: !Ref Task\nLaunchType: FARGATE".into(), "FARGATE", Some("linux/amd64")),
        ("TaskDefinition: {Ref: Task}\nLaunchType: EC2".into(), "EC2", None),
        ("TaskDefinition: !GetAtt Task.TaskDefinitionArn\nLaunchType: FARGATE".into(), "FARGATE", Some("linux/amd64")),
        ("TaskDefinition: !Sub '${Task}'\nLaunchType: FARGATE".into(), "FARGATE", Some("linux/amd64")),
        ("TaskDefinition: !Ref Task\nCluster: !Ref Cluster".into(), "FARGATE", Some("linux/amd64")),
        (
            strategy("  - {CapacityProvider: FARGATE}\n  - {CapacityProvider: FARGATE_SPOT}"),
            "FARGATE",
            Some("linux/amd64"),
        ),
        (strategy("  - {CapacityProvider: !Ref Own}"), "EC2", None),
        (
            strategy("  - {CapacityProvider: !Ref Managed}\n  - {CapacityProvider: FARGATE}"),
            "MANAGED_INSTANCES FARGATE",
            None,
        ),
        (strategy("  - {CapacityProvider: shared}"), "", None),
        ("TaskDefinition: !Ref Other\nLaunchType: FARGATE".into(), "", None),
        ("TaskDefinition: !Ref Task".into(), "", None),
    ] {
        let found = target(&with_service("", &service), &[]);
        let types: Vec<&str> =
            found["launch_types"].as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
        assert_eq!(types.join(" "), wanted, "{service}");
        assert_eq!(found["platform"].as_str(), architecture, "{service}");
    }
    let service = "TaskDefinition: !Ref Task\nLaunchType: FARGATE";
    let definition = read(&with_service("", service), &[]).expect("a template").definitions.remove(0);
    assert!(definition.launch_types.source().expect("a source").ends_with(", LaunchType of Web"));
}

#[test]
fn conditions_in_a_strategy_are_evaluated() {
    let before = "Parameters:\n  Env: {Type: String}\n  Spot: {Type: String, Default: no}\nConditions:\n  \
                  Spot: !Equals [!Ref Spot, yes]\n  Open: !Equals [!Ref Env, prod]\n";
    let (spot, own) = ("{CapacityProvider: FARGATE_SPOT, Weight: 4}", "{CapacityProvider: !Ref Own}");
    let (plain, none) = ("{CapacityProvider: FARGATE}", "!Ref AWS::NoValue");
    for (strategy, wanted) in [
        (format!("!If [Spot, [{own}], [{plain}]]"), "FARGATE"),
        (format!("[!If [Spot, {own}, {none}], {plain}]"), "FARGATE"),
        (format!("!If [Open, [{spot}], [{plain}]]"), "FARGATE"),
        (format!("[!If [Open, {spot}, {none}], {plain}]"), "FARGATE"),
        (format!("[!If [Open, {own}, {none}], {plain}]"), ""),
        (format!("!If [Open, [{own}], [{plain}]]"), ""),
        (format!("!If [Open, [{plain}], {none}]"), ""),
        // As if it were not there: the cluster decides.
        (format!("!If [Spot, [{own}], {none}]"), "FARGATE"),
        ("!FindInMap [A, B, C]".to_owned(), ""),
    ] {
        let service = format!("TaskDefinition: !Ref Task\nCluster: !Ref Cluster\nCapacityProviderStrategy: {strategy}");
        let text = format!("{before}{}", with_service("", &service));
        assert_eq!(
            target(&text, &[])["launch_types"].as_array().map_or(String::new(), |all| {
                all.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join(" ")
            }),
            wanted,
            "{strategy}"
        );
        let by_cluster = with_service("", "TaskDefinition: !Ref Task\nCluster: !Ref Cluster")
            .replace("[{CapacityProvider: FARGATE_SPOT}]", &strategy);
        let found = target(&format!("{before}{by_cluster}"), &[]);
        let wanted = if strategy.ends_with(&format!("[{own}], {none}]")) { "" } else { wanted };
        let types: Vec<&str> =
            found["launch_types"].as_array().into_iter().flatten().filter_map(|one| one.as_str()).collect();
        assert_eq!(types.join(" "), wanted, "{strategy}");
    }
}

#[test]
fn of_several_launch_types_a_task_runs_on_those_of_all_its_services() {
    for (compatibilities, service, wanted) in [
        ("[EC2, FARGATE]", "TaskDefinition: !Ref Task\nLaunchType: FARGATE", "FARGATE"),
        ("[EC2, FARGATE]", "TaskDefinition: !Ref Task\nCluster: !Ref Cluster", "FARGATE"),
        ("[EC2, FARGATE]", "TaskDefinition: !Ref Other\nLaunchType: FARGATE", "EC2 FARGATE"),
        // What is not known of a service, or would be refused, leaves what is stated.
        ("[EC2, FARGATE]", "TaskDefinition: !Ref Task", "EC2 FARGATE"),
        ("[EC2, FARGATE]", "TaskDefinition: !Ref Task\nLaunchType: EXTERNAL", "EC2 FARGATE"),
        ("[EC2]", "TaskDefinition: !Ref Task\nLaunchType: FARGATE", "EC2"),
    ] {
        let text = with_service(&format!("RequiresCompatibilities: {compatibilities}\n"), service);
        let found = target(&text, &[]);
        let types: Vec<&str> =
            found["launch_types"].as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
        assert_eq!(types.join(" "), wanted, "{service}");
        let stated = compatibilities.trim_matches(['[', ']']).split(", ");
        let definition = read(&text, &[]).expect("a template").definitions.remove(0);
        assert!(stated.eq(definition.compatibilities.iter().map(ToString::to_string)), "{definition:?}");
    }
    let one = "TaskDefinition: !Ref Task\nLaunchType: FARGATE";
    let both = with_service("RequiresCompatibilities: [EC2, FARGATE]\n", one)
        + "  Job:\n    Type: AWS::ECS::Service\n    Properties: {TaskDefinition: !Ref Task, LaunchType: EC2}\n";
    assert_eq!(target(&both, &[])["launch_types"], serde_json::json!(["EC2", "FARGATE"]));
}

#[test]
fn a_resource_is_there_only_under_its_condition() {
    let before = "Parameters:\n  Make:\n    Type: String\nConditions:\n  Made: !Equals [!Ref Make, 'yes']";
    let text = template(before, "ContainerDefinitions: []")
        .replace("    Type: AWS::ECS::TaskDefinition", "    Type: AWS::ECS::TaskDefinition\n    Condition: Made");
    let stacks = read(&text, &[]).expect("a template");
    assert_eq!(stacks.definitions.len(), 1);
    assert!(
        stacks.notes[0].message.starts_with("Task is made only under a condition: parameter Make"),
        "{:?}",
        stacks.notes
    );
    assert!(read(&text, &[("Make", "yes")]).expect("a template").notes.is_empty());
    let message = read(&text, &[("Make", "no")]).expect_err("nothing is left");
    assert!(message.contains("conditions leave out all task definitions of this template: Task"), "{message}");
}

#[test]
fn a_service_that_does_not_settle_where_it_runs_leaves_it_open() {
    let launch_types = |services: &str| {
        let text = format!(
            "Parameters:\n  Env: {{Type: String}}\n  Place: {{Type: String}}\nConditions:\n  Prod: !Equals [!Ref Env, prod]\n\
             Resources:\n  T:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {{ContainerDefinitions: []}}\n  \
             U:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {{ContainerDefinitions: []}}\n{services}"
        );
        let definitions = read(&text, &[("Env", "prod")]).expect("a template").definitions;
        match &definitions[0].launch_types {
            Stated::Known { value, .. } => value.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Stated::Unset => "UNSET".into(),
            Stated::Unresolved { reason, .. } => reason.clone(),
        }
    };
    let service = |id: &str, task: &str, more: &str| {
        format!("  {id}: {{Type: AWS::ECS::Service, Properties: {{TaskDefinition: {task}{more}}}}}\n")
    };
    let fargate = service("F", "!Ref T", ", LaunchType: FARGATE");
    assert_eq!(launch_types(&fargate), "FARGATE");
    for (more, wanted) in [
        ("", "S: it names neither a launch type nor a capacity provider: its cluster decides"),
        (", Cluster: graviton", "S: it names neither a launch type nor a capacity provider: its cluster decides"),
        (", LaunchType: !Ref Place", "LaunchType of S: parameter Place has no default (--parameter Place=…)"),
    ] {
        let open = service("S", "!Ref T", more);
        assert_eq!(launch_types(&format!("{fargate}{open}")), wanted);
        assert_eq!(launch_types(&format!("{open}{fargate}")), wanted);
    }
    // The branch that is not taken is not run.
    assert_eq!(launch_types(&service("S", "!If [Prod, !Ref T, !Ref U]", ", LaunchType: EC2")), "EC2");
    assert_eq!(launch_types(&service("S", "!If [Prod, !Ref U, !Ref T]", ", LaunchType: EC2")), "UNSET");
    let open = service("S", "!If [!Equals [!Ref Place, a], !Ref U, !Ref T]", ", LaunchType: EC2");
    assert_eq!(launch_types(&open), "which task definition S runs is not known");
}

/// The CDK writes the default strategy of a cluster as a resource of its own; the service beside it was open.
#[test]
fn what_is_associated_with_a_cluster_says_where_its_services_run() {
    let launch_types = |before: &str, cluster: &str, association: &str| {
        let text = format!(
            "{before}Resources:\n  Main: {{Type: AWS::ECS::Cluster}}\n  Other: {{Type: AWS::ECS::Cluster}}\n  \
             Own: {{Type: AWS::ECS::CapacityProvider, Properties: {{AutoScalingGroupProvider: {{}}}}}}\n  \
             T:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {{ContainerDefinitions: []}}\n  \
             S: {{Type: AWS::ECS::Service, Properties: {{TaskDefinition: !Ref T{cluster}}}}}\n  \
             A: {{Type: AWS::ECS::ClusterCapacityProviderAssociations, {association}}}\n"
        );
        let definitions = read(&text, &[]).expect("a template").definitions;
        match &definitions[0].launch_types {
            Stated::Known { value, how, .. } => {
                let words: Vec<_> = value.iter().map(ToString::to_string).collect();
                format!("{} by {}", words.join(" "), how.join(", "))
            }
            Stated::Unset => "UNSET".into(),
            Stated::Unresolved { reason, .. } => reason.clone(),
        }
    };
    let association = |cluster: &str, strategy: &str| {
        format!("Properties: {{{cluster}CapacityProviders: [FARGATE], DefaultCapacityProviderStrategy: [{strategy}]}}")
    };
    let fargate = |cluster: &str| association(cluster, "{CapacityProvider: FARGATE, Weight: 1}");
    let (by, open) = (
        "FARGATE by DefaultCapacityProviderStrategy of A",
        "S: it names neither a launch type nor a capacity provider: its cluster decides",
    );
    for (before, cluster, association, wanted) in [
        ("", ", Cluster: !Ref Main", fargate("Cluster: !Ref Main, "), by),
        ("", ", Cluster: !GetAtt Main.Arn", fargate("Cluster: !Ref Main, "), by),
        ("", ", Cluster: main", fargate("Cluster: main, "), by),
        ("", ", Cluster: !ImportValue c", fargate("Cluster: !ImportValue c, "), by),
        ("Parameters: {C: {Type: String}}\n", ", Cluster: !Ref C", fargate("Cluster: !Ref C, "), by),
        ("", "", fargate("Cluster: default, "), by),
        ("", ", Cluster: !Ref Main", fargate("Cluster: !Ref Other, "), open),
        ("Parameters: {C: {Type: String}}\n", ", Cluster: !Sub '${C}-a'", fargate("Cluster: !Sub '${C}-b', "), open),
        ("", ", Cluster: !Ref Main", association("Cluster: !Ref Main, ", ""), open),
        (
            "",
            ", Cluster: !Ref Main",
            association("Cluster: !Ref Main, ", "{CapacityProvider: !Ref Own}"),
            "EC2 by DefaultCapacityProviderStrategy of A",
        ),
        (
            "Parameters: {C: {Type: String}}\nConditions: {Made: !Equals [!Ref C, a]}\n",
            ", Cluster: !Ref Main",
            format!("Condition: Made, {}", fargate("Cluster: !Ref Main, ")),
            "DefaultCapacityProviderStrategy of A: A is made only under a condition: parameter C has no default (--parameter C=…)",
        ),
    ] {
        assert_eq!(launch_types(before, cluster, &association), wanted, "{before}{cluster} {association}");
    }
    // Both under one condition.
    let before = "Parameters: {C: {Type: String}}\nConditions: {Made: !Equals [!Ref C, a]}\n";
    let association = format!("Condition: Made, {}", fargate("Cluster: !Ref Main, "));
    assert_eq!(launch_types(before, ", Cluster: !Ref Main}, Condition: Made, Metadata: {A: b", &association), by);
}

#[test]
fn properties_may_be_made_by_a_function_or_be_few() {
    let before = "Parameters:\n  Env:\n    Type: String\nConditions:\n  Prod: !Equals [!Ref Env, prod]\nResources:\n  Task:\n    \
                  Type: AWS::ECS::TaskDefinition\n    Properties: ";
    let open = format!("{before}!If [Prod, {{RuntimePlatform: {{CpuArchitecture: ARM64}}}}, !Ref 'AWS::NoValue']\n");
    let found = target(&open, &[]);
    assert_eq!(
        (found["architecture"].as_str(), found["launch_types"].as_array().map(Vec::len)),
        (Some("UNRESOLVED"), Some(0))
    );
    assert_eq!(target(&open, &[("Env", "prod")])["architecture"], "ARM64");
    assert_eq!(target(&open, &[("Env", "test")])["architecture"], "UNSET");
    let found =
        target(&format!("{before}{{Family: app, ContainerDefinitions: [{{Name: a, Essential: 'True'}}]}}\n"), &[]);
    assert_eq!(found["family"], "app");
    let message = read(&format!("{before}[]\n"), &[]).expect_err("a list");
    assert!(message.contains("expected a task definition, found an array"), "{message}");
}

#[test]
fn a_template_without_tasks_says_so() {
    let message = read("Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n", &[]).expect_err("no task");
    assert!(message.starts_with("t.yaml:2:3: this template has no AWS::ECS::TaskDefinition"), "{message}");
}

#[test]
fn an_express_service_is_a_target() {
    let text = "Resources:\n  Api:\n    Type: AWS::ECS::ExpressGatewayService\n    Properties:\n      ServiceName: api\n      \
                PrimaryContainer: {Image: 'app:v1', ContainerPort: 8080, AwsLogsConfiguration: {}}\n      CpuArchitecture: ARM64\n";
    let found = target(text, &[]);
    assert_eq!((found["id"].as_str(), found["architecture"].as_str()), (Some("Api"), Some("ARM64")));
    assert_eq!(found["containers"], serde_json::json!([{"name": "Main", "image": "app:v1", "ports": [8080]}]));
    let found = target(&text.replace("      CpuArchitecture: ARM64\n", ""), &[]);
    assert_eq!((found["architecture"].as_str(), found["platform"].as_str()), (Some("UNSET"), Some("linux/amd64")));
}

#[test]
fn what_is_misspelt_is_an_error_where_it_decides() {
    let text = template("", "RuntimePlatform: {cpuArchitecture: ARM64}\nContainerDefinitions: []");
    let message = read(&text, &[]).expect_err("misspelt");
    assert!(message.contains("t.yaml:6:25") && message.contains("write CpuArchitecture"), "{message}");
    let text = template("", "runtimePlatform: {CpuArchitecture: ARM64}\nContainerDefinitions: []");
    assert!(read(&text, &[]).expect_err("misspelt").contains("write RuntimePlatform"));
    let text = template("", "requiresCompatibilities: [FARGATE]\nContainerDefinitions: [{Name: a, portMappings: []}]");
    let stacks = read(&text, &[]).expect("a template");
    assert_eq!(stacks.notes.len(), 2, "{:?}", stacks.notes);
    assert_eq!(json(stacks.definitions[0].clone())["launch_types"], serde_json::json!([]));
}

#[test]
fn a_macro_that_may_rewrite_everything_is_told() {
    let text = template(
        "Transform: [AWS::Serverless-2016-10-31, Our::Macro]\nGlobals: {Function: {Timeout: 3}}",
        "ContainerDefinitions: []",
    );
    let notes = read(&text, &[]).expect("a template").notes;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].message.starts_with("Our::Macro may rewrite this template"), "{notes:?}");
}

#[test]
fn a_macro_among_the_properties_may_add_what_is_absent() {
    let transform = "'Fn::Transform':\n  Name: AWS::Include\n  Parameters: {Location: s3://b/k}";
    let containers = "RequiresCompatibilities: [FARGATE]\nContainerDefinitions:\n  - Name: app\n    Image: x";
    let found = target(&template("", &format!("{transform}\n{containers}")), &[]);
    assert_eq!((&found["architecture"], &found["platform"]), (&"UNRESOLVED".into(), &serde_json::Value::Null));
    let stated = format!("RuntimePlatform:\n  CpuArchitecture: ARM64\n{containers}");
    let found = target(&template("", &format!("{transform}\n{stated}")), &[]);
    assert_eq!(found["platform"], "linux/arm64");
    let within = "    'Fn::Transform': {Name: Mine}";
    let all = read(&template("", &format!("{containers}\n{within}")), &[]).expect("a template").definitions;
    let container = &all[0].containers[0];
    assert_eq!(container.image.value().map(String::as_str), Some("x"));
    assert!(matches!(container.entry_point, Stated::Unresolved { .. }));
}

#[test]
fn a_key_that_is_nearly_the_platform_is_an_error() {
    for (properties, wanted) in [
        ("RuntimePlatfrom:\n  CpuArchitecture: ARM64", "did you mean RuntimePlatform?"),
        ("RuntimePlatform:\n  CpuArch: ARM64", "did you mean CpuArchitecture?"),
    ] {
        let error = read(&template("", &format!("{properties}\nContainerDefinitions: []")), &[]).expect_err("misspelt");
        assert!(error.contains(wanted), "{error}");
    }
}
