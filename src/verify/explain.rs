//! A page for each rule, for `verify --explain RULE`.

use super::finding::Rule;

mod task;

use task::{
    DIGEST_DIFFERS, FARGATE_SIZE, HEALTH_CHECK_NOT_FOUND, HOST_PORT_DIFFERS, LOG_REGION_DIFFERS, MUTABLE_REFERENCE,
    NETWORK_MODE, PORT_NOT_EXPOSED, REGION_DIFFERS, REPOSITORY_DIFFERS, SECRET_IN_IMAGE, SIDECAR_PLATFORM_MISSING,
    STORAGE_TOO_SMALL,
};

pub(super) const fn page(rule: Rule) -> &'static str {
    match rule {
        Rule::PlatformMissing => PLATFORM_MISSING,
        Rule::ConfigDisagrees => CONFIG_DISAGREES,
        Rule::ForeignExecutable => FOREIGN_EXECUTABLE,
        Rule::ArchitectureNotStated => ARCHITECTURE_NOT_STATED,
        Rule::EntrypointNotFound => ENTRYPOINT_NOT_FOUND,
        Rule::EntrypointNotExecutable => ENTRYPOINT_NOT_EXECUTABLE,
        Rule::ProcessRefused => PROCESS_REFUSED,
        Rule::InterpreterMissing => INTERPRETER_MISSING,
        Rule::LibraryMissing => LIBRARY_MISSING,
        Rule::PortNotExposed => PORT_NOT_EXPOSED,
        Rule::HealthCheckNotFound => HEALTH_CHECK_NOT_FOUND,
        Rule::StorageTooSmall => STORAGE_TOO_SMALL,
        Rule::NetworkMode => NETWORK_MODE,
        Rule::HostPortDiffers => HOST_PORT_DIFFERS,
        Rule::FargateSize => FARGATE_SIZE,
        Rule::RegionDiffers => REGION_DIFFERS,
        Rule::RepositoryDiffers => REPOSITORY_DIFFERS,
        Rule::DigestDiffers => DIGEST_DIFFERS,
        Rule::MutableReference => MUTABLE_REFERENCE,
        Rule::LogRegionDiffers => LOG_REGION_DIFFERS,
        Rule::SecretInImage => SECRET_IN_IMAGE,
        Rule::SidecarPlatformMissing => SIDECAR_PLATFORM_MISSING,
        Rule::WindowsTask => WINDOWS_TASK,
        Rule::ContainerNotChosen => CONTAINER_NOT_CHOSEN,
        Rule::AllowUnused => ALLOW_UNUSED,
    }
}

const PLATFORM_MISSING: &str = "\
platform-missing: the image has nothing for the platform that the task asks for

A task definition asks for linux/amd64 (X86_64) or linux/arm64 (ARM64). From an image index the runtime takes the first
image whose platform matches best: linux/amd64 is not linux/amd64/v3, while linux/arm64 and linux/arm64/v8 are the same;
in their absence linux/386 and 32-bit ARM are taken. A single manifest it takes without looking, and the program dies
when it starts.

What ECS says:
  CannotPullContainerError: ... image Manifest does not contain descriptor matching platform 'linux/amd64'
  exec /usr/local/bin/app: exec format error            (a single manifest of the other architecture)

To repair, either build the platform that is missing (dockless build -p linux/amd64,linux/arm64), or state the one that
there is: \"runtimePlatform\": {\"cpuArchitecture\": \"ARM64\", \"operatingSystemFamily\": \"LINUX\"}. On Fargate a task
definition that states nothing asks for X86_64.

To allow: --allow platform-missing
";

const CONFIG_DISAGREES: &str = "\
config-disagrees: the index says one platform, the image configuration another

The platform stands twice: in the index, by which the runtime chooses, and in the image configuration. Where they
differ, one of them is wrong, and what runs is decided by neither of them but by the programs in the layers.

What ECS says, if the index is the one that is wrong:
  exec /usr/local/bin/app: exec format error

To repair, build the image again with the right platform; an image that was retagged or put into an index by hand is
the usual cause.

To allow: --allow config-disagrees
";

const FOREIGN_EXECUTABLE: &str = "\
foreign-executable: an ELF file in the image is made for another machine

