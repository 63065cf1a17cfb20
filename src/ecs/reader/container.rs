//! Container definitions.

use super::{Read, Reader, array, error, expected, known, placeholder, start, text, unknown};
use crate::ecs::details::details;
use crate::ecs::spelling::Spelling;
use crate::ecs::task_definition::{ContainerDefinition, Gap, Port, SearchPath, Stated};
use crate::ecs::value::{Data, Member, Value};

/// The keys that are read here; as for those of the task definition.
const CONTAINER_KEYS: &[&str] = &[
    "name",
    "image",
    "entryPoint",
    "command",
    "workingDirectory",
    "environment",
    "secrets",
    "user",
    "portMappings",
    "essential",
    "mountPoints",
    "volumesFrom",
];

impl Reader {
    /// The containers that are known, and why there may be others.
    pub(super) fn containers(&self, value: &Value) -> Read<(Vec<ContainerDefinition>, Option<Gap>)> {
        let gap = |value: &Value| match &value.data {
            Data::Unknown { reason, .. } => Some(Gap { reason: reason.clone(), at: value.at.clone() }),
            _ => None,
        };
        if let Some(gap) = gap(value) {
            return Ok((Vec::new(), Some(gap)));
        }
        let (mut containers, mut others) = (Vec::new(), None);
        for item in array(value, "an array of container definitions")? {
            match gap(item) {
                Some(gap) => others = others.or(Some(gap)),
                None => containers.push(self.container(item)?),
            }
        }
        Ok((containers, others))
    }

    fn container(&self, value: &Value) -> Read<ContainerDefinition> {
        match self.spelling {
            Spelling::Terraform if matches!(value.data, Data::Object(_)) => {}
            _ => self.keys(value, "an object, a container definition", CONTAINER_KEYS, Spelling::inner)?,
        }
        let Some(name) = self.inner(value, "name") else {
            return Err(error(&start(&value.at), "this container definition has no name", ""));
        };
        let (environment, path) = self.environment(value)?;
        let image = self.inner(value, "image");
        let (mounts, unknown_mounts) = self.mounts(value)?;
        Ok(ContainerDefinition {
            name: match (&name.value.data, &name.value.written) {
                (Data::Unknown { expression, .. }, _) => expression.clone(),
                (_, written) if name.value.sensitive => written.clone().unwrap_or_else(|| SENSITIVE.into()),
                _ => text(&name.value, "a string, the container's name")?.into(),
            },
            image: self.string(image, "the image's reference")?,
            image_expression: image.and_then(|image| match (&image.value.data, &image.value.written) {
                (Data::Unknown { expression, .. }, _) => Some(expression.clone()),
                (_, written) if image.value.sensitive => Some(written.clone().unwrap_or_else(|| SENSITIVE.into())),
                (_, written) => written.clone(),
            }),
            entry_point: self.words(self.inner(value, "entryPoint"))?,
            command: self.words(self.inner(value, "command"))?,
            working_directory: self.rendered(self.inner(value, "workingDirectory"), "a path")?,
            user: self.rendered(self.inner(value, "user"), "a user")?,
            path,
            environment,
            ports: self.ports(value)?,
            essential: self.truth(self.inner(value, "essential"))?,
            mounts,
            volumes_from: unknown_mounts
                || match self.inner(value, "volumesFrom") {
                    Some(Member { value, .. }) if matches!(value.data, Data::Unknown { .. }) => true,
                    Some(member) => !array(&member.value, "an array of volumes")?.is_empty(),
                    None => false,
                },
            details: details(value),
            location: value.at.clone(),
        })
    }

    fn truth(&self, member: Option<&Member>) -> Read<Stated<bool>> {
        let Some(Member { value, .. }) = member else { return Ok(Stated::Unset) };
        match (&value.data, self.spelling) {
            (Data::Unknown { .. }, _) => Ok(unknown(value).unwrap_or(Stated::Unset)),
            (Data::Bool(truth), _) => Ok(known(*truth, value)),
            (Data::String(word), Spelling::Pascal | Spelling::Terraform)
                if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") =>
            {
                Ok(known(word.eq_ignore_ascii_case("true"), value))
            }
            _ => Err(expected(value, "true or false")),
        }
    }

    /// Terraform's provider drops null among objects.
    fn is_dropped(&self, item: &Value) -> bool {
        self.spelling == Spelling::Terraform && matches!(item.data, Data::Null)
    }

