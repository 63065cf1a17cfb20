//! What a task asks for: its architecture, where it runs, and its instances.

use dockless::ecs::target::{Asked, Target, TargetOptions, Variables};
use dockless::ecs::task_definition::{CpuArchitecture, LaunchType, Notation, Stated, TaskDefinition};
use dockless::ecs::terraform::parse;

use super::{architecture, asked, container, files, one, read, task};

const EC2: &str = "resource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  \
                   requires_compatibilities = [\"EC2\"]\n  container_definitions = \"[]\"\n}\n";

#[test]
fn fargate_takes_x86_64_where_nothing_is_said() {
    let definition = one(&task("container_definitions = \"[]\""));
    assert_eq!(architecture(&definition), "UNSET");
    let Asked::Platform { platform, why, by_default } = asked(&definition) else { panic!("a platform") };
    assert_eq!((platform.to_string().as_str(), by_default), ("linux/amd64", true));
    assert_eq!(why, "X86_64, the default of Fargate, from main.tf:3:30");
}

#[test]
fn on_ec2_the_instance_decides() {
    let Asked::Undetermined { why, help } = asked(&one(EC2)) else { panic!("undetermined") };
    assert!(why.contains("on EC2 the instance decides"), "{why}");
    assert!(help.contains("--architecture"), "{help}");
}

#[test]
fn what_is_open_says_where_it_is_known() {
    for (expression, known) in [
        ("data.aws_ssm_parameter.arch.value", "is looked up when Terraform runs: a plan has it"),
        ("aws_ssm_parameter.arch.version", "is known when Terraform has made it: its state has it"),
        ("terraform.workspace", "the workspace is not in the files: a plan has it"),
        ("uuid()", "uuid() is not evaluated: a plan has its value"),
    ] {
        let text = task(&format!(
            "container_definitions = \"[]\"\n  runtime_platform {{\n    cpu_architecture = {expression}\n  }}"
        ));
        let looked_up = "data \"aws_ssm_parameter\" \"arch\" {\n  name = \"a\"\n}\n";
        let made = "resource \"aws_ssm_parameter\" \"arch\" {\n  name = \"a\"\n}\n";
        let open = architecture(&one(&format!("{text}{looked_up}{made}")));
        assert!(open.ends_with(&format!("{known} (`terraform show -json`)")), "{open}");
    }
}

