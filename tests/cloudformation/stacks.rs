//! Stacks in stacks, and the folders of the CDK.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use dockless::ecs::load::load;
use dockless::ecs::target::TargetOptions;

use super::{Memory, architecture, json, read, read_with, template};

const ARCH: &str = "Parameters:\n  Arch:\n    Type: String\n    Default: X86_64";

fn nesting(path: &str, more: &str) -> String {
    format!(
        "Resources:\n  Inner:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: {path}\n{more}"
    )
}

#[test]
fn what_is_passed_to_a_stored_parameter_is_the_name_of_its_value() {
    let stored = "Parameters:\n  Arch:\n    Type: AWS::SSM::Parameter::Value<String>";
    let mut files = Memory(BTreeMap::from([("inner.yaml", architecture(stored, "!Ref Arch"))]));
    let outer = nesting("inner.yaml", "      Parameters: {Arch: /app/arch}\n");
    let found = json(read_with(&outer, &[], &mut files).expect("a template").definitions.remove(0));
    assert_eq!(found["architecture"], "UNRESOLVED");
    let source = found["architecture_source"].as_str().expect("a reason");
    assert!(source.contains("parameter Arch is read from the SSM Parameter Store under the name"), "{source}");
}

#[test]
fn parameters_are_passed_on() {
    let inner = architecture(ARCH, "!Ref Arch");
    let mut files = Memory(BTreeMap::from([("inner.yaml", inner)]));
    let outer = "Parameters:\n  Cpu:\n    Type: String\n    Default: ARM64\n".to_owned()
        + &nesting("inner.yaml", "      Parameters: {Arch: !Ref Cpu}\n");
    let stacks = read_with(&outer, &[], &mut files).expect("a template");
    let found = json(stacks.definitions[0].clone());
    assert_eq!((found["id"].as_str(), found["architecture"].as_str()), (Some("Inner.Task"), Some("ARM64")));
    assert_eq!(
        found["architecture_source"],
        "t.yaml:4:14, the default of parameter Cpu, passed by Inner as parameter Arch"
    );
    let found = json(read_with(&outer, &[("Cpu", "X86_64")], &mut files).expect("a template").definitions.remove(0));
    assert_eq!(found["architecture"], "X86_64");
    let unpassed = nesting("inner.yaml", "");
    let found = json(read_with(&unpassed, &[], &mut files).expect("a template").definitions.remove(0));
    assert_eq!(found["architecture_source"], "inner.yaml:4:14, the default of parameter Arch");
    let sam = "Resources:\n  App:\n    Type: AWS::Serverless::Application\n    Properties: {Location: inner.yaml}\n";
    assert_eq!(read_with(sam, &[], &mut files).expect("a template").definitions[0].id, "App.Task");
}

#[test]
fn what_is_not_on_the_disk_is_told() {
    let url = "https://s3.amazonaws.com/bucket/inner.yaml";
    let text =
        nesting(url, "") + "  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {ContainerDefinitions: []}\n";
    let stacks = read(&text, &[]).expect("a template");
    assert_eq!(stacks.definitions.len(), 1);
    assert_eq!(stacks.notes[0].message, format!("the stack Inner is not read: its template is at {url}"));
    assert_eq!(stacks.notes[0].location.line, 2);
}

#[test]
fn a_stack_that_nests_itself_ends() {
    let text = "Resources:\n".to_owned()
        + &(0..9)
            .map(|n| nesting("self.yaml", "").replace("Resources:\n", "").replace("Inner", &format!("S{n}")))
            .collect::<Vec<_>>()
            .concat()
        + "  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties: {ContainerDefinitions: []}\n";
    let mut files = Memory(BTreeMap::from([("self.yaml", text.clone())]));
    let stacks = read_with(&text, &[], &mut files).expect("a template");
    assert!(stacks.definitions.len() <= 65, "{}", stacks.definitions.len());
    assert!(stacks.notes.iter().any(|note| note.message.contains("too many templates")));
}

fn ids(source: &Path) -> Result<Vec<String>, String> {
    let loaded =
        load(&source.display().to_string(), None, &TargetOptions::default()).map_err(|error| error.to_string())?;
    Ok(loaded.targets.into_iter().map(|target| target.definition.id).collect())
}