    /// The names, and the value of `PATH`. No other value is looked at: it may be a secret.
    fn environment(&self, container: &Value) -> Read<(Vec<String>, Stated<SearchPath>)> {
        let mut names = Vec::new();
        let mut path = Stated::Unset;
        // A name that is not known may be PATH; one that is known decides all the same.
        let mut open = None;
        for (key, what) in [("environment", "value"), ("secrets", "valueFrom")] {
            let Some(member) = self.inner(container, key) else { continue };
            if let Some(unknown) = unknown(&member.value) {
                open = Some(unknown);
                continue;
            }
            for pair in array(&member.value, "an array of objects with name and value")? {
                if let Some(unknown) = unknown(pair) {
                    open = Some(unknown);
                    continue;
                }
                if self.is_dropped(pair) {
                    continue;
                }
                if !matches!(pair.data, Data::Object(_)) {
                    let [name, what] = [self.spelling.inner("name"), self.spelling.inner(what)];
                    return Err(expected(pair, &format!("an object with {name} and {what}")));
                }
                let Some(name) = self.inner(pair, "name") else { continue };
                if let Some(unknown) = unknown(&name.value) {
                    open = Some(unknown);
                    continue;
                }
                let name = text(&name.value, "a string, the variable's name")?;
                if name == "PATH" {
                    path = if key == "secrets" {
                        Stated::Unresolved { reason: "PATH comes from a secret".into(), at: pair.at.clone() }
                    } else {
                        search_path(self.inner(pair, "value"))?
                    };
                }
                names.push(name.to_owned());
            }
        }
        Ok((names, if path == Stated::Unset { open.unwrap_or(path) } else { path }))
    }

    fn ports(&self, container: &Value) -> Read<Vec<Port>> {
        let Some(member) = self.inner(container, "portMappings") else { return Ok(Vec::new()) };
        if let Data::Unknown { expression, .. } = &member.value.data {
            return Ok(vec![Port::Words(expression.clone())]);
        }
        let mut ports = Vec::new();
        for mapping in array(&member.value, "an array of port mappings")? {
            if let Data::Unknown { expression, .. } = &mapping.data {
                ports.push(Port::Words(expression.clone()));
                continue;
            }
            if self.is_dropped(mapping) {
                continue;
            }
            if !matches!(mapping.data, Data::Object(_)) {
                let key = self.spelling.inner("containerPort");
                return Err(expected(mapping, &format!("an object with {key}")));
            }
            let range = self.inner(mapping, "containerPortRange");
            let Some(Member { value: port, .. }) = range.or_else(|| self.inner(mapping, "containerPort")) else {
                continue;
            };
            ports.push(match (&port.data, &port.written) {
                (Data::Unknown { expression, .. }, _) => Port::Words(expression.clone()),
                (_, written) if port.sensitive => Port::Words(written.clone().unwrap_or_else(|| SENSITIVE.into())),
                _ if range.is_some() => Port::Words(text(port, "a string such as 8000-8010")?.into()),
                (Data::Number(number), _) => Port::Number(number.parse().map_err(|_| expected(port, PORT))?),
                (Data::String(text), _) if placeholder(text).is_some() => Port::Words(text.clone()),
                (Data::String(number), _) if self.spelling != Spelling::Camel => {
                    Port::Number(number.parse().map_err(|_| expected(port, PORT))?)
                }
                _ => return Err(expected(port, "a number, a port")),
            });
        }
        Ok(ports)
    }

    /// The paths of mount points and of `tmpfs` that are known, and whether there are others.
    fn mounts(&self, container: &Value) -> Read<(Vec<String>, bool)> {
        let is_unknown = |value: &Value| matches!(value.data, Data::Unknown { .. });
        let linux = self.inner(container, "linuxParameters").map(|member| &member.value);
        let tmpfs = linux.and_then(|linux| self.inner(linux, "tmpfs"));
        let (mut paths, mut others) = (Vec::new(), linux.is_some_and(is_unknown));
        for (member, what) in
            [(self.inner(container, "mountPoints"), "an array of mount points"), (tmpfs, "an array of tmpfs mounts")]
        {
            let Some(Member { value, .. }) = member else { continue };
            if is_unknown(value) {
                others = true;
                continue;
            }
            for mount in array(value, what)? {
                match self.inner(mount, "containerPath").map(|path| &path.value) {
                    Some(path) if is_unknown(path) || path.sensitive => others = true,
                    Some(path) => paths.push(text(path, "a string, a path")?.to_owned()),
                    None => others |= is_unknown(mount),
                }
            }
        }
        Ok((paths, others))
    }
}

const PORT: &str = "a port from 0 to 65535";
/// Stands for a value that is not shown, as in what Terraform prints.
const SENSITIVE: &str = "(sensitive value)";

fn search_path(member: Option<&Member>) -> Read<Stated<SearchPath>> {
    let Some(Member { value, .. }) = member else { return Ok(Stated::Unset) };
    if let Some(unknown) = unknown(value) {
        return Ok(unknown);
    }
    let text = text(value, "a string, folders joined by colons")?;
    if text.contains("{{") {
        let reason = "PATH is a template that is not rendered".into();
        return Ok(Stated::Unresolved { reason, at: value.at.clone() });
    }
    Ok(known(SearchPath(text.into()), value))
}