#[test]
fn a_service_says_where_a_task_runs() {
    let definition = |service: &str| {
        one(&format!(
            "resource \"aws_ecs_task_definition\" \"app\" {{\n  family = \"app\"\n  container_definitions = \"[]\"\n}}\n\
             resource \"aws_ecs_service\" \"web\" {{\n  task_definition = aws_ecs_task_definition.app.arn\n{service}\n}}\n"
        ))
    };
    let types = |service: &str| {
        let target = Target::new(definition(service), &TargetOptions::default());
        target.launch_types.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(types("launch_type = \"FARGATE\""), ["FARGATE"]);
    assert_eq!(types("capacity_provider_strategy {\n capacity_provider = \"FARGATE_SPOT\"\n}"), ["FARGATE"]);
    assert_eq!(types("capacity_provider_strategy {\n capacity_provider = \"mine\"\n}"), Vec::<String>::new());
    assert_eq!(types(""), Vec::<String>::new());
    assert_eq!(
        definition("launch_type = \"FARGATE\"").launch_types.source().as_deref(),
        Some("main.tf:5:1, said by aws_ecs_service.web")
    );
}

/// The launch types of two task definitions beside these services, or why they are not known.
fn launch_types(services: &str) -> [String; 2] {
    let task = |name: &str| {
        format!(
            "resource \"aws_ecs_task_definition\" \"{name}\" {{\n  family = \"{name}-1\"\n  container_definitions = \
             \"[]\"\n}}\n"
        )
    };
    let all = read(&format!("variable \"v\" {{}}\n{}{}{services}", task("a"), task("b")));
    let words = |of: &TaskDefinition| match &of.launch_types {
        Stated::Known { value, .. } => value.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Stated::Unset => "UNSET".into(),
        Stated::Unresolved { reason, .. } => reason.clone(),
    };
    [words(&all[0]), words(&all[1])]
}

fn service(name: &str, task: &str, more: &str) -> String {
    format!("resource \"aws_ecs_service\" \"{name}\" {{\n  task_definition = {task}\n  {more}\n}}\n")
}

#[test]
fn a_service_that_does_not_settle_where_it_runs_leaves_it_open() {
    let fargate = service("f", "aws_ecs_task_definition.a.arn", "launch_type = \"FARGATE\"");
    for (more, wanted) in [
        ("", "aws_ecs_service.e names neither a launch type nor a capacity provider: its cluster decides"),
        ("launch_type = var.v", "launch_type of aws_ecs_service.e: var.v has no default: pass --var v=…"),
        (
            "capacity_provider_strategy {\n capacity_provider = \"graviton\"\n}",
            "aws_ecs_service.e: capacity provider graviton may be of any kind but Fargate",
        ),
    ] {
        let other = service("e", "aws_ecs_task_definition.a.arn", more);
        for services in [format!("{fargate}{other}"), format!("{other}{fargate}")] {
            assert_eq!(launch_types(&services), [wanted, "UNSET"], "{services}");
        }
    }
    assert_eq!(
        launch_types(&format!("{fargate}{}", service("e", "aws_ecs_task_definition.a.arn", "launch_type = \"EC2\""))),
        ["FARGATE EC2", "UNSET"]
    );
    // What is not made says nothing.
    let none = "count = 0\n launch_type = \"FARGATE\"";
    let external = service("e", "aws_ecs_task_definition.a.arn", "launch_type = \"EXTERNAL\"");
    let all = format!("{}{external}", service("f", "aws_ecs_task_definition.a.arn", none));
    assert_eq!(launch_types(&all), ["EXTERNAL", "UNSET"]);
}

#[test]
fn of_several_launch_types_a_task_runs_on_those_of_all_its_services() {
    let task = "resource \"aws_ecs_task_definition\" \"a\" {\n  family = \"a\"\n  requires_compatibilities = \
                [\"EC2\", \"FARGATE\"]\n  container_definitions = \"[]\"\n}\n";
    let runs = |name: &str, more: &str| service(name, "aws_ecs_task_definition.a.arn", more);
    let fargate = runs("f", "launch_type = \"FARGATE\"");
    for (services, wanted) in [
        (fargate.clone(), vec![LaunchType::Fargate]),
        (format!("{fargate}{}", runs("e", "launch_type = \"EC2\"")), vec![LaunchType::Ec2, LaunchType::Fargate]),
        (format!("{fargate}{}", runs("e", "")), vec![LaunchType::Ec2, LaunchType::Fargate]),
        (runs("e", "launch_type = \"EXTERNAL\""), vec![LaunchType::Ec2, LaunchType::Fargate]),
        (String::new(), vec![LaunchType::Ec2, LaunchType::Fargate]),
    ] {
        let definition = one(&format!("{task}{services}"));
        assert_eq!(definition.compatibilities, [LaunchType::Ec2, LaunchType::Fargate]);
        assert_eq!(definition.launch_types.value(), Some(&wanted), "{services}");
    }
    let definition = one(&format!("{task}{fargate}"));
    let Asked::Platform { why, .. } = asked(&definition) else { panic!("a platform") };
    assert_eq!(why, "X86_64, the default of Fargate, from main.tf:6:1");
    // What it may run on can be asked for.
    let options = TargetOptions { launch_type: Some(LaunchType::Ec2), ..TargetOptions::default() };
    assert_eq!(Target::new(definition, &options).launch_types, [LaunchType::Ec2]);
}

#[test]
fn the_default_strategy_of_a_cluster_says_where_its_services_run() {
    let on = |cluster: &str| service("s", "aws_ecs_task_definition.a.arn", cluster);
    let strategy =
        |provider: &str| format!("default_capacity_provider_strategy {{\n capacity_provider = {provider}\n }}");
    let association = |cluster: &str, provider: &str| {
        let strategy = strategy(provider);
        format!(
            "resource \"aws_ecs_cluster_capacity_providers\" \"p\" {{\n cluster_name = {cluster}\n {strategy}\n}}\n"
        )
    };
    let cluster = |more: &str| format!("resource \"aws_ecs_cluster\" \"c\" {{\n name = \"main\"\n {more}\n}}\n");
    let open_name = "resource \"aws_ecs_cluster\" \"c\" {\n name = \"${var.v}-main\"\n}\n".to_owned();
    let spot = association("aws_ecs_cluster.c.name", "\"FARGATE_SPOT\"");
    let ec2 = "resource \"aws_ecs_capacity_provider\" \"own\" {\n name = \"own\"\n auto_scaling_group_provider {\n }\n}\n\
               resource \"aws_ecs_capacity_provider\" \"managed\" {\n name = \"${var.v}\"\n \
               managed_instances_provider {\n }\n}\n";
    let named = on("cluster = aws_ecs_cluster.c.id");
    let open = "aws_ecs_service.s names neither a launch type nor a capacity provider: its cluster decides";
    for (text, wanted) in [
        (named.clone() + &cluster("") + &spot, "FARGATE"),
        // The order does not matter, nor by what the cluster is named.
        (spot.clone() + &on("cluster = \"main\"") + &cluster(""), "FARGATE"),
        (spot.clone() + &on("cluster = aws_ecs_cluster.c.arn") + &open_name, "FARGATE"),
        (spot.clone() + &on("cluster = aws_ecs_cluster.c.name") + &open_name, "FARGATE"),
        (
            on("cluster = \"arn:aws:ecs:eu-west-1:123456789012:cluster/main\"")
                + &association("\"main\"", "\"FARGATE\""),
            "FARGATE",
        ),
        (on("") + &association("\"default\"", "\"FARGATE\""), "FARGATE"),
        (named.clone() + &cluster(&strategy("\"FARGATE\"")), "FARGATE"),
        (named.clone() + &cluster("") + &association("aws_ecs_cluster.c.name", "\"own\"") + ec2, "EC2"),
        (
            named.clone()
                + &cluster("")
                + &association("aws_ecs_cluster.c.name", "aws_ecs_capacity_provider.own.name")
                + ec2,
            "EC2",
        ),
        (on("capacity_provider_strategy {\n capacity_provider = aws_ecs_capacity_provider.own.id\n }") + ec2, "EC2"),
        (
            on("capacity_provider_strategy {\n capacity_provider = aws_ecs_capacity_provider.managed.id\n }") + ec2,
            "MANAGED_INSTANCES",
        ),
        (
            named.clone() + &cluster("") + &association("aws_ecs_cluster.c.name", "\"elsewhere\""),
            "aws_ecs_cluster_capacity_providers.p: capacity provider elsewhere may be of any kind but Fargate",
        ),
        // Another cluster, or none that is known.
        (on("cluster = aws_ecs_cluster.d.id") + &cluster("") + &spot, open),
        (on("cluster = \"other\"") + &cluster("") + &spot, open),
        (on("cluster = var.v") + &cluster("") + &spot, open),
        (on("cluster = var.v ? aws_ecs_cluster.c.id : \"other\"") + &cluster("") + &spot, open),
        (on("cluster = element([aws_ecs_cluster.c.id, \"other\"], var.v)") + &cluster("") + &spot, open),
        (named.clone() + &cluster(""), open),
        // What a service says itself counts.
        (on("cluster = aws_ecs_cluster.c.id\n launch_type = \"EC2\"") + &cluster("") + &spot, "EC2"),
    ] {
        assert_eq!(launch_types(&text), [wanted, "UNSET"], "{text}");
    }
    let text = "module \"ecs\" {\n source = \"./ecs\"\n}\nmodule \"app\" {\n source = \"./app\"\n cluster = module.ecs.arn\n}\n";
    let ecs = format!("output \"arn\" {{\n value = aws_ecs_cluster.c[0].arn\n}}\n{}{spot}", cluster("count = 1"));
    let ecs = ecs.replace("c.name", "c[0].name");
    let app =
        "variable \"cluster\" {\n type = string\n}\nresource \"aws_ecs_task_definition\" \"a\" {\n family = \"a\"\n \
               container_definitions = \"[]\"\n}\n"
            .to_owned()
            + &on("cluster = var.cluster");
    let all = files([("main.tf", text), ("ecs/main.tf", &*ecs), ("app/main.tf", &*app)]);
    let all = parse(&all, &Variables::default()).expect("Terraform");
    let source = all[0].launch_types.source();
    assert_eq!(source.as_deref(), Some("ecs/main.tf:8:1, said by module.ecs.aws_ecs_cluster_capacity_providers.p"));
}

#[test]
fn what_is_said_of_an_open_service_can_be_said_beside_it() {
    let text = format!(
        "resource \"aws_ecs_task_definition\" \"a\" {{\n  family = \"a\"\n  container_definitions = \"[]\"\n}}\n{}{}",
        service("f", "aws_ecs_task_definition.a.arn", "launch_type = \"FARGATE\""),
        service("e", "aws_ecs_task_definition.a.arn", "")
    );
    let architecture = Some(CpuArchitecture::Arm64);
    let options = TargetOptions { launch_type: Some(LaunchType::Ec2), architecture, ..TargetOptions::default() };
    let Asked::Platform { platform, .. } = Target::new(one(&text), &options).asked else { panic!("a platform") };
    assert_eq!(platform.to_string(), "linux/arm64");
}

#[test]
fn a_service_runs_what_its_expression_comes_to() {
    let fargate = "launch_type = \"FARGATE\"";
    let (a, b) = (["FARGATE", "UNSET"], ["UNSET", "FARGATE"]);
    for (task, wanted) in [
        ("false ? aws_ecs_task_definition.a.arn : aws_ecs_task_definition.b.arn", b),
        ("\"${aws_ecs_task_definition.b.family}:${aws_ecs_task_definition.b.revision}\"", b),
        ("aws_ecs_task_definition.a.family", a),
        ("\"a-1:7\"", a),
        ("\"arn:aws:ecs:eu-west-1:123456789012:task-definition/b-1:7\"", b),
        ("local.task", b),
        ("aws_ecs_task_definition.a.*.arn[0]", a),
        ("\"${local.name}:${max(aws_ecs_task_definition.a.revision, data.aws_ecs_task_definition.d.revision)}\"", a),
        ("data.aws_ecs_task_definition.d.arn", b),
    ] {
        let more = "locals {\n  task = aws_ecs_task_definition.b.arn\n  name = \"a-1\"\n}\n\
                    data \"aws_ecs_task_definition\" \"d\" {\n  task_definition = aws_ecs_task_definition.b.family\n}\n";
        assert_eq!(launch_types(&format!("{more}{}", service("s", task, fargate))), wanted, "{task}");
    }
    let either = "var.v ? aws_ecs_task_definition.a.arn : aws_ecs_task_definition.b.arn";
    for reason in launch_types(&service("s", either, fargate)) {
        assert!(reason.starts_with("which task definition aws_ecs_service.s runs is not known"), "{reason}");
    }
}

#[test]
fn a_service_of_another_module_says_where_a_task_runs() {
    let root = "resource \"aws_ecs_task_definition\" \"a\" {\n  for_each = toset([\"x\", \"y\"])\n  family = each.key\n  \
                container_definitions = \"[]\"\n}\nmodule \"s\" {\n  source = \"./s\"\n  \
                task = aws_ecs_task_definition.a[\"y\"].arn\n}\n";
    let module = format!("variable \"task\" {{}}\n{}", service("s", "var.task", "launch_type = \"FARGATE\""));
    let all = parse(&files([("main.tf", root), ("s/main.tf", &*module)]), &Variables::default()).expect("two");
    assert_eq!(all[0].launch_types, Stated::Unset);
    assert_eq!(all[1].launch_types.source().as_deref(), Some("s/main.tf:2:1, said by module.s.aws_ecs_service.s"));
}

#[test]
fn a_commented_line_says_nothing() {
    let text = task(
        "container_definitions = \"[]\"\n  runtime_platform {\n    operating_system_family = \"LINUX\"\n    \
         # cpu_architecture = \"ARM64\"\n  }",
    );
    assert_eq!(architecture(&one(&text)), "UNSET");
}

#[test]
fn dynamic_blocks_are_made() {
    let text = |default: &str| {
        format!(
            "variable \"platform\" {{\n  default = {default}\n}}\n{}",
            task(
                "container_definitions = \"[]\"\n  dynamic \"runtime_platform\" {\n    \
                 for_each = var.platform == null ? [] : [var.platform]\n    content {\n      \
                 cpu_architecture = try(runtime_platform.value.cpu, \"X86_64\")\n    }\n  }"
            )
        )
    };
    assert_eq!(architecture(&one(&text("null"))), "UNSET");
    assert_eq!(architecture(&one(&text("{}"))), "X86_64");
    let arm = one(&text("{ cpu = \"ARM64\" }"));
    assert_eq!(arm.architecture.source().as_deref(), Some("main.tf:2:21, the default of var.platform"));
}

#[test]
fn a_misspelt_architecture_is_an_error() {
    let text = task("container_definitions = \"[]\"\n  runtime_platform {\n    cpu_architecture = \"arm64\"\n  }");
    let error = parse(&files([("main.tf", &*text)]), &Variables::default());
    let error = error.expect_err("an error").to_string();
    assert!(error.starts_with("main.tf:6:24: ") && error.ends_with("write ARM64"), "{error}");
}

#[test]
fn every_instance_has_its_address() {
    let text = "resource \"aws_ecs_task_definition\" \"app\" {\n  for_each = { web = \"ARM64\", api = \"X86_64\" }\n  \
                family = each.key\n  container_definitions = \"[]\"\n  runtime_platform {\n    \
                cpu_architecture = each.value\n  }\n}\nresource \"aws_ecs_task_definition\" \"two\" {\n  count = 2\n  \
                family = \"two-${count.index}\"\n  container_definitions = \"[]\"\n}\n\
                resource \"aws_ecs_task_definition\" \"none\" {\n  count = false ? 1 : 0\n  family = \"none\"\n}\n\
                variable \"n\" {}\nresource \"aws_ecs_task_definition\" \"some\" {\n  count = var.n\n  \
                family = \"some\"\n  container_definitions = \"[]\"\n}\n";
    let all = read(text);
    let found: Vec<(String, String)> = all.iter().map(|one| (one.id.clone(), architecture(one))).collect();
    let wanted = [
        ("aws_ecs_task_definition.app[\"api\"]", "X86_64"),
        ("aws_ecs_task_definition.app[\"web\"]", "ARM64"),
        ("aws_ecs_task_definition.two[0]", "UNSET"),
        ("aws_ecs_task_definition.two[1]", "UNSET"),
        ("aws_ecs_task_definition.some[*]", "UNSET"),
    ];
    assert_eq!(found, wanted.map(|(id, word)| (id.to_owned(), word.to_owned())));
    assert_eq!(all[3].family.value().map(String::as_str), Some("two-1"));
}

#[test]
fn an_architecture_that_is_stated_is_asked_for_where_the_operating_system_is_open() {
    let of = |word: &str| {
        let platform = format!("cpu_architecture = \"{word}\"\n operating_system_family = var.os");
        let text = task(&format!("container_definitions = \"[]\"\n runtime_platform {{\n {platform}\n }}"));
        asked(&one(&format!("variable \"os\" {{}}\n{text}")))
    };
    // Windows runs on X86_64 alone.
    let Asked::Platform { platform, .. } = of("ARM64") else { panic!("linux/arm64") };
    assert_eq!(platform.to_string(), "linux/arm64");
    let Asked::Undetermined { why, .. } = of("X86_64") else { panic!("it may be Windows") };
    assert!(why.starts_with("X86_64, but the operating system is not known"), "{why}");
}

#[test]
fn what_the_provider_would_not_take_for_the_platform_is_an_error() {
    for (inside, wanted) in [
        ("runtime_platform = { cpu_architecture = \"ARM64\" }", "main.tf:4:3: runtime_platform is a block"),
        ("runtime_platfrom {\n cpu_architecture = \"ARM64\"\n }", "did you mean runtime_platform?"),
        ("runtime_platform {\n cpu_arch = \"ARM64\"\n }", "\"cpu_arch\" is not a key that ECS knows"),
    ] {
        let text = task(&format!("{inside}\n container_definitions = \"[]\""));
        let error = parse(&files([("main.tf", &*text)]), &Variables::default()).expect_err("misspelt").to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn sizes_are_read() {
    let text = task(
        "cpu = 256\n memory = var.memory\n ephemeral_storage {\n size_in_gib = 100\n }\n container_definitions = \"[]\"",
    );
    let sizes = one(&format!("variable \"memory\" {{}}\n{text}")).sizes;
    assert_eq!(sizes.cpu.value().map(String::as_str), Some("256"));
    assert!(matches!(sizes.memory, Stated::Unresolved { .. }), "{:?}", sizes.memory);
    assert_eq!(sizes.ephemeral_storage.value(), Some(&100));
}

#[test]
fn details_that_are_open_are_not_unset() {
    let check = "image = \"x\"\n healthCheck = var.check\n logConfiguration = var.log\n environmentFiles = var.files";
    let text = format!("variable \"check\" {{}}\nvariable \"log\" {{}}\nvariable \"files\" {{}}\n{}", container(check));
    let details = &one(&text).containers[0].details;
    assert!(matches!(details.health_check, Stated::Unresolved { .. }), "{details:?}");
    assert!(matches!(details.log_region, Stated::Unresolved { .. }), "{details:?}");
    assert!(details.environment_files);
    let merged = format!(
        "variable \"more\" {{}}\n{}",
        task("container_definitions = jsonencode([merge({ name = \"app\", image = \"x\" }, { (var.more) = [] })])",)
    );
    let details = &one(&merged).containers[0].details;
    assert!(matches!(details.health_check, Stated::Unresolved { .. }) && details.environment_files, "{details:?}");
}

#[test]
fn what_to_state_is_said_in_the_words_of_the_source() {
    let open = one(EC2);
    let Asked::Undetermined { help, .. } = asked(&open) else { panic!("open") };
    assert!(help.starts_with("state runtime_platform.cpu_architecture (X86_64 or ARM64)"), "{help}");
    let stated = open.notation.architecture(CpuArchitecture::Arm64);
    assert_eq!(stated, "runtime_platform { cpu_architecture = \"ARM64\" }");
    assert_eq!(
        Notation::CloudFormation.architecture(CpuArchitecture::Arm64),
        "RuntimePlatform: {CpuArchitecture: ARM64}"
    );
    assert_eq!(
        Notation::Ecs.architecture(CpuArchitecture::Arm64),
        "\"runtimePlatform\": {\"cpuArchitecture\": \"ARM64\"}"
    );
}