Every ELF file of the merged root file system, and every native library in its jars, is compared with the image's
architecture. On the way of the process that ECS starts (the program itself, the interpreter of a script, the dynamic
loader, the libraries) it is an error: it cannot start. So it is in what an init, a wrapper (env, timeout, nohup, gosu),
`sh -c` or a shell's script of at most 4 KiB surely starts: commands whose names stand there literally, outside of `if`,
`case` and loops, before anything that may have ended the script, and without which it does not go on: what `exec`
starts, the last of its commands, all of them under `set -e`; \"$@\" is what the script is told. What it goes on
without, and what these may start beside, what a longer script or one with `eval` or `.` may start, and a module
that the interpreter of that process may load (Python's and Node's extension modules, native libraries in a jar), is a
warning, and the verdict undetermined: it fails when it is started or loaded, and nobody knows whether it is. Elsewhere
it is a warning, since nobody may ever execute it. A file that stands beside the same for this machine, under a name
that differs in the machine alone, is nothing; so are BPF and GPU code, object files and debug symbols. 32-bit x86 on
amd64 and 32-bit ARM on arm64 leave the verdict open: not every kernel and CPU there has the 32-bit mode.

What ECS says:
  exec /usr/local/bin/app: exec format error             (stopCode EssentialContainerExited)

To repair, copy or compile the file for the platform of the image: a layer that was made on an ARM Mac and copied into
an amd64 image is the usual cause.

