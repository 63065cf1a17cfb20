//! Users and groups that a `RUN` adds. An image's `user` may be a number, which needs no account.

use super::super::dockerfile::Instruction;
use super::super::shell::Command;
use super::Translator;
use super::stage::Stage;

/// The first number that is given to an account without one.
const FIRST: u32 = 10_001;

impl Translator<'_> {
    pub(super) fn account(&mut self, stage: &mut Stage, instruction: &Instruction, command: &Command) {
        let words = command.arguments();
        let is_group = matches!(command.name(), "groupadd" | "addgroup");
        if command.name() == "usermod" {
            let message = "this cannot be done without running the target: a user is changed";
            return self.cannot(stage, instruction, message, Some("name the number in user and owner"));
        }
        let (mut uid, mut gid, mut group) = (None, None, None);
        let mut names = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
                _ => (*word, None),
            };
            let takes = matches!(
                flag,
                "-u" | "--uid"
                    | "-g"
                    | "--gid"
                    | "-G"
                    | "--groups"
                    | "--ingroup"
                    | "-s"
                    | "--shell"
                    | "-h"
                    | "-d"
                    | "--home"
                    | "--home-dir"
                    | "-c"
                    | "--comment"
                    | "--gecos"
                    | "-k"
                    | "--skel"
                    | "-p"
                    | "--password"
                    | "-K"
                    | "-e"
                    | "-f"
                    | "-b"
                    | "--base-dir"
            ) || flag.starts_with('-')
                && !flag.starts_with("--")
                && flag.len() > 2
                && flag.ends_with(['u', 'g', 'G', 's', 'd']);
            let value = match value {
                Some(value) => Some(value),
                // On a group's command -g is the number, on a user's the group; adduser of busybox has -h for the home.
                None if takes => {
                    at += 1;
                    words.get(at - 1).copied()
                }
                None => None,
            };
            match (flag, value) {
                ("--uid", value) => uid = value.and_then(|value| value.parse().ok()),
                (flag, Some(value)) if !flag.starts_with("--") && flag.ends_with('u') => uid = value.parse().ok(),
                (flag, Some(value)) if flag == "--gid" || !flag.starts_with("--") && flag.ends_with('g') => {
                    match value.parse() {
                        Ok(number) => gid = Some(number),
                        Err(_) => group = Some(value),
                    }
                }
                ("-G" | "--ingroup", Some(value)) => group = Some(value),
                (flag, Some(value)) if !flag.starts_with("--") && flag.starts_with('-') && flag.ends_with('G') => {
                    group = Some(value);
                }
                (flag, _) if flag.starts_with('-') => {}
                (name, _) => names.push(name),
            }
        }
        let Some(name) = names.first().map(|name| (*name).to_owned()) else { return };
        if is_group {
            // `addgroup USER GROUP` adds nobody.
            if names.len() == 1 {
                let gid = gid.unwrap_or_else(|| next(stage));
                stage.groups.insert(name, gid);
            }
            return;
        }
        let uid = uid.unwrap_or_else(|| next(stage));
        let known =
            group.and_then(|group| stage.groups.get(group).copied()).or_else(|| stage.groups.get(&name).copied());
        let gid = gid.or(known).unwrap_or(uid);
        stage.groups.entry(name.clone()).or_insert(gid);
        stage.accounts.insert(name.clone(), (uid, gid));
        if stage.kept {
            let message =
                format!("accounts cannot be added without running the target: {name} is {uid}:{gid} in the recipe");
            let help = "a number needs no account; a program that looks its own name up needs a line for it in a copied /etc/passwd";
            self.note(instruction, message, Some(help));
        }
    }
}

fn next(stage: &Stage) -> u32 {
    let taken = stage.accounts.values().map(|(uid, _)| *uid).chain(stage.groups.values().copied());
    // A group is followed by its user, who gets the same number.
    let fresh = stage.groups.iter().filter(|(name, _)| !stage.accounts.contains_key(*name)).map(|(_, gid)| *gid);
    fresh
        .filter(|gid| *gid >= FIRST)
        .min()
        .unwrap_or_else(|| taken.filter(|n| (FIRST..60_000).contains(n)).max().map_or(FIRST, |n| n + 1))
}
