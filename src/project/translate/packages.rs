//! Packages of a distribution. Their scripts run in the target, so a recipe cannot install them.

use super::super::dockerfile::Instruction;
use super::super::remark::shortened;
use super::super::shell::Command;
use super::Translator;
use super::stage::Stage;

impl Translator<'_> {
    pub(super) fn packages(&mut self, stage: &mut Stage, instruction: &Instruction, command: &Command) {
        let words = command.arguments();
        let plain: Vec<&str> = words.iter().filter(|word| !word.starts_with('-')).copied().collect();
        let Some((verb, names)) = plain.split_first() else { return };
        if !matches!(*verb, "install" | "add" | "in" | "localinstall" | "upgrade" | "dist-upgrade" | "reinstall") {
            // Lists, caches and what was needed only to build leave nothing behind that is missed.
            return;
        }
        // The name behind --virtual is no package's.
        let named: Vec<&str> = names.iter().filter(|name| !name.starts_with('.')).copied().collect();
        let manager = command.name().to_owned();
        if !stage.kept {
            if !named.is_empty() {
                let list = shortened(&named.join(" "), 80);
                let message = format!("this build stage has packages that this machine may need: {list}");
                self.note(instruction, message, None);
            }
            return;
        }
        let list = if named.is_empty() { "newer packages".to_owned() } else { shortened(&named.join(" "), 300) };
        let message =
            format!("this cannot be done without running the target: packages are installed by {manager}: {list}");
        let only_build = !named.is_empty()
            && named.iter().all(|name| {
                name.ends_with("-dev")
                    || matches!(
                        *name,
                        "gcc"
                            | "g++"
                            | "make"
                            | "build-essential"
                            | "git"
                            | "curl"
                            | "wget"
                            | "build-base"
                            | "ca-certificates"
                            | "pkg-config"
                            | "pkgconf"
                            | "cmake"
                    )
            });
        let help = if only_build && !named.contains(&"ca-certificates") {
            "they look like tools of a build, which runs on this machine: then nothing is missing in the image"
        } else if matches!(manager.as_str(), "apk") {
            "choose a base that has them, or unpack them on this machine into a folder for each platform (`apk --arch {machine} --root \
             rootfs-{arch} --initdb add …`) and add it as a layer: rootfs = \"rootfs-{arch}\", owner = \"0:0\""
        } else {
            "choose a base that has them (one without -slim has most libraries), or make the root file system on this machine \
             (`mmdebstrap --architectures={arch} --include=… trixie rootfs-{arch}`), and take it as a layer in place of the base: \
             rootfs = \"rootfs-{arch}\", owner = \"0:0\""
        };
        self.cannot(stage, instruction, message, Some(help));
    }
}
