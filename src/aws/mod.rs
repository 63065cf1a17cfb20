//! AWS: the hosts of ECR, partitions and policies as values; credentials, and the calls that a push needs.
//!
//! Region and account of a registry come from its host's name alone, never from an environment: that the two differ is
//! the most frequent reason for "no basic auth credentials". The SDK finds credentials and signs; which link of its
//! chain answered, and what the others lack, is kept for whoever asks ([`chain`]).
//!
//! Threats: a host that merely looks like ECR's would get ECR's credentials ([`ecr::EcrHost::parse`] takes whole names
//! only); a refusal's text that is pasted into a policy could widen it ([`refusal::Denial`] takes nothing that is not
//! spelled like an action or an ARN); a reply that is printed for debugging holds a password (no output of the SDK is
//! ever formatted, [`Secret`](crate::secret::Secret) prints nothing); an endpoint from the environment could be plain
//! http ([`session`] refuses that off loopback); a proxy would read what gives out credentials on this machine (`way`
//! goes past it).

pub mod chain;
pub mod ecr;
pub mod error;
pub mod github;
pub mod mutability;
pub mod partition;
pub mod policy;
pub mod refusal;
pub mod region;
pub mod registry;
pub mod session;
mod way;
