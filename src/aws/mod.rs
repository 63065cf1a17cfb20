//! What is particular to AWS, as values: partitions, the hosts of ECR, policies, and what AWS says when it refuses.
//!
//! No I/O: nothing here asks anybody. Region and account of a registry come from its host's name alone, never from an
//! environment: that the two differ is the most frequent reason for "no basic auth credentials".
//!
//! Threats: a host that merely looks like ECR's would get ECR's credentials ([`ecr::EcrHost::parse`] takes whole names
//! only), and a refusal's text that is pasted into a policy could widen it ([`refusal::Denial`] takes nothing that is
//! not spelled like an action or an ARN).

pub mod ecr;
pub mod partition;
pub mod policy;
pub mod refusal;
