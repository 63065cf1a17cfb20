//! The environment of a command: what is written down, and nothing else. A variable that nobody expects would make
//! another layer on another machine, or bring a token into it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use crate::oci::platform::{Arch, Platform};

/// The variables of the host that every command sees, where they are set.
pub const PASSED: [&str; 10] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// 1980-01-01: the first moment that a zip, and so a wheel or a jar, can hold. The build's own `SOURCE_DATE_EPOCH` is
/// mostly the time of a commit, and each commit would change every layer.
pub const EPOCH: &str = "315532800";

/// The environment of the process, as it was handed in. Its values are nobody's to print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// All variables with their values.
    pub fn new(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(all.into_iter().collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Those that every command sees.
    pub fn passed(&self) -> Vec<(OsString, OsString)> {
        PASSED.iter().filter_map(|name| Some(((*name).into(), self.get(name)?.to_owned()))).collect()
    }
}

/// How many there are: neither names nor values.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// What is said to every command: the platform, in the words of the tools that build for another one, and what would
/// else come from the machine. `out` is the folder to fill.
pub fn told(platform: &Platform, out: &Path) -> Vec<(OsString, OsString)> {
    let (os, arch) = (platform.os.to_string(), platform.architecture.to_string());
    let cpu = match platform.architecture {
        Arch::Amd64 => "x64".to_owned(),
        ref other => other.to_string(),
    };
    let said = [
        ("DOCKLESS_OS", os.clone()),
        ("DOCKLESS_ARCH", arch.clone()),
        ("DOCKLESS_MACHINE", platform.machine()),
        ("DOCKLESS_PLATFORM", platform.file_name()),
        ("GOOS", os.clone()),
        ("GOARCH", arch),
        // Go links with C where the target is the host, and not elsewhere: two platforms of two kinds.
        ("CGO_ENABLED", "0".into()),
        ("npm_config_os", os),
        ("npm_config_cpu", cpu),
        ("npm_config_libc", "glibc".into()),
        // Compiled files hold the time and the path of their source.
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("PYTHONHASHSEED", "0".into()),
        ("LANG", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
        ("SOURCE_DATE_EPOCH", EPOCH.into()),
    ];
    let mut all: Vec<(OsString, OsString)> = vec![("DOCKLESS_OUT".into(), out.into())];
    all.extend(said.into_iter().map(|(name, value)| (name.into(), value.into())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_many_names() {
        let said = |platform: &Platform, name: &str| {
            let all = told(platform, Path::new("/o"));
            all.into_iter().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok())
        };
        for (name, amd64, arm64) in [
            ("DOCKLESS_OUT", "/o", "/o"),
            ("DOCKLESS_ARCH", "amd64", "arm64"),
            ("DOCKLESS_MACHINE", "x86_64", "aarch64"),
            ("DOCKLESS_PLATFORM", "linux-amd64", "linux-arm64"),
            ("GOARCH", "amd64", "arm64"),
            ("npm_config_cpu", "x64", "arm64"),
        ] {
            assert_eq!(said(&Platform::linux_amd64(), name).as_deref(), Some(amd64));
            assert_eq!(said(&Platform::linux_arm64(), name).as_deref(), Some(arm64));
        }
    }

    #[test]
    fn only_some_are_passed_and_none_is_printed() {
        let all = [("PATH", "/bin"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("NO_PROXY", "")];
        let environment = Environment::new(all.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(environment.passed(), [("PATH".into(), "/bin".into()), ("NO_PROXY".into(), "".into())]);
        assert_eq!(format!("{environment:?}"), "Environment(3 variables)");
    }
}
