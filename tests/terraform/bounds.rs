//! Configurations that are made to hurt: each gives an answer or an error, in little time.

use std::time::Instant;

use dockless::ecs::target::Variables;
use dockless::ecs::task_definition::Stated;
use dockless::ecs::{plan, terraform};
use proptest::prelude::*;

use super::{container, files, image};

fn bears(name: &str, text: &str) -> Result<usize, String> {
    let start = Instant::now();
    let answer = terraform::parse(&files([("main.tf", text)]), &Variables::default());
    assert!(start.elapsed().as_secs() < 20, "{name}: {:?}", start.elapsed());
    answer.map(|all| all.len()).map_err(|error| error.message)
}

#[test]
fn depth_has_a_limit() {
    for open in
        ["[", "(", "{a=", "!", "-", "\"${", "f(", "a ? b : ", "[for a in ", "a[", "1+", "a.b", "<<A\n${", "%{if a}"]
    {
        let text = format!("locals {{\n  a = {}\n}}\n", open.repeat(50_000));
        let _ = bears(open, &text);
        let _ = bears(open, &container(&format!("image = {}", open.repeat(60))));
    }
    let blocks = "a {\n".repeat(20_000);
    let _ = bears("blocks", &blocks);
    let chain = (0..5000).map(|n| format!("a{n} = local.a{}\n", n + 1)).collect::<Vec<_>>().concat();
    let text = format!("locals {{\n{chain}a5000 = 1\n}}\n{}", container("image = local.a0"));
    let error = bears("a chain of locals", &text).expect_err("too deep");
    assert!(error.contains("deep"), "{error}");
}

#[test]
fn expansion_has_a_limit() {
    let laughs = (1..40)
        .map(|n| format!("a{n} = [{}]\n", vec![format!("local.a{}", n - 1); 10].join(", ")))
        .collect::<Vec<_>>()
        .concat();
    for use_of in ["jsonencode(local.a39)", "length(flatten(local.a39))", "local.a39"] {
        let text = format!("locals {{\na0 = [\"x\"]\n{laughs}}}\n{}", container(&format!("image = {use_of}")));
        let error = bears(use_of, &text).expect_err("too much");
        assert!(error.contains("steps"), "{use_of}: {error}");
    }
    let doubled =
        (1..60).map(|n| format!("a{n} = \"${{local.a{0}}}${{local.a{0}}}\"\n", n - 1)).collect::<Vec<_>>().concat();
    let text = format!("locals {{\na0 = \"xxxxxxxxxxxxxxxx\"\n{doubled}}}\n{}", container("image = local.a59"));
    assert!(bears("text", &text).expect_err("too much").contains("MiB of text"));
    for (expression, limit) in [("count = 1000000", "instances"), ("count = 1e300", "instances")] {
        let text = format!("resource \"aws_ecs_task_definition\" \"a\" {{\n  {expression}\n}}\n");
        assert!(bears(expression, &text).expect_err("too many").contains(limit));
    }
    // Where a function refuses, its value is not known; the reading goes on.
    let range = container("image = join(\"\", range(100000000))");
    assert_eq!(bears("range", &range), Ok(1));
    let product = "setproduct(range(1000), range(1000), range(1000))";
    assert_eq!(bears(product, &container(&format!("image = length({product})"))), Ok(1));
    // 2^64 combinations.
    let product = format!("setproduct({})", vec!["[1, 2]"; 64].join(", "));
    assert_eq!(bears("2^64", &container(&format!("image = length({product})"))), Ok(1));
    let many = vec![format!("length(setproduct({}))", ["[1, 2]"; 12].join(", ")); 60].join(", ");
    let error = bears("products", &container(&format!("image = join(\"\", [{many}])"))).expect_err("many");
    assert!(error.contains("steps"), "{error}");
}

#[test]
fn what_is_made_of_a_long_text_is_counted_before_it_is_made() {
    // 12 MiB of ends of lines.
    let long = doubled("\"\\n\\n\\n\"", |before| format!("\"${{{before}}}${{{before}}}\""));
    for (made, limit) in [
        ("length(split(\"\\n\", local.l22))", "steps"),
        ("length(split(\"\", local.l22))", "steps"),
        ("indent(200, local.l22)", "MiB of text"),
    ] {
        let error = bears(made, &(long.clone() + &container(&format!("image = {made}")))).expect_err(made);
        assert!(error.contains(limit), "{made}: {error}");
    }
}

