//! Clusters and their capacity providers: where a service runs that names neither a launch type nor a provider.

use std::collections::BTreeMap;
use std::rc::Rc;

use hcl_edit::expr::Expression;
use hcl_edit::structure::BlockLabel;

use super::super::service::{both, provider};
use super::super::task_definition::{LaunchType, Location, Stated};
use super::evaluate::{Evaluator, Fail};
use super::module::{Module, Scope};
use super::services::word;
use super::source::Stands;
use super::value::{Data, Gap, Val, is_reference};

pub(super) const CLUSTER: &str = "aws_ecs_cluster";
pub(super) const PROVIDER: &str = "aws_ecs_capacity_provider";
pub(super) const ASSOCIATION: &str = "aws_ecs_cluster_capacity_providers";
const DEFAULT_STRATEGY: &str = "default_capacity_provider_strategy";

/// The cluster of what names none.
const DEFAULT: &str = "default";

/// A resource of a module, with all its instances.
pub(super) struct Declared {
    pub(super) module: Rc<Module>,
    pub(super) stands: Stands,
}

impl Declared {
    pub(super) fn kind(&self) -> &str {
        self.stands.block.labels.first().map_or("", BlockLabel::as_str)
    }

    /// Its address without a key.
    pub(super) fn address(&self) -> String {
        let labels: Vec<&str> = self.stands.block.labels.iter().map(BlockLabel::as_str).collect();
        self.module.within(&labels.join("."))
    }
}

/// What is known of clusters and capacity providers, by their addresses and names.
#[derive(Default)]
pub(super) struct Clusters {
    /// What a provider stands for, unless two of one name differ.
    providers: BTreeMap<Rc<str>, Option<LaunchType>>,
    /// Under which other names a cluster goes.
    names: BTreeMap<Rc<str>, Rc<[Rc<str>]>>,
    strategies: BTreeMap<Rc<str>, Stated<Vec<LaunchType>>>,
}

impl Clusters {
    fn add_strategy(&mut self, cluster: &Rc<str>, said: &Stated<Vec<LaunchType>>) {
        let names = self.names.get(cluster).cloned().unwrap_or_else(|| [Rc::clone(cluster)].into());
        for name in names.iter() {
            let before = self.strategies.remove(name).unwrap_or(Stated::Unset);
            self.strategies.insert(Rc::clone(name), both(before, said.clone()));
        }
    }

    /// What a capacity provider stands for that `owner` names; else why that is not known.
    fn provider(&self, value: &Val, owner: &str) -> Result<LaunchType, String> {
        let declared = |name: &str| self.providers.get(name).copied().flatten();
        if let Data::Unknown(gap) = &value.data
            && let Some(kind) = referred(gap).and_then(declared)
        {
            return Ok(kind);
        }
        let name = word(value, owner, "capacity_provider")?;
        provider(&name).or_else(|reason| declared(&name).ok_or_else(|| format!("{owner}: {reason}")))
    }
}

