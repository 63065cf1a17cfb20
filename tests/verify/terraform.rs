//! An image for arm64 alone against task definitions in Terraform that state no architecture.

use std::collections::BTreeMap;

use dockless::ecs::target::{TargetOptions, Variables, select};
use dockless::ecs::task_definition::LaunchType;
use dockless::ecs::terraform;
use dockless::verify::finding::Verdict::{DoesNotRun, Runs, Undetermined};
use dockless::verify::finding::{Rule, Verification};
use dockless::verify::rules::{Options, verify};

use crate::build::*;

fn judge_on(launch_type: &str) -> Verification {
    let text = format!(
        "resource \"aws_ecs_task_definition\" \"app\" {{\n  family = \"app\"\n  \
         requires_compatibilities = [\"{launch_type}\"]\n  \
         container_definitions = jsonencode([{{ name = \"app\", image = \"x\" }}])\n}}\n"
    );
    let files = BTreeMap::from([("main.tf".to_owned(), text)]);
    let definitions = terraform::parse(&files, &Variables::default()).expect("Terraform");
    let targets = select(definitions, &TargetOptions::default()).expect("targets");
    verify(&arm64(vec![exe("app", program(ARM))], &["/app"]), &targets, &Options::default())
}

#[test]
fn on_fargate_it_does_not_run_by_default() {
    let answer = judge_on("FARGATE");
    assert_eq!(answer.verdict, DoesNotRun);
    let findings = &answer.targets[0].findings;
    let missing = findings.iter().find(|finding| finding.rule == Rule::PlatformMissing).expect("platform-missing");
    let said = format!("{} {}", missing.message, missing.help.as_deref().unwrap_or_default());
    assert!(said.contains("default of Fargate"), "{said}");
    assert_eq!(missing.location.as_ref().map(|at| at.file.to_string()).as_deref(), Some("main.tf"));
}

#[test]
fn on_ec2_it_is_undetermined_and_says_how_to_settle_it() {
    let answer = judge_on("EC2");
    assert_eq!(answer.verdict, Undetermined);
    let open = &answer.targets[0].findings[0];
    assert_eq!(open.rule, Rule::ArchitectureNotStated);
    let said = format!("{} {}", open.message, open.help.as_deref().unwrap_or_default());
    assert!(said.contains("EC2") && said.contains("--architecture"), "{said}");
}

/// ECS registers a definition by what it states, wherever its services run it.
#[test]
fn the_rules_of_fargate_hold_for_what_runs_elsewhere_as_well() {
    let text = "resource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  network_mode = \"bridge\"\n  \
                requires_compatibilities = [\"EC2\", \"FARGATE\"]\n  runtime_platform {\n    cpu_architecture = \
                \"ARM64\"\n  }\n  container_definitions = jsonencode([{ name = \"app\", image = \"x\" }])\n}\n\
                resource \"aws_ecs_service\" \"app\" {\n  task_definition = aws_ecs_task_definition.app.arn\n  \
                launch_type = \"EC2\"\n}\n";
    let files = BTreeMap::from([("main.tf".to_owned(), text.to_owned())]);
    let definitions = terraform::parse(&files, &Variables::default()).expect("Terraform");
    let targets = select(definitions, &TargetOptions::default()).expect("targets");
    assert_eq!(targets[0].launch_types, [LaunchType::Ec2]);
    let answer = verify(&arm64(vec![exe("app", program(ARM))], &["/app"]), &targets, &Options::default());
    assert_eq!(answer.verdict, DoesNotRun);
    assert_eq!(answer.targets[0].findings[0].rule, Rule::NetworkMode);
}

