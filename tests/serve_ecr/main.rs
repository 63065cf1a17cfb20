//! The embedded registry as Amazon ECR, asked over real HTTP: the habits of its registry API, the control plane, and
//! every fault by its name.

mod control;
mod faults;
mod images;
mod registry;
mod uploads;
