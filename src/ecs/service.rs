//! Where services run a task definition that does not say it itself.
//!
//! A service that runs a task definition and does not settle where is a reason not to know it, whatever the others say.

use super::location::Stated;
use super::task_definition::LaunchType;

/// Why a service that names neither settles nothing (Amazon ECS API Reference, `CreateService`: without both, the
/// default strategy of the cluster holds, else EC2).
pub(super) const NEITHER: &str = "names neither a launch type nor a capacity provider: its cluster decides";

/// The launch type that a capacity provider stands for, where its name says it: those of AWS itself.
pub(super) fn provider(name: &str) -> Result<LaunchType, String> {
    match name {
        "FARGATE" | "FARGATE_SPOT" => Ok(LaunchType::Fargate),
        _ => Err(format!("capacity provider {name} may be of any kind but Fargate")),
    }
}

/// Where a task definition runs: it states where it may, and all of its services (`said`) where it does. What they say
/// beside what it states would be refused, and tells nothing.
pub(super) fn within(stated: Stated<Vec<LaunchType>>, said: Stated<Vec<LaunchType>>) -> Stated<Vec<LaunchType>> {
    match (stated, said) {
        (Stated::Unset, said) => said,
        (Stated::Known { value: may, at, how }, Stated::Known { value: does, at: service, how: by }) => {
            let value: Vec<LaunchType> = may.iter().copied().filter(|kind| does.contains(kind)).collect();
            if value.is_empty() || value.len() == may.len() {
                Stated::Known { value: may, at, how }
            } else {
                Stated::Known { value, at: service, how: by }
            }
        }
        (stated, _) => stated,
    }
}

/// What two services say of one task definition.
pub(super) fn both(one: Stated<Vec<LaunchType>>, other: Stated<Vec<LaunchType>>) -> Stated<Vec<LaunchType>> {
    match (one, other) {
        (Stated::Unset, said) | (said, Stated::Unset) => said,
        (open @ Stated::Unresolved { .. }, _) | (_, open @ Stated::Unresolved { .. }) => open,
        (Stated::Known { mut value, at, mut how }, Stated::Known { value: more, how: also, .. }) => {
            for kind in more {
                if !value.contains(&kind) {
                    value.push(kind);
                }
            }
            for step in also {
                if !how.contains(&step) {
                    how.push(step);
                }
            }
            Stated::Known { value, at, how }
        }
    }
}