#[test]
fn nested_files_are_read_below_the_repository_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("repository/stacks")).expect("a folder");
    fs::create_dir_all(at("repository/shared")).expect("a folder");
    let task = template("", "ContainerDefinitions: []");
    fs::write(at("outside.yaml"), &task).expect("a file");
    fs::write(at("repository/shared/inner.yaml"), &task).expect("a file");
    let source = at("repository/stacks/app.yaml");
    fs::write(&source, nesting("../shared/inner.yaml", "")).expect("a file");
    let told = |source: &Path| {
        let error = load(&source.display().to_string(), None, &TargetOptions::default()).expect_err("nothing is read");
        error.help().unwrap_or_default().into_owned()
    };
    assert!(told(&source).contains("stands outside "), "{}", told(&source));
    fs::create_dir(at("repository/.git")).expect("a folder");
    assert_eq!(ids(&source), Ok(vec!["Inner.Task".into()]));
    std::os::unix::fs::symlink(at("outside.yaml"), at("repository/stacks/link.yaml")).expect("a link");
    let large = File::create(at("repository/shared/large.yaml")).expect("a file");
    large.set_len((1 << 20) + 1).expect("a large file");
    for (path, why) in [
        ("../../outside.yaml", "stands outside "),
        ("/etc/hostname", "stands outside "),
        ("link.yaml", "stands outside "),
        ("../shared", "is no file"),
        ("nowhere.yaml", "does not exist"),
        ("../shared/large.yaml", "is larger than 1 MiB"),
    ] {
        fs::write(&source, nesting(path, "")).expect("a file");
        let told = told(&source);
        assert!(told.starts_with("the stack Inner is not read: ") && told.contains(why), "{path}: {told}");
    }
}

#[test]
fn an_error_in_a_nested_template_is_shown_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("inner.yaml"), architecture("", "AMD64")).expect("a file");
    fs::write(at("app.yaml"), nesting("./inner.yaml", "")).expect("a file");
    let error =
        load(&at("app.yaml").display().to_string(), None, &TargetOptions::default()).expect_err("no architecture");
    let dockless::ecs::load::LoadError::Parse { error, text } = error else { panic!("{error}") };
    assert!(error.location.file.ends_with("/inner.yaml"), "{error}");
    assert_eq!(&text[error.location.span.clone()], "AMD64");
}

