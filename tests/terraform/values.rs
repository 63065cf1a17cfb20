//! Expressions: what they give, what stays open and why, and what is never shown.

use dockless::ecs::load::load;
use dockless::ecs::target::{Given, TargetOptions, Variables};
use dockless::ecs::task_definition::{Port, Stated};
use dockless::ecs::terraform::parse;

use super::{architecture, container, files, image, one, task};

/// `--var` for each.
fn flags(values: Vec<(String, String)>) -> Vec<Given> {
    values.into_iter().map(|(name, value)| Given::Value(name, value)).collect()
}

fn image_of(expression: &str) -> String {
    image(&one(&container(&format!("image = {expression}"))))
}

#[test]
fn functions_give_what_terraform_gives() {
    for (expression, wanted) in [
        ("\"a:${1 + 2}\"", "a:3"),
        ("title(\"hello world-foo x_y é-b ça\")", "Hello World-Foo X_y É-B Ça"),
        ("\"${length(distinct([1, \"1\", true, \"true\"]))} ${length(distinct([1, 2, 1]))}\"", "2 2"),
        ("format(\"%#v\", \"a\")", "\"a\""),
        ("format(\"%v\", [\"a\"])", "[\"a\"]"),
        ("format(\"%#v\", [1])", "[1]"),
        ("can(format(\"%s\", [\"a\"])) ? \"list\" : \"string\"", "string"),
        ("\"${7 / 2} ${floor(10 / 3)} ${ceil(1024 / 3)} ${1024 / 3 > 341} ${0.5 * 4096}\"", "3.5 3 342 true 2048"),
        // Terraform's numbers have more digits.
        ("\"a:${1 / 3}\"", "a:${1 / 3}"),
        ("\"a:${0.1 + 0.2}\"", "a:${0.1 + 0.2}"),
        ("true && 1 < 2 ? \"yes\" : \"no\"", "yes"),
        ("join(\":\", concat([\"a\"], [\"b\"]))", "a:b"),
        ("format(\"%s:%03d\", \"a\", 7)", "a:007"),
        ("lookup({ a = \"x\" }, \"b\", \"y\")", "y"),
        ("merge({ a = \"x\" }, { a = \"z\" }).a", "z"),
        ("coalesce(null, \"\", \"c\")", "c"),
        ("try({}.a.b, \"d\")", "d"),
        ("can({}.a) ? \"x\" : \"e\"", "e"),
        ("element([\"a\", \"b\"], 3)", "b"),
        ("[for k, v in { b = 1, a = 2 } : \"${k}${v}\"][0]", "a2"),
        ("join(\",\", [for n in range(5) : n if n % 2 == 1])", "1,3"),
        ("{ for n in [\"a\", \"b\", \"a\"] : n => n... }[\"a\"][1]", "a"),
        ("join(\"\", [{ n = \"p\" }, { n = \"q\" }][*].n)", "pq"),
        // An index stands behind what `.*` makes, and within what `[*]` does.
        ("jsonencode([{ a = [1, 2] }, { a = [3] }].*.a[0])", "[1,2]"),
        ("jsonencode([{ a = [1, 2] }, { a = [3] }][*].a[0])", "[1,3]"),
        ("jsonencode([{ a = [1, 2] }, { a = [3] }].*.a.0)", "[1,3]"),
        ("[{ a = \"x\" }].*.a[0]", "x"),
        ("jsonencode([{ a = [{ b = [1, 2] }] }][*].a.*.b[0])", "[[1,2]]"),
        ("try([{ a = [{ b = 1 }] }].*.a[*].b, \"none\")", "none"),
        // Elements, and the ways of a condition, are of one type.
        ("jsonencode(true ? [\"--port\", 80] : [\"--port\", \"1\"])", "[\"--port\",\"80\"]"),
        ("jsonencode(true ? [\"-v\", 1] : [])", "[\"-v\",\"1\"]"),
        ("jsonencode([true ? 80 : \"x\", false ? \"x\" : true, true ? 80 : null])", "[\"80\",\"true\",80]"),
        ("jsonencode(true ? { a = 1, b = 2 } : { a = \"x\", b = 3 })", "{\"a\":\"1\",\"b\":2}"),
        ("jsonencode(tolist([\"a\", 1, true]))", "[\"a\",\"1\",\"true\"]"),
        ("jsonencode(tomap({ a = 1, b = \"x\" }))", "{\"a\":\"1\",\"b\":\"x\"}"),
        // Numbers of a set stand by their size, and are sorted as strings.
        ("jsonencode(tolist(toset([8080, 80, 443])))", "[80,443,8080]"),
        ("jsonencode(setunion([9000], [10000]))", "[9000,10000]"),
        ("jsonencode(setsubtract([\"b\", \"a\"], [\"c\"]))", "[\"a\",\"b\"]"),
        ("jsonencode(toset([\"b\", 1]))", "[\"1\",\"b\"]"),
        ("jsonencode(sort([2, 10, 1]))", "[\"1\",\"10\",\"2\"]"),
        ("tolist(toset([\"a\", var.open]))[0]", "(element of a set)"),
        ("jsondecode(jsonencode({ a = [1, \"<\"] })).a[1]", "<"),
        ("replace(upper(trimspace(\" a-b \")), \"-\", \"_\")", "A_B"),
        ("substr(\"hello\", 1, 3)", "ell"),
        ("split(\"/\", \"a/b/c\")[2]", "c"),
        ("tostring(length(toset([\"a\", \"b\", \"a\"])))", "2"),
        ("one(compact([\"\", null, \"k\"]))", "k"),
        ("keys({ b = 1, a = 2 })[0]", "a"),
        ("join(\"\", flatten([[\"a\"], [[\"b\"]]]))", "ab"),
        ("base64decode(base64encode(\"é\"))", "é"),
        ("tostring(max(1, 3, 2))", "3"),
        ("title(\"ab cd\")", "Ab Cd"),
        ("basename(\"/a/b\")", "b"),
        (
            "join(\" \", [basename(\"/\"), basename(\"\"), dirname(\"/a\"), dirname(\"a\"), dirname(\"/a//b\")])",
            "/ . / . /a",
        ),
        ("\"%{ if false }x%{ else }y%{ endif }%{ for n in [1, 2] ~} ${n} %{~ endfor }\"", "y12"),
        // Escapes within a directive, as outside of it; in a heredoc there are none.
        (r#""%{ if true }\u0068i\t\"${"\u0061"}\"\\n\U0001F600%{ endif }\u003a""#, "hi\t\"a\"\\n\u{1F600}:"),
        (r#""%{ for n in [1, 2] }%{ if n == 1 }\"a\"%{ else }\n%{ endif }%{ endfor }""#, "\"a\"\n"),
        ("<<E\n%{ if true }\\u0068%{ endif }\nE", "\\u0068\n"),
        ("contains([\"a\"], \"a\") ? \"in\" : \"out\"", "in"),
        ("zipmap([\"a\"], [\"v\"])[\"a\"]", "v"),
        ("\"$${literal}\"", "${literal}"),
    ] {
        assert_eq!(image_of(expression), wanted, "{expression}");
    }
}

#[test]
fn what_fails_within_a_value_fails_it_for_try_and_can() {
    let head = "variable \"p\" {\n type = object({ name = string })\n default = { name = \"n\" }\n}\n";
    for (expression, wanted) in [
        ("can({ x = var.p.missing }) ? \"y\" : \"n\"", "n"),
        ("can([var.p.missing]) ? \"y\" : \"n\"", "n"),
        ("can(\"a${var.p.missing}\") ? \"y\" : \"n\"", "n"),
        ("can([for n in [1] : var.p.missing]) ? \"y\" : \"n\"", "n"),
        ("can({ x = var.p.name }) ? \"y\" : \"n\"", "y"),
        ("try([var.p.missing], [\"d\"])[0]", "d"),
        ("try(merge({ x = \"d\" }, { x = var.p.missing }), { x = \"e\" }).x", "e"),
        // Elsewhere the rest of a value stays known.
        ("[var.p.missing, \"d\"][1]", "d"),
        ("try(local.half.b, \"d\")", "b"),
    ] {
        let locals = "locals {\n half = { a = var.p.missing, b = \"b\" }\n}\n";
        let text = format!("{head}{locals}{}", container(&format!("image = {expression}")));
        assert_eq!(image(&one(&text)), wanted, "{expression}");
    }
}

#[test]
fn an_element_of_a_set_is_its_own_key() {
    for (expression, wanted) in [
        ("{ for k, v in toset([\"web\", \"job\"]) : k => v }[\"web\"]", "web"),
        ("{ for k, v in var.names : k => \"x\" }[\"a\"]", "x"),
        ("[for k, v in setsubtract([\"a\", \"b\"], [\"b\"]) : k][0]", "a"),
        ("\"%{ for k, v in var.names }${k}%{ endfor }\"", "a"),
        ("[for k, v in tolist(var.names) : \"n${k}\"][0]", "n0"),
        ("[for k, v in [\"a\"] : \"n${k}\"][0]", "n0"),
    ] {
        let head = "variable \"names\" {\n type = set(string)\n default = [\"a\"]\n}\n";
        assert_eq!(
            image(&one(&format!("{head}{}", container(&format!("image = {expression}"))))),
            wanted,
            "{expression}"
        );
    }
}

#[test]
fn words_are_taken_as_the_type_of_their_variable_wants_them() {
    for (kind, words, expression, wanted) in [
        ("type = any", "{name=\"ARM64\"}", "var.v.name", "ARM64"),
        ("type = any", "[\"a\"]", "var.v[0]", "a"),
        ("type = bool", "1", "var.v ? \"y\" : \"n\"", "y"),
        ("type = bool", "0", "var.v ? \"y\" : \"n\"", "n"),
        ("type = number", "7", "\"a:${var.v}\"", "a:7"),
        ("type = string", "{}", "var.v", "{}"),
        ("", "{}", "var.v", "{}"),
        ("type = list(string)", "[\"a\"]", "var.v[0]", "a"),
    ] {
        let text = format!("variable \"v\" {{\n {kind}\n}}\n{}", container(&format!("image = {expression}")));
        let given = vec![("v".to_owned(), words.to_owned())];
        for variables in [
            Variables { given: flags(given.clone()), ..Variables::default() },
            Variables { environment: given, ..Variables::default() },
        ] {
            let all =
                parse(&files([("main.tf", &*text)]), &variables).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(image(&all[0]), wanted, "{kind} {words}");
        }
    }
    assert_eq!(image_of("tobool(\"1\") ? \"y\" : \"n\""), "y");
}

#[test]
fn what_is_not_known_is_the_expression_as_it_stands() {
    for (expression, wanted) in [
        ("\"${aws_ecr_repository.app.repository_url}:v1\"", "${aws_ecr_repository.app.repository_url}:v1"),
        ("local.image", "${aws_ecr_repository.app.repository_url}:${var.tag}"),
        ("var.image", "${var.image}"),
        ("data.aws_ecr_image.app.image_uri", "${data.aws_ecr_image.app.image_uri}"),
        ("var.flag ? \"a\" : \"b\"", "${var.flag ? \"a\" : \"b\"}"),
        ("var.flag ? \"same\" : \"same\"", "same"),
    ] {
        let text = format!(
            "variable \"image\" {{}}\nvariable \"flag\" {{}}\nvariable \"tag\" {{\n default = \"v1\"\n}}\n\
             resource \"aws_ecr_repository\" \"app\" {{\n name = \"app\"\n}}\ndata \"aws_ecr_image\" \"app\" {{}}\n\
             locals {{\n image = \"${{aws_ecr_repository.app.repository_url}}:${{var.tag}}\"\n}}\n{}",
            container(&format!("image = {expression}"))
        );
        assert_eq!(image(&one(&text)), wanted, "{expression}");
    }
}

#[test]
fn a_missing_variable_says_how_to_give_it() {
    let text = format!(
        "variable \"arch\" {{\n  type = string\n}}\n{}",
        task("container_definitions = \"[]\"\n  runtime_platform {\n    cpu_architecture = var.arch\n  }")
    );
    let definition = one(&text);
    assert_eq!(architecture(&definition), "UNRESOLVED: var.arch has no default: pass --var arch=…");
    let given = |variables: Variables| {
        let mut all = parse(&files([("main.tf", &*text)]), &variables).expect("Terraform");
        all.remove(0)
    };
    let pair = || vec![("arch".to_owned(), "ARM64".to_owned())];
    let flag = given(Variables { given: flags(pair()), ..Variables::default() });
    assert_eq!(flag.architecture.source().as_deref(), Some("main.tf:1:1, --var arch"));
    let environment = given(Variables { environment: pair(), ..Variables::default() });
    assert_eq!(environment.architecture.source().as_deref(), Some("main.tf:1:1, TF_VAR_arch"));
    let pair_of = |word: &str| vec![("arch".to_owned(), word.to_owned())];
    let wrong = Variables { environment: pair_of("arm64"), ..Variables::default() };
    let error = parse(&files([("main.tf", &*text)]), &wrong).expect_err("another spelling");
    assert_eq!(error.help.as_deref(), Some("it is TF_VAR_arch"));
    let both = [("arch".to_owned(), "X86_64".to_owned())].to_vec();
    assert_eq!(architecture(&given(Variables { environment: pair(), given: flags(both) })), "X86_64");
}

#[test]
fn values_come_from_files_of_values_in_their_order() {
    let read = |more: &[(&str, &str)]| {
        let mut all = vec![("main.tf", "variable \"image\" {\n default = \"default\"\n}\n")];
        let main = container("image = var.image");
        all.push(("task.tf", &main));
        all.extend(more);
        let definitions = parse(&files(all), &Variables::default()).expect("Terraform");
        image(&definitions[0])
    };
    assert_eq!(read(&[]), "default");
    assert_eq!(read(&[("other.tfvars", "image = \"other\"\n")]), "default");
    assert_eq!(read(&[("terraform.tfvars", "image = \"fixed\"\n")]), "fixed");
    assert_eq!(
        read(&[("terraform.tfvars", "image = \"fixed\"\n"), ("a.auto.tfvars.json", "{\"image\": \"auto\"}")]),
        "auto"
    );
}

#[test]
fn of_flags_and_files_the_last_one_counts() {
    let all = files([
        ("main.tf", &*("variable \"image\" {}\n".to_owned() + &container("image = var.image"))),
        ("prod.tfvars", "image = \"file\"\n"),
    ]);
    let mut given = vec![Given::File("prod.tfvars".into()), Given::Value("image".into(), "flag".into())];
    for wanted in ["flag", "file"] {
        let variables = Variables { given: given.clone(), ..Variables::default() };
        assert_eq!(image(&parse(&all, &variables).expect("Terraform")[0]), wanted);
        given.reverse();
    }
}

#[test]
fn optional_attributes_have_defaults_and_null_beats_a_default() {
    let text = |default: &str, more: &str| {
        format!(
            "variable \"platform\" {{\n  type = object({{\n    cpu = optional(string, \"ARM64\")\n    os = optional(string)\n  \
             }})\n  default = {default}\n  {more}\n}}\n{}",
            task(
                "container_definitions = \"[]\"\n  runtime_platform {\n    \
                 cpu_architecture = try(var.platform.cpu, null)\n  }"
            )
        )
    };
    let optional = one(&text("{}", ""));
    assert_eq!(
        optional.architecture.source().as_deref(),
        Some("main.tf:3:28, the default of var.platform.cpu in its type, the default of var.platform")
    );
    assert_eq!(architecture(&one(&text("{ cpu = \"X86_64\" }", ""))), "X86_64");
    assert_eq!(architecture(&one(&text("{ cpu = null }", ""))), "ARM64");
    assert_eq!(architecture(&one(&text("null", ""))), "UNSET");
}

#[test]
fn heredocs_and_templates_hold_json() {
    let heredoc = task(
        "container_definitions = <<-JSON\n    [{\"name\": \"app\", \"image\": \"${var.image}:1\",\n      \
         \"portMappings\": [{\"containerPort\": ${var.port}}]}]\n  JSON",
    );
    let known = one(&format!(
        "variable \"image\" {{\n default = \"a\"\n}}\nvariable \"port\" {{\n default = 80\n}}\n{heredoc}"
    ));
    assert_eq!((image(&known).as_str(), &known.containers[0].ports[..]), ("a:1", &[Port::Number(80)][..]));
    let open = one(&format!("variable \"image\" {{}}\nvariable \"port\" {{}}\n{heredoc}"));
    assert_eq!(image(&open), "${var.image}:1");
    assert_eq!(open.containers[0].ports, [Port::Words("${var.port}".into())]);
    let template = "[\n%{ for name in names ~}\n{\"name\": \"${name}\", \"image\": \"x\"}%{ if name != \"b\" },%{ endif }\n%{ endfor ~}\n]";
    let text = task("container_definitions = templatefile(\"${path.module}/task.tpl\", { names = [\"a\", \"b\"] })");
    let all = parse(&files([("main.tf", &*text), ("task.tpl", template)]), &Variables::default()).expect("Terraform");
    assert_eq!(all[0].containers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

/// What Terraform 1.11 makes of these, by `terraform console`.
#[test]
fn the_lines_of_a_heredoc_move_as_far_as_all_of_them_can() {
    for (heredoc, wanted) in [
        ("<<-E\n  \"${local.v}\":\n8080\n  E", "  \"web\":\n8080\n"),
        (
            "<<-E\n    \"${local.v}\":\n8080\n\n    \ttab\n      \n    end\n  E",
            "    \"web\":\n8080\n\n    \ttab\n      \n    end\n",
        ),
        ("<<-E\n  {\n    \"a\": ${local.v},\n  }\n  E", "{\n  \"a\": web,\n}\n"),
        ("<<-E\n    a\n  \tb ${local.v}\n    E", " a\nb web\n"),
        ("<<-E\n${local.v}\n    b\n    E", "web\n    b\n"),
        ("<<-E\n    a\n      \n    E", "a\n      \n"),
        ("<<-E\n    $${x} %%{y} ${local.v}\n      z\n    E", "${x} %{y} web\n  z\n"),
        ("<<-E\n    E", ""),
        ("<<E\n    a\n  b\nE", "    a\n  b\n"),
        // Inside of directives as well; what `~` takes off is no white space in front of a line.
        ("<<-E\n  %{ if true }x\n  %{ endif }\n   ${local.v}\n     \n    E", "x\n\n web\n     \n"),
        (
            "<<-E\n    %{ if true }\n      in\n    %{ else }\n  out\n    %{ endif }\n    ${~ local.v ~}\n    z\n  E",
            "    \n      in\n    \nweb    z\n",
        ),
        (
            "<<-E\n    %{ for i in local.l ~}\n      - ${i}\n    %{ endfor ~}\n    end\n  E",
            "      - x\n      - y\n    end\n",
        ),
        (
            "<<-E\n      one\n        %{~ if true ~}\n      two\n        %{~ endif ~}\n      three\n  E",
            "      one\n      two\n      three\n",
        ),
        ("<<-E\n    ${upper(<<-I\n      a\n       ${local.v}\n      I\n    )}\n  E", "A\n WEB\n\n"),
        // `~` takes off what is on its line.
        ("<<E\n%{ for i in local.l ~}\n  - ${i}\n%{ endfor ~}\n  end\nE", "  - x\n  - y\n  end\n"),
        ("\"a ${~ \"b\" ~} \\n  c\"", "abc"),
        ("\"${\"a \"}${~ \"b\"}\"", "a b"),
    ] {
        let locals = format!("locals {{\n v = \"web\"\n l = [\"x\", \"y\"]\n h = {heredoc}\n}}\n");
        assert_eq!(image(&one(&(locals + &container("image = local.h")))), wanted, "{heredoc}");
    }
    let text = task(
        "container_definitions = <<-E\n  [{\n    \"name\": \"${\"a\"}\", \"image\": \"i\",\n    \"portMappings\": [{\"containerPort\":\n8080}]\n}]\n  E",
    );
    assert_eq!(one(&text).containers[0].ports, [Port::Number(8080)]);
}

#[test]
fn an_open_list_keeps_what_is_known_of_it() {
    let text = format!(
        "variable \"sidecars\" {{}}\n{}",
        task("container_definitions = jsonencode(concat([{ name = \"app\", image = \"x\" }], var.sidecars))")
    );
    let definition = one(&text);
    assert_eq!(definition.containers.len(), 1);
    let gap = definition.other_containers.expect("others");
    assert!(gap.reason.contains("var.sidecars"), "{}", gap.reason);
    let joined = format!(
        "variable \"more\" {{}}\nlocals {{\n app = jsonencode({{ name = \"app\", image = \"x\" }})\n}}\n{}",
        task("container_definitions = \"[${local.app}, ${var.more ? \"{},\" : \"\"} ${local.app}]\"")
    );
    let definition = one(&joined);
    assert_eq!((definition.containers.len(), definition.other_containers.is_some()), (2, true));
}

#[test]
fn null_in_a_list_is_what_the_provider_makes_of_it() {
    let inside = "image = \"i\"\ncommand = [\"a\", null, \"b\"]\nenvironment = [null, { name = \"A\", value = \"1\" }]\n\
                  portMappings = [null, { containerPort = 80 }]\nmountPoints = [null]";
    let app = one(&container(inside)).containers.remove(0);
    assert_eq!(app.command.value(), Some(&["a", "", "b"].map(ToOwned::to_owned).to_vec()));
    assert_eq!((app.environment, app.ports), (vec!["A".to_owned()], vec![Port::Number(80)]));
}

#[test]
fn a_key_twice_is_told_with_what_terraform_takes() {
    let text = task("tags = { Name = \"a\", Name = \"b\" }");
    let error = parse(&files([("main.tf", &*text)]), &Variables::default()).expect_err("twice");
    assert!(error.message.contains("Terraform takes the last of them"), "{}", error.message);
}

#[test]
fn elements_of_any_type_are_of_one() {
    for (constraint, default, command) in [
        ("list(any)", "[\"--port\", 8080]", "var.v"),
        ("map(any)", "{ port = 8080, host = \"h\" }", "[\"--port\", var.v[\"port\"]]"),
        ("tuple([string, string])", "[\"--port\", 8080]", "var.v"),
        ("number", "8080", "[\"--port\", var.v != null ? var.v : \"80\"]"),
    ] {
        let text = format!("variable \"v\" {{\n type = {constraint}\n default = {default}\n}}\n")
            + &container(&format!("image = \"i\"\ncommand = {command}"));
        let wanted = vec!["--port".to_owned(), "8080".to_owned()];
        assert_eq!(one(&text).containers[0].command.value(), Some(&wanted), "{constraint}");
    }
    let ports = "variable \"ports\" {\n type = set(number)\n default = [443, 8080, 80]\n}\n".to_owned()
        + &container("image = \"i\"\nportMappings = [{ containerPort = tolist(var.ports)[0] }]");
    assert_eq!(one(&ports).containers[0].ports, [Port::Number(80)]);
}

#[test]
fn quotes_beside_what_is_not_known_stay_escaped() {
    for word in [
        "templatefile(\"c.json\", { bucket = aws_s3_bucket.b.arn })",
        "\"\\\"${aws_s3_bucket.b.arn}\\\"\"",
        "<<-E\n  exec app --name \"${aws_s3_bucket.b.arn}\"\n  E\n",
        "join(\" \", [\"\\\"${aws_s3_bucket.b.arn}\\\"\"])",
    ] {
        let inside =
            format!("image = \"i\"\nentryPoint = [\"/bin/app\"]\nenvironment = [{{ name = \"C\", value = {word}\n }}]");
        let main = format!("resource \"aws_s3_bucket\" \"b\" {{}}\n{}", container(&inside));
        let all = files([("main.tf", &*main), ("c.json", "{\"bucket\": \"${bucket}\"}")]);
        let all = parse(&all, &Variables::default()).expect("Terraform");
        let app = &all[0].containers.first().unwrap_or_else(|| panic!("{word}: {:?}", all[0].other_containers));
        assert_eq!(app.entry_point.value(), Some(&vec!["/bin/app".to_owned()]), "{word}");
        assert_eq!(app.environment, ["C"], "{word}");
    }
}

#[test]
fn what_is_left_to_others_is_not_what_is_configured() {
    let image = |ignored: &str| {
        let parameter = format!(
            "resource \"aws_ssm_parameter\" \"p\" {{\n value = \"placeholder\"\n lifecycle {{\n  {ignored}\n }}\n}}\n"
        );
        image(&one(&(parameter + &container("image = aws_ssm_parameter.p.value"))))
    };
    for ignored in ["ignore_changes = [value]", "ignore_changes = all", "ignore_changes = [tags[\"a\"], value]"] {
        assert_eq!(image(ignored), "${aws_ssm_parameter.p.value}", "{ignored}");
    }
    for ignored in ["ignore_changes = [tags]", "ignore_changes = []", "prevent_destroy = true"] {
        assert_eq!(image(ignored), "placeholder", "{ignored}");
    }
}

#[test]
fn sensitive_values_are_used_but_not_shown() {
    let text = format!(
        "variable \"secret\" {{\n  default = \"hunter2\"\n  sensitive = true\n}}\nvariable \"arch\" {{\n  default = \
         \"ARM64\"\n  sensitive = true\n}}\n{}",
        task(
            "container_definitions = jsonencode([{\n    name = \"app\"\n    image = var.secret\n    user = var.secret\n    \
             command = [\"--token=${var.secret}\"]\n    environment = [{ name = \"PATH\", value = var.secret }]\n  }])\n  \
             runtime_platform {\n    cpu_architecture = var.arch\n  }"
        )
    );
    let definition = one(&text);
    assert_eq!((architecture(&definition).as_str(), image(&definition).as_str()), ("ARM64", "${var.secret}"));
    assert!(matches!(&definition.containers[0].command, Stated::Unresolved { .. }));
    assert!(!format!("{definition:?}").contains("hunter2"));
    let wrong = text.replace("\"ARM64\"", "\"hunter3\"");
    let error = parse(&files([("main.tf", &*wrong)]), &Variables::default()).expect_err("an error");
    assert!(!format!("{error:?}{error}").contains("hunter3"), "{error}");
    assert!(!wrong[error.location.span.clone()].contains("hunter3"), "{error}");
}

#[test]
fn keys_of_a_container_are_read_as_the_provider_reads_them() {
    let definition = one(&task(
        "container_definitions = jsonencode([{ Name = \"app\", Image = \"x\", portMappings = [{ containerPort = \"80\" }] }])",
    ));
    assert_eq!((definition.containers[0].name.as_str(), image(&definition).as_str()), ("app", "x"));
    assert_eq!(definition.containers[0].ports, [Port::Number(80)]);
}

#[test]
fn equality_is_that_of_terraform() {
    // What `terraform console` says (1.11), or that it is not known.
    let variables = "variable \"l\" {\n type = list(string)\n default = []\n}\n\
                     variable \"la\" {\n type = list(string)\n default = [\"a\"]\n}\n\
                     variable \"ms\" {\n type = map(string)\n default = { a = \"1\" }\n}\n\
                     variable \"o\" {\n type = object({ a = string })\n default = { a = \"1\" }\n}\n\
                     variable \"any\" {\n default = [\"a\"]\n}\nvariable \"open\" {}\n";
    for (expression, wanted) in [
        ("var.l == []", Some("false")),
        ("var.la == [\"a\"]", Some("false")),
        ("var.la != [\"a\"]", Some("true")),
        ("var.la == tolist([\"a\"])", Some("true")),
        ("var.ms == { a = \"1\" }", Some("false")),
        ("var.ms == tomap({ a = \"1\" })", Some("true")),
        ("var.o == { a = \"1\" }", Some("true")),
        ("var.any == [\"a\"]", Some("true")),
        ("[] == []", Some("true")),
        ("[[\"a\"]] == [var.la]", Some("false")),
        ("toset([\"a\"]) == [\"a\"]", Some("false")),
        ("toset([\"b\", \"a\"]) == toset([\"a\", \"b\"])", Some("true")),
        ("contains(tolist([\"1\", \"2\"]), 1)", Some("false")),
        ("contains([1, 2], \"1\")", Some("false")),
        ("contains([1, 2], 1)", Some("true")),
        ("alltrue([null])", Some("false")),
        ("alltrue([])", Some("true")),
        ("anytrue([null])", Some("false")),
        ("0.25 == 0.25", Some("true")),
        ("0.25 == 0.3", Some("false")),
        ("1 + 1 == 2", Some("true")),
        ("[1, var.open] == [2, 3]", Some("false")),
        ("(true ? var.la : []) == [\"b\"]", Some("false")),
        // One type is made of two, or of what a function gives.
        ("(true ? [\"a\"] : var.la) == [\"a\"]", None),
        ("(true ? { l = [\"a\"] } : { l = var.la }).l == [\"a\"]", None),
        ("split(\",\", \"a\") == [\"a\"]", None),
        ("lookup({ b = var.la }, \"a\", []) == []", Some("true")),
        ("lookup(tomap({ b = var.la }), \"a\", []) == []", None),
        ("lookup(merge({}, { b = 1 }), \"a\", []) != []", Some("false")),
        ("concat(var.la, [\"b\"]) == [\"a\", \"b\"]", Some("true")),
        ("[1, var.open] == [1, 3]", None),
        // Terraform's numbers are exact where these are not.
        ("0.1 + 0.2 == 0.3", None),
        ("0.1 + 0.2 <= 0.3", None),
        ("9007199254740993 == 9007199254740992", None),
    ] {
        let text = format!("{variables}{}", container(&format!("image = \"x${{{expression}}}\"")));
        let Stated::Known { value, .. } = &one(&text).containers[0].image else {
            assert_eq!(wanted, None, "{expression}");
            continue;
        };
        assert_eq!(value.strip_prefix('x'), wanted, "{expression}");
    }
}

#[test]
fn what_asks_for_itself_is_not_known() {
    let definition = one(&format!("locals {{\n a = local.b\n b = local.a\n}}\n{}", container("image = local.a")));
    assert!(matches!(&definition.containers[0].image, Stated::Unresolved { reason, .. } if reason.contains("itself")));
}

#[test]
fn a_flag_for_a_variable_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("main.tf"), "variable \"arch\" {}\nvariable \"image\" {}\n").expect("written");
    let given = |name: &str| vec![(name.to_owned(), "x".to_owned())];
    let with = |variables: Variables| {
        load(&folder.path().display().to_string(), None, &TargetOptions { variables, ..TargetOptions::default() })
    };
    assert!(with(Variables { given: flags(given("arch")), ..Variables::default() }).is_ok());
    let error = with(Variables { given: flags(given("arhc")), ..Variables::default() }).expect_err("no such variable");
    assert_eq!(
        error.to_string(),
        "--var arhc: no Terraform configuration here has a variable \"arhc\": there is arch, image"
    );
    // As in Terraform: the environment may hold what is meant for others.
    assert!(with(Variables { environment: given("arhc"), ..Variables::default() }).is_ok());
}
