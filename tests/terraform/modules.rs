//! Modules: on disk, called often, and not there.

use dockless::ecs::target::Variables;
use dockless::ecs::terraform::parse;

use super::{architecture, files, image};

const CHILD: &str = "variable \"name\" {}\nvariable \"arch\" {\n  default = \"X86_64\"\n}\nvariable \"image\" {\n  \
                     default = \"child\"\n  nullable = false\n}\nresource \"aws_ecs_task_definition\" \"this\" {\n  \
                     family = var.name\n  container_definitions = jsonencode([{ name = \"app\", image = var.image }])\n  \
                     runtime_platform {\n    cpu_architecture = var.arch\n  }\n}\noutput \"image\" {\n  value = \"from-${var.name}\"\n}\n";

#[test]
fn each_call_has_its_own_arguments() {
    let root = "module \"a\" {\n  source = \"./child\"\n  name = \"a\"\n  arch = var.arch\n  image = module.b[\"x\"].image\n}\n\
                module \"b\" {\n  source = \"./child\"\n  for_each = toset([\"x\", \"y\"])\n  name = each.key\n  image = null\n}\n\
                variable \"arch\" {\n  default = \"ARM64\"\n}\n";
    let all = parse(&files([("main.tf", root), ("child/main.tf", CHILD)]), &Variables::default()).expect("Terraform");
    let found: Vec<_> = all.iter().map(|one| (one.id.as_str(), architecture(one), image(one))).collect();
    let wanted = [
        ("module.a.aws_ecs_task_definition.this", "ARM64", "from-x"),
        ("module.b[\"x\"].aws_ecs_task_definition.this", "X86_64", "child"),
        ("module.b[\"y\"].aws_ecs_task_definition.this", "X86_64", "child"),
    ];
    assert_eq!(found, wanted.map(|(id, arch, image)| (id, arch.to_owned(), image.to_owned())));
    assert_eq!(
        all[0].architecture.source().as_deref(),
        Some("main.tf:14:13, the default of var.arch, passed by module.a as var.arch")
    );
    assert_eq!(all[1].architecture.source().as_deref(), Some("child/main.tf:3:13, the default of var.arch"));
}

#[test]
fn an_argument_that_is_missing_is_named() {
    let root = "module \"a\" {\n  source = \"./child\"\n}\n";
    let child = CHILD.replace("\n  default = \"X86_64\"\n", "");
    let all = parse(&files([("main.tf", root), ("child/main.tf", &child)]), &Variables::default()).expect("Terraform");
    assert_eq!(architecture(&all[0]), "UNRESOLVED: module.a does not pass arch, and it has no default");
}

#[test]
fn a_module_that_is_not_on_disk_is_said_to_be() {
    let root = "module \"ecs\" {\n  source = \"example/ecs-service/aws\"\n  container_definitions = {\n    app = { image = \
                \"x\", port_mappings = [{ container_port = 80 }] }\n  }\n}\nmodule \"arm\" {\n  source = \
                \"example/ecs-service/aws\"\n  runtime_platform = { cpu_architecture = \"ARM64\" }\n}\nmodule \"vpc\" {\n  \
                source = \"example/vpc/aws\"\n}\n";
    let all = parse(&files([("main.tf", root)]), &Variables::default()).expect("Terraform");
    let ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["module.ecs", "module.arm"]);
    assert!(architecture(&all[0]).contains("terraform init"), "{}", architecture(&all[0]));
    assert_eq!((architecture(&all[1]).as_str(), all[0].containers[0].name.as_str()), ("ARM64", "app"));
    assert!(all[0].other_containers.is_some());
}

#[test]
fn a_module_that_is_not_on_disk_has_its_instances() {
    let module = |name: &str, instances: &str, architecture: &str| {
        format!(
            "module \"{name}\" {{\n  source = \"example/ecs-service/aws\"\n  {instances}\n  container_definitions = {{}}\n  \
             runtime_platform = {{ cpu_architecture = {architecture} }}\n}}\n"
        )
    };
    let root = module("legacy", "count = var.legacy ? 1 : 0", "\"ARM64\"")
        + &module("web", "for_each = { a = \"ARM64\", b = \"X86_64\" }", "each.value")
        + &module("some", "count = var.open", "\"ARM64\"")
        + "module \"none\" {\n  source = \"example/ecs/aws\"\n  count = 0\n}\n"
        + "variable \"legacy\" {\n  default = false\n}\nvariable \"open\" {}\n";
    let all = parse(&files([("main.tf", &*root)]), &Variables::default()).expect("Terraform");
    let found: Vec<_> = all.iter().map(|one| (one.id.as_str(), architecture(one))).collect();
    let wanted = [("module.web[\"a\"]", "ARM64"), ("module.web[\"b\"]", "X86_64"), ("module.some[*]", "ARM64")];
    assert_eq!(found, wanted.map(|(id, architecture)| (id, architecture.to_owned())));
}

#[test]
fn a_module_from_anywhere_is_told_by_its_arguments() {
    let module = |arguments: &str| {
        let root = format!("module \"web\" {{\n source = \"git::https://example.com/web.git\"\n {arguments}\n}}\n");
        let known = super::container("image = \"x\"");
        parse(&files([("main.tf", &*format!("{root}{known}"))]), &Variables::default()).expect("Terraform")
    };
    let all =
        module("cpu_architecture = \"ARM64\"\n container_definitions = jsonencode([{ name = \"a\", image = \"b\" }])");
    assert_eq!(
        all.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
        ["module.web", "aws_ecs_task_definition.app"]
    );
    assert_eq!((architecture(&all[0]).as_str(), image(&all[0]).as_str()), ("ARM64", "b"));
    // Of another thing's architecture nothing is read.
    assert_eq!(module("cpu_architecture = \"arm64\"").len(), 1);
}

#[test]
fn modules_that_were_installed_are_read() {
    let root = "module \"a\" {\n  source = \"example/child/aws\"\n  name = \"a\"\n}\n";
    let installed = "{\"Modules\":[{\"Key\":\"\",\"Dir\":\".\"},{\"Key\":\"a\",\"Dir\":\".terraform/modules/a\"}]}";
    let all = files([
        ("main.tf", root),
        (".terraform/modules/modules.json", installed),
        (".terraform/modules/a/main.tf", CHILD),
    ]);
    let all = parse(&all, &Variables::default()).expect("Terraform");
    assert_eq!((all[0].id.as_str(), architecture(&all[0])), ("module.a.aws_ecs_task_definition.this", "X86_64".into()));
}