impl Evaluator<'_> {
    /// Gathers what is said of clusters, whatever the order in which it stands.
    pub(super) fn clusters(&self, declared: &[Declared]) -> Result<Clusters, Fail> {
        let mut clusters = Clusters::default();
        for kind in [PROVIDER, CLUSTER, ASSOCIATION] {
            for one in declared.iter().filter(|one| one.kind() == kind) {
                let placed = |fail: Fail| Fail { at: fail.at.or(one.stands.place()), ..fail };
                self.gather(one, &mut clusters).map_err(placed)?;
            }
        }
        Ok(clusters)
    }

    fn gather(&self, one: &Declared, clusters: &mut Clusters) -> Result<(), Fail> {
        let Declared { module, stands } = one;
        let at = self.heading(stands);
        let instances = self.instances(stands, &Scope { module, file: stands.file, names: None, given: None })?;
        for key in instances.all() {
            self.spend(1)?;
            let address: Rc<str> = format!("{}{}", one.address(), key.suffix()).into();
            key.bind(|names| {
                let scope = Scope { module, file: stands.file, names, given: None };
                let mut names = vec![Rc::clone(&address), one.address().into()];
                names.dedup();
                if let Some(name) = stands.attribute("name") {
                    names.extend(self.settled(name, &scope)?.scalar());
                }
                match one.kind() {
                    PROVIDER => {
                        let has = |block: &str| self.blocks(&stands.block, block, &scope).map(|all| !all.is_empty());
                        let kind = match (has("managed_instances_provider")?, has("auto_scaling_group_provider")?) {
                            (true, _) => LaunchType::ManagedInstances,
                            (false, true) => LaunchType::Ec2,
                            (false, false) => return Ok(()),
                        };
                        for name in names {
                            let known = clusters.providers.entry(name).or_insert(Some(kind));
                            *known = known.filter(|known| *known == kind);
                        }
                        return Ok(());
                    }
                    CLUSTER => {
                        let all: Rc<[Rc<str>]> = names.into();
                        clusters.names.extend(all.iter().map(|name| (Rc::clone(name), Rc::clone(&all))));
                    }
                    _ => {}
                }
                let kinds = self.strategy(stands, DEFAULT_STRATEGY, &scope, &address, clusters)?;
                let cluster = match one.kind() {
                    CLUSTER => Some(Rc::clone(&address)),
                    _ => self.cluster(stands.attribute("cluster_name"), &scope)?,
                };
                if let Some(cluster) = cluster.filter(|_| !kinds.is_empty()) {
                    clusters.add_strategy(&cluster, &launch_types(kinds, &at, &address));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What the default strategy of a service's cluster says, where that is in the configuration.
    pub(super) fn by_cluster(
        &self,
        service: &Stands,
        scope: &Scope<'_>,
        clusters: &Clusters,
    ) -> Result<Option<Stated<Vec<LaunchType>>>, Fail> {
        let cluster = self.cluster(service.attribute("cluster"), scope)?;
        Ok(cluster.and_then(|cluster| clusters.strategies.get(&cluster).cloned()))
    }

    /// What a strategy stands for, which is written in blocks of this name.
    pub(super) fn strategy(
        &self,
        stands: &Stands,
        name: &str,
        scope: &Scope<'_>,
        owner: &str,
        clusters: &Clusters,
    ) -> Result<Vec<Result<LaunchType, String>>, Fail> {
        let kind = |block: &Val| match &block.data {
            Data::Map(map) => {
                let named = map.members.get("capacity_provider").cloned().unwrap_or_else(Val::null);
                clusters.provider(&named, owner)
            }
            _ => clusters.provider(block, owner),
        };
        Ok(self.blocks(&stands.block, name, scope)?.iter().map(kind).collect())
    }

    /// The one cluster that an expression names: its address where it is known by its resource, else its name.
    fn cluster(&self, expression: Option<&Expression>, scope: &Scope<'_>) -> Result<Option<Rc<str>>, Fail> {
        let Some(expression) = expression else { return Ok(Some(DEFAULT.into())) };
        let value = self.settled(expression, scope)?;
        Ok(match &value.data {
            Data::Null => Some(DEFAULT.into()),
            Data::Text(text) => {
                Some(text.split_once(":cluster/").map_or_else(|| Rc::clone(text), |(_, name)| name.into()))
            }
            Data::Unknown(gap) if let Some(one) = referred(gap) => Some(one.into()),
            // A name that is not known in whole is still that of the resource to which this refers.
            Data::Unknown(_) | Data::Holes(_) => {
                let written = self.written(expression, scope.file);
                let name = written.strip_prefix(CLUSTER).and_then(|rest| rest.strip_prefix('.'));
                let name = name.filter(|name| is_reference(name));
                let name = name.and_then(|name| name.split(['.', '[']).next());
                name.map(|name| scope.module.within(&format!("{CLUSTER}.{name}")).into())
            }
            _ => None,
        })
    }
}

/// The resource of which this is an attribute. What a function or condition makes of one may be of another.
fn referred(gap: &Gap) -> Option<&str> {
    match &*gap.of {
        [one] => gap.reference().map(|_| &**one),
        _ => None,
    }
}

/// What a service or strategy says with all that it names.
pub(super) fn launch_types(
    kinds: Vec<Result<LaunchType, String>>,
    at: &Location,
    owner: &str,
) -> Stated<Vec<LaunchType>> {
    let mut types: Vec<LaunchType> = Vec::new();
    for kind in kinds {
        match kind {
            Err(reason) => return Stated::Unresolved { reason, at: at.clone() },
            Ok(kind) if !types.contains(&kind) => types.push(kind),
            Ok(_) => {}
        }
    }
    Stated::Known { value: types, at: at.clone(), how: vec![format!("said by {owner}")] }
}