/// Terraform knows no `cpuArchitecture`: who searched for it, or wrote it, found an error.
#[test]
fn findings_have_the_words_of_the_source() {
    let judged = |launch_type: &str, more: &str| {
        let text = format!(
            "variable \"cpu\" {{}}\nresource \"aws_ecs_task_definition\" \"app\" {{\n  family = \"app\"\n  \
             requires_compatibilities = [{launch_type}]\n{more}  \
             container_definitions = jsonencode([{{ name = \"app\", image = \"x\" }}])\n}}\n"
        );
        let files = BTreeMap::from([("main.tf".to_owned(), text)]);
        let definitions = terraform::parse(&files, &Variables::default()).expect("Terraform");
        let targets = select(definitions, &TargetOptions::default()).expect("targets");
        let image = arm64(vec![exe("app", program(ARM))], &["/app"]);
        verify(&image, &targets, &Options::default())
    };
    let platform = |word: &str| format!("  runtime_platform {{\n    cpu_architecture = {word}\n  }}\n");
    for (launch_type, more) in [
        ("", String::new()),
        ("\"EC2\"", String::new()),
        ("\"FARGATE\"", String::new()),
        ("\"EC2\", \"FARGATE\"", String::new()),
        ("var.cpu", String::new()),
        ("\"FARGATE\"", platform("\"X86_64\"")),
        ("\"FARGATE\"", platform("var.cpu")),
    ] {
        let answer = judged(launch_type, &more);
        let said = format!("{:?} {:?}", answer.targets[0].findings, answer.targets[0].verdict);
        assert!(said.contains("cpu_architecture") && !said.contains("cpuArchitecture"), "{launch_type} {more}: {said}");
    }
}

/// The one container that is known may be a sidecar.
#[test]
fn a_container_beside_unknown_ones_is_not_taken_for_ours() {
    let judged = |ours: &str, image: &str| {
        let text = format!(
            "variable \"app_containers\" {{ type = any }}\nresource \"aws_ecs_task_definition\" \"app\" {{\n  \
             family = \"app\"\n  requires_compatibilities = [\"FARGATE\"]\n  \
             runtime_platform {{ cpu_architecture = \"ARM64\" }}\n  container_definitions = \
             jsonencode(concat([{{ name = \"datadog\", image = \"{image}\", entryPoint = [\"{ours}\"] }}], \
             var.app_containers))\n}}\n"
        );
        let files = BTreeMap::from([("main.tf".to_owned(), text)]);
        let definitions = terraform::parse(&files, &Variables::default()).expect("Terraform");
        let targets = select(definitions, &TargetOptions::default()).expect("targets");
        verify(&arm64(vec![exe("app", program(ARM))], &["/app"]), &targets, &Options::default())
    };
    let answer = judged("/init", "public.ecr.aws/datadog/agent:7");
    assert_eq!(answer.verdict, Undetermined, "{:#?}", answer.targets);
    assert_eq!(brief(answer.all()), ["warning container-not-chosen"]);
    // One whose image is of our repository is ours.
    assert_eq!(judged("/app", "example.com/team/app:v1").verdict, Runs);
}

#[test]
fn containers_that_cannot_be_read_leave_the_verdict_open() {
    let text = "resource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  \
                requires_compatibilities = [\"FARGATE\"]\n  runtime_platform { cpu_architecture = \"ARM64\" }\n  \
                container_definitions = file(\"/etc/containers.json\")\n}\n";
    let files = BTreeMap::from([("main.tf".to_owned(), text.to_owned())]);
    let definitions = terraform::parse(&files, &Variables::default()).expect("Terraform");
    let targets = select(definitions, &TargetOptions::default()).expect("targets");
    let answer = verify(&arm64(vec![exe("app", program(ARM))], &["/app"]), &targets, &Options::default());
    assert_eq!(answer.verdict, Undetermined, "they may start something else: {:#?}", answer.targets);
    let open = answer.targets[0].findings.iter().find(|finding| finding.undecided).expect("an open finding");
    assert_eq!(open.rule, Rule::ContainerNotChosen);
    assert!(open.message.contains("containers.json"), "{}", open.message);
}
