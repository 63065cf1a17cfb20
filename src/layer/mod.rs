//! Layers: folders, files and archives become a tar with one order and one form, a blob with one digest, and a table
//! of what is inside.

pub mod contents;