#[test]
fn a_cloud_assembly_is_all_its_templates() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let stack =
        |file: &str| format!(r#"{{"type":"aws:cloudformation:stack","properties":{{"templateFile":"{file}"}}}}"#);
    let task = |id: &str| {
        format!(
            r#"{{"Resources":{{"{id}":{{"Type":"AWS::ECS::TaskDefinition","Properties":{{"ContainerDefinitions":[]}}}},
            "Nested":{{"Type":"AWS::CloudFormation::Stack","Properties":{{"TemplateURL":{{"Fn::Join":["",["https://s3.",{{"Ref":"AWS::Region"}}]]}}}},
            "Metadata":{{"aws:asset:path":"nested.template.json","aws:asset:property":"TemplateURL"}}}}}}}}"#
        )
    };
    fs::create_dir(at("assembly-Prod")).expect("a folder");
    let manifest = format!(
        r#"{{"artifacts":{{"A":{},"B":{},"assembly-Prod":{{"type":"cdk:cloud-assembly","properties":{{"directoryName":"assembly-Prod"}}}}}}}}"#,
        stack("A.template.json"),
        stack("B.template.json")
    );
    fs::write(at("manifest.json"), manifest).expect("a file");
    fs::write(at("assembly-Prod/manifest.json"), format!(r#"{{"artifacts":{{"C":{}}}}}"#, stack("C.template.json")))
        .expect("a file");
    fs::write(at("A.template.json"), task("Web")).expect("a file");
    fs::write(at("B.template.json"), task("Worker")).expect("a file");
    fs::write(at("assembly-Prod/C.template.json"), task("Web").replace("nested.template.json", "none.json"))
        .expect("a file");
    fs::write(
        at("nested.template.json"),
        r#"{"Resources":{"Deep":{"Type":"AWS::ECS::TaskDefinition","Properties":{"ContainerDefinitions":[]}}}}"#,
    )
    .expect("a file");
    let wanted = ["A.Web", "A.Nested.Deep", "Worker", "B.Nested.Deep", "C.Web"];
    assert_eq!(ids(folder.path()), Ok(wanted.map(String::from).to_vec()));
    assert_eq!(ids(&at("manifest.json")), ids(folder.path()));
    assert_eq!(ids(&at("B.template.json")), Ok(vec!["Worker".into(), "Nested.Deep".into()]));
}

#[test]
fn a_cloud_assembly_of_many_stacks_is_read_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |count: usize| {
        let stack = |n: usize| {
            let file = format!("{n}.template.json");
            let text =
                r#"{"Resources":{"T":{"Type":"AWS::ECS::TaskDefinition","Properties":{"ContainerDefinitions":[]}}}}"#;
            fs::write(folder.path().join(&file), text).expect("a file");
            format!(r#""S{n}":{{"type":"aws:cloudformation:stack","properties":{{"templateFile":"{file}"}}}}"#)
        };
        let stacks = (0..count).map(stack).collect::<Vec<_>>().join(",");
        fs::write(folder.path().join("manifest.json"), format!(r#"{{"artifacts":{{{stacks}}}}}"#)).expect("a file");
    };
    write(100);
    assert_eq!(ids(folder.path()).map(|ids| ids.len()), Ok(100));
    write(600);
    let error = ids(folder.path()).expect_err("too many");
    assert!(error.contains("more than 512 templates"), "{error}");
    let itself = r#"{"artifacts":{"a":{"type":"cdk:cloud-assembly","properties":{"directoryName":"."}}}}"#;
    fs::write(folder.path().join("manifest.json"), itself).expect("a file");
    let error = ids(folder.path()).expect_err("in itself");
    assert!(error.contains("more than 8 deep"), "{error}");
}

#[test]
fn what_ecs_has_is_not_opened() {
    for source in ["ecs:web:3", "ecs-service:prod/web"] {
        let error = load(source, None, &TargetOptions::default()).expect_err("nobody said how");
        assert!(error.to_string().contains("nobody said how to reach ECS"), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("describe-task-definition")));
    }
}

/// Without the CDK's command line no template says which file its nested ones are, and their tasks were never seen.
#[test]
fn a_nested_template_is_found_by_the_asset_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let nested = |key: &str| {
        format!(
            r#"{{"Resources":{{"Task":{{"Type":"AWS::ECS::TaskDefinition","Properties":{{"ContainerDefinitions":[]}}}},
            "Nested":{{"Type":"AWS::CloudFormation::Stack","Properties":{{"TemplateURL":{{"Fn::Join":["",["https://s3.",{{"Ref":"AWS::Region"}},
            "/",{{"Fn::Sub":"assets-${{AWS::AccountId}}"}},"/{key}.json"]]}}}}}}}}}}"#
        )
    };
    let deep = r#"{"Resources":{"Deep":{"Type":"AWS::ECS::TaskDefinition","Properties":{"ContainerDefinitions":[]}}}}"#;
    let file = |path: &str, key: &str| {
        format!(r#""{key}":{{"source":{{"path":"{path}"}},"destinations":{{"here":{{"objectKey":"{key}.json"}}}}}}"#)
    };
    fs::create_dir(at("cdk.out")).expect("a folder");
    fs::write(at("cdk.out/A.template.json"), nested("12")).expect("a file");
    fs::write(at("cdk.out/One.nested.template.json"), nested("34")).expect("a file");
    fs::write(at("cdk.out/Two.nested.template.json"), deep).expect("a file");
    let files = [file("One.nested.template.json", "12"), file("Two.nested.template.json", "34")].join(",");
    fs::write(at("cdk.out/A.assets.json"), format!(r#"{{"files":{{{files}}}}}"#)).expect("a file");
    let source = at("cdk.out/A.template.json");
    assert_eq!(ids(&source), Ok(["Task", "Nested.Task", "Nested.Nested.Deep"].map(String::from).to_vec()));
    // It leads no further than the template itself could.
    fs::write(at("outside.json"), deep).expect("a file");
    let notes = |manifest: String| {
        fs::write(at("cdk.out/A.assets.json"), manifest).expect("a file");
        let loaded = load(&source.display().to_string(), None, &TargetOptions::default()).expect("a template");
        assert_eq!(loaded.targets.len(), 1);
        loaded.notes.into_iter().map(|note| note.message).collect::<String>()
    };
    let told = notes(format!(r#"{{"files":{{{}}}}}"#, file("../outside.json", "12")));
    assert!(told.contains("stands outside "), "{told}");
    // No flag would let it be read.
    for manifest in [format!(r#"{{"files":{{{}}}}}"#, file("One.nested.template.json", "56")), "{".into()] {
        let told = notes(manifest);
        assert!(told.starts_with("the stack Nested is not read: its template is at "), "{told}");
        assert!(told.contains("/12.json") && !told.contains("--parameter"), "{told}");
    }
}
