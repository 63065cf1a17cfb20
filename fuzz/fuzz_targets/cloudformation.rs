//! A template from a pull request, that may nest itself, to what it asks for.

#![no_main]

use dockless::ecs::cloudformation::{Files, Parameters, is_assembly, is_template, parse, parse_assembly};
use dockless::ecs::target::{TargetOptions, select};
use libfuzzer_sys::fuzz_target;

/// Whatever is asked for is the template itself.
struct Itself<'a>(&'a str);

impl Files for Itself<'_> {
    fn read(&mut self, _from: &str, path: &str) -> Result<(String, String), String> {
        Ok((path.to_owned(), self.0.to_owned()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parameters = Parameters::from([("AWS::Region".to_owned(), "eu-central-1".to_owned())]);
    for name in ["t.yaml", "t.json"] {
        let _ = is_template(name, text);
        if let Ok(stacks) = parse(name, text, &parameters, &mut Itself(text)) {
            for target in select(stacks.definitions, &TargetOptions::default()).unwrap_or_default() {
                let _ = target.json();
            }
        }
    }
    if is_assembly(text) {
        let _ = parse_assembly("manifest.json", text, &parameters, &mut Itself(text));
    }
});