To allow a file that is foreign on purpose: --allow foreign-executable=/opt/qemu/**
";

const ARCHITECTURE_NOT_STATED: &str = "\
architecture-not-stated: nothing says which architecture the task runs on

Without runtimePlatform.cpuArchitecture Fargate takes X86_64: a warning where the image has nothing for it. On EC2,
EXTERNAL and managed instances the instance decides, and an image for one architecture may land on the other. An image
that runs on both runs anywhere.

What ECS says when it went wrong:
  CannotPullContainerError: ... image Manifest does not contain descriptor matching platform 'linux/amd64'
  exec /usr/local/bin/app: exec format error

To repair, state it: \"runtimePlatform\": {\"cpuArchitecture\": \"ARM64\", \"operatingSystemFamily\": \"LINUX\"}; or say it
to dockless only: --architecture ARM64, --launch-type fargate.

To allow: --allow architecture-not-stated
";

const ENTRYPOINT_NOT_FOUND: &str = "\
entrypoint-not-found: what the container starts does not exist in the image

The process is the one that ECS starts: entryPoint and command of the container definition, else entrypoint and cmd of
the image; an entryPoint of the container definition drops the image's cmd. A name without a slash is looked up in PATH
(whose relative folders the runtime refuses), a relative path in the working folder, links are followed within the
image. So is the script or jar that an interpreter is told to open (python3 main.py, node, java -jar): it looks in the
working folder. So is what a script surely starts; where a program runs before, which may have made the file, or where
the script goes on without it (`/opt/agent &`, a command that is not the last, without `set -e`), it is a note, and the
verdict undetermined.

What ECS says:
  CannotStartContainerError: ... exec: \"app\": executable file not found in $PATH
  CannotStartContainerError: ... stat /app/server: no such file or directory

To repair, name the path under which the file stands, or put the file into a layer.

To allow, where something puts the file there at run time: --allow entrypoint-not-found=/data/app
";

const ENTRYPOINT_NOT_EXECUTABLE: &str = "\
entrypoint-not-executable: what the container starts exists, but the kernel refuses to execute it

It is a folder, has no x bit for the user that runs it, is empty or cut off, or is a script without `#!` in its first
line: a shell would run such a script, and what calls glibc's execvp (env, timeout, nohup) has one run it, but ECS
starts it without one. Of a static program it is not known which execvp it has: the verdict is undetermined. A script
that an interpreter is told to read needs no x bit, but its user has to come to it and to read it. Behind a change of
user (gosu, su-exec, setpriv) that user counts.

What ECS says:
  exec /app/start.sh: exec format error
  CannotStartContainerError: ... exec: \"/app/start.sh\": permission denied

To repair, set the mode to 0755 (a copy layer: mode = \"0755\"), write `#!/bin/sh` into the first line, or start it by a
shell: [\"/bin/sh\", \"/app/start.sh\"].

To allow: --allow entrypoint-not-executable=/app/start.sh
";

const PROCESS_REFUSED: &str = "\
process-refused: the runtime refuses the working folder or the user before it executes anything

The working folder (workingDirectory, else that of the image) must be absolute, and is made where it does not exist; a
file is no folder. A user or group that is stated by name is looked up in /etc/passwd or /etc/group of the image: without
these files there is none of that name. What stands in them is not read. Whether every runtime looks for root there is
not known: the verdict is undetermined.

What ECS says:
  CannotStartContainerError: ... Cwd must be an absolute path
  CannotStartContainerError: ... mkdir /app/server: not a directory
  CannotStartContainerError: ... unable to find user app: no matching entries in passwd file

To repair, state an absolute folder, and the user by number (\"user\": \"1000:1000\"), or put the files into the image.

To allow: --allow process-refused
";

const INTERPRETER_MISSING: &str = "\
interpreter-missing: what a script or program needs in order to start does not exist in the image

A script names its interpreter after `#!`, with `#!/usr/bin/env NAME` through PATH; a dynamically linked program names
its loader. A carriage return at the end of a `#!` line belongs to the name, so that a file written on Windows asks for
`/bin/sh\\r`; in the text that a shell is told to read it belongs to the last word of the line, and the verdict is
undetermined. A program linked with musl needs /lib/ld-musl-*.so.1, which Debian and Amazon Linux do not have; one
linked with glibc needs /lib64/ld-linux-*.so.2, which Alpine does not have.

What ECS says, of a file that is there:
  exec /app/server: no such file or directory

To repair, install the interpreter, save the script with LF line ends, or link the program statically or with the C
library of the base image.

To allow: --allow interpreter-missing=/app/server
";

const LIBRARY_MISSING: &str = "\
library-missing: a library that a program needs does not exist, or not where its loader looks

The libraries of a program (DT_NEEDED), and theirs, are looked for as the loader that the program names looks for them:
glibc's in RPATH, LD_LIBRARY_PATH, RUNPATH, /etc/ld.so.cache and the folders of its distribution; musl's in
LD_LIBRARY_PATH, RPATH and /lib, /usr/local/lib, /usr/lib, unless /etc/ld-musl-*.path states others. Relative folders
are those of the working folder, and so is an empty one to glibc. It is an error where no file of the image has the
name, where the file stands in a folder that the loader is known not to look into, where the user may not read it, or
where the first of that name is a folder or no ELF file: the program ends before its first line. It is a note, and the
verdict undetermined, where a volume, LD_PRELOAD or LD_LIBRARY_PATH of the container definition may bring it, where
glibc's cache is not in the image, where only a glibc-hwcaps folder has it, or where LD_LIBRARY_PATH or $ORIGIN lead a
program with more rights than its user (setuid, capabilities) to it. Libraries that a program opens by itself (dlopen)
are not followed. Versions of symbols are not compared: a program that was linked with a newer glibc than the image has
(version `GLIBC_2.38' not found) is not found out. Of the modules that Python or Node may load it is a warning, and
undetermined, where one is linked with a C library that the image does not have; those for another machine are found by
foreign-executable.

What ECS says:
  error while loading shared libraries: libpq.so.5: cannot open shared object file: No such file or directory
  Error loading shared library libstdc++.so.6: No such file or directory (needed by /app/server)          (Alpine)

To repair, install the package that has it, run ldconfig after copying libraries, or link the program statically.

To allow: --allow library-missing=/app/server
";

const WINDOWS_TASK: &str = "\
windows-task: the task asks for Windows

Only the platforms of the image are compared: dockless does not know what Windows programs need in order to start, so
the verdict is undetermined. An image for Linux does not run there. ECS runs Windows on X86_64 alone.

To allow: --allow windows-task
";

const CONTAINER_NOT_CHOSEN: &str = "\
container-not-chosen: nothing says which container of the task the image runs in

Rules about a container hold for the one that --container names, else for the only one where all of them are known, else
for those whose image is of the same repository. Where there is none, the image is judged as it starts by itself, without
the entryPoint, command, workingDirectory and PATH of a container definition.

To repair: --container NAME

To allow: --allow container-not-chosen
";

const ALLOW_UNUSED: &str = "\
allow-unused: an allow that allowed nothing

Nothing was found that it could have allowed. An allow that is left behind may one day hide something else.

To repair, remove it. To allow: --allow allow-unused
";
