//! Layers: folders, files, archives and what commands leave become a tar with one order and one form, a blob with one
//! digest, and a table of what is inside.

pub mod attributes;
pub mod cache;
pub mod compress;
pub mod contents;
pub mod copy;
pub mod entry;
pub mod git;
pub mod own;
pub mod pack;
pub mod pathname;
pub mod pattern;
pub mod run;
pub mod scan;
pub mod sniff;
pub mod stamp;
pub mod tar;
pub mod untar;
