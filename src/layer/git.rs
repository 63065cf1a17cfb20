//! The time of each file's last commit.