/// `l0` and 40 locals after it, each made of the one before it twice.
fn doubled(first: &str, next: impl Fn(&str) -> String) -> String {
    let more =
        (1..=40).map(|n| format!("l{n} = {}\n", next(&format!("local.l{}", n - 1)))).collect::<Vec<_>>().concat();
    format!("variable \"x\" {{}}\nlocals {{\nl0 = {first}\n{more}}}\n")
}

#[test]
fn what_an_open_condition_may_stand_for_is_counted_once() {
    let locals = doubled("var.x ? aws_ecs_task_definition.a.arn : aws_ecs_task_definition.b.arn", |before| {
        format!("var.x ? {before} : {before}")
    });
    let tasks = ["a", "b"]
        .map(|name| format!("resource \"aws_ecs_task_definition\" \"{name}\" {{\n family = \"{name}\"\n}}\n"));
    let service = "resource \"aws_ecs_service\" \"s\" {\n task_definition = local.l40\n launch_type = \"FARGATE\"\n}\n";
    let text = format!("{locals}{}{service}", tasks.concat());
    assert_eq!(bears("ways", &text), Ok(2));
    for definition in terraform::parse(&files([("main.tf", &*text)]), &Variables::default()).expect("two") {
        let Stated::Unresolved { reason, .. } = definition.launch_types else { panic!("open") };
        assert!(reason.starts_with("which task definition aws_ecs_service.s runs is not known"), "{reason}");
    }
}

#[test]
fn what_goes_through_nested_values_takes_steps() {
    let twice = |before: &str| format!("[{before}, {before}]");
    // One and the same value is equal to itself.
    let text = doubled("[1, 1]", twice) + &container("image = local.l40 == local.l40 ? \"a\" : \"b\"");
    let all = terraform::parse(&files([("main.tf", &*text)]), &Variables::default()).expect("one");
    assert_eq!(image(&all[0]), "a");
    for expression in [
        "jsondecode(\"[1,1]\") == [1, 1] && local.l40 == local.m40",
        "contains([local.l40], local.m40)",
        "length(distinct([local.l40, local.m40]))",
        "(var.x ? local.l40 : local.m40)[0]",
        "upper(local.l40)",
        "join(\"\", keys(local.l40))",
    ] {
        let other = doubled("[1, 1]", twice).replace("variable \"x\" {}\n", "").replace("l0 =", "m0 =");
        let other = other.replace("\nl", "\nm").replace("local.l", "local.m");
        let text = doubled("[1, 1]", twice) + &other + &container(&format!("image = {expression}"));
        assert!(bears(expression, &text).expect_err(expression).contains("steps"), "{expression}");
    }
}

#[test]
fn a_string_that_is_not_known_counts_its_parts() {
    for twice in ["\"${A}${A}\"", "format(\"%s%s\", A, A)", "join(\"\", [A, A])", "jsonencode([A, A])"] {
        let text = doubled("\"a${var.x}\"", |before| twice.replace('A', before)) + &container("image = local.l40");
        let error = bears(twice, &text).expect_err(twice);
        assert!(error.contains("steps") || error.contains("MiB of text"), "{twice}: {error}");
    }
    let text = doubled("\"aaaa\"", |before| format!("format(\"%s%s\", {before}, {before})"));
    assert!(bears("format", &(text + &container("image = local.l40"))).expect_err("long").contains("MiB of text"));
}

#[test]
fn the_way_of_a_value_is_kept_once_for_all_its_parts() {
    let count = 1000;
    let variables =
        (0..count).map(|n| format!("variable \"v{n}\" {{\n default = true\n}}\n")).collect::<Vec<_>>().concat();
    let locals = (0..count).map(|n| format!("l{} = var.v{n} ? local.l{n} : []\n", n + 1)).collect::<Vec<_>>().concat();
    let all = (0..count).map(|n| format!("local.l{n}, ")).collect::<Vec<_>>().concat();
    let text = format!("{variables}locals {{\nl0 = range(4000)\n{locals}all = [{all}]\n}}\n");
    let use_of = format!("image = \"${{length(local.all)}} ${{length([for a in local.l{count} : a])}}\"");
    assert_eq!(bears("ways", &(text + &container(&use_of))), Ok(1));
}

