//! The binary with AWS: credentials, the checks before a push, the doctor. The cloud is the embedded registry that
//! answers as ECR does, or a script where a test wants to see what is asked.

mod credentials;
mod doctor;
mod live;
mod preflight;
mod scripted;
mod secrets;
mod stage;
