//! The client of a registry (distribution-spec v1.1): who we are, what is there, sending, fetching.
//!
//! [`endpoints`] and [`error`] < [`auth`] < [`http`] < [`client`] < [`upload`] (one blob, its parts in order) <
//! [`push`] (an index and all that it names, blobs side by side); [`pull`] is the way back. Each module knows those
//! before it alone.
//!
//! A registry is a stranger. What we defend:
//!
//! * **Credentials.** `Authorization` goes to the origin that challenged and nowhere else; a redirect or an upload's
//!   `Location` on another origin carries none. Plain http is spoken on loopback only, and https never falls back to
//!   it.
//! * **Content.** A manifest is held to its digest before anybody reads it; a blob passes
//!   [`Verified`](crate::blob::Verified); a digest that a header states is never taken for the digest of a body.
//! * **Memory.** Every body that is not a blob has a limit; blobs pass in slices or parts.
//! * **The terminal and the log.** A registry's words are stripped of control characters and of the secrets that it was
//!   sent, and cut; neither queries (signed URLs) nor headers are ever printed.

pub mod auth;
pub mod client;
pub mod endpoints;
pub mod error;
pub mod http;
pub mod pull;
pub mod push;
pub mod upload;
