//! Files that were hardly meant to be in an image: whoever may pull it has them.
//!
//! Every layer counts, not the merged root: a file that a later layer deletes is still in the blob of its own. What
//! comes with packages (keys of test suites, examples) is passed over by its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::image::inspect::ImageFacts;
use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;
use crate::oci::digest::Digest;

use super::allow::Allowed;
use super::finding::{Finding, Rule, Severity};
use super::lookup::shown;

/// How many are named.
const MAX_NAMED: usize = 10;

/// Folders of packages, of operating systems and of languages.
const PACKAGES: [&str; 14] = [
    "usr/lib/",
    "usr/lib64/",
    "usr/libexec/",
    "usr/share/",
    "usr/include/",
    "usr/local/lib/",
    "usr/local/share/",
    "usr/local/go/",
    "usr/local/cargo/",
    "usr/local/rustup/",
    "var/lib/",
    "nix/",
    "lib/",
    "gnu/",
];
const PACKAGE_PARTS: [&str; 12] = [
    "node_modules",
    "site-packages",
    "dist-packages",
    "vendor",
    "gems",
    "test",
    "tests",
    "testdata",
    "fixtures",
    "examples",
    "doc",
    "docs",
];

/// What a file seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    PrivateKey,
    EnvFile,
    Passwords,
    AwsCredentials,
    /// The folder of this file has the history.
    Repository,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::EnvFile => "an environment file",
            Self::Passwords => "a file of passwords",
            Self::AwsCredentials => "credentials of AWS",
            Self::Repository => "a Git repository with all its history",
        })
    }
}

/// What a file seems to be, by its name and its first bytes.
fn kind(path: &[u8], head: &Head) -> Option<Secret> {
    // The name first: it clears nearly all files.
    let kind = suspicion(path, head)?;
    let path = String::from_utf8_lossy(path);
    let parts = || path.split('/');
    let from_a_package = PACKAGES.iter().any(|folder| path.starts_with(folder))
        || parts().any(|part| PACKAGE_PARTS.contains(&part))
        // The tools of a user (`.nvm`, `.oh-my-zsh`, `.cargo`) bring repositories and examples of their own.
        || parts().rev().skip(1).any(|part| part.starts_with('.') && !matches!(part, ".git" | ".ssh" | ".aws"));
    // Debian's ssl-cert makes this one for every machine anew.
    (!from_a_package && path != "etc/ssl/private/ssl-cert-snakeoil.key").then_some(kind)
}

/// What a file seems to be wherever it lies.
fn suspicion(path: &[u8], head: &Head) -> Option<Secret> {
    if *head == Head::PrivateKey {
        return Some(Secret::PrivateKey);
    }
    match split(path).1 {
        b".env" => Some(Secret::EnvFile),
        b".git-credentials" | b".netrc" | b".pgpass" => Some(Secret::Passwords),
        b"credentials" if path.ends_with(b".aws/credentials") => Some(Secret::AwsCredentials),
        // The file that every repository has, once for each.
        b"HEAD" if path == b".git/HEAD" || path.ends_with(b"/.git/HEAD") => Some(Secret::Repository),
        name if name.starts_with(b".env.") => {
            let ending = name.rsplit(|byte| *byte == b'.').next()?;
            let templates: [&[u8]; 7] = [b"example", b"sample", b"template", b"dist", b"defaults", b"schema", b"test"];
            (!templates.contains(&ending)).then_some(Secret::EnvFile)
        }
        _ => None,
    }
}

/// What was told already: images share layers.
pub(super) type Told = BTreeSet<(Option<Digest>, String)>;

/// A warning for each; beyond [`MAX_NAMED`] one for all that are left.
pub(super) fn secrets(image: &ImageFacts, told: &mut Told, allowed: &Allowed<'_>) -> Vec<Finding> {
    let mut found: BTreeMap<(usize, &[u8]), Secret> = BTreeMap::new();
    for (index, layer) in image.root.layers().iter().enumerate() {
        for node in &layer.nodes {
            let Kind::File { head, size } = &node.kind else { continue };
            if *size == 0 {
                continue;
            }
            if let Some(kind) = kind(&node.path, head) {
                found.insert((index, &node.path), kind);
            }
        }
    }
    let mut findings = Vec::new();
    let mut more = 0;
    for ((index, path), kind) in found {
        let merged = image.root.lookup(path).is_some_and(|(_, layer)| layer == index);
        let path = if kind == Secret::Repository { split(path).0 } else { path };
        let path = shown(path);
        let layer = image.layers.get(index).map(|layer| layer.digest);
        if !told.insert((layer, path.clone())) {
            continue;
        }
        if allowed.covers(Rule::SecretInImage, Some(&path)) {
            continue;
        }
        if findings.len() >= MAX_NAMED {
            more += 1;
            continue;
        }
        let aside = if merged { "" } else { ", also where a later layer deletes or replaces it" };
        let message = format!("{path} is {kind}: whoever may pull layer {} has it{aside}", index + 1);
        let mut finding = Finding::new(Rule::SecretInImage, Severity::Warning, message).help(format!(
            "leave it out (.dockerignore, exclude), and take another secret where the image was pushed; or allow it: \
             --allow secret-in-image={path}"
        ));
        finding.layer = layer;
        finding.path = Some(path);
        findings.push(finding);
    }
    if more > 0 {
        findings.push(Finding::new(Rule::SecretInImage, Severity::Warning, format!("and {more} more such files")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packages_bring_is_no_secret() {
        for (path, key, wanted) in [
            ("app/tls/server.key", true, true),
            ("root/.ssh/id_ed25519", true, true),
            ("etc/nginx/ssl/site.pem", true, true),
            ("etc/ssl/private/ssl-cert-snakeoil.key", true, false),
            ("usr/lib/python3/test/keycert.pem", true, false),
            ("app/node_modules/x/key.pem", true, false),
            ("app/tests/key.pem", true, false),
            ("app/server.key", false, false),
            ("app/.env", false, true),
            ("app/.env.production", false, true),
            ("app/.env.example", false, false),
            ("app/node_modules/y/.env", false, false),
            ("app/.git/HEAD", false, true),
            ("root/.nvm/.git/HEAD", false, false),
            ("root/.aws/credentials", false, true),
            ("root/.cache/x/.env", false, false),
            ("app/HEAD", false, false),
        ] {
            let head = if key { Head::PrivateKey } else { Head::Other };
            assert_eq!(kind(path.as_bytes(), &head).is_some(), wanted, "{path}");
        }
    }
}