#[test]
fn a_value_tells_few_of_its_steps() {
    let count = 1500;
    let variables =
        (0..2 * count).map(|n| format!("variable \"v{n}\" {{\n default = \"\"\n}}\n")).collect::<Vec<_>>().concat();
    let parts = |from: usize| (from..from + count).map(|n| format!("${{var.v{n}}}")).collect::<Vec<_>>().concat();
    let text = format!(
        "{variables}locals {{\na = \"{}\"\nu = \"{}\"\np = [for n in range(1000) : local.a]\n}}\n",
        parts(0),
        parts(count)
    );
    let lines = vec!["length(local.u == \"\" ? local.p : [])"; 20].join(", ");
    assert_eq!(bears("steps", &(text + &container(&format!("image = join(\"\", [{lines}])")))), Ok(1));
}

#[test]
fn a_module_that_calls_itself_is_an_error() {
    let text = "module \"a\" {\n  source = \"./\"\n}\n";
    assert!(bears("itself", text).expect_err("a circle").contains("deep"));
    let fan = "module \"a\" {\n  source = \"./\"\n  count = 20\n}\n";
    let error = bears("a fan", fan).expect_err("a circle");
    assert!(error.contains("modules"), "{error}");
}

#[test]
fn large_files_take_time_by_size_only() {
    let keys = (0..10_000).map(|n| format!("a{n} = {n}\n")).collect::<Vec<_>>().concat();
    assert_eq!(bears("locals", &format!("locals {{\n{keys}}}\n")), Ok(0));
    assert_eq!(bears("an object", &format!("locals {{\na = {{\n{keys}}}\n}}\n")), Ok(0));
    let many = (0..90_000).map(|n| format!("a{n} = 1\n")).collect::<Vec<_>>().concat();
    for text in [format!("locals {{\na = {{\n{many}}}\n}}\n"), format!("locals {{\n{many}}}\n")] {
        assert!(bears("many keys", &text).expect_err("too many").contains("times = and :"));
    }
    let line = format!("image = [{}][0]", "\"é\",".repeat(100_000));
    assert_eq!(bears("a line", &container(&line)), Ok(1));
    assert!(bears("a file", &"#".repeat(2 << 20)).expect_err("too large").contains("MiB"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_an_answer_or_an_error(text in "\\PC{0,200}") {
        let _ = bears("any", &text);
        let _ = plan::parse("plan.json", &text);
    }

    #[test]
    fn any_expression_is_an_answer_or_an_error(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "local.a", "var.b", "[", "]", "{", "}", "(", ")", "\"", "${", "}", "for k, v in ", " : ", " ? ", "...",
                "jsonencode", "merge", "1", "null", "true", ".a", "[*]", "[0]", " == ", " + ", ", ", "=>", " if ", "x",
                "try", "<<A\n", "\nA\n", "%{ if true }", "%{ endif }", "each.value", "module.m", "jsondecode", "format",
            ]),
            0..24,
        )
    ) {
        let expression = words.concat();
        let rest = "locals {\n  a = { a = [1, \"x\"] }\n}\nvariable \"b\" {}\n";
        let _ = bears("any", &format!("{rest}{}", container(&format!("image = {expression}"))));
        let _ = bears("any", &format!("{rest}locals {{\n  c = {expression}\n}}\n{}", container("image = local.c")));
    }

    #[test]
    fn any_plan_is_an_answer_or_an_error(containers in "[\\[\\]{}:,\"a0-9]{0,40}", unknown in "true|false|\\{\\}|\\[\\]|null|1") {
        let text = serde_json::json!({
            "format_version": "1.2",
            "planned_values": {"root_module": {"resources": [{
                "address": "a", "type": "aws_ecs_task_definition", "values": {"container_definitions": containers},
            }]}},
        });
        let text = text.to_string().replace(
            "\"format_version\"",
            &format!("\"resource_changes\":[{{\"address\":\"a\",\"change\":{{\"after_unknown\":{unknown}}}}}],\"format_version\""),
        );
        let _ = plan::parse("plan.json", &text);
    }
}
